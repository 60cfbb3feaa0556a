//! Typed encoding and decoding, and reading what another version of a schema wrote.

use std::sync::Arc;

use quadrille_schema::{Codec, DataError, Resolver};
use serde::{Deserialize, Serialize};
use serde_json::json;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Order {
    order_id: String,
    total_cents: i64,
    note: Option<String>,
    items: Vec<Item>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Item {
    sku: String,
    quantity: i32,
}

const ITEM: &str = r#"{"type":"record","name":"Item","namespace":"catalog","fields":[
    {"name":"sku","type":"string"},{"name":"quantity","type":"int"}]}"#;
const ORDER: &str = r#"{"type":"record","name":"shop.Order","fields":[
    {"name":"order_id","type":"string"},{"name":"total_cents","type":"long"},
    {"name":"note","type":["null","string"],"default":null},
    {"name":"items","type":{"type":"array","items":"catalog.Item"}}]}"#;

fn order() -> Order {
    let item = |sku: &str| Item { sku: sku.into(), quantity: 2 };
    Order {
        order_id: "4711".into(),
        total_cents: 1999,
        note: Some("leave at the door".into()),
        items: vec![item("a"), item("b")],
    }
}

fn resolver(writer: &str, reader: &str) -> (Arc<Codec>, Resolver) {
    let writer = Arc::new(Codec::parse(writer).unwrap());
    let reader = Arc::new(Codec::parse(reader).unwrap());
    (writer.clone(), Resolver::new(writer, reader))
}

#[test]
fn a_struct_and_its_json_are_the_same_bytes_with_types_of_another_namespace() {
    let codec = Codec::parse_with(ORDER, &[ITEM]).unwrap();
    let datum = codec.encode(&order()).unwrap();
    assert_eq!(codec.decode::<Order>(&datum).unwrap(), order());
    let json = codec.decode_json(&datum).unwrap();
    assert_eq!(json, serde_json::to_value(order()).unwrap());
    assert_eq!(codec.encode_json(&json).unwrap(), datum);
    assert_eq!(codec.name(), Some("shop.Order"));
}

#[test]
fn a_schema_whose_references_are_missing_is_refused() {
    let error = Codec::parse(ORDER).unwrap_err();
    assert!(error.to_string().contains("catalog.Item"), "{error}");
}

#[test]
fn a_value_that_does_not_fit_the_schema_is_an_error() {
    let codec = Codec::parse_with(ORDER, &[ITEM]).unwrap();
    assert!(matches!(codec.encode(&"text"), Err(DataError::Serde { .. })));
    let datum = codec.encode(&order()).unwrap();
    assert!(codec.decode::<Order>(&datum[..5]).is_err());
    assert!(codec.decode::<Item>(&datum).is_err());
}

#[test]
fn what_an_older_schema_wrote_is_read_with_defaults_for_new_fields_and_without_old_ones() {
    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename = "P")]
    struct New {
        id: i64,
        currency: String,
        tags: Vec<String>,
        state: Option<String>,
    }
    let (writer, resolver) = resolver(
        r#"{"type":"record","name":"P","fields":[{"name":"id","type":"int"},{"name":"gone","type":"string"}]}"#,
        r#"{"type":"record","name":"P","fields":[{"name":"id","type":"long"},
            {"name":"currency","type":"string","default":"EUR"},
            {"name":"tags","type":{"type":"array","items":"string"},"default":[]},
            {"name":"state","type":["null","string"],"default":null}]}"#,
    );
    let datum = writer.encode_json(&json!({"id": 7, "gone": "x"})).unwrap();
    let expect = New { id: 7, currency: "EUR".into(), tags: vec![], state: None };
    assert_eq!(resolver.decode::<New>(&datum).unwrap(), expect);
    assert_eq!(
        resolver.decode_json(&datum).unwrap(),
        json!({"id": 7, "currency": "EUR", "tags": [], "state": null})
    );
}

#[test]
fn fields_are_found_by_their_aliases_and_branches_by_their_names() {
    let (writer, renamed) = resolver(
        r#"{"type":"record","name":"P","fields":[{"name":"old","type":"int"}]}"#,
        r#"{"type":"record","name":"P","fields":[{"name":"new","aliases":["old"],"type":"int"}]}"#,
    );
    let datum = writer.encode_json(&json!({"old": 7})).unwrap();
    assert_eq!(renamed.decode_json(&datum).unwrap(), json!({"new": 7}));

    let branch =
        |name: &str| format!(r#"{{"type":"record","name":"{name}","fields":[{{"name":"x","type":"int"}}]}}"#);
    let (writer, swapped) = resolver(
        &format!("[{},{}]", branch("A"), branch("B")),
        &format!("[{},{},\"null\"]", branch("B"), branch("A")),
    );
    let datum = writer.encode_json(&json!({"A": {"x": 1}})).unwrap();
    assert_eq!(swapped.decode_json(&datum).unwrap(), json!({"A": {"x": 1}}));
}

#[test]
fn what_cannot_be_resolved_is_an_error_with_its_reason() {
    let enumeration = |symbols: &str| format!(r#"{{"type":"enum","name":"E","symbols":[{symbols}]}}"#);
    for (writer, reader, value) in [
        (r#""string""#.to_owned(), r#""int""#.to_owned(), json!("x")),
        (r#"["null","string"]"#.to_owned(), r#""string""#.to_owned(), json!(null)),
        (enumeration(r#""A","B""#), enumeration(r#""A""#), json!("B")),
    ] {
        let (codec, resolver) = resolver(&writer, &reader);
        let datum = codec.encode_json(&value).unwrap();
        let error = resolver.decode_json(&datum).unwrap_err();
        assert!(matches!(error, DataError::Resolution { .. }), "{writer} {reader}: {error}");
    }
}
