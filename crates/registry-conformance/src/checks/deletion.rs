//! Soft and permanent deletion.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::context::{Answer, Context, ints, unique};

fn two_versions(c: &Context) -> Result<(String, u64)> {
    let subject = c.subject("s");
    let id = c.register(&subject, &ints(&["a"]))?;
    c.register(&subject, &ints(&["a", "b?"]))?;
    Ok((subject, id))
}

fn versions(c: &Context, subject: &str, query: &str) -> Result<Value> {
    c.get(&format!("/subjects/{subject}/versions{query}"))?.ok()
}

/// Checks the code alone: for some refusals the HTTP status differs between registries.
fn code(answer: &Answer, code: u64) -> Result<()> {
    ensure!(answer.status >= 400 && answer.body["error_code"] == code, "{} {}", answer.status, answer.body);
    Ok(())
}

pub(super) fn a_soft_deleted_version_is_hidden_and_its_id_still_works(c: &Context) -> Result<()> {
    let (subject, id) = two_versions(c)?;
    ensure!(c.delete(&format!("/subjects/{subject}/versions/1"))?.ok()? == json!(1));
    ensure!(versions(c, &subject, "")? == json!([2]));
    ensure!(versions(c, &subject, "?deleted=true")? == json!([1, 2]));
    c.get(&format!("/subjects/{subject}/versions/1"))?.refused(404, 40402)?;
    let found = c.get(&format!("/subjects/{subject}/versions/1?deleted=true"))?.ok()?;
    ensure!(found["id"] == id, "{found}");
    c.get(&format!("/schemas/ids/{id}"))?.ok().map(drop)
}

pub(super) fn a_new_version_after_a_deletion_has_a_new_number(c: &Context) -> Result<()> {
    let (subject, _) = two_versions(c)?;
    c.delete(&format!("/subjects/{subject}/versions/latest"))?.ok()?;
    c.register(&subject, &ints(&["a", "c?"]))?;
    ensure!(versions(c, &subject, "")? == json!([1, 3]));
    Ok(())
}

pub(super) fn permanent_deletion_comes_second(c: &Context) -> Result<()> {
    let (subject, _) = two_versions(c)?;
    code(&c.delete(&format!("/subjects/{subject}?permanent=true"))?, 40405)?;
    ensure!(c.delete(&format!("/subjects/{subject}"))?.ok()? == json!([1, 2]));
    ensure!(c.delete(&format!("/subjects/{subject}?permanent=true"))?.ok()? == json!([1, 2]));
    c.get(&format!("/subjects/{subject}/versions?deleted=true"))?.refused(404, 40401)
}

pub(super) fn deleting_a_version_permanently_before_softly_is_40407(c: &Context) -> Result<()> {
    let (subject, _) = two_versions(c)?;
    code(&c.delete(&format!("/subjects/{subject}/versions/1?permanent=true"))?, 40407)?;
    c.delete(&format!("/subjects/{subject}/versions/1"))?.ok()?;
    c.delete(&format!("/subjects/{subject}/versions/1?permanent=true"))?.ok()?;
    ensure!(versions(c, &subject, "?deleted=true")? == json!([2]));
    Ok(())
}

pub(super) fn deleting_twice_has_its_codes(c: &Context) -> Result<()> {
    let (subject, _) = two_versions(c)?;
    c.delete(&format!("/subjects/{subject}/versions/1"))?.ok()?;
    code(&c.delete(&format!("/subjects/{subject}/versions/1"))?, 40406)?;
    c.delete(&format!("/subjects/{subject}"))?.ok()?;
    code(&c.delete(&format!("/subjects/{subject}"))?, 40404)
}

pub(super) fn deleted_subjects_are_listed_on_demand(c: &Context) -> Result<()> {
    let (subject, _) = two_versions(c)?;
    c.delete(&format!("/subjects/{subject}"))?.ok()?;
    for (query, listed) in [("", false), ("?deleted=true", true)] {
        let subjects = c.get(&format!("/subjects{query}"))?.ok()?;
        let found = subjects.as_array().context("no list")?.contains(&json!(subject));
        ensure!(found == listed, "{query}: {found}");
    }
    Ok(())
}

pub(super) fn a_deleted_schema_that_comes_back_has_its_id_and_a_new_version(c: &Context) -> Result<()> {
    let (subject, id) = two_versions(c)?;
    c.delete(&format!("/subjects/{subject}/versions/1"))?.ok()?;
    c.level(&subject, "NONE")?;
    ensure!(c.register(&subject, &ints(&["a"]))? == id);
    ensure!(versions(c, &subject, "")? == json!([2, 3]));
    ensure!(versions(c, &subject, "?deleted=true")? == json!([2, 3]), "the deleted version is replaced");
    Ok(())
}

pub(super) fn deleted_versions_alone_are_listed_on_demand(c: &Context) -> Result<()> {
    let (subject, _) = two_versions(c)?;
    ensure!(versions(c, &subject, "?deletedOnly=true")? == json!([]));
    c.delete(&format!("/subjects/{subject}/versions/1"))?.ok()?;
    ensure!(versions(c, &subject, "?deletedOnly=true")? == json!([1]));
    Ok(())
}

pub(super) fn latest_is_never_a_deleted_version(c: &Context) -> Result<()> {
    let (subject, id) = two_versions(c)?;
    c.delete(&format!("/subjects/{subject}/versions/2"))?.ok()?;
    for query in ["", "?deleted=true"] {
        let found = c.get(&format!("/subjects/{subject}/versions/latest{query}"))?.ok()?;
        ensure!(found["version"] == 1 && found["id"] == id, "{query}: {found}");
    }
    Ok(())
}

pub(super) fn an_id_tells_its_deleted_versions_on_demand(c: &Context) -> Result<()> {
    let subject = c.subject("s");
    let id = c.register(&subject, &unique(c))?;
    c.delete(&format!("/subjects/{subject}"))?.ok()?;
    for (query, expect) in [("", json!([])), ("?deleted=true", json!([{ "subject": subject, "version": 1 }]))]
    {
        let found = c.get(&format!("/schemas/ids/{id}/versions{query}"))?.ok()?;
        ensure!(found == expect, "{query}: {found}");
    }
    Ok(())
}

pub(super) fn what_is_gone_for_good_is_40403(c: &Context) -> Result<()> {
    let subject = c.subject("s");
    let id = c.register(&subject, &unique(c))?;
    c.delete(&format!("/subjects/{subject}"))?.ok()?;
    c.get(&format!("/schemas/ids/{id}"))?.ok()?;
    c.delete(&format!("/subjects/{subject}?permanent=true"))?.ok()?;
    c.get(&format!("/schemas/ids/{id}"))?.refused(404, 40403)
}

pub(super) fn a_subjects_level_goes_with_it(c: &Context) -> Result<()> {
    let (subject, _) = two_versions(c)?;
    c.level(&subject, "NONE")?;
    c.delete(&format!("/subjects/{subject}"))?.ok()?;
    c.delete(&format!("/subjects/{subject}?permanent=true"))?.ok()?;
    c.get(&format!("/config/{subject}"))?.refused(404, 40408)
}
