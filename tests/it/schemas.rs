//! The registry gives a schema one ID, gives it back by that ID, and refuses what existing readers could not read.

use anyhow::{Context, Result, ensure};
use quadrille_tests::http::Http;
use quadrille_tests::{Cluster, Promise, promise};
use reqwest::Method;
use serde_json::{Value, json};

pub(crate) fn promises() -> Vec<Promise> {
    vec![
        promise!(on_registry, register_and_look_up),
        promise!(on_registry, an_incompatible_schema_is_refused),
    ]
}

fn order_schema(extra_field: Option<Value>) -> Value {
    let mut fields = vec![json!({"name": "id", "type": "string"})];
    fields.extend(extra_field);
    json!({"type": "record", "name": "Order", "namespace": "shop", "fields": fields})
}

fn register(http: &Http, cluster: &Cluster, subject: &str, schema: &Value) -> Result<(u16, Value)> {
    let url = format!("{}/subjects/{subject}/versions", cluster.registry_url());
    let (status, body) = http.send(Method::POST, &url, Some(&json!({"schema": schema.to_string()})))?;
    Ok((status, serde_json::from_str(&body).with_context(|| body.clone())?))
}

fn get(http: &Http, cluster: &Cluster, path: &str) -> Result<Value> {
    let (status, body) = http.get(&format!("{}{path}", cluster.registry_url()))?;
    ensure!(status == 200, "GET {path}: {status} {body}");
    Ok(serde_json::from_str(&body)?)
}

fn schema_in(answer: &Value) -> Result<Value> {
    Ok(serde_json::from_str(answer["schema"].as_str().context("no schema in the answer")?)?)
}

fn register_and_look_up(cluster: &Cluster) -> Result<()> {
    let http = Http::new()?;
    let (subject, other) = (cluster.unique("order-value"), cluster.unique("copy-value"));
    let schema = order_schema(None);

    let (status, first) = register(&http, cluster, &subject, &schema)?;
    ensure!(status == 200 && first["id"].is_u64(), "{status} {first}");
    let (_, again) = register(&http, cluster, &subject, &schema)?;
    let (_, elsewhere) = register(&http, cluster, &other, &schema)?;
    ensure!(again["id"] == first["id"] && elsewhere["id"] == first["id"], "{first} {again} {elsewhere}");

    let by_id = get(&http, cluster, &format!("/schemas/ids/{}", first["id"]))?;
    ensure!(schema_in(&by_id)? == schema, "{by_id}");
    let latest = get(&http, cluster, &format!("/subjects/{subject}/versions/latest"))?;
    ensure!(
        latest["version"] == 1 && latest["id"] == first["id"] && schema_in(&latest)? == schema,
        "{latest}"
    );

    let (status, body) = http.get(&format!("{}/schemas/ids/2000000000", cluster.registry_url()))?;
    let missing: Value = serde_json::from_str(&body)?;
    ensure!(status == 404 && missing["error_code"] == 40403, "{status} {missing}");
    Ok(())
}

fn an_incompatible_schema_is_refused(cluster: &Cluster) -> Result<()> {
    let http = Http::new()?;
    let subject = cluster.unique("order-value");
    register(&http, cluster, &subject, &order_schema(None))?;

    let needed = order_schema(Some(json!({"name": "amount", "type": "long"})));
    let (status, refusal) = register(&http, cluster, &subject, &needed)?;
    ensure!(status == 409 && refusal["error_code"] == 409, "{status} {refusal}");

    let with_default = order_schema(Some(json!({"name": "amount", "type": "long", "default": 0})));
    let (status, second) = register(&http, cluster, &subject, &with_default)?;
    ensure!(status == 200, "{status} {second}");
    let latest = get(&http, cluster, &format!("/subjects/{subject}/versions/latest"))?;
    ensure!(latest["version"] == 2 && latest["id"] == second["id"], "{latest}");
    Ok(())
}
