//! Levels and modes as settings.

use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use crate::context::{Context, ints, unique};

pub(super) fn a_subject_has_its_own_level_until_it_is_deleted(c: &Context) -> Result<()> {
    let subject = c.subject("s");
    c.register(&subject, &ints(&["a"]))?;
    for (name, _) in [("FULL", 0), ("BACKWARD_TRANSITIVE", 0), ("FORWARD_TRANSITIVE", 0), ("NONE", 0)] {
        c.level(&subject, name)?;
        let level = c.get(&format!("/config/{subject}"))?.ok()?;
        ensure!(level["compatibilityLevel"] == name, "{level}");
    }
    c.register(&subject, &ints(&["a", "b"]))?;
    c.delete(&format!("/config/{subject}"))?.ok()?;
    c.try_register(&subject, &ints(&["a", "b", "c"]))?.refused(409, 409)
}

pub(super) fn a_subject_without_a_level_is_40408(c: &Context) -> Result<()> {
    let subject = c.subject("s");
    c.register(&subject, &unique(c))?;
    let global = c.get("/config")?.ok()?;
    let level = c.get(&format!("/config/{subject}?defaultToGlobal=true"))?.ok()?;
    ensure!(level == global, "{level}, but globally {global}");
    c.get(&format!("/config/{subject}"))?.refused(404, 40408)
}

pub(super) fn an_unknown_level_is_42203(c: &Context) -> Result<()> {
    let path = format!("/config/{}", c.subject("s"));
    c.put(&path, &json!({ "compatibility": "SOMETIMES" }))?.refused(422, 42203)
}

pub(super) fn the_global_level_is_read_and_set(c: &Context) -> Result<()> {
    let before = c.get("/config")?.ok()?;
    let set = c.put("/config", &json!({ "compatibility": "FULL" }))?.ok()?;
    let after = c.get("/config")?.ok()?;
    c.put("/config", &json!({ "compatibility": before["compatibilityLevel"] }))?.ok()?;
    ensure!(set["compatibility"] == "FULL" && after["compatibilityLevel"] == "FULL", "{set} {after}");
    Ok(())
}

pub(super) fn read_only_refuses_new_schemas_and_serves_old_ones(c: &Context) -> Result<()> {
    let subject = c.subject("s");
    let id = c.register(&subject, &ints(&["a"]))?;
    c.put(&format!("/mode/{subject}"), &json!({ "mode": "READONLY" }))?.ok()?;
    let mode = c.get(&format!("/mode/{subject}"))?.ok()?;
    ensure!(mode["mode"] == "READONLY", "{mode}");
    c.try_register(&subject, &ints(&["a", "b?"]))?.refused(422, 42205)?;
    c.delete(&format!("/subjects/{subject}"))?.refused(422, 42205)?;
    ensure!(c.get(&format!("/subjects/{subject}/versions/1"))?.ok()?["id"] == id);
    c.delete(&format!("/mode/{subject}"))?.ok()?;
    c.register(&subject, &ints(&["a", "b?"])).map(drop)
}

pub(super) fn an_unknown_mode_is_42204(c: &Context) -> Result<()> {
    c.put(&format!("/mode/{}", c.subject("s")), &json!({ "mode": "SOMETIMES" }))?.refused(422, 42204)
}

pub(super) fn read_only_closes_a_subjects_level_too(c: &Context) -> Result<()> {
    let subject = c.subject("s");
    c.put(&format!("/mode/{subject}"), &json!({ "mode": "READONLY" }))?.ok()?;
    let set = c.put(&format!("/config/{subject}"), &json!({ "compatibility": "NONE" }))?;
    c.delete(&format!("/mode/{subject}"))?.ok()?;
    set.refused(422, 42205)?;
    c.level(&subject, "NONE")
}

pub(super) fn removing_what_is_not_set_is_40401(c: &Context) -> Result<()> {
    let subject = c.subject("s");
    c.delete(&format!("/config/{subject}"))?.refused(404, 40401)?;
    c.delete(&format!("/mode/{subject}"))?.refused(404, 40401)
}

pub(super) fn removing_a_level_tells_it(c: &Context) -> Result<()> {
    let subject = c.subject("s");
    c.level(&subject, "FULL")?;
    let removed = c.delete(&format!("/config/{subject}"))?.ok()?;
    ensure!(removed["compatibilityLevel"] == "FULL", "{removed}");
    Ok(())
}

pub(super) fn a_subject_without_a_mode_is_40409(c: &Context) -> Result<()> {
    let subject = c.subject("s");
    c.register(&subject, &unique(c))?;
    let mode = c.get(&format!("/mode/{subject}?defaultToGlobal=true"))?.ok()?;
    ensure!(mode["mode"] == "READWRITE", "{mode}");
    c.get(&format!("/mode/{subject}"))?.refused(404, 40409)
}

pub(super) fn import_takes_ids_and_versions_as_they_are(c: &Context) -> Result<()> {
    let (subject, schema) = (c.subject("s"), unique(c));
    // Far from what is given by counting, and drawn as the subject's name is.
    let drawn = subject.rsplit('-').next().and_then(|hex| u64::from_str_radix(hex.get(..7)?, 16).ok());
    let id = 1_500_000_000 + drawn.context("the name of a subject ends with hexadecimal digits")?;
    let body = json!({ "schema": schema.to_string(), "id": id, "version": 5 });
    let path = format!("/subjects/{subject}/versions");
    c.post(&path, &body)?.refused(422, 42205)?;
    c.put(&format!("/mode/{subject}"), &json!({ "mode": "IMPORT" }))?.ok()?;
    ensure!(c.post(&path, &body)?.ok()?["id"] == id);
    let found = c.get(&format!("/subjects/{subject}/versions/5"))?.ok()?;
    ensure!(found["id"] == id, "{found}");
    let other = json!({ "schema": unique(c).to_string(), "id": id, "version": 6 });
    c.post(&path, &other)?.refused(422, 42205)?;
    c.put(&format!("/mode/{subject}"), &json!({ "mode": "READWRITE" }))?.ok().map(drop)
}

pub(super) fn import_is_for_empty_subjects_or_by_force(c: &Context) -> Result<()> {
    let subject = c.subject("s");
    c.register(&subject, &unique(c))?;
    let import = json!({ "mode": "IMPORT" });
    c.put(&format!("/mode/{subject}"), &import)?.refused(422, 42205)?;
    c.put(&format!("/mode/{subject}?force=true"), &import)?.ok()?;
    c.delete(&format!("/mode/{subject}"))?.ok().map(drop)
}
