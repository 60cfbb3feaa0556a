//! Plain JSON as Avro values of a schema.

use std::cell::Cell;
use std::collections::HashMap;
use std::str::FromStr;

use apache_avro::schema::{DecimalSchema, FixedSchema, InnerDecimalSchema, RecordSchema, UnionSchema};
use apache_avro::types::Value;
use apache_avro::{BigDecimal, Days, Decimal, Duration, Millis, Months, Schema, Uuid};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value as Json};

use super::decimal;
use super::path::Path;
use super::union::{Class, classes, tag, untag};
use crate::error::DataError;
use crate::names::Names;
use crate::skim::MAX_DEPTH;

/// Values looked at in one document, tries of union branches included; those could multiply without end.
const MAX_STEPS: usize = 4_000_000;
/// Whole numbers up to here are exact in a float.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

type Converted = Result<Value, DataError>;

/// `json` as a value of `schema`.
///
/// # Errors
/// [`DataError::Json`] with the path of the first value that does not fit.
pub(crate) fn to_avro(json: &Json, schema: &Schema, names: &Names<'_>) -> Converted {
    let steps = Cell::new(0);
    Converter { names, steps: &steps, bytes: Bytes::Base64 }.value(json, schema, &Path::root())
}

/// The default of a field, which stands inside a schema, as a value of the field's schema.
///
/// # Errors
/// [`DataError::Json`]: the default does not fit.
pub(crate) fn default_value(json: &Json, schema: &Schema, names: &Names<'_>) -> Converted {
    let steps = Cell::new(0);
    Converter { names, steps: &steps, bytes: Bytes::Latin1 }.value(json, schema, &Path::root())
}

/// How bytes are written in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bytes {
    /// In data.
    Base64,
    /// In defaults inside schemas, as the Avro specification has it.
    Latin1,
}

#[derive(Clone, Copy)]
struct Converter<'c> {
    names: &'c Names<'c>,
    steps: &'c Cell<usize>,
    bytes: Bytes,
}

impl Converter<'_> {
    fn value(&self, json: &Json, schema: &Schema, path: &Path<'_>) -> Converted {
        self.steps.set(self.steps.get() + 1);
        if path.depth > MAX_DEPTH || self.steps.get() > MAX_STEPS {
            return Err(path.fail(format!("nested deeper than {MAX_DEPTH} levels, or too large")));
        }
        match self.names.follow(schema) {
            Schema::Null if json.is_null() => Ok(Value::Null),
            Schema::Null => Err(expected("null", json, path)),
            Schema::Boolean => {
                json.as_bool().map(Value::Boolean).ok_or_else(|| expected("a boolean", json, path))
            }
            Schema::Float => float(json, path),
            Schema::Double => number(json).map(Value::Double).ok_or_else(|| expected("a number", json, path)),
            Schema::Bytes => self.octets(json, path).map(Value::Bytes),
            Schema::String => text(json, path).map(|text| Value::String(text.to_owned())),
            Schema::Array(array) => self.array(json, &array.items, path),
            Schema::Map(map) => self.map(json, &map.types, path),
            Schema::Union(union) => self.union(json, union, path),
            Schema::Record(record) => self.record(json, record, path),
            Schema::Enum(symbols) => symbol(json, &symbols.symbols, path),
            Schema::Fixed(fixed) => {
                self.fixed(json, fixed.size, path).map(|bytes| Value::Fixed(fixed.size, bytes))
            }
            Schema::Decimal(schema) => self.decimal(json, schema, path),
            Schema::BigDecimal => big_decimal(json, path),
            Schema::Uuid(_) => self.uuid(json, path),
            Schema::Duration(fixed) => self.duration(json, fixed, path),
            Schema::Ref { name } => {
                Err(path.fail(format!("the schema refers to {name}, which is not known")))
            }
            schema => integer(json, schema, path),
        }
    }

    fn array(&self, json: &Json, items: &Schema, path: &Path<'_>) -> Converted {
        let list = json.as_array().ok_or_else(|| expected("an array", json, path))?;
        let items = list.iter().enumerate().map(|(i, item)| self.value(item, items, &path.index(i)));
        items.collect::<Result<_, _>>().map(Value::Array)
    }

    fn map(&self, json: &Json, values: &Schema, path: &Path<'_>) -> Converted {
        let object = json.as_object().ok_or_else(|| expected("an object", json, path))?;
        let entries = object
            .iter()
            .map(|(key, item)| self.value(item, values, &path.key(key)).map(|item| (key.clone(), item)));
        entries.collect::<Result<HashMap<_, _>, _>>().map(Value::Map)
    }

    fn record(&self, json: &Json, record: &RecordSchema, path: &Path<'_>) -> Converted {
        let object = json.as_object().ok_or_else(|| expected("an object", json, path))?;
        check_fields(object, record, path)?;
        let mut fields = Vec::with_capacity(record.fields.len());
        for field in &record.fields {
            let here = path.key(&field.name);
            let value = match (object.get(&field.name), &field.default) {
                (Some(json), _) => self.value(json, &field.schema, &here)?,
                (None, Some(default)) => {
                    Converter { bytes: Bytes::Latin1, ..*self }.value(default, &field.schema, &here)?
                }
                (None, None) => return Err(here.fail("the field is missing and has no default")),
            };
            fields.push((field.name.clone(), value));
        }
        Ok(Value::Record(fields))
    }

    fn union(&self, json: &Json, union: &UnionSchema, path: &Path<'_>) -> Converted {
        let branches = union.variants();
        let chosen = |index: usize, value: Value| Value::Union(index as u32, Box::new(value));
        if let (Bytes::Base64, Some((index, inner))) = (self.bytes, untag(union, self.names, json)) {
            return self.value(inner, &branches[index], path).map(|value| chosen(index, value));
        }
        let class = Class::of(json);
        let (fitting, others): (Vec<usize>, Vec<usize>) =
            (0..branches.len()).partition(|index| classes(&branches[*index], self.names).contains(&class));
        if let [only] = fitting[..] {
            let converted = self.value(json, &branches[only], path).map(|value| chosen(only, value));
            if converted.is_ok() || others.iter().all(|other| matches!(branches[*other], Schema::Null)) {
                return converted;
            }
        }
        for index in fitting.into_iter().chain(others) {
            if let Ok(value) = self.value(json, &branches[index], path) {
                return Ok(chosen(index, value));
            }
        }
        let tags: Vec<&str> = branches.iter().map(tag).collect();
        Err(expected(&format!("one of {}", tags.join(", ")), json, path))
    }

    fn octets(&self, json: &Json, path: &Path<'_>) -> Result<Vec<u8>, DataError> {
        let text = text(json, path)?;
        match self.bytes {
            Bytes::Base64 => {
                STANDARD.decode(text).map_err(|e| path.fail(format!("expected bytes in base64: {e}")))
            }
            Bytes::Latin1 => {
                let bytes = text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect::<Option<_>>();
                bytes.ok_or_else(|| path.fail("a default for bytes may hold code points up to 255 only"))
            }
        }
    }

    fn fixed(&self, json: &Json, size: usize, path: &Path<'_>) -> Result<Vec<u8>, DataError> {
        let bytes = self.octets(json, path)?;
        if bytes.len() == size {
            return Ok(bytes);
        }
        Err(path.fail(format!("expected {size} bytes, found {}", bytes.len())))
    }

    fn decimal(&self, json: &Json, schema: &DecimalSchema, path: &Path<'_>) -> Converted {
        if self.bytes == Bytes::Latin1 {
            return self.octets(json, path).map(|bytes| Value::Decimal(Decimal::from(bytes)));
        }
        let text = number_text(json, path)?;
        let unscaled = decimal::from_text(&text, schema.precision, schema.scale).map_err(|e| path.fail(e))?;
        let bytes = unscaled.to_signed_bytes_be();
        if let InnerDecimalSchema::Fixed(fixed) = &schema.inner
            && bytes.len() > fixed.size
        {
            return Err(path.fail(format!("{text} does not fit into {} bytes", fixed.size)));
        }
        Ok(Value::Decimal(Decimal::from(bytes)))
    }

    fn uuid(&self, json: &Json, path: &Path<'_>) -> Converted {
        let text = text(json, path)?;
        if let Ok(uuid) = Uuid::parse_str(text) {
            return Ok(Value::Uuid(uuid));
        }
        let raw = if self.bytes == Bytes::Latin1 { self.fixed(json, 16, path).ok() } else { None };
        let uuid = raw.and_then(|bytes| Uuid::from_slice(&bytes).ok());
        uuid.map(Value::Uuid).ok_or_else(|| expected("a uuid", json, path))
    }

    fn duration(&self, json: &Json, fixed: &FixedSchema, path: &Path<'_>) -> Converted {
        if self.bytes == Bytes::Latin1 {
            let bytes = self.fixed(json, fixed.size, path)?;
            let bytes: [u8; 12] = bytes.try_into().map_err(|_| path.fail("a duration has 12 bytes"))?;
            return Ok(Value::Duration(Duration::from(bytes)));
        }
        let part = |name: &str| json.get(name).and_then(Json::as_u64).and_then(|n| u32::try_from(n).ok());
        let parts = (part("months"), part("days"), part("millis"));
        let (Some(months), Some(days), Some(millis), Some(3)) =
            (parts.0, parts.1, parts.2, json.as_object().map(Map::len))
        else {
            return Err(expected("{\"months\", \"days\", \"millis\"}", json, path));
        };
        Ok(Value::Duration(Duration::new(Months::new(months), Days::new(days), Millis::new(millis))))
    }
}

fn expected(what: &str, json: &Json, path: &Path<'_>) -> DataError {
    let mut found = json.to_string();
    if let Some((cut, _)) = found.char_indices().nth(60) {
        found.truncate(cut);
        found.push('…');
    }
    path.fail(format!("expected {what}, found {found}"))
}

fn check_fields(object: &Map<String, Json>, record: &RecordSchema, path: &Path<'_>) -> Result<(), DataError> {
    let unknown = object.keys().find(|key| !record.fields.iter().any(|field| field.name == **key));
    match unknown {
        None => Ok(()),
        Some(key) => Err(path.key(key).fail(format!("{} has no such field", record.name))),
    }
}

fn text<'j>(json: &'j Json, path: &Path<'_>) -> Result<&'j str, DataError> {
    json.as_str().ok_or_else(|| expected("a string", json, path))
}

fn number(json: &Json) -> Option<f64> {
    match json.as_str() {
        Some("NaN") => Some(f64::NAN),
        Some("Infinity") => Some(f64::INFINITY),
        Some("-Infinity") => Some(f64::NEG_INFINITY),
        _ => json.as_f64(),
    }
}

fn float(json: &Json, path: &Path<'_>) -> Converted {
    let wide = number(json).ok_or_else(|| expected("a number", json, path))?;
    let narrow = wide as f32;
    if wide.is_finite() && !narrow.is_finite() {
        return Err(path.fail(format!("{wide} is too large for a float")));
    }
    Ok(Value::Float(narrow))
}

fn symbol(json: &Json, symbols: &[String], path: &Path<'_>) -> Converted {
    let text = text(json, path)?;
    match symbols.iter().position(|symbol| symbol == text) {
        Some(index) => Ok(Value::Enum(index as u32, text.to_owned())),
        None => Err(expected(&format!("one of {}", symbols.join(", ")), json, path)),
    }
}

/// A decimal's text: as given, or as JSON writes the number.
fn number_text(json: &Json, path: &Path<'_>) -> Result<String, DataError> {
    match json {
        Json::String(text) => Ok(text.clone()),
        Json::Number(number) => Ok(number.to_string()),
        _ => Err(expected("a decimal such as \"-12.30\"", json, path)),
    }
}

fn big_decimal(json: &Json, path: &Path<'_>) -> Converted {
    let text = number_text(json, path)?;
    let value = BigDecimal::from_str(&text).ok();
    value.map(Value::BigDecimal).ok_or_else(|| expected("a decimal", json, path))
}

fn integer(json: &Json, schema: &Schema, path: &Path<'_>) -> Converted {
    let whole = |n: f64| (n.fract() == 0.0 && n.abs() <= MAX_EXACT).then_some(n as i64);
    let n = json.as_i64().or_else(|| json.as_f64().and_then(whole));
    let n = n.ok_or_else(|| expected("a whole number of 64 bits", json, path))?;
    whole_value(n, schema).ok_or_else(|| path.fail(format!("{n} does not fit into 32 bits")))
}

/// A whole number as a value of an int, a long or a logical type of these; `None` if it is too large.
pub(crate) fn whole_value(n: i64, schema: &Schema) -> Option<Value> {
    let int = i32::try_from(n).ok();
    match schema {
        Schema::Int => int.map(Value::Int),
        Schema::Date => int.map(Value::Date),
        Schema::TimeMillis => int.map(Value::TimeMillis),
        Schema::TimeMicros => Some(Value::TimeMicros(n)),
        Schema::TimestampMillis => Some(Value::TimestampMillis(n)),
        Schema::TimestampMicros => Some(Value::TimestampMicros(n)),
        Schema::TimestampNanos => Some(Value::TimestampNanos(n)),
        Schema::LocalTimestampMillis => Some(Value::LocalTimestampMillis(n)),
        Schema::LocalTimestampMicros => Some(Value::LocalTimestampMicros(n)),
        Schema::LocalTimestampNanos => Some(Value::LocalTimestampNanos(n)),
        _ => Some(Value::Long(n)),
    }
}
