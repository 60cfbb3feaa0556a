//! What is published beside the code: the JSON Schema of the file.

use serde_json::Value;

use crate::support::{assert_golden, quadrille, root, stdout};

#[test]
fn the_published_schema_equals_the_code() {
    let output = quadrille(&["schema"]);
    assert_eq!(output.status.code(), Some(0));
    assert_golden(&root().join("topology/quadrille.schema.json"), &stdout(&output));
}

/// The schema is derived from types and the file is read by hand-written code: both must agree on what is a file.
#[test]
fn the_schema_accepts_what_the_compiler_accepts_and_refuses_what_it_refuses_for_its_shape() {
    let schema: Value = serde_json::from_str(&stdout(&quadrille(&["schema"]))).expect("the schema is JSON");
    let folder = root().join("topology");
    for name in ["order.yaml", "trip.yaml"] {
        assert_eq!(mistakes(&schema, &folder.join(name)), Vec::<String>::new(), "{name}");
    }
    let mut compared = 0;
    for entry in std::fs::read_dir(folder.join("invalid")).expect("the folder exists") {
        let path = entry.expect("the folder can be listed").path();
        let name = path.file_name().expect("a case has a name").to_string_lossy().into_owned();
        if !name.ends_with(".yaml") {
            continue;
        }
        let shape = ["Q0101", "Q0102", "Q0103", "Q0104", "Q0106", "Q0110", "Q0112"];
        if shape.contains(&&name[..5]) {
            assert_ne!(mistakes(&schema, &path), Vec::<String>::new(), "{name} is refused by the compiler");
            compared += 1;
        } else if name.starts_with("Q02") || name.starts_with("Q03") {
            assert_eq!(mistakes(&schema, &path), Vec::<String>::new(), "{name} has the right shape");
            compared += 1;
        }
    }
    assert!(compared > 40, "{compared} files were compared");
}

fn mistakes(schema: &Value, path: &std::path::Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).expect("the file can be read");
    let value: Value = serde_saphyr::from_str(&text).expect("the file is YAML");
    let mut mistakes = Vec::new();
    validate(schema, schema, &value, "", &mut mistakes);
    mistakes
}

/// The part of JSON Schema that ours uses.
fn validate(root: &Value, schema: &Value, value: &Value, at: &str, mistakes: &mut Vec<String>) {
    if let Some(pointer) = schema["$ref"].as_str().and_then(|r| r.strip_prefix('#')) {
        validate(root, root.pointer(pointer).expect("a reference leads somewhere"), value, at, mistakes);
    }
    for key in ["anyOf", "oneOf"] {
        let Some(ways) = schema[key].as_array() else { continue };
        let fits = |way: &&Value| {
            let mut inner = Vec::new();
            validate(root, way, value, at, &mut inner);
            inner.is_empty()
        };
        if !ways.iter().any(|way| fits(&way)) {
            mistakes.push(format!("{at}: fits none of {key}"));
        }
    }
    if !has_type(&schema["type"], value) {
        mistakes.push(format!("{at}: not of type {}", schema["type"]));
    }
    if schema["enum"].as_array().is_some_and(|words| !words.contains(value))
        || schema.get("const").is_some_and(|c| c != value)
    {
        mistakes.push(format!("{at}: not one of the words"));
    }
    let number = value.as_f64();
    if number.zip(schema["minimum"].as_f64()).is_some_and(|(n, min)| n < min)
        || number.zip(schema["maximum"].as_f64()).is_some_and(|(n, max)| n > max)
    {
        mistakes.push(format!("{at}: out of bounds"));
    }
    if let Some(items) = value.as_array() {
        if schema["uniqueItems"] == true
            && items.iter().enumerate().any(|(i, item)| items[..i].contains(item))
        {
            mistakes.push(format!("{at}: an item twice"));
        }
        for item in items.iter().filter(|_| schema["items"].is_object()) {
            validate(root, &schema["items"], item, at, mistakes);
        }
    }
    let Some(map) = value.as_object() else { return };
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !map.contains_key(name) {
            mistakes.push(format!("{at}: {name} is missing"));
        }
    }
    for (key, inner) in map {
        let place = format!("{at}/{key}");
        match (schema["properties"].get(key), &schema["additionalProperties"]) {
            (Some(property), _) => validate(root, property, inner, &place, mistakes),
            (None, Value::Bool(false)) => mistakes.push(format!("{place}: unknown field")),
            (None, additional) if additional.is_object() => {
                validate(root, additional, inner, &place, mistakes)
            }
            (None, _) => {}
        }
    }
}

fn has_type(wanted: &Value, value: &Value) -> bool {
    let is = |name: &str| match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        _ => false,
    };
    match wanted {
        Value::String(name) => is(name),
        Value::Array(names) => names.iter().filter_map(Value::as_str).any(is),
        _ => true,
    }
}
