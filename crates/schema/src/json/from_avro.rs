//! Avro values as plain JSON.

use apache_avro::Schema;
use apache_avro::types::Value;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use num_bigint::BigInt;
use serde_json::{Map, Value as Json, json};

use super::{decimal, union};
use crate::error::DataError;
use crate::names::Names;

/// `value`, which was decoded by or resolved to `schema`.
pub(crate) fn from_avro(value: Value, schema: &Schema, names: &Names<'_>) -> Result<Json, DataError> {
    let schema = names.follow(schema);
    Ok(match (value, schema) {
        (Value::Null, _) => Json::Null,
        (Value::Boolean(value), _) => Json::from(value),
        (Value::Int(n) | Value::Date(n) | Value::TimeMillis(n), _) => Json::from(n),
        (
            Value::Long(n)
            | Value::TimeMicros(n)
            | Value::TimestampMillis(n)
            | Value::TimestampMicros(n)
            | Value::TimestampNanos(n)
            | Value::LocalTimestampMillis(n)
            | Value::LocalTimestampMicros(n)
            | Value::LocalTimestampNanos(n),
            _,
        ) => Json::from(n),
        (Value::Float(value), _) => float(value),
        (Value::Double(value), _) => double(value),
        (Value::Bytes(bytes) | Value::Fixed(_, bytes), _) => Json::from(STANDARD.encode(bytes)),
        (Value::String(text) | Value::Enum(_, text), _) => Json::from(text),
        (Value::Uuid(uuid), _) => Json::from(uuid.hyphenated().to_string()),
        (Value::Decimal(value), Schema::Decimal(schema)) => {
            Json::from(decimal::to_text(&BigInt::from(value), schema.scale))
        }
        (Value::BigDecimal(value), _) => Json::from(value.to_string()),
        (Value::Duration(value), _) => json!({
            "months": u32::from(value.months()),
            "days": u32::from(value.days()),
            "millis": u32::from(value.millis()),
        }),
        (Value::Array(items), Schema::Array(schema)) => {
            let items = items.into_iter().map(|item| from_avro(item, &schema.items, names));
            Json::Array(items.collect::<Result<_, _>>()?)
        }
        (Value::Map(entries), Schema::Map(schema)) => {
            let entries =
                entries.into_iter().map(|(key, item)| Ok((key, from_avro(item, &schema.types, names)?)));
            Json::Object(entries.collect::<Result<_, DataError>>()?)
        }
        (Value::Record(fields), Schema::Record(schema)) => {
            let mut object = Map::new();
            for ((name, value), field) in fields.into_iter().zip(&schema.fields) {
                object.insert(name, from_avro(value, &field.schema, names)?);
            }
            Json::Object(object)
        }
        (Value::Union(index, value), Schema::Union(schema)) => {
            let branch = schema.variants().get(index as usize).ok_or_else(|| mismatch("a union", schema))?;
            let inner = from_avro(*value, branch, names)?;
            if inner.is_null() || !union::is_tagged(schema, names) {
                return Ok(inner);
            }
            Json::Object(Map::from_iter([(union::tag(branch).to_owned(), inner)]))
        }
        (value, schema) => return Err(mismatch(&format!("{value:?}"), schema)),
    })
}

fn mismatch(value: &str, schema: &impl std::fmt::Debug) -> DataError {
    DataError::Resolution { reason: format!("{value} is no value of {schema:?}") }
}

fn double(value: f64) -> Json {
    if value.is_finite() { Json::from(value) } else { non_finite(value) }
}

/// The shortest number that reads back as the same float: 0.1 and not 0.10000000149011612.
fn float(value: f32) -> Json {
    if !value.is_finite() {
        return non_finite(f64::from(value));
    }
    Json::from(value.to_string().parse().unwrap_or(f64::from(value)))
}

fn non_finite(value: f64) -> Json {
    Json::from(if value.is_nan() {
        "NaN"
    } else if value > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    })
}
