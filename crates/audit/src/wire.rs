//! What a record says of itself: identity, origin of a dead letter, the frame around an Avro value.
//!
//! Written from the public formats alone: CloudEvents 1.0 (Kafka binding), Confluent's wire format, and the dead-letter
//! headers that Spring for Apache Kafka made common.

use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::Value;

use crate::evidence::Position;

/// Header with the identity of a saga, where nothing else is said.
pub const CORRELATION: &str = "ce_correlationid";

/// A record as it lies in a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Where it lies.
    pub at: Position,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value.
    pub value: Option<Vec<u8>>,
    /// Its headers, in order; names may repeat.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

/// Why a record is nobody's. Not retryable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Attributes are text.
    #[error("header {0} or the key is not UTF-8 text")]
    NotText(String),
    /// CloudEvents 1.0 is what is read.
    #[error("CloudEvents version {0:?} instead of 1.0")]
    SpecVersion(String),
    /// Neither a correlation ID nor a key.
    #[error("neither a correlation ID nor a key")]
    Nobody,
    /// There is no value.
    #[error("no value")]
    NoValue,
    /// JSON that is none, or is no object.
    #[error("not a JSON object")]
    NotJson,
    /// Confluent's wire format is a zero byte, a schema ID in 4 bytes and the Avro value.
    #[error("not in Confluent's wire format")]
    NotFramed,
}

impl Record {
    /// Hash of key and value.
    pub fn content(&self) -> u64 {
        content(self.key.as_deref(), self.value.as_deref())
    }

    /// Value of a header; where the name is repeated, the last one counts.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers.iter().rev().find(|(n, _)| n == name)?.1.as_deref()
    }

    /// Value of a header as text.
    pub fn text(&self, name: &str) -> Result<Option<&str>, Error> {
        let Some(bytes) = self.header(name) else { return Ok(None) };
        std::str::from_utf8(bytes).map(Some).map_err(|_| Error::NotText(name.to_owned()))
    }

    /// Identity of the saga that the record belongs to: `header`, else the key. In CloudEvents' structured mode the
    /// attribute `correlationid` takes the header's place.
    pub fn identity(&self, header: &str) -> Result<String, Error> {
        if let Some(version) = self.text("ce_specversion")?.filter(|version| *version != "1.0") {
            return Err(Error::SpecVersion(version.to_owned()));
        }
        if let Some(identity) = self.text(header)? {
            return Ok(identity.to_owned());
        }
        if let Some(event) = self.structured()?
            && let Some(identity) = event.get("correlationid").and_then(Value::as_str)
        {
            return Ok(identity.to_owned());
        }
        let key = self.key.as_deref().filter(|key| !key.is_empty()).ok_or(Error::Nobody)?;
        String::from_utf8(key.to_vec()).map_err(|_| Error::NotText(header.to_owned()))
    }

    /// Type of the event: the header `ce_type`, or the attribute `type` in structured mode.
    pub fn kind(&self) -> Result<Option<String>, Error> {
        if let Some(kind) = self.text("ce_type")? {
            return Ok(Some(kind.to_owned()));
        }
        let event = self.structured()?;
        Ok(event.and_then(|event| Some(event.get("type")?.as_str()?.to_owned())))
    }

    /// The event, where the record is one in structured mode (the whole event is a JSON object).
    pub fn structured(&self) -> Result<Option<Value>, Error> {
        let kind = self.text("content-type")?.unwrap_or_default();
        if !kind.starts_with("application/cloudevents+json") {
            return Ok(None);
        }
        let event = self.json()?;
        match event.get("specversion").and_then(Value::as_str) {
            Some("1.0") => Ok(Some(event)),
            other => Err(Error::SpecVersion(other.unwrap_or_default().to_owned())),
        }
    }

    /// Whether it says that its value is JSON, whatever the topic's schema.
    pub fn is_json(&self) -> bool {
        let kind = self.text("content-type").ok().flatten().unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        kind == "application/json" || kind == "text/json" || kind.ends_with("+json")
    }

    /// The value as a JSON object.
    pub fn json(&self) -> Result<Value, Error> {
        let bytes = self.value.as_deref().ok_or(Error::NoValue)?;
        serde_json::from_slice::<Value>(bytes).ok().filter(Value::is_object).ok_or(Error::NotJson)
    }

    /// Schema ID and Avro bytes of a value in Confluent's wire format.
    pub fn frame(&self) -> Result<(u32, &[u8]), Error> {
        let bytes = self.value.as_deref().ok_or(Error::NoValue)?;
        match bytes {
            [0, a, b, c, d, avro @ ..] => Ok((u32::from_be_bytes([*a, *b, *c, *d]), avro)),
            _ => Err(Error::NotFramed),
        }
    }

    /// Where the record lay that this dead letter is of. Partition and offset are big-endian integers.
    pub fn origin(&self) -> Option<Position> {
        Some(Position {
            topic: self.text("kafka_dlt-original-topic").ok()??.to_owned(),
            partition: i32::from_be_bytes(self.header("kafka_dlt-original-partition")?.try_into().ok()?),
            offset: i64::from_be_bytes(self.header("kafka_dlt-original-offset")?.try_into().ok()?),
        })
    }
}

/// Hash of key and value, comparable within one process.
pub fn content(key: Option<&[u8]>, value: Option<&[u8]>) -> u64 {
    let mut hasher = DefaultHasher::new();
    (key, value).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(key: Option<&str>, value: &[u8], headers: &[(&str, &[u8])]) -> Record {
        Record {
            at: Position { topic: "orders".into(), partition: 0, offset: 0 },
            key: key.map(|key| key.as_bytes().to_vec()),
            value: Some(value.to_vec()),
            headers: headers.iter().map(|(n, v)| ((*n).to_owned(), Some(v.to_vec()))).collect(),
        }
    }

    fn identity(key: Option<&str>, value: &[u8], headers: &[(&str, &[u8])]) -> Result<String, String> {
        record(key, value, headers).identity("ce_correlationid").map_err(|error| error.to_string())
    }

    #[test]
    fn the_header_identifies_a_record_and_else_its_key() {
        let header: (&str, &[u8]) = ("ce_correlationid", b"4711");
        assert_eq!(identity(Some("k"), b"", &[header]), Ok("4711".into()));
        assert_eq!(identity(Some("k"), b"", &[("ce_correlationid", b"1"), header]), Ok("4711".into()));
        assert_eq!(identity(Some("k"), b"", &[]), Ok("k".into()));
    }

    #[test]
    fn an_event_in_structured_mode_names_its_identity_inside() {
        let structured: (&str, &[u8]) = ("content-type", b"application/cloudevents+json; charset=UTF-8");
        let event = br#"{"specversion":"1.0","correlationid":"4711","data":{}}"#;
        assert_eq!(identity(Some("k"), event, &[structured]), Ok("4711".into()));
        let typed = br#"{"specversion":"1.0","type":"Placed"}"#;
        assert_eq!(record(None, typed, &[structured]).kind(), Ok(Some("Placed".into())));
        assert_eq!(record(None, typed, &[("ce_type", b"Sent")]).kind(), Ok(Some("Sent".into())));
        let old = br#"{"specversion":"0.3"}"#;
        assert_eq!(
            identity(Some("k"), old, &[structured]),
            Err("CloudEvents version \"0.3\" instead of 1.0".into())
        );
        assert_eq!(identity(Some("k"), b"[]", &[structured]), Err("not a JSON object".into()));
    }

    #[test]
    fn a_record_that_names_nobody_is_nobodys() {
        assert_eq!(identity(None, b"", &[]), Err(Error::Nobody.to_string()));
        assert_eq!(identity(Some(""), b"", &[]), Err(Error::Nobody.to_string()));
        assert!(identity(Some("k"), b"", &[("ce_correlationid", b"\xff")]).is_err());
        assert!(identity(Some("k"), b"", &[("ce_specversion", b"0.3")]).is_err());
    }

    #[test]
    fn json_is_announced() {
        let is_json = |kind: &[u8]| record(None, b"{}", &[("content-type", kind)]).is_json();
        assert!(is_json(b"application/json; charset=utf-8") && is_json(b"Application/X+JSON"));
        assert!(!is_json(b"application/avro") && !record(None, b"{}", &[]).is_json());
    }

    #[test]
    fn a_frame_has_a_zero_byte_and_the_schemas_id() {
        assert_eq!(record(None, &[0, 0, 0, 1, 2, 9, 8], &[]).frame(), Ok((258, [9, 8].as_slice())));
        for bytes in [&b"not avro"[..], &[0, 0, 0, 1], &[]] {
            assert_eq!(record(None, bytes, &[]).frame(), Err(Error::NotFramed));
        }
    }

    #[test]
    fn a_dead_letter_says_where_its_record_lay() {
        let headers: [(&str, &[u8]); 3] = [
            ("kafka_dlt-original-topic", b"orders"),
            ("kafka_dlt-original-partition", &[0, 0, 0, 3]),
            ("kafka_dlt-original-offset", &[0, 0, 0, 0, 0, 0, 1, 0]),
        ];
        let origin = record(None, b"", &headers).origin();
        assert_eq!(origin, Some(Position { topic: "orders".into(), partition: 3, offset: 256 }));
        assert_eq!(record(None, b"", &headers[..2]).origin(), None);
    }

    #[test]
    fn null_and_empty_differ() {
        assert_ne!(content(None, Some(b"")), content(Some(b""), Some(b"")));
        assert_ne!(content(Some(b"a"), Some(b"b")), content(Some(b"ab"), Some(b"")));
    }
}
