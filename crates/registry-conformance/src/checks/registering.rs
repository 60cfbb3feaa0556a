//! Registering, looking up and listing.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::context::{Context, ints, record, unique};

pub(super) fn the_same_schema_has_the_same_id_under_all_subjects(c: &Context) -> Result<()> {
    let schema = unique(c);
    let (one, other) = (c.register(&c.subject("s"), &schema)?, c.register(&c.subject("s"), &schema)?);
    ensure!(one == other, "{one} and {other}");
    Ok(())
}

pub(super) fn registering_again_changes_nothing(c: &Context) -> Result<()> {
    let (subject, schema) = (c.subject("s"), unique(c));
    let ids = [c.register(&subject, &schema)?, c.register(&subject, &schema)?];
    ensure!(ids[0] == ids[1], "{ids:?}");
    let versions = c.get(&format!("/subjects/{subject}/versions"))?.ok()?;
    ensure!(versions == json!([1]), "{versions}");
    Ok(())
}

pub(super) fn white_space_and_the_order_of_attributes_make_no_difference(c: &Context) -> Result<()> {
    let (subject, path) = (c.subject("s"), |s: &str| format!("/subjects/{s}/versions"));
    let texts = [
        r#"{"type":"record","name":"W","fields":[{"name":"a","type":"int"}]}"#,
        "{ \"fields\": [ { \"type\": \"int\",\n\"name\": \"a\" } ], \"name\": \"W\", \"type\": \"record\" }",
    ];
    let mut ids = BTreeSet::new();
    for text in texts {
        ids.insert(c.post(&path(&subject), &json!({ "schema": text }))?.ok()?["id"].to_string());
    }
    ensure!(ids.len() == 1, "{ids:?}");
    Ok(())
}

pub(super) fn documentation_makes_another_schema(c: &Context) -> Result<()> {
    let (subject, mut schema) = (c.subject("s"), unique(c));
    let before = c.register(&subject, &schema)?;
    schema["doc"] = json!("what it is for");
    ensure!(c.register(&subject, &schema)? != before);
    Ok(())
}

pub(super) fn versions_count_from_1_in_each_subject(c: &Context) -> Result<()> {
    for subject in [c.subject("s"), c.subject("t")] {
        c.register(&subject, &ints(&["a"]))?;
        c.register(&subject, &ints(&["a", "b?"]))?;
        let versions = c.get(&format!("/subjects/{subject}/versions"))?.ok()?;
        ensure!(versions == json!([1, 2]), "{versions}");
    }
    Ok(())
}

pub(super) fn latest_and_minus_1_are_the_newest_version(c: &Context) -> Result<()> {
    let subject = c.subject("s");
    c.register(&subject, &ints(&["a"]))?;
    let id = c.register(&subject, &ints(&["a", "b?"]))?;
    for version in ["latest", "-1", "2"] {
        let found = c.get(&format!("/subjects/{subject}/versions/{version}"))?.ok()?;
        ensure!(found["id"] == id && found["version"] == 2, "{version}: {found}");
    }
    Ok(())
}

pub(super) fn a_version_tells_subject_id_version_and_schema(c: &Context) -> Result<()> {
    let (subject, schema) = (c.subject("s"), unique(c));
    let id = c.register(&subject, &schema)?;
    let found = c.get(&format!("/subjects/{subject}/versions/1"))?.ok()?;
    ensure!(found["subject"] == subject && found["id"] == id && found["version"] == 1, "{found}");
    let text = found["schema"].as_str().context("no schema")?;
    ensure!(serde_json::from_str::<Value>(text)? == schema, "{text}");
    Ok(())
}

pub(super) fn the_bare_schema_is_served_by_version_and_by_id(c: &Context) -> Result<()> {
    let (subject, schema) = (c.subject("s"), unique(c));
    let id = c.register(&subject, &schema)?;
    for path in [format!("/subjects/{subject}/versions/1/schema"), format!("/schemas/ids/{id}/schema")] {
        let body = c.get(&path)?.ok()?;
        ensure!(body == schema, "{path}: {body}");
    }
    Ok(())
}

pub(super) fn a_schema_is_found_by_its_id(c: &Context) -> Result<()> {
    let schema = unique(c);
    let id = c.register(&c.subject("s"), &schema)?;
    let found = c.get(&format!("/schemas/ids/{id}"))?.ok()?;
    let text = found["schema"].as_str().context("no schema")?;
    ensure!(serde_json::from_str::<Value>(text)? == schema, "{text}");
    let kind = &found["schemaType"];
    ensure!(kind.is_null() || kind == "AVRO", "{found}");
    Ok(())
}

pub(super) fn an_id_tells_its_versions_and_subjects(c: &Context) -> Result<()> {
    let (one, other, schema) = (c.subject("a"), c.subject("b"), unique(c));
    let id = c.register(&one, &schema)?;
    c.register(&other, &schema)?;
    let subjects = c.get(&format!("/schemas/ids/{id}/subjects"))?.ok()?;
    let subjects: BTreeSet<&str> =
        subjects.as_array().context("no list")?.iter().filter_map(Value::as_str).collect();
    ensure!(subjects == BTreeSet::from([one.as_str(), other.as_str()]), "{subjects:?}");
    let versions = c.get(&format!("/schemas/ids/{id}/versions"))?.ok()?;
    let versions = versions.as_array().context("no list")?;
    ensure!(
        versions.len() == 2 && versions.contains(&json!({ "subject": one, "version": 1 })),
        "{versions:?}"
    );
    Ok(())
}

pub(super) fn a_schema_is_looked_up_under_its_subject(c: &Context) -> Result<()> {
    let (subject, schema) = (c.subject("s"), unique(c));
    let id = c.register(&subject, &schema)?;
    let body = json!({ "schema": schema.to_string() });
    let found = c.post(&format!("/subjects/{subject}"), &body)?.ok()?;
    ensure!(found["id"] == id && found["version"] == 1 && found["subject"] == subject, "{found}");
    let other = json!({ "schema": unique(c).to_string() });
    c.post(&format!("/subjects/{subject}"), &other)?.refused(404, 40403)?;
    c.post(&format!("/subjects/{}", c.subject("unknown")), &body)?.refused(404, 40401)
}

pub(super) fn subjects_are_listed(c: &Context) -> Result<()> {
    let subject = c.subject("s");
    c.register(&subject, &unique(c))?;
    let subjects = c.get("/subjects")?.ok()?;
    ensure!(subjects.as_array().context("no list")?.contains(&json!(subject)), "{subjects}");
    Ok(())
}

pub(super) fn subjects_are_listed_by_prefix(c: &Context) -> Result<()> {
    let subject = c.subject("s");
    c.register(&subject, &unique(c))?;
    let subjects = c.get(&format!("/subjects?subjectPrefix={subject}"))?.ok()?;
    ensure!(subjects == json!([subject]), "{subjects}");
    Ok(())
}

pub(super) fn subjects_with_slashes_and_spaces_work(c: &Context) -> Result<()> {
    let (subject, schema) = (c.subject("s"), unique(c));
    let id = c.register(&format!("a%2Fb%20c%3F{subject}"), &schema)?;
    let found = c.get(&format!("/subjects/a%2Fb%20c%3F{subject}/versions/1"))?.ok()?;
    ensure!(found["id"] == id && found["subject"] == format!("a/b c?{subject}"), "{found}");
    Ok(())
}

pub(super) fn answers_have_the_registrys_content_type(c: &Context) -> Result<()> {
    for path in ["/subjects", "/schemas/ids/2000000000"] {
        let answer = c.get(path)?;
        let known = answer.content_type.starts_with("application/vnd.schemaregistry.v1+json")
            || answer.content_type.starts_with("application/json");
        ensure!(known, "{path}: {}", answer.content_type);
    }
    Ok(())
}

pub(super) fn plain_json_is_taken_too(c: &Context) -> Result<()> {
    let body = json!({ "schema": unique(c).to_string(), "schemaType": "AVRO", "references": [] }).to_string();
    let path = format!("/subjects/{}/versions", c.subject("s"));
    c.send("POST", &path, "application/json; charset=utf-8", &body)?.ok().map(drop)
}

pub(super) fn avro_is_among_the_schema_types(c: &Context) -> Result<()> {
    let types = c.get("/schemas/types")?.ok()?;
    ensure!(types.as_array().context("no list")?.contains(&json!("AVRO")), "{types}");
    Ok(())
}

fn at_once(c: &Context, subject: &str, schemas: &[Value]) -> Result<Vec<u64>> {
    let path = format!("/subjects/{subject}/versions");
    let bodies: Vec<String> =
        schemas.iter().map(|s| json!({ "schema": s.to_string() }).to_string()).collect();
    std::thread::scope(|scope| {
        let clients: Vec<_> = bodies
            .iter()
            .map(|body| {
                scope.spawn(|| {
                    let own = Context::new(&c.base_url)?;
                    let answer = own.send("POST", &path, "application/json", body)?.ok()?;
                    answer["id"].as_u64().context("no id")
                })
            })
            .collect();
        clients.into_iter().map(|client| client.join().expect("a client panicked")).collect()
    })
}

pub(super) fn sixteen_clients_registering_one_schema_get_one_id(c: &Context) -> Result<()> {
    let subject = c.subject("s");
    let ids: BTreeSet<u64> = at_once(c, &subject, &vec![unique(c); 16])?.into_iter().collect();
    ensure!(ids.len() == 1, "{ids:?}");
    let versions = c.get(&format!("/subjects/{subject}/versions"))?.ok()?;
    ensure!(versions == json!([1]), "{versions}");
    Ok(())
}

pub(super) fn sixteen_schemas_at_once_are_versions_1_to_16(c: &Context) -> Result<()> {
    let subject = c.subject("s");
    let field = |i: usize| json!([{ "name": format!("f{i}"), "type": "int", "default": 0 }]);
    let schemas: Vec<Value> = (0..16).map(|i| record("Many", &field(i))).collect();
    let ids: BTreeSet<u64> = at_once(c, &subject, &schemas)?.into_iter().collect();
    ensure!(ids.len() == 16, "{ids:?}");
    let versions = c.get(&format!("/subjects/{subject}/versions"))?.ok()?;
    ensure!(versions == json!((1..=16).collect::<Vec<_>>()), "{versions}");
    Ok(())
}

pub(super) fn lists_are_served_in_pages(c: &Context) -> Result<()> {
    let subject = c.subject("s");
    for fields in [vec!["a"], vec!["a", "b?"], vec!["a", "b?", "c?"]] {
        c.register(&subject, &ints(&fields))?;
    }
    for (query, expect) in [
        ("?offset=1&limit=1", json!([2])),
        ("?offset=2", json!([3])),
        ("?offset=9", json!([])),
        ("?offset=0&limit=-1", json!([1, 2, 3])),
    ] {
        let versions = c.get(&format!("/subjects/{subject}/versions{query}"))?.ok()?;
        ensure!(versions == expect, "{query}: {versions}");
    }
    Ok(())
}

pub(super) fn schemas_are_listed_with_their_subjects(c: &Context) -> Result<()> {
    let (subject, schema) = (c.subject("s"), unique(c));
    let id = c.register(&subject, &schema)?;
    let mut second = schema;
    second["doc"] = json!("changed");
    let latest = c.register(&subject, &second)?;
    for (query, expect) in [("", vec![(id, 1), (latest, 2)]), ("&latestOnly=true", vec![(latest, 2)])] {
        let listed = c.get(&format!("/schemas?subjectPrefix={subject}{query}"))?.ok()?;
        let listed = listed.as_array().context("no list")?;
        let found =
            listed.iter().map(|s| (s["id"].as_u64().unwrap_or(0), s["version"].as_u64().unwrap_or(0)));
        ensure!(found.eq(expect), "{query}: {listed:?}");
        ensure!(listed.iter().all(|s| s["subject"] == subject && s["schema"].is_string()), "{listed:?}");
    }
    Ok(())
}

pub(super) fn an_id_is_asked_for_with_a_subject(c: &Context) -> Result<()> {
    let (one, other, schema) = (c.subject("a"), c.subject("b"), unique(c));
    let id = c.register(&one, &schema)?;
    c.level(&other, "NONE")?;
    c.register(&other, &ints(&["a"]))?;
    c.register(&other, &schema)?;
    for (subject, version) in [(&one, 1), (&other, 2)] {
        let found = c.get(&format!("/schemas/ids/{id}?subject={subject}"))?.ok()?;
        ensure!(found["subject"] == *subject && found["version"] == version, "{found}");
    }
    let found = c.get(&format!("/schemas/ids/{id}?subject={}", c.subject("unknown")))?.ok()?;
    ensure!(found["schema"].is_string(), "{found}");
    Ok(())
}

pub(super) fn parameters_that_change_nothing_here_are_taken(c: &Context) -> Result<()> {
    let (subject, schema) = (c.subject("s"), unique(c));
    let body = json!({ "schema": schema.to_string() });
    let path = format!("/subjects/{subject}/versions?normalize=false");
    let id = c.post(&path, &body)?.ok()?["id"].clone();
    for path in [
        format!("/schemas/ids/{id}?fetchMaxId=false&format="),
        format!("/subjects/{subject}/versions/latest?deleted=False&format="),
        "/subjects?deleted=False&deleted_only=False&offset=0&limit=-1".to_owned(),
    ] {
        c.get(&path)?.ok()?;
    }
    let found = c.post(&format!("/subjects/{subject}?normalize=False&deleted=False"), &body)?.ok()?;
    ensure!(found["id"] == id, "{found}");
    Ok(())
}

pub(super) fn normalized_schemas_may_differ_in_the_order_of_their_own_attributes(c: &Context) -> Result<()> {
    let subject = c.subject("s");
    let name = subject.replace('-', "");
    let texts = [
        format!(r#"{{"type":"record","name":"{name}","x":1,"y":{{"b":1,"a":2}},"fields":[]}}"#),
        format!(r#"{{"y":{{"a":2,"b":1}},"x":1,"type":"record","name":"{name}","fields":[]}}"#),
    ];
    let mut ids = BTreeSet::new();
    for text in texts {
        let path = format!("/subjects/{subject}/versions?normalize=true");
        ids.insert(c.post(&path, &json!({ "schema": text }))?.ok()?["id"].to_string());
    }
    ensure!(ids.len() == 1, "{ids:?}");
    Ok(())
}

pub(super) fn a_version_may_be_chosen_if_it_is_the_next(c: &Context) -> Result<()> {
    let (subject, schema) = (c.subject("s"), unique(c));
    let path = format!("/subjects/{subject}/versions");
    let body = |version: i32| json!({ "schema": schema.to_string(), "version": version, "id": -1 });
    c.post(&path, &body(2))?.refused(422, 42201)?;
    let id = c.post(&path, &body(1))?.ok()?["id"].clone();
    ensure!(c.post(&path, &body(1))?.ok()?["id"] == id && c.post(&path, &body(0))?.ok()?["id"] == id);
    Ok(())
}

pub(super) fn what_was_deleted_is_looked_up_on_demand(c: &Context) -> Result<()> {
    let (subject, schema) = (c.subject("s"), unique(c));
    let id = c.register(&subject, &schema)?;
    c.delete(&format!("/subjects/{subject}"))?.ok()?;
    let body = json!({ "schema": schema.to_string() });
    c.post(&format!("/subjects/{subject}"), &body)?.refused(404, 40401)?;
    let found = c.post(&format!("/subjects/{subject}?deleted=true"), &body)?.ok()?;
    ensure!(found["id"] == id && found["version"] == 1, "{found}");
    Ok(())
}

pub(super) fn contexts_and_metadata_are_told(c: &Context) -> Result<()> {
    let contexts = c.get("/contexts")?.ok()?;
    ensure!(contexts == json!([":.:"]), "{contexts}");
    let cluster = c.get("/v1/metadata/id")?.ok()?;
    ensure!(cluster["scope"]["clusters"]["schema-registry-cluster"].is_string(), "{cluster}");
    let version = c.get("/v1/metadata/version")?.ok()?;
    ensure!(version["version"].is_string(), "{version}");
    Ok(())
}
