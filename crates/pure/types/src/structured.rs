//! CloudEvents structured mode: the whole event, attributes and data, as one JSON value. The mesh reads it and never
//! writes it.
//!
//! A record is structured when its `content-type` begins with `application/cloudevents`. Only the JSON format is
//! known. Source: CloudEvents JSON event format 1.0.2.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use crate::envelope::{Envelope, Position, VALUE_BYTES_MAX};

/// Whether `content_type` announces structured mode.
pub fn announced_by(content_type: &str) -> bool {
    content_type.trim_start().to_ascii_lowercase().starts_with("application/cloudevents")
}

/// Why a value is not a structured CloudEvent. Not retryable.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// Batches and other formats than JSON.
    #[error("content type {0} is not supported: send application/cloudevents+json, one event a record")]
    Format(String),
    /// Not JSON, or not an object.
    #[error("the value is not a CloudEvent in JSON: {0}")]
    NotAnEvent(String),
    /// An attribute is missing or has the wrong type.
    #[error("attribute {0} is missing or not a string")]
    Attribute(&'static str),
    /// As of a header: it would be copied into every event that follows.
    #[error("attribute {name} has {bytes} bytes, more than the {VALUE_BYTES_MAX} allowed")]
    TooLong {
        /// Name of the attribute.
        name: &'static str,
        /// Its length.
        bytes: usize,
    },
    /// `data_base64` is not base64.
    #[error("data_base64 is not base64")]
    Base64,
}

/// The event in `value`: its attributes and its data. JSON data comes back as JSON text.
pub fn read(content_type: &str, value: &[u8], position: &Position) -> Result<(Envelope, Vec<u8>), Error> {
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    if !media_type.eq_ignore_ascii_case("application/cloudevents+json") {
        return Err(Error::Format(content_type.to_owned()));
    }
    let event: Map<String, Value> =
        serde_json::from_slice(value).map_err(|e| Error::NotAnEvent(e.to_string()))?;
    if optional(&event, "specversion")?.as_deref() != Some("1.0") {
        return Err(Error::Attribute("specversion"));
    }
    let data = match (event.get("data_base64"), event.get("data")) {
        (Some(Value::String(text)), _) => STANDARD.decode(text).map_err(|_| Error::Base64)?,
        (Some(_), _) => return Err(Error::Base64),
        (None, Some(data)) => data.to_string().into_bytes(),
        (None, None) => Vec::new(),
    };
    let mut envelope = Envelope::unnamed(position);
    envelope.id = required(&event, "id")?;
    envelope.source = required(&event, "source")?;
    envelope.event = Some(required(&event, "type")?);
    envelope.time_ms = optional(&event, "time")?
        .and_then(|t| t.parse::<jiff::Timestamp>().ok())
        .map(jiff::Timestamp::as_millisecond);
    envelope.subject = optional(&event, "subject")?;
    envelope.correlation_id = optional(&event, "correlationid")?;
    envelope.causation_id = optional(&event, "causationid")?;
    envelope.content_type =
        Some(optional(&event, "datacontenttype")?.unwrap_or_else(|| "application/json".to_owned()));
    envelope.traceparent = optional(&event, "traceparent")?;
    envelope.tracestate = optional(&event, "tracestate")?;
    Ok((envelope, data))
}

fn required(event: &Map<String, Value>, name: &'static str) -> Result<String, Error> {
    optional(event, name)?.ok_or(Error::Attribute(name))
}

fn optional(event: &Map<String, Value>, name: &'static str) -> Result<Option<String>, Error> {
    match event.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.len() > VALUE_BYTES_MAX => {
            Err(Error::TooLong { name, bytes: text.len() })
        }
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(Error::Attribute(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_json(text: &str) -> Result<(Envelope, Vec<u8>), Error> {
        let position = Position { topic: "orders".into(), partition: 0, offset: 1 };
        read("application/cloudevents+json; charset=UTF-8", text.as_bytes(), &position)
    }

    #[test]
    fn attributes_and_data_are_taken_apart() {
        let (envelope, data) = read_json(
            r#"{"specversion":"1.0","id":"1","source":"/web","type":"OrderPlaced","correlationid":"4711","data":{"a":1}}"#,
        )
        .unwrap();
        assert_eq!(envelope.event.as_deref(), Some("OrderPlaced"));
        assert_eq!(envelope.correlation_id.as_deref(), Some("4711"));
        assert_eq!(envelope.content_type.as_deref(), Some("application/json"));
        assert_eq!(data, br#"{"a":1}"#);
        let (_, data) =
            read_json(r#"{"specversion":"1.0","id":"1","source":"/web","type":"T","data_base64":"AAE="}"#)
                .unwrap();
        assert_eq!(data, [0, 1]);
    }

    #[test]
    fn what_is_no_event_is_refused() {
        let cases = [
            (
                "[]",
                "the value is not a CloudEvent in JSON: invalid type: sequence, expected a map at line 1 column 0",
            ),
            (r#"{"id":"1","source":"s","type":"t"}"#, "attribute specversion is missing or not a string"),
            (r#"{"specversion":"1.0","source":"s","type":"t"}"#, "attribute id is missing or not a string"),
            (
                r#"{"specversion":"1.0","id":7,"source":"s","type":"t"}"#,
                "attribute id is missing or not a string",
            ),
            (
                r#"{"specversion":"1.0","id":"1","source":"s","type":"t","data_base64":"?"}"#,
                "data_base64 is not base64",
            ),
        ];
        for (text, message) in cases {
            assert_eq!(read_json(text).unwrap_err().to_string(), message, "{text}");
        }
    }

    #[test]
    fn a_batch_is_refused_by_its_content_type() {
        assert!(announced_by("application/cloudevents-batch+json"));
        assert!(!announced_by("application/json"));
        let position = Position { topic: "orders".into(), partition: 0, offset: 1 };
        assert!(matches!(
            read("application/cloudevents-batch+json", b"[]", &position),
            Err(Error::Format(_))
        ));
    }
}
