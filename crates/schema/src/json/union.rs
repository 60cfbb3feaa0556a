//! Which branch of a union a JSON value means.
//!
//! Where each kind of JSON value is taken by one branch at most, values stand for themselves. Otherwise all but null
//! are written with the branch's name, so that what is read back is the branch that was written.

use apache_avro::Schema;
use apache_avro::schema::{DecimalSchema, InnerDecimalSchema, UnionSchema, UuidSchema};
use serde_json::Value as Json;

use crate::names::Names;

/// What JSON tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    Null,
    Boolean,
    Number,
    Text,
    List,
    Object,
}

impl Class {
    pub(crate) fn of(json: &Json) -> Class {
        match json {
            Json::Null => Class::Null,
            Json::Bool(_) => Class::Boolean,
            Json::Number(_) => Class::Number,
            Json::String(_) => Class::Text,
            Json::Array(_) => Class::List,
            Json::Object(_) => Class::Object,
        }
    }
}

/// The kinds of JSON value that values of `schema` are written as.
pub(crate) fn classes(schema: &Schema, names: &Names<'_>) -> &'static [Class] {
    match names.follow(schema) {
        Schema::Null => &[Class::Null],
        Schema::Boolean => &[Class::Boolean],
        // Infinity and NaN are text.
        Schema::Float | Schema::Double => &[Class::Number, Class::Text],
        Schema::Bytes
        | Schema::String
        | Schema::Fixed(_)
        | Schema::Enum(_)
        | Schema::Uuid(_)
        | Schema::Decimal(_)
        | Schema::BigDecimal => &[Class::Text],
        Schema::Array(_) => &[Class::List],
        Schema::Map(_) | Schema::Record(_) | Schema::Duration(_) => &[Class::Object],
        Schema::Union(_) | Schema::Ref { .. } => &[],
        _ => &[Class::Number],
    }
}

/// True if JSON alone can't tell the branches apart, so that values carry their branch's name.
pub(crate) fn is_tagged(union: &UnionSchema, names: &Names<'_>) -> bool {
    let mut seen = Vec::new();
    union.variants().iter().flat_map(|branch| classes(branch, names)).any(|class| {
        let twice = seen.contains(class);
        seen.push(*class);
        twice
    })
}

/// A branch's name: its full name, or its Avro type.
pub(crate) fn tag(branch: &Schema) -> &str {
    if let Some(name) = branch.name() {
        return name.as_ref();
    }
    match branch {
        Schema::Null => "null",
        Schema::Boolean => "boolean",
        Schema::Int | Schema::Date | Schema::TimeMillis => "int",
        Schema::Float => "float",
        Schema::Double => "double",
        Schema::Bytes
        | Schema::BigDecimal
        | Schema::Uuid(UuidSchema::Bytes)
        | Schema::Decimal(DecimalSchema { inner: InnerDecimalSchema::Bytes, .. }) => "bytes",
        Schema::String | Schema::Uuid(UuidSchema::String) => "string",
        Schema::Array(_) => "array",
        Schema::Map(_) => "map",
        _ => "long",
    }
}

/// The branch and the value inside, if `json` is `{"branch": value}`.
pub(crate) fn untag<'j>(union: &UnionSchema, names: &Names<'_>, json: &'j Json) -> Option<(usize, &'j Json)> {
    let object = json.as_object().filter(|object| object.len() == 1)?;
    let (key, inner) = object.iter().next()?;
    let holds_objects = union.variants().iter().any(|branch| classes(branch, names).contains(&Class::Object));
    if holds_objects && !is_tagged(union, names) {
        return None;
    }
    let branch = union.variants().iter().position(|branch| tag(branch) == key)?;
    Some((branch, inner))
}
