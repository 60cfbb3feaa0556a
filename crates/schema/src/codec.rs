//! One schema, ready to encode and decode.

use std::sync::{Arc, Once};

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::schema::ResolvedSchema;
use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use crate::error::DataError;
use crate::json::{self, Path};
use crate::names::Names;
use crate::resolve::Resolution;
use crate::skim;

/// What the decoder may allocate for one field; Kafka's records are far smaller, and `skim` has checked lengths.
const MAX_ALLOCATION_BYTES: usize = 256 * 1024 * 1024;

/// An Avro schema with its reader and writer. Share it in an [`Arc`]; nothing in it changes.
///
/// A codec's schema is never freed, as readers and writers borrow it: make one per schema, not one per record.
pub struct Codec {
    text: String,
    root: &'static Schema,
    names: Names<'static>,
    /// Texts, to tell whether two codecs are the same.
    referenced: Vec<String>,
    reader: GenericDatumReader<'static>,
    writer: GenericDatumWriter<'static>,
}

impl std::fmt::Debug for Codec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Codec").field("text", &self.text).finish_non_exhaustive()
    }
}

impl Codec {
    /// A schema that needs no other.
    ///
    /// # Errors
    /// [`DataError::Schema`].
    pub fn parse(text: &str) -> Result<Codec, DataError> {
        Codec::parse_with::<&str>(text, &[])
    }

    /// A schema that uses named types of others: `referenced` holds the texts of all of them, direct or not, each
    /// after those that it uses itself.
    ///
    /// # Errors
    /// [`DataError::Schema`].
    pub fn parse_with<T: AsRef<str>>(text: &str, referenced: &[T]) -> Result<Codec, DataError> {
        static LIMIT: Once = Once::new();
        LIMIT.call_once(|| {
            apache_avro::util::max_allocation_bytes(MAX_ALLOCATION_BYTES);
        });
        let texts: Vec<&str> = referenced.iter().map(AsRef::as_ref).collect();
        // The parser asserts some things about its input, which comes from others here.
        let parsed = std::panic::catch_unwind(|| Schema::parse_str_with_list(text, &texts));
        let parsed = parsed.map_err(|_| schema_error("the parser gave up"))?;
        let (root, others) = parsed.map_err(schema_error)?;
        let mut schemas: Vec<&'static Schema> = Vec::with_capacity(others.len() + 1);
        schemas.extend(others.into_iter().map(|schema| &*Box::leak(Box::new(schema))));
        let root: &'static Schema = Box::leak(Box::new(root));
        schemas.push(root);
        let resolve = || ResolvedSchema::new_with_schemata(schemas.clone()).map_err(schema_error);
        let reader = GenericDatumReader::builder(root).resolved_writer_schemata(resolve()?).build();
        let writer = GenericDatumWriter::builder(root).resolved_schemata(resolve()?).build();
        Ok(Codec {
            text: text.to_owned(),
            root,
            names: Names::of(schemas.iter().copied()),
            reader: reader.map_err(schema_error)?,
            writer: writer.map_err(schema_error)?,
            referenced: texts.into_iter().map(str::to_owned).collect(),
        })
    }

    /// The text that was parsed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The parsed schema.
    pub fn schema(&self) -> &Schema {
        self.root
    }

    /// The full name, if the schema is a named type.
    pub fn name(&self) -> Option<&str> {
        self.root.name().map(AsRef::as_ref)
    }

    /// A Rust value as a bare datum.
    ///
    /// # Errors
    /// [`DataError::Serde`]: the value does not fit the schema.
    pub fn encode<T: Serialize>(&self, value: &T) -> Result<Vec<u8>, DataError> {
        let mut datum = Vec::new();
        self.encode_into(value, &mut datum)?;
        Ok(datum)
    }

    /// Appends a Rust value to `out`; what is there after an error is of no use.
    ///
    /// # Errors
    /// [`DataError::Serde`].
    pub fn encode_into<T: Serialize>(&self, value: &T, out: &mut Vec<u8>) -> Result<(), DataError> {
        self.writer.write_ser(out, value).map(drop).map_err(serde_error)
    }

    /// Plain JSON as a bare datum.
    ///
    /// # Errors
    /// [`DataError::Json`], with the path of what does not fit.
    pub fn encode_json(&self, value: &Json) -> Result<Vec<u8>, DataError> {
        let mut datum = Vec::new();
        self.encode_json_into(value, &mut datum)?;
        Ok(datum)
    }

    /// Appends plain JSON to `out`; what is there after an error is of no use.
    ///
    /// # Errors
    /// [`DataError::Json`].
    pub fn encode_json_into(&self, value: &Json, out: &mut Vec<u8>) -> Result<(), DataError> {
        let value = json::to_avro(value, self.root, &self.names)?;
        self.writer.write_value_ref(out, &value).map(drop).map_err(serde_error)
    }

    /// A bare datum as a Rust value. For `serde_json::Value` use [`Codec::decode_json`].
    ///
    /// # Errors
    /// [`DataError::Datum`]: the bytes are damaged; [`DataError::Serde`]: the type does not fit the schema.
    pub fn decode<T: DeserializeOwned>(&self, datum: &[u8]) -> Result<T, DataError> {
        self.check(datum)?;
        self.reader.read_deser(&mut &*datum).map_err(serde_error)
    }

    /// A bare datum as plain JSON.
    ///
    /// # Errors
    /// [`DataError::Datum`].
    pub fn decode_json(&self, datum: &[u8]) -> Result<Json, DataError> {
        self.check(datum)?;
        let value = self.reader.read_value(&mut &*datum).map_err(serde_error)?;
        json::from_avro(value, self.root, &self.names)
    }

    fn check(&self, datum: &[u8]) -> Result<(), DataError> {
        skim::check(self.root, &self.names, datum)
    }
}

/// Reads what was written with one schema as values of another: fields that are new take their defaults, fields that
/// are gone are left out, numbers are widened.
pub struct Resolver {
    writer: Arc<Codec>,
    reader: Arc<Codec>,
    /// The faster way is taken then.
    same: bool,
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resolver")
            .field("writer", &self.writer)
            .field("reader", &self.reader)
            .finish_non_exhaustive()
    }
}

impl Resolver {
    /// A resolver from `writer`'s schema to `reader`'s. Whether the two fit is seen with the data.
    pub fn new(writer: Arc<Codec>, reader: Arc<Codec>) -> Resolver {
        let same = Arc::ptr_eq(&writer, &reader)
            || (writer.text == reader.text && writer.referenced == reader.referenced);
        Resolver { writer, reader, same }
    }

    /// A bare datum of the writer's schema as a Rust value that fits the reader's.
    ///
    /// # Errors
    /// [`DataError::Datum`], [`DataError::Resolution`], [`DataError::Serde`].
    pub fn decode<T: DeserializeOwned>(&self, datum: &[u8]) -> Result<T, DataError> {
        if self.same {
            return self.reader.decode(datum);
        }
        // Written again and read by the reader's schema, so that a type is read by one set of rules.
        let resolved =
            self.reader.writer.write_value_to_vec(self.resolve(datum)?).map_err(resolution_error)?;
        self.reader.reader.read_deser(&mut resolved.as_slice()).map_err(serde_error)
    }

    /// A bare datum of the writer's schema as plain JSON of the reader's.
    ///
    /// # Errors
    /// [`DataError::Datum`], [`DataError::Resolution`].
    pub fn decode_json(&self, datum: &[u8]) -> Result<Json, DataError> {
        if self.same {
            return self.reader.decode_json(datum);
        }
        json::from_avro(self.resolve(datum)?, self.reader.root, &self.reader.names)
    }

    fn resolve(&self, datum: &[u8]) -> Result<Value, DataError> {
        self.writer.check(datum)?;
        let value = self.writer.reader.read_value(&mut &*datum).map_err(serde_error)?;
        let resolution = Resolution { writer: &self.writer.names, reader: &self.reader.names };
        resolution.value(value, self.writer.root, self.reader.root, &Path::root())
    }
}

fn schema_error(error: impl ToString) -> DataError {
    DataError::Schema { reason: error.to_string() }
}

fn serde_error(error: apache_avro::Error) -> DataError {
    DataError::Serde { reason: error.to_string() }
}

fn resolution_error(error: apache_avro::Error) -> DataError {
    DataError::Resolution { reason: error.to_string() }
}
