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

pub(super) fn testing_against_an_unknown_subject_is_40401(c: &Context) -> Result<()> {
    let path = format!("/compatibility/subjects/{}/versions/1", c.subject("unknown"));
    c.post(&path, &json!({ "schema": unique(c).to_string() }))?.refused(404, 40401)
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
