//! Starting, stopping, what survives, and hostile requests.

mod killed;

use std::net::SocketAddr;
use std::path::Path;

use quadrille_registry::{Config, JournalError, Registry, StartError};
use serde_json::{Value, json};

async fn start(folder: &Path) -> Registry {
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    Registry::start(Config { listen, data: folder.to_owned() }).await.unwrap()
}

fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

async fn get(registry: &Registry, path: &str) -> Value {
    client().get(format!("{}{path}", registry.url())).send().await.unwrap().json().await.unwrap()
}

async fn send(registry: &Registry, method: &str, path: &str, body: &Value) -> Value {
    let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
    let request = client().request(method, format!("{}{path}", registry.url())).json(body);
    request.send().await.unwrap().json().await.unwrap()
}

async fn register(registry: &Registry, subject: &str, field: &str) -> u64 {
    let fields = json!([{ "name": field, "type": "int", "default": 0 }]);
    let schema = json!({ "type": "record", "name": "R", "fields": fields }).to_string();
    let answer =
        send(registry, "POST", &format!("/subjects/{subject}/versions"), &json!({ "schema": schema })).await;
    answer["id"].as_u64().unwrap_or_else(|| panic!("{answer}"))
}

#[tokio::test]
async fn a_restart_keeps_ids_versions_levels_modes_and_deletions() {
    let folder = tempfile::tempdir().unwrap();
    let registry = start(folder.path()).await;
    for field in ["a", "b", "c"] {
        register(&registry, "s", field).await;
    }
    register(&registry, "gone", "d").await;
    send(&registry, "DELETE", "/subjects/gone", &json!({})).await;
    send(&registry, "DELETE", "/subjects/gone?permanent=true", &json!({})).await;
    send(&registry, "DELETE", "/subjects/s/versions/2", &json!({})).await;
    send(&registry, "PUT", "/config/s", &json!({ "compatibility": "FULL" })).await;
    send(&registry, "PUT", "/mode/t", &json!({ "mode": "READONLY" })).await;
    let paths = [
        "/schemas?deleted=true",
        "/subjects/s/versions",
        "/subjects/s/versions?deleted=true",
        "/schemas/ids/2",
        "/schemas/ids/4",
        "/config/s",
        "/mode/t",
        "/subjects?deleted=true",
    ];
    let mut before = Vec::new();
    for path in paths {
        before.push(get(&registry, path).await);
    }
    registry.shutdown().await;

    let registry = start(folder.path()).await;
    for (path, before) in paths.iter().zip(before) {
        assert_eq!(get(&registry, path).await, before, "{path}");
    }
    assert_eq!(register(&registry, "s", "a").await, 1, "the same schema, the same id");
    assert_eq!(register(&registry, "u", "new").await, 5, "the id of what was deleted is not given again");
    registry.shutdown().await;
}

#[tokio::test]
async fn a_torn_tail_is_cut_and_the_next_registration_takes_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let registry = start(folder.path()).await;
    register(&registry, "s", "a").await;
    register(&registry, "s", "b").await;
    registry.shutdown().await;
    let journal = folder.path().join("schemas.journal");
    let whole = std::fs::read(&journal).unwrap();
    std::fs::write(&journal, &whole[..whole.len() - 7]).unwrap();

    let registry = start(folder.path()).await;
    assert_eq!(get(&registry, "/subjects/s/versions").await, json!([1]));
    assert_eq!(register(&registry, "s", "b").await, 2);
    registry.shutdown().await;
    assert_eq!(std::fs::read(&journal).unwrap(), whole);

    let mut damaged = whole.clone();
    damaged[100] ^= 1;
    std::fs::write(&journal, &damaged).unwrap();
    let config = Config { listen: ([127, 0, 0, 1], 0).into(), data: folder.path().to_owned() };
    let error = Registry::start(config).await.unwrap_err();
    assert!(matches!(error, StartError::Journal(JournalError::Damaged { .. })), "{error}");
}

#[tokio::test]
async fn only_loopback_is_listened_on_and_an_address_or_folder_in_use_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let config = |listen: SocketAddr, data: &Path| Config { listen, data: data.to_owned() };
    let everywhere = Registry::start(config(([0, 0, 0, 0], 0).into(), folder.path())).await.unwrap_err();
    assert!(everywhere.to_string().contains("loopback only"), "{everywhere}");
    let registry = start(folder.path()).await;
    let same_folder = Registry::start(config(([127, 0, 0, 1], 0).into(), folder.path())).await.unwrap_err();
    assert!(matches!(same_folder, StartError::Journal(JournalError::InUse { .. })), "{same_folder}");
    let other = tempfile::tempdir().unwrap();
    let same_port = Registry::start(config(registry.address(), other.path())).await.unwrap_err();
    assert!(matches!(same_port, StartError::Listen { .. }), "{same_port}");
    registry.shutdown().await;
}

#[tokio::test]
async fn hostile_requests_are_refused_and_the_registry_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let registry = start(folder.path()).await;
    let url = format!("{}/subjects/s/versions", registry.url());
    let deep = |open: &str, close: &str, count: usize| {
        json!({ "schema": format!("{}\"int\"{}", open.repeat(count), close.repeat(count)) }).to_string()
    };
    let refused = json!({ "schema": "\"int\"", "schemaType": "JSON" }).to_string();
    let rules = json!({ "schema": "\"int\"", "ruleSet": { "domainRules": [] } }).to_string();
    let chosen = json!({ "schema": "\"int\"", "id": 5 }).to_string();
    for (content_type, body, status) in [
        ("application/json", "x".repeat(1024 * 1024 + 1), 413),
        ("application/json", "\u{0}".to_owned(), 400),
        ("application/json", "{\"schema\":".repeat(50_000), 400),
        ("application/json", deep("[", "]", 100_000), 422),
        ("application/json", deep("{\"type\":\"array\",\"items\":", "}", 120), 422),
        ("application/json", json!({ "schema": 7 }).to_string(), 422),
        ("application/json", json!({ "schema": "\"int\"", "references": {} }).to_string(), 422),
        ("application/json", refused, 422),
        ("application/json", rules, 422),
        ("application/json", chosen, 422),
        ("text/plain", json!({ "schema": "\"int\"" }).to_string(), 415),
    ] {
        let request = client().post(&url).header("content-type", content_type).body(body.clone());
        let response = request.send().await.unwrap();
        let start = &body[..body.len().min(60)];
        assert_eq!(response.status().as_u16(), status, "{start}");
        let answer: Value = response.json().await.unwrap();
        assert!(answer["error_code"].is_u64() && answer["message"].is_string(), "{start}: {answer}");
    }
    for path in
        ["/subjects/%FF/versions", "/subjects?offset=x", "/schemas/ids/x", "/nothing", "/schemas?offset=-1"]
    {
        let response = client().get(format!("{}{path}", registry.url())).send().await.unwrap();
        assert!(response.status().is_client_error() || response.status().is_success(), "{path}");
    }
    let long = format!("/subjects/{}/versions", "x".repeat(600));
    let answer = send(&registry, "POST", &long, &json!({ "schema": "\"int\"" })).await;
    assert_eq!(answer["error_code"], 42208, "{answer}");
    assert_eq!(register(&registry, "s", "a").await, 1);
    registry.shutdown().await;
}

#[tokio::test]
async fn a_connection_left_open_does_not_hold_up_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let registry = start(folder.path()).await;
    let mut slow = tokio::net::TcpStream::connect(registry.address()).await.unwrap();
    let half = b"POST /subjects/s HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{";
    tokio::io::AsyncWriteExt::write_all(&mut slow, half).await.unwrap();
    register(&registry, "s", "a").await;
    let mut idle = tokio::net::TcpStream::connect(registry.address()).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut idle, b"POST /subjects/s HTTP/1.1\r\n").await.unwrap();
    let stopped = tokio::time::timeout(std::time::Duration::from_secs(60), registry.shutdown());
    stopped.await.unwrap();
    start(folder.path()).await.shutdown().await;
}

#[tokio::test]
async fn requests_that_are_never_ended_take_no_turn_from_others() {
    let folder = tempfile::tempdir().unwrap();
    let registry = start(folder.path()).await;
    let mut crowd = Vec::new();
    for half in [
        "",
        "POST /subj",
        "POST /subjects/s HTTP/1.1\r\nhost: x\r\ncontent-length: 900000\r\n\r\n{\"schema\":",
    ] {
        for _ in 0..60 {
            let mut client = tokio::net::TcpStream::connect(registry.address()).await.unwrap();
            tokio::io::AsyncWriteExt::write_all(&mut client, half.as_bytes()).await.unwrap();
            crowd.push(client);
        }
    }
    assert_eq!(register(&registry, "s", "a").await, 1);
    registry.shutdown().await;
}

#[tokio::test]
async fn the_largest_schemas_are_answered_in_few_words() {
    let folder = tempfile::tempdir().unwrap();
    let registry = start(folder.path()).await;
    let fields = |kind: &str| {
        let field = |i: usize| format!(r#"{{"name":"f{i}","type":"{kind}"}}"#);
        let fields = (0..12_000).map(field).collect::<Vec<_>>().join(",");
        json!({ "schema": format!(r#"{{"type":"record","name":"R","fields":[{fields}]}}"#) })
    };
    let union: Vec<Value> = (0..5_000)
        .map(|i| json!({ "type": "record", "name": format!("T{i}"), "fields": [{ "name": "a", "type": "int" }] }))
        .collect();
    let union = json!({ "schema": json!(union).to_string() });
    assert_eq!(send(&registry, "POST", "/subjects/s/versions", &fields("int")).await, json!({ "id": 1 }));
    let refused = send(&registry, "POST", "/subjects/s/versions", &fields("string")).await;
    let message = refused["message"].as_str().unwrap();
    assert_eq!(refused["error_code"], 409);
    assert!(message.len() < 1024 * 1024, "{} bytes", message.len());
    assert_eq!(send(&registry, "POST", "/subjects/u/versions", &union).await, json!({ "id": 2 }));
    let again = send(&registry, "POST", "/compatibility/subjects/u/versions/latest", &union).await;
    assert!(again["is_compatible"].is_boolean(), "{again}");
    registry.shutdown().await;
}
