//! One text per schema, so that the same schema written in another way gets the same id.
//!
//! White space, the order of attributes, a namespace written inside a name and `{"type": "string"}` for `"string"`
//! make no difference. Everything else does: documentation, defaults, aliases and custom attributes are kept, since
//! a reader may rely on them. The order of attributes is the one in which the Java library prints a schema.

use serde_json::{Map, Value};

const PRIMITIVES: [&str; 8] = ["null", "boolean", "int", "long", "float", "double", "bytes", "string"];
const ORDER: [&str; 11] = [
    "type",
    "name",
    "namespace",
    "doc",
    "fields",
    "symbols",
    "items",
    "values",
    "size",
    "default",
    "aliases",
];
const FIELD_ORDER: [&str; 6] = ["name", "type", "doc", "default", "order", "aliases"];

/// The compact text of a schema that has been parsed successfully.
pub(crate) fn text(schema: &Value) -> String {
    let mut out = String::new();
    write_schema(schema, "", &mut out);
    out
}

fn write_schema(schema: &Value, namespace: &str, out: &mut String) {
    match schema {
        Value::String(name) => write_reference(name, namespace, out),
        Value::Array(branches) => {
            write_list(branches, out, |branch, out| write_schema(branch, namespace, out))
        }
        Value::Object(attributes) => write_complex(attributes, namespace, out),
        // Not a schema: it was refused before it came here.
        other => out.push_str(&other.to_string()),
    }
}

fn write_reference(name: &str, namespace: &str, out: &mut String) {
    let short = match name.rsplit_once('.') {
        Some((space, short)) if space == namespace => short,
        _ => name,
    };
    write_string(short, out);
}

fn write_complex(attributes: &Map<String, Value>, namespace: &str, out: &mut String) {
    match attributes.get("type") {
        Some(Value::String(kind)) if attributes.len() == 1 && PRIMITIVES.contains(&kind.as_str()) => {
            write_string(kind, out);
        }
        Some(Value::String(kind)) if ["record", "error", "enum", "fixed"].contains(&kind.as_str()) => {
            write_named(attributes, namespace, out);
        }
        Some(nested @ (Value::Object(_) | Value::Array(_))) if attributes.len() == 1 => {
            write_schema(nested, namespace, out);
        }
        _ => write_attributes(attributes, &ORDER, namespace, out),
    }
}

fn write_named(attributes: &Map<String, Value>, enclosing: &str, out: &mut String) {
    let (space, short) = full_name(attributes, enclosing);
    let mut named = attributes.clone();
    named.insert("name".to_owned(), Value::from(short));
    named.remove("namespace");
    if space != enclosing {
        named.insert("namespace".to_owned(), Value::from(space.clone()));
    }
    write_attributes(&named, &ORDER, &space, out);
}

/// (namespace, short name): a dot in the name beats the `namespace` attribute, which beats the enclosing one.
fn full_name(attributes: &Map<String, Value>, enclosing: &str) -> (String, String) {
    let string = |key: &str| attributes.get(key).and_then(Value::as_str);
    let name = string("name").unwrap_or_default();
    match name.rsplit_once('.') {
        Some((space, short)) => (space.to_owned(), short.to_owned()),
        None => (string("namespace").unwrap_or(enclosing).to_owned(), name.to_owned()),
    }
}

fn write_attributes(attributes: &Map<String, Value>, order: &[&str], namespace: &str, out: &mut String) {
    let mut keys: Vec<&String> = attributes.keys().collect();
    keys.sort_by_key(|key| (order.iter().position(|known| known == key).unwrap_or(order.len()), *key));
    out.push('{');
    for (index, key) in keys.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_string(key, out);
        out.push(':');
        write_attribute(key, &attributes[key.as_str()], namespace, out);
    }
    out.push('}');
}

fn write_attribute(key: &str, value: &Value, namespace: &str, out: &mut String) {
    match (key, value) {
        ("type", Value::String(kind)) => write_reference(kind, namespace, out),
        ("type" | "items" | "values", _) => write_schema(value, namespace, out),
        ("fields", Value::Array(fields)) => write_list(fields, out, |field, out| match field {
            Value::Object(attributes) => write_attributes(attributes, &FIELD_ORDER, namespace, out),
            other => out.push_str(&other.to_string()),
        }),
        _ => write_plain(value, out),
    }
}

/// JSON that is no schema (defaults, custom attributes), its keys sorted.
fn write_plain(value: &Value, out: &mut String) {
    match value {
        Value::Array(items) => write_list(items, out, write_plain),
        Value::Object(map) => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort();
            out.push('{');
            for (index, key) in keys.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_string(key, out);
                out.push(':');
                write_plain(&map[key.as_str()], out);
            }
            out.push('}');
        }
        other => out.push_str(&other.to_string()),
    }
}

fn write_list(items: &[Value], out: &mut String, mut write: impl FnMut(&Value, &mut String)) {
    out.push('[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write(item, out);
    }
    out.push(']');
}

fn write_string(text: &str, out: &mut String) {
    out.push_str(&Value::from(text).to_string());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(text_in: &str) -> String {
        text(&serde_json::from_str(text_in).unwrap())
    }

    #[test]
    fn ways_to_write_one_schema_give_one_text() {
        for (one, other) in [
            (r#""string""#, r#" { "type" : "string" } "#),
            (r#"{"type":"array","items":"int"}"#, r#"{ "items": {"type":"int"}, "type": "array" }"#),
            (
                r#"{"type":"record","name":"a.R","fields":[]}"#,
                r#"{"fields":[],"name":"R","namespace":"a","type":"record"}"#,
            ),
            (
                r#"{"type":"record","name":"a.R","fields":[{"name":"x","type":["null","a.R"],"default":null}]}"#,
                r#"{"type":"record","name":"a.R","fields":[{"default":null,"type":["null","R"],"name":"x"}]}"#,
            ),
        ] {
            assert_eq!(canonical(one), canonical(other));
        }
    }

    #[test]
    fn what_a_reader_may_rely_on_makes_another_schema() {
        let plain = r#"{"type":"record","name":"R","fields":[{"name":"x","type":"int"}]}"#;
        for other in [
            r#"{"type":"record","name":"R","doc":"d","fields":[{"name":"x","type":"int"}]}"#,
            r#"{"type":"record","name":"R","fields":[{"name":"x","type":"int","default":1}]}"#,
            r#"{"type":"record","name":"R","fields":[{"name":"x","type":"int","pii":true}]}"#,
            r#"{"type":"record","name":"R","aliases":["Q"],"fields":[{"name":"x","type":"int"}]}"#,
            r#"{"type":"record","name":"b.R","fields":[{"name":"x","type":"int"}]}"#,
            r#"{"type":"record","name":"R","fields":[{"name":"x","type":{"type":"int","logicalType":"date"}}]}"#,
        ] {
            assert_ne!(canonical(plain), canonical(other), "{other}");
        }
    }

    #[test]
    fn the_text_is_compact_and_stable() {
        let schema = r#"{ "fields": [ {"type": {"type":"string"}, "name": "id"} ], "namespace": "shop",
            "name": "Order", "doc": "é", "type": "record" }"#;
        let expect = r#"{"type":"record","name":"Order","namespace":"shop","doc":"é","fields":[{"name":"id","type":"string"}]}"#;
        assert_eq!(canonical(schema), expect);
        assert_eq!(canonical(expect), expect);
    }
}
