//! Records as they lie in a topic: bytes and a place.

use crate::envelope::{Headers, Position};

/// A record that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Where it lies.
    pub position: Position,
    /// Its timestamp, in ms since 1970.
    pub time_ms: i64,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value.
    pub value: Option<Vec<u8>>,
    /// Its headers.
    pub headers: Headers,
}

impl Record {
    /// The headers, borrowed.
    pub fn headers(&self) -> impl Iterator<Item = (&str, Option<&[u8]>)> {
        self.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref()))
    }

    /// About the bytes that it takes: key, value, headers and what frames them.
    pub fn size(&self) -> usize {
        size(self.key.as_deref(), self.value.as_deref(), &self.headers)
    }

    /// The last header called `name`, if it is text.
    pub fn header_text(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().rev().find(|(n, _)| n == name)?;
        std::str::from_utf8(value.as_deref()?).ok()
    }
}

/// A record that is to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutRecord {
    /// Topic.
    pub topic: String,
    /// Partition: always chosen by us, never left to a client's default.
    pub partition: i32,
    /// Key.
    pub key: Option<Vec<u8>>,
    /// Value.
    pub value: Option<Vec<u8>>,
    /// Headers.
    pub headers: Headers,
}

impl OutRecord {
    /// About the bytes that it takes in a batch: key, value, headers and what frames them.
    pub fn size(&self) -> usize {
        size(self.key.as_deref(), self.value.as_deref(), &self.headers)
    }
}

fn size(key: Option<&[u8]>, value: Option<&[u8]>, headers: &Headers) -> usize {
    let part = |bytes: Option<&[u8]>| bytes.map_or(0, <[u8]>::len) + 5;
    let headers: usize = headers.iter().map(|(name, value)| name.len() + 5 + part(value.as_deref())).sum();
    part(key) + part(value) + headers + 16
}

/// A partition of a topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition {
    /// Topic.
    pub topic: String,
    /// Partition, from 0.
    pub partition: i32,
}

impl Partition {
    /// Partition `partition` of `topic`.
    pub fn new(topic: impl Into<String>, partition: i32) -> Self {
        Self { topic: topic.into(), partition }
    }
}

impl std::fmt::Display for Partition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.topic, self.partition)
    }
}
