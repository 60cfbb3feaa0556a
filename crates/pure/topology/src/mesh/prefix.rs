//! Several copies of one mesh on one cluster, each under names of its own.

use std::fmt;
use std::str::FromStr;

use super::{Body, Mesh};
use crate::compile::hash;

/// Tells a copy of a mesh from others on the same cluster: it stands, with a dot, before the names of all topics, those
/// of events included, and of consumer groups, transactional IDs and registry subjects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefix(String);

/// A text that cannot be a prefix. Not retryable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a prefix is 1 to {} letters, digits, hyphens or underscores (a to z, A to Z, 0 to 9)",
    Prefix::CHARS_MAX
)]
pub struct BadPrefix;

impl Prefix {
    /// Leaves room in the 249 characters that Kafka allows a topic.
    pub const CHARS_MAX: usize = 40;

    /// The name, without the dot.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0
    }

    /// What a topic is called in this copy.
    #[must_use]
    pub fn topic(&self, name: &str) -> String {
        format!("{}.{name}", self.0)
    }
}

impl FromStr for Prefix {
    type Err = BadPrefix;

    fn from_str(text: &str) -> Result<Self, BadPrefix> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        let good = (1..=Self::CHARS_MAX).contains(&text.len()) && text.bytes().all(allowed);
        if good { Ok(Self(text.to_owned())) } else { Err(BadPrefix) }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Mesh {
    /// This mesh under names of its own; without a prefix, as it is. Its hash changes with it. What events and steps are
    /// called stays.
    #[must_use]
    pub fn prefixed(mut self, prefix: Option<&Prefix>) -> Self {
        let Some(prefix) = prefix else { return self };
        self.name = prefix.topic(&self.name);
        let topics = std::mem::take(&mut self.topics).into_values();
        self.topics = topics
            .map(|mut topic| {
                topic.name = prefix.topic(&topic.name);
                (topic.name.clone(), topic)
            })
            .collect();
        for event in self.events.values_mut() {
            event.topic = prefix.topic(&event.topic);
            if let Body::Avro(avro) = &mut event.body {
                // It begins with the topic.
                avro.subject = prefix.topic(&avro.subject);
            }
        }
        self.hash = hash::of(&self);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_part_of_any_name_in_kafka() {
        for text in ["a", "Run_2-b", &"x".repeat(40)] {
            assert_eq!(text.parse::<Prefix>().unwrap().topic("orders"), format!("{text}.orders"));
        }
        for text in ["", "a.b", "a b", "ä", "a/b", &"x".repeat(41)] {
            assert_eq!(text.parse::<Prefix>(), Err(BadPrefix), "{text}");
        }
    }
}
