//! Schemas from a Confluent-compatible registry, and Avro values read by them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value;
use serde::Deserialize;
use serde_json::Value as Json;
use tokio::runtime::{Builder, Runtime};

/// A schema that cannot be had: nothing is known about the record then.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The registry does not answer, or answers with an error. Retryable.
    #[error("registry, schema {id}: {source}")]
    Http {
        /// ID of the schema.
        id: u32,
        /// Why.
        source: reqwest::Error,
    },
    /// The registry has a schema that is none, or that refers to others, which is not supported. Not retryable.
    #[error("registry, schema {id}: {message}")]
    Schema {
        /// ID of the schema.
        id: u32,
        /// Why.
        message: String,
    },
    /// A schema file cannot be read. Not retryable.
    #[error("cannot read {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A schema file holds none. Not retryable.
    #[error("{path} is no Avro schema: {message}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        message: String,
    },
    /// No HTTP client, no runtime for it.
    #[error("cannot start an HTTP client: {0}")]
    Start(String),
}

/// A registry, asked once for each schema.
///
/// Blocking: it waits for HTTP on the calling thread, which must not be one that drives an async runtime.
#[derive(Debug)]
pub struct Registry {
    url: String,
    client: reqwest::Client,
    runtime: Runtime,
    /// None: the registry does not know the ID.
    known: BTreeMap<u32, Option<Schema>>,
}

/// How long the registry may take for one answer.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Deserialize)]
struct Answer {
    schema: String,
    #[serde(rename = "schemaType")]
    kind: Option<String>,
    #[serde(default)]
    references: Vec<serde_json::Value>,
}

impl Registry {
    /// The registry at `url`, which may hold a user and a password. It is asked when it is needed, not now.
    pub fn new(url: &str) -> Result<Self, Error> {
        let runtime = Builder::new_current_thread().enable_all().build();
        let client = reqwest::Client::builder().timeout(PATIENCE).build();
        Ok(Self {
            url: url.trim_end_matches('/').to_owned(),
            client: client.map_err(|error| Error::Start(error.to_string()))?,
            runtime: runtime.map_err(|error| Error::Start(error.to_string()))?,
            known: BTreeMap::new(),
        })
    }

    /// The schema with `id`; none where the registry does not know it.
    pub fn schema(&mut self, id: u32) -> Result<Option<&Schema>, Error> {
        if !self.known.contains_key(&id) {
            let schema = self.fetch(id)?;
            self.known.insert(id, schema);
        }
        Ok(self.known[&id].as_ref())
    }

    fn fetch(&self, id: u32) -> Result<Option<Schema>, Error> {
        let http = |source| Error::Http { id, source };
        let request = self.client.get(format!("{}/schemas/ids/{id}", self.url));
        let answer: Option<Answer> = self.runtime.block_on(async {
            let answer = request.send().await.map_err(http)?;
            if answer.status() == reqwest::StatusCode::NOT_FOUND {
                return Ok(None);
            }
            answer.error_for_status().map_err(http)?.json().await.map(Some).map_err(http)
        })?;
        let Some(answer) = answer else { return Ok(None) };
        let bad = |message: String| Error::Schema { id, message };
        if answer.kind.is_some_and(|kind| kind != "AVRO") {
            return Err(bad("is not Avro".into()));
        }
        if !answer.references.is_empty() {
            return Err(bad("refers to other schemas, which is not supported".into()));
        }
        Schema::parse_str(&answer.schema).map(Some).map_err(|error| bad(error.to_string()))
    }
}

/// Reads a schema from a file.
pub fn load(path: &Path) -> Result<Schema, Error> {
    let text = fs::read_to_string(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
    Schema::parse_str(&text)
        .map_err(|error| Error::File { path: path.to_owned(), message: error.to_string() })
}

/// Whether JSON is a value of `schema`, with defaults for what is absent.
pub fn fits(json: &Json, schema: &Schema) -> bool {
    avro(json).resolve(schema).is_ok()
}

fn avro(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(is) => Value::Boolean(*is),
        Json::Number(number) => {
            number.as_i64().map_or_else(|| Value::Double(number.as_f64().unwrap_or(f64::NAN)), Value::Long)
        }
        Json::String(text) => Value::String(text.clone()),
        Json::Array(items) => Value::Array(items.iter().map(avro).collect()),
        Json::Object(fields) => {
            Value::Map(fields.iter().map(|(name, value)| (name.clone(), avro(value))).collect())
        }
    }
}

/// Reads one value that `writer` wrote, all of it, the way `reader` sees it. The error says why it is no such value.
pub fn decode(avro: &[u8], writer: &Schema, reader: Option<&Schema>) -> Result<Value, String> {
    if let Some(reader) = reader
        && reader.name() != writer.name()
    {
        let name = |schema: &Schema| {
            schema.name().map_or("a value without a name".to_owned(), |name| name.to_string())
        };
        return Err(format!("{} instead of {}", name(writer), name(reader)));
    }
    let text = |error: apache_avro::Error| error.to_string();
    let datum = GenericDatumReader::builder(writer).build().map_err(text)?;
    let mut rest = avro;
    let value = datum.read_value(&mut rest).map_err(text)?;
    // The library reads a null where the bytes end in the middle of a string: such a value is not the schema's.
    if !value.validate(writer) {
        return Err("the bytes end before the value does".to_owned());
    }
    if !rest.is_empty() {
        return Err(format!("{} bytes after the value", rest.len()));
    }
    match reader {
        Some(reader) => value.resolve(reader).map_err(text),
        None => Ok(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(name: &str, fields: &str) -> Schema {
        Schema::parse_str(&format!(
            r#"{{"type":"record","name":"{name}","namespace":"shop","fields":[{fields}]}}"#
        ))
        .unwrap()
    }

    const ID: &str = r#"{"name":"id","type":"string"}"#;

    #[test]
    fn a_value_is_read_by_its_writers_schema_and_seen_by_the_readers() {
        let writer = record("Order", ID);
        let reader = record("Order", &format!(r#"{ID},{{"name":"note","type":"string","default":"none"}}"#));
        let value = decode(b"\x06abc", &writer, Some(&reader)).unwrap();
        let Value::Record(fields) = value else { panic!("{value:?}") };
        assert_eq!(fields[1], ("note".to_owned(), Value::String("none".into())));
    }

    #[test]
    fn an_optional_string_that_is_cut_off_is_not_taken_for_an_absent_one() {
        let order = record("Order", r#"{"name":"note","type":["null","string"]}"#);
        assert!(decode(b"\x02\x06abc", &order, Some(&order)).is_ok());
        assert!(decode(b"\x02\x06ab", &order, Some(&order)).is_err());
    }

    #[test]
    fn json_fits_a_schema_or_does_not() {
        let order = record("Order", &format!(r#"{ID},{{"name":"cents","type":"long","default":0}}"#));
        let fits = |text: &str| fits(&serde_json::from_str(text).unwrap(), &order);
        assert!(fits(r#"{"id":"1"}"#) && fits(r#"{"id":"1","cents":7}"#));
        assert!(!fits("{}") && !fits(r#"{"id":1}"#) && !fits(r#"{"id":"1","cents":"seven"}"#));
    }

    #[test]
    fn what_is_not_exactly_one_such_value_is_refused() {
        let order = record("Order", ID);
        let cases = [
            (&b"\x06ab"[..], record("Order", ID), "the bytes end before the value does"),
            (b"", record("Order", ID), "Failed"),
            (b"\x06abcd", record("Order", ID), "1 bytes after the value"),
            (b"\x06abc", record("Refund", ID), "shop.Order instead of shop.Refund"),
            (b"\x06abc", record("Order", r#"{"name":"cents","type":"long"}"#), "cents"),
        ];
        for (bytes, reader, message) in cases {
            let error = decode(bytes, &order, Some(&reader)).unwrap_err();
            assert!(error.contains(message), "{error}");
        }
    }
}
