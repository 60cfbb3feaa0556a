use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use crate::{Codec, DataError};

fn codec(schema: Json) -> Codec {
    Codec::parse(&schema.to_string()).unwrap()
}

fn logical(kind: &str, logical: &str) -> Json {
    json!({"type": kind, "logicalType": logical})
}

fn decimal() -> Json {
    json!({"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2})
}

fn fixed(size: usize) -> Json {
    json!({"type": "fixed", "name": "F", "size": size})
}

fn record(fields: Json) -> Json {
    json!({"type": "record", "name": "n.R", "fields": fields})
}

#[test]
fn what_is_written_as_plain_json_is_read_as_the_same_plain_json() {
    let list = json!({"type": "record", "name": "List", "fields": [
        {"name": "v", "type": "int"}, {"name": "next", "type": ["null", "List"], "default": null}]});
    let two_records = json!([
        {"type": "record", "name": "A", "fields": [{"name": "x", "type": "int"}]},
        {"type": "record", "name": "n.B", "fields": [{"name": "x", "type": "int"}]}]);
    for (schema, value) in [
        (json!("null"), json!(null)),
        (json!("boolean"), json!(true)),
        (json!("int"), json!(-7)),
        (json!("long"), json!(i64::MAX)),
        (json!("long"), json!(i64::MIN)),
        (json!("float"), json!(0.1)),
        (json!("double"), json!(0.1)),
        (json!("double"), json!("NaN")),
        (json!("float"), json!("-Infinity")),
        (json!("string"), json!("hé\u{0}\"")),
        (json!("bytes"), json!("AP+A")),
        (fixed(3), json!("AP+A")),
        (json!({"type": "enum", "name": "E", "symbols": ["A", "B"]}), json!("B")),
        (json!({"type": "array", "items": "int"}), json!([1, 2, 3])),
        (json!({"type": "map", "values": "string"}), json!({"a": "x", "": "y"})),
        (record(json!([{"name": "a", "type": "int"}])), json!({"a": 1})),
        (list, json!({"v": 1, "next": {"v": 2, "next": null}})),
        (json!(["null", "string"]), json!(null)),
        (json!(["null", "string"]), json!("x")),
        (json!(["string", "int", "boolean"]), json!(3)),
        (
            json!(["null", {"type": "array", "items": "int"}, {"type": "map", "values": "int"}]),
            json!({"string": 1}),
        ),
        (json!(["int", "long", "null"]), json!({"int": 3})),
        (json!(["int", "long", "null"]), json!({"long": 3})),
        (json!(["null", "double", "string"]), json!({"double": "NaN"})),
        (json!(["string", "bytes"]), json!({"bytes": "AAA="})),
        (two_records.clone(), json!({"A": {"x": 1}})),
        (two_records, json!({"n.B": {"x": 1}})),
        (decimal(), json!("-12.30")),
        (json!({"type": fixed(4), "logicalType": "decimal", "precision": 9, "scale": 2}), json!("99999.99")),
        (json!(["null", decimal()]), json!("0.05")),
        (logical("bytes", "big-decimal"), json!("12.345")),
        (logical("string", "uuid"), json!("550e8400-e29b-41d4-a716-446655440000")),
        (
            json!({"type": "fixed", "name": "U", "size": 16, "logicalType": "uuid"}),
            json!("550e8400-e29b-41d4-a716-446655440000"),
        ),
        (logical("int", "date"), json!(20000)),
        (logical("int", "time-millis"), json!(86_399_999)),
        (logical("long", "time-micros"), json!(1)),
        (logical("long", "timestamp-millis"), json!(1_700_000_000_000_i64)),
        (logical("long", "timestamp-micros"), json!(-1)),
        (logical("long", "timestamp-nanos"), json!(1)),
        (logical("long", "local-timestamp-millis"), json!(1)),
        (json!(["null", logical("long", "timestamp-millis")]), json!(5)),
        (
            json!({"type": "fixed", "name": "D", "size": 12, "logicalType": "duration"}),
            json!({"months": 1, "days": 2, "millis": 3}),
        ),
        (logical("string", "unknown-to-us"), json!("x")),
    ] {
        let codec = codec(schema.clone());
        let datum = codec.encode_json(&value).unwrap_or_else(|e| panic!("{schema} {value}: {e}"));
        assert_eq!(codec.decode_json(&datum).unwrap(), value, "{schema}");
    }
}

#[test]
fn friendly_forms_are_taken_for_what_they_mean() {
    for (schema, given, read) in [
        (json!("int"), json!(3.0), json!(3)),
        (json!("long"), json!(1e3), json!(1000)),
        (json!("double"), json!(3), json!(3.0)),
        (decimal(), json!(12.5), json!("12.50")),
        (decimal(), json!(7), json!("7.00")),
        (json!(["null", decimal()]), json!(7), json!("7.00")),
        (json!(["null", "string"]), json!({"string": "x"}), json!("x")),
        (json!(["null", "int", "long"]), json!(3), json!({"int": 3})),
        (json!(["null", "int", "long"]), json!(5_000_000_000_i64), json!({"long": 5_000_000_000_i64})),
        (json!(["null", "int", "string"]), json!("x"), json!("x")),
    ] {
        let codec = codec(schema.clone());
        let datum = codec.encode_json(&given).unwrap_or_else(|e| panic!("{schema} {given}: {e}"));
        assert_eq!(codec.decode_json(&datum).unwrap(), read, "{schema} {given}");
    }
}

#[test]
fn missing_fields_take_their_defaults() {
    let inner =
        json!({"type": "record", "name": "In", "fields": [{"name": "k", "type": "int", "default": 5}]});
    let schema = record(json!([
        {"name": "n", "type": ["null", "string"], "default": null},
        {"name": "s", "type": ["string", "null"], "default": "dflt"},
        {"name": "i", "type": "int", "default": 3},
        {"name": "b", "type": "bytes", "default": "\u{00ff}A"},
        {"name": "f", "type": fixed(2), "default": "\u{0000}\u{00ff}"},
        {"name": "d", "type": decimal(), "default": "\u{0001}\u{0000}"},
        {"name": "e", "type": {"type": "enum", "name": "E", "symbols": ["A", "B"]}, "default": "B"},
        {"name": "r", "type": inner, "default": {}},
        {"name": "l", "type": {"type": "array", "items": "long"}, "default": []}]));
    let codec = codec(schema);
    let datum = codec.encode_json(&json!({})).unwrap();
    let expect = json!({"n": null, "s": "dflt", "i": 3, "b": "/0E=", "f": "AP8=", "d": "2.56", "e": "B", "r": {"k": 5}, "l": []});
    assert_eq!(codec.decode_json(&datum).unwrap(), expect);
}

#[test]
fn what_does_not_fit_is_refused_with_its_path() {
    let item = json!({"type": "record", "name": "Item", "fields": [{"name": "sku", "type": "string"}]});
    let order = record(json!([
        {"name": "id", "type": "string"},
        {"name": "items", "type": {"type": "array", "items": item}, "default": []},
        {"name": "to", "type": ["null", {"type": "map", "values": "int"}], "default": null}]));
    for (schema, value, expect) in [
        (order.clone(), json!({}), "$.id: the field is missing and has no default"),
        (order.clone(), json!({"id": "1", "idd": 1}), "$.idd: n.R has no such field"),
        (order.clone(), json!({"id": 1}), "$.id: expected a string, found 1"),
        (
            order.clone(),
            json!({"id": "1", "items": [{"sku": "a"}, {}]}),
            "$.items[1].sku: the field is missing",
        ),
        (order.clone(), json!({"id": "1", "to": {"a": 1, "b": "x"}}), "$.to.b: expected a whole number"),
        (order, json!([]), "$: expected an object, found []"),
        (json!("int"), json!(2_147_483_648_i64), "does not fit into 32 bits"),
        (json!("int"), json!(1.5), "expected a whole number"),
        (json!("long"), json!(1e300), "expected a whole number"),
        (json!("long"), json!("1"), "expected a whole number"),
        (json!("float"), json!(1e300), "too large for a float"),
        (json!("bytes"), json!("not base64"), "expected bytes in base64"),
        (fixed(2), json!("AAAA"), "expected 2 bytes, found 3"),
        (
            json!({"type": "enum", "name": "E", "symbols": ["A", "B"]}),
            json!("C"),
            "expected one of A, B, found \"C\"",
        ),
        (decimal(), json!("1.234"), "more than 2 digits after the point"),
        (decimal(), json!(true), "expected a decimal"),
        (
            json!({"type": fixed(1), "logicalType": "decimal", "precision": 2, "scale": 0}),
            json!("-129"),
            "more than 2 digits",
        ),
        (logical("string", "uuid"), json!("x"), "expected a uuid"),
        (json!(["null", "int", "boolean"]), json!("x"), "expected one of null, int, boolean, found \"x\""),
        (json!(["null", "string"]), json!(1), "$: expected one of null, string"),
    ] {
        let error = codec(schema.clone()).encode_json(&value).unwrap_err();
        assert!(matches!(error, DataError::Json { .. }), "{schema} {value}: {error}");
        assert!(error.to_string().contains(expect), "{schema} {value}: {error}");
    }
}

#[test]
fn damaged_bytes_are_an_error_and_never_a_panic_or_a_wrong_value() {
    let schema = record(json!([
        {"name": "s", "type": "string"},
        {"name": "u", "type": ["null", "string"]},
        {"name": "l", "type": {"type": "array", "items": "null"}},
        {"name": "m", "type": {"type": "map", "values": "long"}}]));
    let codec = codec(schema);
    let datum = codec.encode_json(&json!({"s": "ab", "u": "x", "l": [null], "m": {"k": 300}})).unwrap();
    for cut in 0..datum.len() {
        assert!(codec.decode_json(&datum[..cut]).is_err(), "cut at {cut}");
    }
    let mut longer = datum.clone();
    longer.push(0);
    assert!(codec.decode_json(&longer).unwrap_err().to_string().contains("1 bytes follow"));
    let nulls = [0, 0, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
    assert!(codec.decode_json(&nulls).unwrap_err().to_string().contains("without content"));
    let endless = [0xff; 20];
    assert!(codec.decode_json(&endless).is_err());
}

#[test]
fn data_that_nests_without_end_is_refused_both_ways() {
    let list = json!({"type": "record", "name": "L", "fields": [{"name": "next", "type": ["null", "L"]}]});
    let codec = codec(list);
    let deep = vec![2_u8; 500_000];
    assert!(codec.decode_json(&deep).unwrap_err().to_string().contains("nested deeper"));
    let mut value = json!(null);
    for _ in 0..100 {
        value = json!({ "next": value });
    }
    assert!(codec.encode_json(&value).unwrap_err().to_string().contains("nested deeper"));
    let forever = json!({"type": "record", "name": "X", "fields": [{"name": "x", "type": ["null", "X"], "default": {}}]});
    if let Ok(codec) = Codec::parse(&forever.to_string()) {
        assert!(codec.encode_json(&json!({"x": {}})).is_err());
    }
}

/// A schema and a value of it in its plain form.
fn pair() -> impl Strategy<Value = (Json, Json)> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(|v| (json!("boolean"), json!(v))),
        any::<i32>().prop_map(|v| (json!("int"), json!(v))),
        any::<i64>().prop_map(|v| (json!("long"), json!(v))),
        any::<f64>().prop_filter("finite", |v| v.is_finite()).prop_map(|v| (json!("double"), json!(v))),
        ".*".prop_map(|v| (json!("string"), json!(v))),
        (0_i64..999_999_999).prop_map(|v| (decimal(), json!(format!("{}.{:02}", v / 100, v % 100)))),
        prop::collection::vec(any::<u8>(), 0..20).prop_map(|v| {
            use base64::Engine;
            (json!("bytes"), json!(base64::engine::general_purpose::STANDARD.encode(v)))
        }),
        any::<i64>().prop_map(|v| (logical("long", "timestamp-micros"), json!(v))),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            (inner.clone(), 0..4_usize).prop_map(|((schema, value), count)| {
                (json!({"type": "array", "items": schema}), json!(vec![value; count]))
            }),
            (inner.clone(), prop::collection::btree_set("[a-z]{0,4}", 0..3)).prop_map(
                |((schema, value), keys)| {
                    let map: BTreeMap<String, Json> =
                        keys.into_iter().map(|key| (key, value.clone())).collect();
                    (json!({"type": "map", "values": schema}), json!(map))
                }
            ),
            (inner.clone(), any::<bool>())
                .prop_filter("no union in a union", |((s, _), _)| !s.is_array())
                .prop_map(|((schema, value), null)| (
                    json!(["null", schema]),
                    if null { json!(null) } else { value }
                )),
            prop::collection::vec(inner, 1..4).prop_map(|pairs| {
                let name = |index: usize| format!("f{index}");
                let fields: Vec<Json> =
                    pairs.iter().enumerate().map(|(i, (s, _))| json!({"name": name(i), "type": s})).collect();
                let hash = fields.iter().map(ToString::to_string).collect::<String>();
                let unique =
                    format!("R{:x}", hash.bytes().fold(7_u64, |h, b| h.wrapping_mul(31) ^ u64::from(b)));
                let values: BTreeMap<String, Json> =
                    pairs.iter().enumerate().map(|(i, (_, v))| (name(i), v.clone())).collect();
                (json!({"type": "record", "name": unique, "fields": fields}), json!(values))
            }),
        ]
    })
}

proptest! {
    #[test]
    fn any_plain_value_survives_the_round_trip((schema, value) in pair()) {
        // Two records with the same fields have the same name here; Avro forbids defining one twice.
        if let Ok(codec) = Codec::parse(&schema.to_string()) {
            let datum = codec.encode_json(&value).unwrap();
            prop_assert_eq!(codec.decode_json(&datum).unwrap(), value);
        }
    }

    #[test]
    fn any_bytes_are_decoded_or_refused((schema, _) in pair(), bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        if let Ok(codec) = Codec::parse(&schema.to_string())
            && let Ok(value) = codec.decode_json(&bytes)
        {
            let again = codec.encode_json(&value).unwrap();
            prop_assert_eq!(codec.decode_json(&again).unwrap(), value);
        }
    }
}
