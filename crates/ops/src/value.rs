//! A key or a value as JSON, whatever wrote it.
//!
//! What it is follows from the record: our own records by `content-type` or topic, Avro by Confluent's wire format (or its
//! header), JSON by its shape, else text, else hexadecimal digits. Nothing is refused: what cannot be decoded is shown as
//! it lies, with the reason.

use quadrille_schema::wire;
use quadrille_types::format::CONTENT_TYPE;
use quadrille_types::record::Record;
use serde::Serialize;
use serde_json::Value as Json;

use crate::{own, words};

/// What the bytes turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// There are none.
    Null,
    /// Avro in Confluent's wire format.
    Avro,
    /// JSON.
    Json,
    /// A record of the mesh: fact, command, journal entry, state.
    Quadrille,
    /// UTF-8.
    Text,
    /// Anything else, in hexadecimal digits.
    Binary,
}

/// Decoded bytes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Value {
    /// What they are.
    pub format: Format,
    /// What they say.
    pub json: Json,
    /// Why they are not decoded further.
    pub problem: Option<String>,
}

/// Decodes Avro with a registry's schemas.
pub trait Avro {
    /// `value` as plain JSON; `header` is its schema ID header, if the record has one. None: there is no registry.
    ///
    /// # Errors
    /// Why not, for the reader.
    fn decode(&mut self, header: Option<&[u8]>, value: &[u8]) -> Option<Result<Json, String>>;
}

/// No registry.
#[derive(Clone, Copy, Debug)]
pub struct NoRegistry;

impl Avro for NoRegistry {
    fn decode(&mut self, _: Option<&[u8]>, _: &[u8]) -> Option<Result<Json, String>> {
        None
    }
}

impl Value {
    pub(crate) fn good(format: Format, json: Json) -> Self {
        Self { format, json, problem: None }
    }

    /// In one line: text as it is, everything else as JSON.
    pub fn line(&self) -> String {
        match (&self.json, self.format) {
            (Json::String(text), Format::Text | Format::Binary | Format::Quadrille) => {
                text.replace('\n', "\\n").replace('\r', "\\r")
            }
            (json, _) => json.to_string(),
        }
    }
}

/// The value of `record`.
pub fn of_value(record: &Record, avro: &mut dyn Avro) -> Value {
    let Some(bytes) = record.value.as_deref() else { return Value::good(Format::Null, Json::Null) };
    let content_type = record.header_text("content-type");
    let topic = &record.position.topic;
    if let Some(decoded) = own::value(topic, record.key.as_deref(), bytes, avro) {
        return Value::good(Format::Quadrille, decoded);
    }
    if content_type == Some(CONTENT_TYPE) {
        return match own::any(bytes, avro) {
            Some(decoded) => Value::good(Format::Quadrille, decoded),
            None => binary(bytes, "says that it is a record of the mesh, but no version known here reads it"),
        };
    }
    bytes_of(bytes, header(record, wire::VALUE_HEADER), content_type, avro)
}

/// The key of `record`.
pub fn of_key(record: &Record, avro: &mut dyn Avro) -> Value {
    match record.key.as_deref() {
        None => Value::good(Format::Null, Json::Null),
        Some(bytes) => match own::key(&record.position.topic, bytes) {
            Some(key) => Value::good(Format::Quadrille, Json::from(key)),
            // A number as a key would count as JSON: a key is text unless it must be something else.
            None => match words::text(bytes) {
                Some(text) => Value::good(Format::Text, Json::from(text)),
                None => bytes_of(bytes, header(record, wire::KEY_HEADER), None, avro),
            },
        },
    }
}

/// Bytes that are no record of the mesh.
pub(crate) fn bytes_of(
    bytes: &[u8],
    header: Option<&[u8]>,
    content_type: Option<&str>,
    avro: &mut dyn Avro,
) -> Value {
    let mut problem = None;
    if header.is_some() || (bytes.first() == Some(&0) && bytes.len() >= wire::PREFIX_BYTES) {
        match avro.decode(header, bytes) {
            Some(Ok(json)) => return Value::good(Format::Avro, json),
            Some(Err(error)) => problem = Some(error),
            None => {
                problem = wire::locate(header, bytes).ok().map(|(id, _)| {
                    format!("Avro, it seems, with schema {id}: --schema-registry tells what it says")
                });
            }
        }
    }
    let Some(text) = words::text(bytes) else {
        return Value { format: Format::Binary, json: Json::from(words::hex(bytes)), problem };
    };
    let is_json = content_type.is_some_and(|kind| kind.contains("json")) || looks_like_json(text);
    match serde_json::from_str(text) {
        Ok(json) if is_json => Value::good(Format::Json, json),
        _ => Value { format: Format::Text, json: Json::from(text), problem },
    }
}

fn looks_like_json(text: &str) -> bool {
    text.trim_start().starts_with(['{', '['])
}

fn binary(bytes: &[u8], problem: &str) -> Value {
    Value { format: Format::Binary, json: Json::from(words::hex(bytes)), problem: Some(problem.to_owned()) }
}

fn header<'r>(record: &'r Record, name: &str) -> Option<&'r [u8]> {
    record.headers().filter(|(n, _)| *n == name).last().and_then(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use quadrille_types::envelope::{Headers, Position};
    use serde_json::json;

    use super::*;

    /// Knows schema 7, which is "the rest is text".
    struct Seven;

    impl Avro for Seven {
        fn decode(&mut self, header: Option<&[u8]>, value: &[u8]) -> Option<Result<Json, String>> {
            Some(match wire::locate(header, value) {
                Ok((7, datum)) => Ok(json!({ "said": String::from_utf8_lossy(datum) })),
                Ok((id, _)) => Err(format!("schema {id} is unknown")),
                Err(error) => Err(error.to_string()),
            })
        }
    }

    fn record(value: Option<&[u8]>, headers: &[(&str, &[u8])]) -> Record {
        let headers: Headers = headers.iter().map(|(n, v)| ((*n).to_owned(), Some(v.to_vec()))).collect();
        Record {
            position: Position { topic: "orders".into(), partition: 0, offset: 0 },
            time_ms: 0,
            key: None,
            value: value.map(<[u8]>::to_vec),
            headers,
        }
    }

    #[test]
    fn what_a_value_is_follows_from_the_record() {
        let kind: (&str, &[u8]) = ("content-type", b"application/json");
        type Case<'a> = (Option<&'a [u8]>, &'a [(&'a str, &'a [u8])], Format, Json);
        let cases: [Case<'_>; 11] = [
            (None, &[], Format::Null, Json::Null),
            (Some(b"\0\0\0\0\x07hi"), &[], Format::Avro, json!({"said": "hi"})),
            (Some(b"hi"), &[(wire::VALUE_HEADER, b"\0\0\0\0\x07")], Format::Avro, json!({"said": "hi"})),
            (Some(b"\0\0\0\0\x08hi"), &[], Format::Binary, json!("00000000086869")),
            (Some(b" {\"a\": 1}"), &[], Format::Json, json!({"a": 1})),
            (Some(b"{\"a\": "), &[], Format::Text, json!("{\"a\": ")),
            (Some(b"42"), &[], Format::Text, json!("42")),
            (Some(b"42"), &[kind], Format::Json, json!(42)),
            (Some(b""), &[], Format::Text, json!("")),
            (Some(b"hello"), &[], Format::Text, json!("hello")),
            (Some(b"\xff\x00"), &[], Format::Binary, json!("ff00")),
        ];
        for (bytes, headers, format, json) in cases {
            let value = of_value(&record(bytes, headers), &mut Seven);
            assert_eq!((value.format, value.json), (format, json), "{bytes:?}");
        }
    }

    #[test]
    fn what_cannot_be_decoded_says_why() {
        let avro = record(Some(b"\0\0\0\0\x08hi"), &[]);
        assert_eq!(of_value(&avro, &mut Seven).problem.as_deref(), Some("schema 8 is unknown"));
        let problem = of_value(&avro, &mut NoRegistry).problem.unwrap();
        assert!(problem.contains("schema 8: --schema-registry"), "{problem}");
        let own = record(Some(b"\x01\xff"), &[("content-type", CONTENT_TYPE.as_bytes())]);
        let value = of_value(&own, &mut NoRegistry);
        assert!(value.format == Format::Binary && value.problem.is_some(), "{value:?}");
    }

    #[test]
    fn a_key_is_text_if_it_can_be() {
        let mut record = record(None, &[]);
        let cases: [(&[u8], Format, &str); 3] = [
            (b"4711", Format::Text, "4711"),
            (b"\x00\x01", Format::Binary, "0001"),
            (b"\0\0\0\0\x07k", Format::Avro, "{\"said\":\"k\"}"),
        ];
        for (bytes, format, line) in cases {
            record.key = Some(bytes.to_vec());
            let key = of_key(&record, &mut Seven);
            assert_eq!((key.format, key.line().as_str()), (format, line));
        }
    }
}
