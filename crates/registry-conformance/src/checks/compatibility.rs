//! Levels, and testing without registering.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::context::{Context, ints, record, unique};

fn test(c: &Context, subject: &str, version: &str, schema: &Value) -> Result<bool> {
    let path = format!("/compatibility/subjects/{subject}/versions{version}");
    let answer = c.post(&path, &json!({ "schema": schema.to_string() }))?.ok()?;
    answer["is_compatible"].as_bool().with_context(|| answer.to_string())
}

pub(super) fn backward_is_the_default_level(c: &Context) -> Result<()> {
    let subject = c.subject("s");
    c.register(&subject, &ints(&["a"]))?;
    c.try_register(&subject, &ints(&["a", "b"]))?.refused(409, 409)?;
    c.register(&subject, &ints(&[])).map(drop)
}

pub(super) fn an_incompatible_schema_is_409_and_names_the_rule(c: &Context) -> Result<()> {
    let subject = c.subject("s");
    c.register(&subject, &ints(&["a"]))?;
    let answer = c.try_register(&subject, &ints(&["a", "added"]))?;
    answer.refused(409, 409)?;
    let message = answer.body["message"].as_str().unwrap_or_default();
    ensure!(message.contains("/fields/1") || message.contains("added"), "{message}");
    Ok(())
}

pub(super) fn each_level_takes_and_refuses_what_it_must(c: &Context) -> Result<()> {
    // (level, dropping a field, adding one, adding one with a default)
    for (level, drops, adds, adds_default) in [
        ("BACKWARD", true, false, true),
        ("FORWARD", false, true, true),
        ("FULL", false, false, true),
        ("NONE", true, true, true),
    ] {
        for (fields, accepted) in [(vec![], drops), (vec!["a", "b"], adds), (vec!["a", "b?"], adds_default)] {
            let subject = c.subject("s");
            c.register(&subject, &ints(&["a"]))?;
            c.level(&subject, level)?;
            let answer = c.try_register(&subject, &ints(&fields))?;
            ensure!(
                (answer.status == 200) == accepted,
                "{level} {fields:?}: {} {}",
                answer.status,
                answer.body
            );
        }
    }
    Ok(())
}

pub(super) fn transitive_levels_look_at_every_version(c: &Context) -> Result<()> {
    for (level, versions, last, accepted) in [
        ("BACKWARD", [vec!["a"], vec!["a", "b?"]], vec!["b"], true),
        ("BACKWARD_TRANSITIVE", [vec!["a"], vec!["a", "b?"]], vec!["b"], false),
        ("FORWARD", [vec!["a"], vec!["a?"]], vec![], true),
        ("FORWARD_TRANSITIVE", [vec!["a"], vec!["a?"]], vec![], false),
        ("FULL_TRANSITIVE", [vec!["a"], vec!["a", "b?"]], vec!["a", "b?", "c?"], true),
    ] {
        let subject = c.subject("s");
        c.level_for_new(&subject, level, &versions)?;
        let answer = c.try_register(&subject, &ints(&last))?;
        ensure!((answer.status == 200) == accepted, "{level}: {} {}", answer.status, answer.body);
    }
    Ok(())
}

impl Context {
    fn level_for_new(&self, subject: &str, level: &str, versions: &[Vec<&str>]) -> Result<()> {
        for version in versions {
            self.register(subject, &ints(version))?;
        }
        self.level(subject, level)
    }
}

pub(super) fn a_schema_is_tested_without_being_registered(c: &Context) -> Result<()> {
    let subject = c.subject("s");
    c.register(&subject, &ints(&["a"]))?;
    for version in ["", "/latest", "/1"] {
        ensure!(test(c, &subject, version, &ints(&["a", "b?"]))?, "good against {version:?}");
        ensure!(!test(c, &subject, version, &ints(&["a", "b"]))?, "bad against {version:?}");
    }
    // The Python client writes its flags like this.
    let path = format!("/compatibility/subjects/{subject}/versions/latest?normalize=False&verbose=False");
    c.post(&path, &json!({ "schema": ints(&["a"]).to_string() }))?.ok()?;
    let versions = c.get(&format!("/subjects/{subject}/versions"))?.ok()?;
    ensure!(versions == json!([1]), "{versions}");
    Ok(())
}

pub(super) fn verbose_messages_name_the_field(c: &Context) -> Result<()> {
    let subject = c.subject("s");
    c.register(&subject, &ints(&["a"]))?;
    let path = format!("/compatibility/subjects/{subject}/versions/latest?verbose=true");
    let answer = c.post(&path, &json!({ "schema": ints(&["a", "added"]).to_string() }))?.ok()?;
    let messages = answer["messages"].to_string();
    ensure!(
        messages.contains("added") && messages.contains("READER_FIELD_MISSING_DEFAULT_VALUE"),
        "{answer}"
    );
    Ok(())
}

pub(super) fn testing_against_an_unknown_version_is_40402(c: &Context) -> Result<()> {
    let (subject, schema) = (c.subject("s"), unique(c));
    c.register(&subject, &schema)?;
    for subject in [subject, c.subject("unknown")] {
        let path = format!("/compatibility/subjects/{subject}/versions/7");
        c.post(&path, &json!({ "schema": schema.to_string() }))?.refused(404, 40402)?;
    }
    Ok(())
}

pub(super) fn anything_may_follow_nothing(c: &Context) -> Result<()> {
    let unknown = c.subject("unknown");
    for version in ["", "/latest", "/-1"] {
        ensure!(test(c, &unknown, version, &unique(c))?, "{version:?}");
    }
    Ok(())
}

pub(super) fn a_schema_that_is_none_is_42201_or_told_in_the_messages(c: &Context) -> Result<()> {
    let subject = c.subject("s");
    c.register(&subject, &unique(c))?;
    let body = json!({ "schema": r#"{"type":"recor"}"# });
    for version in ["", "/latest"] {
        let path = format!("/compatibility/subjects/{subject}/versions{version}");
        c.post(&path, &body)?.refused(422, 42201)?;
        let told = c.post(&format!("{path}?verbose=true"), &body)?.ok()?;
        let messages = told["messages"].as_array().context("no messages")?;
        ensure!(told["is_compatible"] == false && !messages.is_empty(), "{told}");
    }
    Ok(())
}

pub(super) fn messages_tell_path_reader_version_and_level(c: &Context) -> Result<()> {
    let nested = |inner: &[&str]| {
        let mut inner = ints(inner);
        inner["name"] = json!("Inner");
        record("Outer", &json!([{ "name": "to", "type": inner }]))
    };
    let subject = c.subject("s");
    c.register(&subject, &nested(&["a"]))?;
    for (level, fields, reader, path) in [
        ("BACKWARD", &["a", "b"][..], "in the new schema", "/fields/0/type/fields/1"),
        ("FORWARD", &[][..], "in the old schema", "/fields/0/type/fields/0"),
    ] {
        c.level(&subject, level)?;
        let url = format!("/compatibility/subjects/{subject}/versions?verbose=true");
        let answer = c.post(&url, &json!({ "schema": nested(fields).to_string() }))?.ok()?;
        let messages = answer["messages"].to_string();
        for part in [reader, path, "oldSchemaVersion: 1", &format!("compatibility: '{level}'")] {
            ensure!(messages.contains(part), "{level}: no {part:?} in {messages}");
        }
    }
    Ok(())
}

pub(super) fn none_takes_another_type_altogether(c: &Context) -> Result<()> {
    let subject = c.subject("s");
    c.register(&subject, &ints(&["a"]))?;
    c.level(&subject, "NONE")?;
    ensure!(test(c, &subject, "/latest", &json!("string"))?);
    c.register(&subject, &json!("string")).map(drop)
}

pub(super) fn the_rules_of_schema_resolution_decide(c: &Context) -> Result<()> {
    let enumeration = |symbols: &[&str]| json!({ "type": "enum", "name": "E", "symbols": symbols });
    let with_default = json!({ "type": "enum", "name": "E", "symbols": ["A"], "default": "A" });
    let fixed = |size: u32| json!({ "type": "fixed", "name": "F", "size": size });
    let tree = |value: &str| {
        let fields = json!([{ "name": "next", "type": ["null", "shop.T"] }, { "name": "v", "type": value }]);
        record("T", &fields)
    };
    let field = |name: &str, aliases: Value| {
        record("R", &json!([{ "name": name, "type": "int", "aliases": aliases }]))
    };
    for (about, old, new, fits) in [
        ("a field by its alias", field("a", json!([])), field("b", json!(["a"])), true),
        ("an enum with a default", enumeration(&["A", "B"]), with_default, true),
        ("an enum without one", enumeration(&["A", "B"]), enumeration(&["A"]), false),
        ("fixed of one size", fixed(4), fixed(4), true),
        ("fixed of two sizes", fixed(4), fixed(5), false),
        ("a union taken apart", json!(["int", "long"]), json!("long"), true),
        ("a union that may be null", json!(["null", "long"]), json!("long"), false),
        ("a type put into a union", json!("int"), json!(["null", "double"]), true),
        ("a recursive record widened", tree("int"), tree("long"), true),
        ("a recursive record changed", tree("int"), tree("string"), false),
    ] {
        let subject = c.subject("s");
        c.register(&subject, &old)?;
        ensure!(test(c, &subject, "/latest", &new)? == fits, "{about}: {new} after {old}");
    }
    Ok(())
}

pub(super) fn widening_a_type_is_compatible_and_narrowing_is_not(c: &Context) -> Result<()> {
    let typed = |kind: &str| record("T", &json!([{ "name": "v", "type": kind }]));
    let subject = c.subject("s");
    c.register(&subject, &typed("long"))?;
    ensure!(test(c, &subject, "/latest", &typed("double"))?);
    ensure!(!test(c, &subject, "/latest", &typed("int"))?);
    ensure!(!test(c, &subject, "/latest", &typed("string"))?);
    Ok(())
}

pub(super) fn symbols_and_branches_may_be_added_for_backward(c: &Context) -> Result<()> {
    let symbols = |symbols: &[&str]| json!({ "type": "enum", "name": "E", "symbols": symbols });
    let typed = |kind: Value| record("T", &json!([{ "name": "v", "type": kind }]));
    for (narrow, wide) in
        [(symbols(&["A"]), symbols(&["A", "B"])), (json!(["null", "int"]), json!(["null", "int", "string"]))]
    {
        let (narrow, wide) = (typed(narrow), typed(wide));
        let (from_narrow, from_wide) = (c.subject("s"), c.subject("s"));
        c.register(&from_narrow, &narrow)?;
        c.register(&from_wide, &wide)?;
        ensure!(test(c, &from_narrow, "/latest", &wide)?, "{wide} after {narrow}");
        ensure!(!test(c, &from_wide, "/latest", &narrow)?, "{narrow} after {wide}");
    }
    Ok(())
}
