//! Parsing Avro schemas, with what they refer to, and refusing what is hostile or wrong.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use apache_avro::Schema;
use apache_avro::schema::{DecimalSchema, InnerDecimalSchema, UuidSchema};
use serde_json::Value;

use crate::error::Error;

/// Deeper nesting is refused: parsing and comparing recurse, and no schema made by people comes near.
pub(crate) const MAX_DEPTH: usize = 64;

/// A schema parsed together with the schemas that it refers to.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub(crate) root: Schema,
    pub(crate) referenced: Vec<Schema>,
    /// The text that identifies the schema.
    pub(crate) canonical: String,
}

impl Parsed {
    /// Every named type that can be reached, by full name.
    pub(crate) fn names(&self) -> Names<'_> {
        let mut names = Names::new();
        for schema in self.referenced.iter().chain([&self.root]) {
            collect_names(schema, &mut names);
        }
        names
    }
}

/// Named types by full name.
pub(crate) type Names<'s> = BTreeMap<&'s str, &'s Schema>;

/// Parses `text` with the texts of all schemas that it refers to, directly or not.
///
/// # Errors
/// [`Error::InvalidSchema`], with what is wrong.
pub(crate) fn parse<'t>(text: &str, referenced: impl IntoIterator<Item = &'t str>) -> Result<Parsed, Error> {
    if text.trim().is_empty() {
        return Err(Error::invalid_schema("empty schema"));
    }
    let json: Value = serde_json::from_str(text).map_err(|e| Error::invalid_schema(e.to_string()))?;
    if depth(&json) > MAX_DEPTH {
        return Err(Error::invalid_schema(format!("nested deeper than {MAX_DEPTH} levels")));
    }
    let referenced: Vec<&str> = referenced.into_iter().collect();
    // The parser asserts some things about its input; what trips it is a bad schema, not a reason to go down.
    let parsed = catch_unwind(AssertUnwindSafe(|| Schema::parse_str_with_list(text, referenced)))
        .map_err(|_| Error::invalid_schema("the schema can't be parsed"))?;
    let (root, referenced) = parsed.map_err(|e| Error::invalid_schema(e.to_string()))?;
    Ok(Parsed { root, referenced, canonical: crate::canonical::text(&json) })
}

fn depth(json: &Value) -> usize {
    match json {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(map) => 1 + map.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

fn collect_names<'s>(schema: &'s Schema, names: &mut Names<'s>) {
    if let (Some(name), false) = (schema.name(), matches!(schema, Schema::Ref { .. })) {
        names.insert(name.as_ref(), schema);
    }
    match schema {
        Schema::Record(record) => record.fields.iter().for_each(|f| collect_names(&f.schema, names)),
        Schema::Array(array) => collect_names(&array.items, names),
        Schema::Map(map) => collect_names(&map.types, names),
        Schema::Union(union) => union.variants().iter().for_each(|v| collect_names(v, names)),
        _ => {}
    }
}

/// What a schema is on the wire, logical types taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    Array,
    Map,
    Union,
    Record,
    Enum,
    Fixed,
}

impl Kind {
    /// The kind of `schema`; `None` for a reference, which has to be followed first.
    pub(crate) fn of(schema: &Schema) -> Option<Kind> {
        Some(match schema {
            Schema::Null => Kind::Null,
            Schema::Boolean => Kind::Boolean,
            Schema::Int | Schema::Date | Schema::TimeMillis => Kind::Int,
            Schema::Long
            | Schema::TimeMicros
            | Schema::TimestampMillis
            | Schema::TimestampMicros
            | Schema::TimestampNanos
            | Schema::LocalTimestampMillis
            | Schema::LocalTimestampMicros
            | Schema::LocalTimestampNanos => Kind::Long,
            Schema::Float => Kind::Float,
            Schema::Double => Kind::Double,
            Schema::Bytes
            | Schema::BigDecimal
            | Schema::Uuid(UuidSchema::Bytes)
            | Schema::Decimal(DecimalSchema { inner: InnerDecimalSchema::Bytes, .. }) => Kind::Bytes,
            Schema::String | Schema::Uuid(UuidSchema::String) => Kind::String,
            Schema::Fixed(_)
            | Schema::Duration(_)
            | Schema::Uuid(UuidSchema::Fixed(_))
            | Schema::Decimal(DecimalSchema { inner: InnerDecimalSchema::Fixed(_), .. }) => Kind::Fixed,
            Schema::Array(_) => Kind::Array,
            Schema::Map(_) => Kind::Map,
            Schema::Union(_) => Kind::Union,
            Schema::Record(_) => Kind::Record,
            Schema::Enum(_) => Kind::Enum,
            Schema::Ref { .. } => return None,
        })
    }
}

/// The size in bytes of a schema whose kind is [`Kind::Fixed`].
pub(crate) fn fixed_size(schema: &Schema) -> Option<usize> {
    match schema {
        Schema::Fixed(fixed) | Schema::Duration(fixed) | Schema::Uuid(UuidSchema::Fixed(fixed)) => {
            Some(fixed.size)
        }
        Schema::Decimal(DecimalSchema { inner: InnerDecimalSchema::Fixed(fixed), .. }) => Some(fixed.size),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_schemas_are_refused_with_a_reason() {
        for (text, reason) in [
            ("", "empty schema"),
            ("  ", "empty schema"),
            ("{", "EOF"),
            (r#""strin""#, "strin"),
            (r#"{"type":"record","name":"R"}"#, "fields"),
            (r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int","default":"x"}]}"#, "default"),
            (r#"{"type":"record","name":"R","fields":[{"name":"a","type":"q.Missing"}]}"#, "q.Missing"),
            (r#"{"type":"enum","name":"E","symbols":["A","A"]}"#, "A"),
            ("12", "schema"),
        ] {
            let error = parse(text, []).unwrap_err();
            assert_eq!(error.code(), 42201, "{text}");
            assert!(error.to_string().contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn the_deepest_allowed_schema_parses_on_a_small_stack_and_deeper_ones_are_refused() {
        let nested = |levels: usize| {
            let (open, close) = (r#"{"type":"array","items":"#.repeat(levels), "}".repeat(levels));
            format!(r#"{open}"int"{close}"#)
        };
        let deepest = nested(MAX_DEPTH);
        let small = std::thread::Builder::new().stack_size(2 * 1024 * 1024);
        let parsed = small.spawn(move || parse(&deepest, []).map(|p| p.canonical)).unwrap().join().unwrap();
        assert!(parsed.is_ok());
        assert!(parse(&nested(MAX_DEPTH + 1), []).unwrap_err().to_string().contains("deeper"));
        assert!(parse(&nested(5000), []).is_err());
        assert!(parse(&"[".repeat(100_000), []).is_err());
    }

    #[test]
    fn references_by_full_name_are_parsed_together() {
        let address = r#"{"type":"record","name":"q.Address","fields":[{"name":"zip","type":"string"}]}"#;
        let order = r#"{"type":"record","name":"shop.Order","fields":[{"name":"to","type":"q.Address"}]}"#;
        let parsed = parse(order, [address]).unwrap();
        assert_eq!(parsed.names().keys().copied().collect::<Vec<_>>(), ["q.Address", "shop.Order"]);
    }
}
