//! The file that `--publish` publishes: one JSON object a line.
//!
//! | field | is |
//! | --- | --- |
//! | `topic` | required; as in the topology, without the prefix of a copy |
//! | `key` | a string; absent: no key |
//! | `partition` | a number; absent: that of the key, as the Java client chooses it |
//! | `headers` | an object of strings |
//! | `value` | JSON. With a `ce_type` header that names an event with an Avro schema, or on a topic with one such event only, it is written as Avro in Confluent's wire format; otherwise as it stands. `null`: no value |
//! | `value_base64` | instead of `value`: the bytes themselves |
//!
//! Other fields are refused. Lines that are empty are passed over.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use quadrille_events::Codecs;
use quadrille_kafka::publish::Outgoing;
use quadrille_topology::Mesh;
use quadrille_topology::mesh::Body;
use serde::Deserialize;
use serde_json::Value;

/// A line that cannot be published.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct Error {
    /// From 1.
    pub line: usize,
    /// What is wrong, and what to do.
    pub reason: String,
}

/// One record to publish.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// Topic.
    pub topic: String,
    /// Key.
    #[serde(default)]
    pub key: Option<String>,
    /// Partition.
    #[serde(default)]
    pub partition: Option<u32>,
    /// Headers.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Value as JSON.
    #[serde(default)]
    pub value: Option<Value>,
    /// Value as bytes.
    #[serde(default)]
    pub value_base64: Option<String>,
}

/// The records of a file, in order.
pub fn parse(text: &str) -> Result<Vec<Line>, Error> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(index, line)| {
            let parsed: Line =
                serde_json::from_str(line).map_err(|e| Error { line: index + 1, reason: e.to_string() })?;
            match (&parsed.value, &parsed.value_base64) {
                (Some(_), Some(_)) => {
                    let reason = "it has both value and value_base64: give one of them".to_owned();
                    Err(Error { line: index + 1, reason })
                }
                _ => Ok(parsed),
            }
        })
        .collect()
}

impl Line {
    /// The identity that the record gives its saga.
    pub fn identity(&self) -> Option<&str> {
        let header = self.headers.get("ce_correlationid").filter(|id| !id.is_empty());
        header.or(self.key.as_ref()).map(String::as_str)
    }

    /// The event that it is, if the topology knows.
    pub fn event<'m>(&self, mesh: &'m Mesh) -> Option<&'m quadrille_topology::mesh::Event> {
        match self.headers.get("ce_type") {
            Some(name) => mesh.events.get(name).filter(|event| event.topic == self.topic),
            None => {
                let mut events = mesh.events_on(&self.topic);
                events.next().filter(|_| events.next().is_none())
            }
        }
    }

    /// The record with its value encoded. `number` is the line's, for errors.
    pub fn encode(&self, number: usize, mesh: &Mesh, codecs: &Codecs) -> Result<Outgoing, Error> {
        let error = |reason: String| Error { line: number, reason };
        let value = match (&self.value, &self.value_base64) {
            (None | Some(Value::Null), None) => None,
            (_, Some(text)) => {
                Some(STANDARD.decode(text).map_err(|e| error(format!("value_base64 is not base64: {e}")))?)
            }
            (Some(value), None) => match self.event(mesh) {
                Some(event) if matches!(event.body, Body::Avro(_)) => {
                    let encoded = codecs.encode(&event.name, value).map_err(|e| error(e.to_string()))?;
                    Some(encoded.value)
                }
                _ => Some(value.to_string().into_bytes()),
            },
        };
        let headers =
            self.headers.iter().map(|(name, value)| (name.clone(), Some(value.clone().into_bytes())));
        Ok(Outgoing {
            topic: self.topic.clone(),
            partition: self.partition.map(|partition| partition as i32),
            key: self.key.clone().map(String::into_bytes),
            value,
            headers: headers.collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_record() {
        let lines =
            parse("{\"topic\":\"t\",\"key\":\"k\",\"value\":{\"a\":1}}\n\n{\"topic\":\"t\"}\n").unwrap();
        assert_eq!(lines.len(), 2);
        assert_eq!((lines[0].identity(), lines[1].identity()), (Some("k"), None));
    }

    #[test]
    fn mistakes_are_named_by_their_line() {
        let cases = [
            ("{\"topic\":\"t\"}\n{", "line 2: EOF while parsing an object at line 1 column 1"),
            ("{\"key\":\"k\"}", "line 1: missing field `topic` at line 1 column 11"),
            (
                "{\"topic\":\"t\",\"value\":1,\"value_base64\":\"\"}",
                "line 1: it has both value and value_base64: give one of them",
            ),
        ];
        for (text, message) in cases {
            assert_eq!(parse(text).unwrap_err().to_string(), message);
        }
        assert!(
            parse("{\"topic\":\"t\",\"valeu\":1}").unwrap_err().to_string().contains("unknown field `valeu`")
        );
    }
}
