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

/// Which type reads which: the rows are readers, the columns writers, in the order of the names.
#[test]
fn only_the_promotions_of_the_specification_are_readable() {
    let names = ["null", "boolean", "int", "long", "float", "double", "bytes", "string"];
    let readable = [
        "x.......", // null
        ".x......", // boolean
        "..x.....", // int
        "..xx....", // long
        "..xxx...", // float
        "..xxxx..", // double
        "......xx", // bytes
        "......xx", // string
    ];
    for (reader, row) in names.iter().zip(readable) {
        for (writer, fits) in names.iter().zip(row.chars()) {
            // Nothing depends on where the type stands.
            for around in ["@", r#"{"type":"array","items":@}"#, r#"{"type":"map","values":@}"#] {
                let put = |name: &str| around.replace('@', &format!("{name:?}"));
                let found = messages(Level::Backward, &put(reader), &put(writer));
                assert_eq!(found.is_empty(), fits == 'x', "{reader} reads {writer} in {around}: {found:?}");
            }
        }
    }
}

/// (what it is about, reader, writer, the first thing in the way; empty = readable)
const RESOLUTION: &[(&str, &str, &str, &str)] = &[
    ("a primitive is no record", r#""int""#, r#"{"type":"record","name":"R","fields":[]}"#, "TYPE_MISMATCH"),
    (
        "an array is no map",
        r#"{"type":"array","items":"int"}"#,
        r#"{"type":"map","values":"int"}"#,
        "TYPE_MISMATCH",
    ),
    ("bytes are no fixed", r#"{"type":"fixed","name":"F","size":2}"#, r#""bytes""#, "TYPE_MISMATCH"),
    (
        "a fixed has a name",
        r#"{"type":"fixed","name":"F","size":2}"#,
        r#"{"type":"fixed","name":"G","size":2}"#,
        "NAME_MISMATCH",
    ),
    (
        "an alias of a fixed",
        r#"{"type":"fixed","name":"F","aliases":["G"],"size":2}"#,
        r#"{"type":"fixed","name":"G","size":2}"#,
        "",
    ),
    (
        "an alias does not mend a size",
        r#"{"type":"fixed","name":"F","aliases":["G"],"size":2}"#,
        r#"{"type":"fixed","name":"G","size":3}"#,
        "FIXED_SIZE_MISMATCH",
    ),
    (
        "an enum has a name",
        r#"{"type":"enum","name":"E","symbols":["A"]}"#,
        r#"{"type":"enum","name":"D","symbols":["A"]}"#,
        "NAME_MISMATCH",
    ),
    (
        "an alias of an enum",
        r#"{"type":"enum","name":"E","aliases":["D"],"symbols":["A"]}"#,
        r#"{"type":"enum","name":"D","symbols":["A"]}"#,
        "",
    ),
    (
        "the order of symbols is nothing",
        r#"{"type":"enum","name":"E","symbols":["A","B"]}"#,
        r#"{"type":"enum","name":"E","symbols":["B","A"]}"#,
        "",
    ),
    (
        "an enum's default takes unknown symbols",
        r#"{"type":"enum","name":"E","symbols":["A"],"default":"A"}"#,
        r#"{"type":"enum","name":"E","symbols":["B"]}"#,
        "",
    ),
    (
        "a writer's default does not",
        r#"{"type":"enum","name":"E","symbols":["A"]}"#,
        r#"{"type":"enum","name":"E","symbols":["A","B"],"default":"A"}"#,
        "MISSING_ENUM_SYMBOLS",
    ),
    (
        "an alias in the namespace of its type",
        r#"{"type":"record","name":"n.R","aliases":["Q"],"fields":[]}"#,
        r#"{"type":"record","name":"n.Q","fields":[]}"#,
        "",
    ),
    (
        "an alias in another namespace",
        r#"{"type":"record","name":"n.R","aliases":["m.Q"],"fields":[]}"#,
        r#"{"type":"record","name":"m.Q","fields":[]}"#,
        "",
    ),
    (
        "the order of fields is nothing",
        r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int"},{"name":"b","type":"long"}]}"#,
        r#"{"type":"record","name":"R","fields":[{"name":"b","type":"long"},{"name":"a","type":"int"}]}"#,
        "",
    ),
    (
        "a field's alias and a wider type",
        r#"{"type":"record","name":"R","fields":[{"name":"b","aliases":["x","a"],"type":"double"}]}"#,
        r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int"}]}"#,
        "",
    ),
    (
        "a writer's alias is nothing",
        r#"{"type":"record","name":"R","fields":[{"name":"b","type":"int"}]}"#,
        r#"{"type":"record","name":"R","fields":[{"name":"a","aliases":["b"],"type":"int"}]}"#,
        "The field 'b' at path '/fields/0'",
    ),
    (
        "a default of null",
        r#"{"type":"record","name":"R","fields":[{"name":"a","type":["null","int"],"default":null}]}"#,
        r#"{"type":"record","name":"R","fields":[]}"#,
        "",
    ),
    (
        "an optional field without a default",
        r#"{"type":"record","name":"R","fields":[{"name":"a","type":["null","int"]}]}"#,
        r#"{"type":"record","name":"R","fields":[]}"#,
        "READER_FIELD_MISSING_DEFAULT_VALUE",
    ),
    (
        "an enum's default is not a field's",
        r#"{"type":"record","name":"R","fields":[{"name":"e","type":{"type":"enum","name":"E","symbols":["A"],"default":"A"}}]}"#,
        r#"{"type":"record","name":"R","fields":[]}"#,
        "The field 'e' at path '/fields/0'",
    ),
    ("a union of one is its type", r#"["int"]"#, r#""int""#, ""),
    ("a type reads a union of nothing else", r#""long""#, r#"["int","long"]"#, ""),
    ("a branch is found by promotion", r#"["null","double"]"#, r#"["null","int","long"]"#, ""),
    (
        "a branch that nothing reads",
        r#"["null","int"]"#,
        r#"["null","long"]"#,
        "has no branch that reads LONG",
    ),
    (
        "a branch of the same name is looked into",
        r#"["null",{"type":"record","name":"R","fields":[{"name":"a","type":"int"}]}]"#,
        r#"["null",{"type":"record","name":"R","fields":[]}]"#,
        "The field 'a' at path '/1/fields/0'",
    ),
    (
        "records of other names in a union",
        r#"[{"type":"record","name":"A","fields":[]},{"type":"record","name":"B","fields":[]}]"#,
        r#"[{"type":"record","name":"C","fields":[]}]"#,
        "has no branch that reads RECORD C",
    ),
    (
        "a nested record by its full name",
        r#"{"type":"record","name":"R","fields":[{"name":"a","type":{"type":"record","name":"n.I","fields":[]}},{"name":"b","type":"n.I"}]}"#,
        r#"{"type":"record","name":"R","fields":[{"name":"b","type":{"type":"record","name":"n.I","fields":[]}},{"name":"a","type":"n.I"}]}"#,
        "",
    ),
    (
        "what is wrong in a nested record is told once",
        r#"{"type":"record","name":"R","fields":[{"name":"a","type":{"type":"record","name":"n.I","fields":[{"name":"x","type":"int"}]}},{"name":"b","type":"n.I"}]}"#,
        r#"{"type":"record","name":"R","fields":[{"name":"a","type":{"type":"record","name":"n.I","fields":[]}},{"name":"b","type":"n.I"}]}"#,
        "The field 'a.x'",
    ),
    (
        "in the items of an array",
        r#"{"type":"array","items":{"type":"record","name":"I","fields":[{"name":"x","type":"int"}]}}"#,
        r#"{"type":"array","items":{"type":"record","name":"I","fields":[]}}"#,
        "at path '/items/fields/0'",
    ),
    (
        "two records that hold each other",
        r#"{"type":"record","name":"A","fields":[{"name":"b","type":["null",{"type":"record","name":"B","fields":[{"name":"a","type":["null","A"]},{"name":"n","type":"long"}]}]}]}"#,
        r#"{"type":"record","name":"A","fields":[{"name":"b","type":["null",{"type":"record","name":"B","fields":[{"name":"a","type":["null","A"]},{"name":"n","type":"int"}]}]}]}"#,
        "",
    ),
    (
        "a tree whose leaves changed",
        r#"{"type":"record","name":"T","fields":[{"name":"kids","type":{"type":"array","items":"T"}},{"name":"v","type":"int"}]}"#,
        r#"{"type":"record","name":"T","fields":[{"name":"kids","type":{"type":"array","items":"T"}},{"name":"v","type":"string"}]}"#,
        "of field 'v' at path '/fields/1/type'",
    ),
];

#[test]
fn each_rule_of_resolution_is_kept() {
    for (about, reader, writer, expect) in RESOLUTION {
        let found = messages(Level::Backward, reader, writer);
        match found.first() {
            None => assert_eq!(*expect, "", "{about}"),
            Some(first) => assert!(!expect.is_empty() && first.contains(expect), "{about}: {found:?}"),
        }
        assert!(found.len() <= 1, "{about}: {found:?}");
        assert!(messages(Level::Backward, reader, reader).is_empty(), "{about}: the reader reads itself");
        assert_eq!(
            messages(Level::Forward, writer, reader).is_empty(),
            expect.is_empty(),
            "{about}, forward"
        );
    }
}

#[test]
fn what_is_told_is_bounded() {
    let fields = |kind: &str| {
        let field = |i: usize| format!(r#"{{"name":"f{i}","type":"{kind}"}}"#);
        record(&(0..20_000).map(field).collect::<Vec<_>>().join(","))
    };
    assert_eq!(messages(Level::Backward, &fields("string"), &fields("int")).len(), 100);
    let symbols = |prefix: &str| {
        let symbols: Vec<String> = (0..20_000).map(|i| format!("\"{prefix}{i}\"")).collect();
        format!(r#"{{"type":"enum","name":"E","symbols":[{}]}}"#, symbols.join(","))
    };
    let found = messages(Level::Backward, &symbols("A"), &symbols("B"));
    assert!(found.len() == 1 && found[0].len() < 2000, "{}", found[0]);
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
