//! Schemas that use types of other schemas.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::context::{Answer, Context};

fn address(c: &Context, fields: &Value) -> Result<String> {
    let subject = c.subject("address");
    c.register(&subject, &json!({ "type": "record", "name": "q.Address", "fields": fields }))?;
    Ok(subject)
}

fn order(c: &Context, subject: &str, address: &str, version: u32) -> Result<Answer> {
    let fields = json!([{ "name": "to", "type": "q.Address" }, { "name": "from", "type": "q.Address" }]);
    let schema = json!({ "type": "record", "name": "shop.Order", "fields": fields });
    let references = json!([{ "name": "q.Address", "subject": address, "version": version }]);
    let body = json!({ "schema": schema.to_string(), "references": references });
    c.post(&format!("/subjects/{subject}/versions"), &body)
}

pub(super) fn a_reference_by_full_name_is_registered_and_served(c: &Context) -> Result<()> {
    let (address, subject) = (address(c, &json!([]))?, c.subject("order"));
    let id = order(c, &subject, &address, 1)?.ok()?["id"].clone();
    let expect = json!([{ "name": "q.Address", "subject": address, "version": 1 }]);
    for path in [format!("/schemas/ids/{id}"), format!("/subjects/{subject}/versions/1")] {
        let found = c.get(&path)?.ok()?;
        ensure!(found["references"] == expect, "{path}: {found}");
    }
    let by = c.get(&format!("/subjects/{address}/versions/1/referencedby"))?.ok()?;
    ensure!(by == json!([id]), "{by}");
    Ok(())
}

pub(super) fn a_missing_reference_is_42201(c: &Context) -> Result<()> {
    order(c, &c.subject("order"), &c.subject("unknown"), 1)?.refused(422, 42201)
}

pub(super) fn a_referenced_version_stays(c: &Context) -> Result<()> {
    let (address, subject) = (address(c, &json!([]))?, c.subject("order"));
    order(c, &subject, &address, 1)?.ok()?;
    c.delete(&format!("/subjects/{address}/versions/1"))?.refused(422, 42206)?;
    c.delete(&format!("/subjects/{subject}"))?.ok()?;
    Ok(())
}

pub(super) fn an_incompatible_change_in_a_reference_is_refused(c: &Context) -> Result<()> {
    let (address, subject) = (address(c, &json!([]))?, c.subject("order"));
    order(c, &subject, &address, 1)?.ok()?;
    c.level(&address, "NONE")?;
    let zip = json!([{ "name": "zip", "type": "string" }]);
    c.register(&address, &json!({ "type": "record", "name": "q.Address", "fields": zip }))?;
    order(c, &subject, &address, 2)?.refused(409, 409)
}
