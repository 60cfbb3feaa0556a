use apache_avro::schema_compatibility::{Compatibility, SchemaCompatibility};

use super::*;
use crate::avro::parse;

fn record(fields: &str) -> String {
    format!(r#"{{"type":"record","name":"R","fields":[{fields}]}}"#)
}

fn messages(level: Level, new: &str, old: &str) -> Vec<String> {
    let (new, old) = (parse(new, []).unwrap(), parse(old, []).unwrap());
    findings(level, &new, &old).iter().map(ToString::to_string).collect()
}

/// (reader, writer, what each finding must contain; empty = readable)
fn table() -> Vec<(String, String, Vec<&'static str>)> {
    let a = r#"{"name":"a","type":"int"}"#;
    let nested = |inner: &str| {
        record(&format!(r#"{{"name":"to","type":{{"type":"record","name":"Address","fields":[{inner}]}}}}"#))
    };
    let list = |extra: &str| {
        format!(
            r#"{{"type":"record","name":"List","fields":[{{"name":"v","type":"int"}},{{"name":"next","type":["null","List"],"default":null}}{extra}]}}"#
        )
    };
    let enumeration = |symbols: &str, default: &str| {
        format!(r#"{{"type":"enum","name":"E","symbols":[{symbols}]{default}}}"#)
    };
    let fixed = |size: u32| format!(r#"{{"type":"fixed","name":"F","size":{size}}}"#);
    let decimal =
        |scale: u32| format!(r#"{{"type":"bytes","logicalType":"decimal","precision":9,"scale":{scale}}}"#);
    let text = |t: &str| format!("{t:?}");
    vec![
        (record(a), record(a), vec![]),
        (record(""), record(a), vec![]),
        (
            record(a),
            record(""),
            vec!["READER_FIELD_MISSING_DEFAULT_VALUE', description:'The field 'a' at path '/fields/0'"],
        ),
        (record(r#"{"name":"a","type":"int","default":1}"#), record(""), vec![]),
        (record(r#"{"name":"b","aliases":["a"],"type":"int"}"#), record(a), vec![]),
        (
            record(r#"{"name":"a","type":"string"}"#),
            record(a),
            vec!["TYPE_MISMATCH', description:'The type of field 'a' at path '/fields/0/type'"],
        ),
        (
            record(r#"{"name":"a","type":"string"},{"name":"b","type":"int"}"#),
            record(a),
            vec!["TYPE_MISMATCH", "The field 'b' at path '/fields/1'"],
        ),
        (
            nested(r#"{"name":"zip","type":"int"}"#),
            nested(""),
            vec!["The field 'to.zip' at path '/fields/0/type/fields/0'"],
        ),
        (list(""), list(""), vec![]),
        (list(r#",{"name":"x","type":"int"}"#), list(""), vec!["The field 'x'"]),
        (text("long"), text("int"), vec![]),
        (text("float"), text("long"), vec![]),
        (text("double"), text("float"), vec![]),
        (text("bytes"), text("string"), vec![]),
        (text("string"), text("bytes"), vec![]),
        (text("int"), text("long"), vec!["INT not compatible with writer type: LONG"]),
        (text("long"), text("double"), vec!["TYPE_MISMATCH"]),
        (r#"{"type":"long","logicalType":"timestamp-millis"}"#.into(), text("long"), vec![]),
        (r#"["null","int"]"#.into(), text("int"), vec![]),
        (text("int"), r#"["null","int"]"#.into(), vec!["INT can't read NULL"]),
        (r#"["null","int","string"]"#.into(), r#"["null","int"]"#.into(), vec![]),
        (
            r#"["null","int"]"#.into(),
            r#"["null","int","boolean"]"#.into(),
            vec![
                "MISSING_UNION_BRANCH', description:'The union at path '/' in the new schema has no branch that reads BOOLEAN",
            ],
        ),
        (r#"["null","long"]"#.into(), r#"["null","int"]"#.into(), vec![]),
        (r#"{"type":"array","items":"long"}"#.into(), r#"{"type":"array","items":"int"}"#.into(), vec![]),
        (
            r#"{"type":"map","values":"int"}"#.into(),
            r#"{"type":"map","values":"string"}"#.into(),
            vec!["at path '/values'"],
        ),
        (enumeration(r#""A","B""#, ""), enumeration(r#""A""#, ""), vec![]),
        (enumeration(r#""A""#, ""), enumeration(r#""A","B""#, ""), vec![r#"lacks the symbols ["B"]"#]),
        (enumeration(r#""A""#, r#","default":"A""#), enumeration(r#""A","B""#, ""), vec![]),
        (fixed(4), fixed(4), vec![]),
        (fixed(4), fixed(8), vec!["FIXED_SIZE_MISMATCH"]),
        (decimal(2), decimal(2), vec![]),
        (decimal(2), decimal(3), vec!["decimal(9,2), but decimal(9,3)"]),
        (
            record(a),
            r#"{"type":"record","name":"S","fields":[{"name":"a","type":"int"}]}"#.into(),
            vec!["NAME_MISMATCH"],
        ),
        (r#"{"type":"record","name":"R","namespace":"n","fields":[]}"#.into(), record(""), vec![]),
    ]
}

#[test]
fn each_broken_rule_is_found_and_names_its_field() {
    for (reader, writer, expect) in table() {
        let found = messages(Level::Backward, &reader, &writer);
        assert_eq!(found.len(), expect.len(), "{reader} reads {writer}: {found:?}");
        for (found, expect) in found.iter().zip(expect) {
            assert!(found.contains(expect), "{reader} reads {writer}: {found}");
        }
    }
}

#[test]
fn the_answer_agrees_with_the_avro_library_where_it_has_one() {
    for (reader, writer, expect) in table() {
        let (r, w) = (parse(&reader, []).unwrap().root, parse(&writer, []).unwrap().root);
        let library = SchemaCompatibility::can_read(&w, &r) == Ok(Compatibility::Full);
        assert_eq!(library, expect.is_empty(), "{reader} reads {writer}");
    }
}

#[test]
fn an_alias_of_a_type_stands_for_its_old_name_and_forward_swaps_the_roles() {
    let old = r#"{"type":"record","name":"n.Old","fields":[]}"#;
    let new = r#"{"type":"record","name":"n.New","aliases":["Old"],"fields":[]}"#;
    assert!(messages(Level::Backward, new, old).is_empty());
    assert_eq!(messages(Level::Forward, new, old).len(), 1);

    let wide = record(r#"{"name":"a","type":"int"},{"name":"b","type":"int"}"#);
    let narrow = record(r#"{"name":"a","type":"int"}"#);
    assert!(messages(Level::Forward, &wide, &narrow).is_empty());
    let found = messages(Level::Forward, &narrow, &wide);
    assert!(found[0].contains("in the old schema has no default value and is missing in the new schema"));
    assert_eq!(messages(Level::Full, &wide, &narrow).len(), 1);
    assert!(messages(Level::None, &wide, &narrow).is_empty());
}

#[test]
fn a_change_inside_a_referenced_type_is_seen() {
    let order = r#"{"type":"record","name":"shop.Order","fields":[{"name":"to","type":"q.Address"},{"name":"from","type":"q.Address"}]}"#;
    let address = |extra: &str| format!(r#"{{"type":"record","name":"q.Address","fields":[{extra}]}}"#);
    let (v1, v2) = (address(""), address(r#"{"name":"zip","type":"string"}"#));
    let (old, new) = (parse(order, [v1.as_str()]).unwrap(), parse(order, [v2.as_str()]).unwrap());
    let found = findings(Level::Backward, &new, &old);
    assert!(found[0].to_string().contains("'to.zip'"), "{found:?}");
    assert!(findings(Level::Forward, &new, &old).is_empty());
}

#[test]
fn levels_are_read_in_any_case_and_nothing_else_is() {
    assert_eq!("full_transitive".parse(), Ok(Level::FullTransitive));
    assert_eq!(Level::FullTransitive.to_string(), "FULL_TRANSITIVE");
    assert_eq!("SOMETIMES".parse::<Level>(), Err(Error::InvalidCompatibility));
}

/// `count` records in one union, each holding an optional one before it.
fn chain(count: usize, last: &str) -> String {
    let mut text = format!(r#"[{{"type":"record","name":"T0","fields":[{{"name":"v","type":"{last}"}}]}}"#);
    for i in 1..count {
        let before = i - 1;
        text += &format!(
            r#",{{"type":"record","name":"T{i}","fields":[{{"name":"f","type":["null","T{before}"]}}]}}"#
        );
    }
    text + "]"
}

#[test]
fn long_chains_of_types_cost_neither_the_stack_nor_minutes() {
    assert!(messages(Level::Backward, &chain(60, "int"), &chain(60, "int")).is_empty());
    assert!(!messages(Level::Backward, &chain(60, "string"), &chain(60, "int")).is_empty());
    let small = std::thread::Builder::new().stack_size(2 * 1024 * 1024);
    let run = || messages(Level::Full, &chain(3000, "string"), &chain(3000, "int")).len();
    assert!(small.spawn(run).unwrap().join().unwrap() > 0);
}
