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

/// Country, address in another namespace, person in a third; their subjects.
fn three_levels(c: &Context) -> Result<[String; 3]> {
    let [country, address, person] = ["country", "address", "person"].map(|hint| c.subject(hint));
    c.register(&country, &json!({ "type": "enum", "name": "geo.codes.Country", "symbols": ["PL", "FR"] }))?;
    let fields = json!([{ "name": "in", "type": "geo.codes.Country" }]);
    let schema = json!({ "type": "record", "name": "Address", "namespace": "q", "fields": fields });
    register(c, &address, &schema, &[("geo.codes.Country", &country, 1)])?.ok()?;
    let fields = json!([{ "name": "home", "type": "q.Address" }, { "name": "work", "type": "q.Address" }]);
    let schema = json!({ "type": "record", "name": "shop.Person", "fields": fields });
    register(c, &person, &schema, &[("q.Address", &address, 1)])?.ok()?;
    Ok([country, address, person])
}

fn register(c: &Context, subject: &str, schema: &Value, refers: &[(&str, &str, i32)]) -> Result<Answer> {
    let reference = |(name, subject, version): &(&str, &str, i32)| json!({ "name": name, "subject": subject, "version": version });
    let references: Vec<Value> = refers.iter().map(reference).collect();
    let body = json!({ "schema": schema.to_string(), "references": references });
    c.post(&format!("/subjects/{subject}/versions"), &body)
}

pub(super) fn references_go_over_namespaces_and_several_levels(c: &Context) -> Result<()> {
    let [_, address, person] = three_levels(c)?;
    let found = c.get(&format!("/subjects/{person}/versions/latest"))?.ok()?;
    let expect = json!([{ "name": "q.Address", "subject": address, "version": 1 }]);
    ensure!(found["references"] == expect, "{found}");
    Ok(())
}

pub(super) fn a_reference_to_minus_1_is_the_latest_version_of_then(c: &Context) -> Result<()> {
    let (address, person) = (address(c, &json!([]))?, c.subject("person"));
    let schema = json!({ "type": "record", "name": "shop.Person", "fields": [{ "name": "home", "type": "q.Address" }] });
    register(c, &person, &schema, &[("q.Address", &address, -1)])?.ok()?;
    let zip = json!([{ "name": "zip", "type": "string", "default": "" }]);
    c.register(&address, &json!({ "type": "record", "name": "q.Address", "fields": zip }))?;
    let found = c.get(&format!("/subjects/{person}/versions/latest"))?.ok()?;
    ensure!(found["references"][0]["version"] == 1, "{found}");
    Ok(())
}

pub(super) fn each_level_of_references_stays(c: &Context) -> Result<()> {
    let [country, address, person] = three_levels(c)?;
    for subject in [&country, &address] {
        c.delete(&format!("/subjects/{subject}"))?.refused(422, 42206)?;
    }
    for subject in [&person, &address, &country] {
        c.delete(&format!("/subjects/{subject}"))?.ok()?;
        c.delete(&format!("/subjects/{subject}?permanent=true"))?.ok()?;
    }
    Ok(())
}

pub(super) fn a_deleted_referrer_holds_back_permanent_deletion(c: &Context) -> Result<()> {
    let (address, subject) = (address(c, &json!([]))?, c.subject("order"));
    let id = order(c, &subject, &address, 1)?.ok()?["id"].clone();
    for subject in [&subject, &address] {
        c.delete(&format!("/subjects/{subject}"))?.ok()?;
    }
    for (query, expect) in [("", json!([])), ("?deleted=true", json!([id]))] {
        let by = c.get(&format!("/subjects/{address}/versions/1/referencedby{query}"))?.ok()?;
        ensure!(by == expect, "{query}: {by}");
    }
    c.delete(&format!("/subjects/{address}?permanent=true"))?.refused(422, 42206)?;
    for subject in [&subject, &address] {
        c.delete(&format!("/subjects/{subject}?permanent=true"))?.ok()?;
    }
    Ok(())
}

pub(super) fn a_reference_to_a_deleted_version_is_42201(c: &Context) -> Result<()> {
    let (address, subject) = (address(c, &json!([]))?, c.subject("order"));
    c.delete(&format!("/subjects/{address}"))?.ok()?;
    order(c, &subject, &address, 1)?.refused(422, 42201)
}
