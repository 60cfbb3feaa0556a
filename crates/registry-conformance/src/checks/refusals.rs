//! Error codes.

use anyhow::{Result, ensure};
use serde_json::json;

use crate::context::{Context, unique};

pub(super) fn unknown_ids_subjects_and_versions_have_their_codes(c: &Context) -> Result<()> {
    let (subject, unknown) = (c.subject("s"), c.subject("unknown"));
    c.register(&subject, &unique(c))?;
    c.get("/schemas/ids/2000000000")?.refused(404, 40403)?;
    c.get(&format!("/subjects/{unknown}/versions"))?.refused(404, 40401)?;
    c.get(&format!("/subjects/{unknown}/versions/1"))?.refused(404, 40401)?;
    c.get(&format!("/subjects/{subject}/versions/7"))?.refused(404, 40402)?;
    c.delete(&format!("/subjects/{unknown}"))?.refused(404, 40401)?;
    c.delete(&format!("/subjects/{subject}/versions/7"))?.refused(404, 40402)
}

pub(super) fn an_invalid_schema_is_42201(c: &Context) -> Result<()> {
    let path = format!("/subjects/{}/versions", c.subject("s"));
    for text in
        [r#"{"type":"recor"}"#, r#"{"type":"record","name":"R","fields":[{"name":"a","type":"q.Missing"}]}"#]
    {
        c.post(&path, &json!({ "schema": text }))?.refused(422, 42201)?;
    }
    Ok(())
}

pub(super) fn an_unknown_schema_type_is_42201(c: &Context) -> Result<()> {
    let body = json!({ "schema": "{}", "schemaType": "THRIFT" });
    c.post(&format!("/subjects/{}/versions", c.subject("s")), &body)?.refused(422, 42201)
}

pub(super) fn invalid_versions_are_42202(c: &Context) -> Result<()> {
    let subject = c.subject("s");
    c.register(&subject, &unique(c))?;
    for version in ["0", "abc", "-2", "99999999999"] {
        c.get(&format!("/subjects/{subject}/versions/{version}"))?.refused(422, 42202)?;
    }
    Ok(())
}

pub(super) fn a_body_that_is_no_json_is_400(c: &Context) -> Result<()> {
    let path = format!("/subjects/{}/versions", c.subject("s"));
    for body in ["{\"schema\": ", "{]", &"[".repeat(100_000)] {
        let answer = c.send("POST", &path, "application/vnd.schemaregistry.v1+json", body)?;
        ensure!(answer.status == 400, "{} {}", answer.status, answer.body);
    }
    Ok(())
}

pub(super) fn an_empty_body_is_422(c: &Context) -> Result<()> {
    let path = format!("/subjects/{}/versions", c.subject("s"));
    for body in ["", "{}"] {
        let answer = c.send("POST", &path, "application/vnd.schemaregistry.v1+json", body)?;
        ensure!(answer.status == 422, "{} {}", answer.status, answer.body);
    }
    Ok(())
}

pub(super) fn another_method_is_405(c: &Context) -> Result<()> {
    let answer = c.put("/subjects", &json!({}))?;
    ensure!(answer.status == 405, "{} {}", answer.status, answer.body);
    Ok(())
}

pub(super) fn reserved_names_are_42208(c: &Context) -> Result<()> {
    for subject in ["__GLOBAL", "__EMPTY", "a%0Ab"] {
        c.try_register(subject, &unique(c))?.refused(422, 42208)?;
        c.put(&format!("/config/{subject}"), &json!({ "compatibility": "FULL" }))?.refused(422, 42208)?;
    }
    Ok(())
}

pub(super) fn refusals_say_what_is_wrong(c: &Context) -> Result<()> {
    let unknown = c.subject("unknown");
    let answer = c.get(&format!("/subjects/{unknown}/versions"))?;
    ensure!(answer.body["message"].as_str().is_some_and(|m| m.contains(&unknown)), "{}", answer.body);
    let fields = json!([{ "name": "a", "type": "q.Missing" }]);
    let schema = json!({ "type": "record", "name": "R", "fields": fields });
    let answer = c.try_register(&unknown, &schema)?;
    ensure!(answer.body["message"].as_str().is_some_and(|m| m.contains("q.Missing")), "{}", answer.body);
    Ok(())
}
