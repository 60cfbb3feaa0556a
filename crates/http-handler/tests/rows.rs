//! Every row of the two tables at the crate's root, against a server that answers as it is told.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use quadrille_events::Codecs;
use quadrille_http_handler::{ANSWER_BYTES_MAX, Client, Declared, Endpoint, HttpHandler};
use quadrille_runtime::{Call, Handler, HandlerError, Reply};
use quadrille_step::spec::{Fields, GivesUp};
use quadrille_types::RunId;
use quadrille_types::dead_letter::Reason;
use quadrille_types::fact::{EventRef, Payload};
use quadrille_types::ids::{Action, Trigger};
use tokio::net::TcpListener;

const TOPOLOGY: &str = "
quadrille: 1
mesh: lab
version: 1
defaults: { from: earliest }
events:
  Asked: { topic: asked, schema: json, owner: foreign }
  Found: { topic: found, schema: json }
  Noted: { topic: noted, schema: json }
  Lost: { topic: lost, schema: json }
steps:
  search: { when: Asked, handler: { http: 'http://127.0.0.1:1/' }, emits: { all: [Found, Noted] }, rejects: Lost, effect: none }
sagas:
  quest: { starts: Asked, completes: { all: [Found, Noted] }, fails: [Lost], deadline: { after: 1m, then: undo } }
";

/// What the server is told to answer, and what it was asked.
#[derive(Clone, Default)]
struct Server {
    script: Script,
    seen: Arc<Mutex<Vec<(HeaderMap, String)>>>,
}

#[derive(Clone, Default)]
struct Script {
    status: u16,
    headers: Vec<(&'static str, &'static str)>,
    body: String,
    delay: Duration,
}

impl Server {
    async fn start(script: Script) -> (String, Self) {
        let server = Self { script, ..Self::default() };
        let router = Router::new().fallback(answer).with_state(server.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/search", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (url, server)
    }
}

async fn answer(State(server): State<Server>, headers: HeaderMap, body: Bytes) -> Response {
    server.seen.lock().unwrap().push((headers, String::from_utf8(body.to_vec()).unwrap()));
    let script = server.script;
    tokio::time::sleep(script.delay).await;
    let mut response = (StatusCode::from_u16(script.status).unwrap(), script.body).into_response();
    response.headers_mut().remove("content-type");
    for (name, value) in script.headers {
        response.headers_mut().append(name, value.parse().unwrap());
    }
    response
}

fn codecs() -> Arc<Codecs> {
    let checked = quadrille_topology::topology(TOPOLOGY.as_bytes(), &|_: &str| Err(String::new()));
    let mesh = checked.mesh.unwrap_or_else(|| panic!("{:#?}", checked.diagnostics));
    Arc::new(Codecs::offline(&mesh).unwrap())
}

fn input(event: &str, id: &str, json: &str) -> EventRef {
    let payload = Payload { content_type: None, value: json.into() };
    EventRef { event: event.to_owned(), id: id.to_owned(), payload: Some(payload) }
}

fn call(action: Action, inputs: Vec<EventRef>) -> Call {
    Call {
        step: "search".into(),
        activation: RunId::of("lab", "quest", "Ä 1").activation("search", &Trigger::Start),
        action,
        attempt: 2,
        lineage: None,
        correlation_id: "Ä 1".into(),
        inputs,
        deadline_ms: Some(1_795_000_000_000),
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()),
        tracestate: Some("a=b".into()),
        source: Some("/web ü".into()),
        causation_id: Some("e 0".into()),
    }
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn handler(url: &str, join: bool, declared: Declared) -> HttpHandler {
    within(Duration::from_secs(60), url, join, declared)
}

fn within(timeout: Duration, url: &str, join: bool, declared: Declared) -> HttpHandler {
    let endpoint = Endpoint { url: url.to_owned(), mesh: "lab".into(), join, timeout, declared };
    HttpHandler::new(Client::new().unwrap(), codecs(), endpoint)
}

fn declared(emits: &[&str]) -> Declared {
    Declared { emits: names(emits), rejects: names(&["Lost"]) }
}

/// The outcome in a line: `done Found={"a":1}`, `terminal …`.
fn told(result: Result<Reply, HandlerError>) -> String {
    let events = |events: Vec<quadrille_step::conclude::Emitted>| -> String {
        events.iter().map(|e| format!(" {}={}", e.event, String::from_utf8_lossy(&e.value))).collect()
    };
    match result {
        Ok(Reply::Done(emitted)) => format!("done{}", events(emitted)),
        Ok(Reply::Rejected(emitted)) => format!("rejected{}", events(emitted)),
        Err(HandlerError::Retryable { message, after_ms: None }) => format!("retryable {message}"),
        Err(HandlerError::Retryable { message, after_ms: Some(ms) }) => {
            format!("retryable after {ms}: {message}")
        }
        Err(HandlerError::Terminal(message)) => format!("terminal {message}"),
        Err(HandlerError::Undecodable(message)) => format!("undecodable {message}"),
    }
}

async fn ask(script: Script, emits: &[&str]) -> String {
    let (url, _) = Server::start(script).await;
    let call = call(Action::Do, vec![input("Asked", "1", "{}")]);
    told(handler(&url, false, declared(emits)).call(&call).await)
}

#[tokio::test]
async fn every_answer_means_what_the_table_says() {
    const JSON: (&str, &str) = ("content-type", "application/json");
    const FOUND: (&str, &str) = ("ce-type", "Found");
    const LOST: (&str, &str) = ("ce-type", "Lost");
    const ONE: (&str, &str) = ("content-type", "application/cloudevents+json; charset=utf-8");
    const BATCH: (&str, &str) = ("content-type", "application/cloudevents-batch+json");
    let two = r#"[{"type":"Found","data":{"a":1}},{"type":"Noted","id":"x","data":2}]"#;
    type Row<'a> = (u16, &'a [(&'static str, &'static str)], &'a str, &'a str);
    let rows: &[Row<'_>] = &[
        (200, &[JSON, FOUND], r#"{"a":1}"#, r#"done Found={"a":1}"#),
        (201, &[FOUND], "1", "done Found=1"),
        (200, &[ONE], r#"{"type":"Noted","data":[]}"#, "done Noted=[]"),
        (200, &[BATCH], two, r#"done Found={"a":1} Noted=2"#),
        (200, &[BATCH], "[]", "done"),
        (204, &[], "", "done"),
        (202, &[JSON], "", "done"),
        (
            200,
            &[JSON],
            "{}",
            "terminal the handler answered 200 with a body and without ce-type: which event is it?",
        ),
        (
            200,
            &[JSON, LOST],
            "{}",
            "terminal the handler answered 200 with Lost, which is not among what it emits: Found, Noted",
        ),
        (
            200,
            &[FOUND],
            "{",
            "terminal the handler's answer is not JSON: EOF while parsing an object at line 1 column 1",
        ),
        (
            200,
            &[FOUND, ("content-type", "text/html")],
            "<p>",
            "terminal the handler's Found is text/html: send application/json",
        ),
        (200, &[BATCH], "{}", "terminal the handler's batch is not a JSON array"),
        (200, &[BATCH], r#"[{"data":1}]"#, "terminal a CloudEvent in the handler's answer has no type"),
        (
            200,
            &[ONE],
            r#"{"type":"Found","data_base64":"AA=="}"#,
            "terminal the handler's Found has data_base64: send JSON as data",
        ),
        (409, &[JSON, LOST], r#"{"why":"gone"}"#, r#"rejected Lost={"why":"gone"}"#),
        (422, &[ONE], r#"{"type":"Lost","data":1}"#, "rejected Lost=1"),
        (409, &[JSON, FOUND], "{}", "terminal the handler answered 409: {}; a rejection needs ce-type: Lost"),
        (409, &[], "", "terminal the handler answered 409; a rejection needs ce-type: Lost"),
        (422, &[JSON], "no\nway", "terminal the handler answered 422: no way"),
        (500, &[], "oh", "retryable the handler answered 500: oh"),
        (503, &[("retry-after", "3")], "", "retryable after 3000: the handler answered 503"),
        (429, &[("retry-after", "2")], "", "retryable after 2000: the handler answered 429"),
        (429, &[], "", "retryable the handler answered 429"),
        (400, &[], "bad", "terminal the handler answered 400: bad"),
        (404, &[LOST], "", "terminal the handler answered 404"),
        (
            302,
            &[("location", "/search")],
            "",
            "terminal the handler answered 302; redirects are not followed",
        ),
    ];
    for (status, headers, body, expect) in rows {
        let script = Script {
            status: *status,
            headers: headers.to_vec(),
            body: (*body).to_owned(),
            ..Script::default()
        };
        assert_eq!(&ask(script, &["Found", "Noted"]).await, expect, "{status} {headers:?} {body}");
    }
}

#[tokio::test]
async fn a_step_that_emits_one_event_needs_no_ce_type() {
    let script = Script { status: 200, body: "7".into(), ..Script::default() };
    assert_eq!(ask(script, &["Found"]).await, "done Found=7");
    let script = Script { status: 204, ..Script::default() };
    assert_eq!(ask(script, &["Found"]).await, "done");
}

#[tokio::test]
async fn an_undo_cannot_be_rejected() {
    let script = Script { status: 409, headers: vec![("ce-type", "Lost")], ..Script::default() };
    let (url, _) = Server::start(script).await;
    let undo = call(Action::Undo, vec![input("Asked", "1", "{}")]);
    let declared = Declared { emits: names(&["Noted"]), rejects: names(&[]) };
    assert_eq!(told(handler(&url, false, declared).call(&undo).await), "terminal the handler answered 409");
}

#[tokio::test]
async fn no_answer_is_tried_again() {
    let slow = Script { status: 204, delay: Duration::from_secs(600), ..Script::default() };
    let (url, _) = Server::start(slow).await;
    let asked = call(Action::Do, vec![input("Asked", "1", "{}")]);
    let limit = Duration::from_millis(500);
    let told_slow = told(within(limit, &url, false, declared(&["Found"])).call(&asked).await);
    assert!(
        told_slow.starts_with("retryable http://") && told_slow.ends_with("did not answer within 500 ms")
    );

    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", gone.local_addr().unwrap());
    drop(gone);
    let told_gone = told(handler(&url, false, declared(&["Found"])).call(&asked).await);
    assert!(told_gone.starts_with(&format!("retryable {url} can't be reached: ")), "{told_gone}");

    let half = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", half.local_addr().unwrap());
    tokio::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let (mut stream, _) = half.accept().await.unwrap();
        let mut request = [0; 4096];
        let _ = stream.read(&mut request).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{").await.unwrap();
    });
    let told_half = told(handler(&url, false, declared(&["Found"])).call(&asked).await);
    assert!(told_half.starts_with("retryable "), "{told_half}");
}

#[tokio::test]
async fn an_answer_without_end_is_not_read() {
    let script = Script { status: 200, body: " ".repeat(ANSWER_BYTES_MAX + 1), ..Script::default() };
    assert_eq!(ask(script, &["Found"]).await, "terminal the handler's answer is longer than 1048576 bytes");
}

#[tokio::test]
async fn a_url_that_cannot_be_called_is_terminal() {
    let call = call(Action::Do, vec![input("Asked", "1", "{}")]);
    let told = told(handler("nonsense", false, declared(&["Found"])).call(&call).await);
    assert!(told.starts_with("terminal nonsense can't be called: "), "{told}");
}

#[tokio::test]
async fn the_request_says_everything_about_the_call() {
    let (url, server) = Server::start(Script { status: 204, ..Script::default() }).await;
    let single = call(Action::Do, vec![input("Asked", "e 1", r#"{"q":"?"}"#)]);
    handler(&url, false, declared(&["Found"])).call(&single).await.unwrap();
    let join = Call {
        source: None,
        causation_id: None,
        ..call(Action::Undo, vec![input("Found", "1", "1"), input("Noted", "2", "[2]")])
    };
    handler(&url, true, declared(&["Found"])).call(&join).await.unwrap();

    let seen = server.seen.lock().unwrap();
    let activation = single.activation.to_string();
    let text =
        |index: usize, name: &str| seen[index].0.get(name).map(|value| value.to_str().unwrap().to_owned());
    for (name, first, second) in [
        ("content-type", Some("application/json"), Some("application/json")),
        ("ce-specversion", Some("1.0"), Some("1.0")),
        ("ce-type", Some("Asked"), Some("quadrille.inputs")),
        ("ce-id", Some("e%201"), Some(activation.as_str())),
        ("ce-source", Some("/web%20%C3%BC"), Some("/lab")),
        ("ce-causationid", Some("e%200"), None),
        ("tracestate", Some("a=b"), Some("a=b")),
        ("ce-correlationid", Some("%C3%84%201"), Some("%C3%84%201")),
        ("quadrille-step", Some("search"), Some("search")),
        ("quadrille-activation", Some(activation.as_str()), Some(activation.as_str())),
        ("quadrille-action", Some("do"), Some("undo")),
        ("quadrille-attempt", Some("2"), Some("2")),
        ("quadrille-deadline", Some("2026-11-18T11:06:40Z"), Some("2026-11-18T11:06:40Z")),
        ("idempotency-key", Some(&*format!("{activation}/do")), Some(&*format!("{activation}/undo"))),
        ("quadrille-do-key", None, Some(&*format!("{activation}/do"))),
        ("traceparent", single.traceparent.as_deref(), single.traceparent.as_deref()),
    ] {
        assert_eq!((text(0, name).as_deref(), text(1, name).as_deref()), (first, second), "{name}");
    }
    assert_eq!(seen[0].1, r#"{"q":"?"}"#);
    assert_eq!(seen[1].1, r#"{"Found":1,"Noted":[2]}"#);
}

#[tokio::test]
async fn the_event_after_exhausted_tries_is_written_without_a_call() {
    let handler = handler("http://127.0.0.1:1/", false, declared(&["Found"]));
    let call = call(Action::Do, vec![input("Asked", "1", r#"{"id":7,"step":"x"}"#)]);
    let gives_up = GivesUp { event: "Lost".into(), fields: Fields::Trigger };
    let emitted = handler.give_up(&call, &gives_up, Reason::Terminal).unwrap();
    let value: serde_json::Value = serde_json::from_slice(&emitted.value).unwrap();
    let expected =
        serde_json::json!({"id": 7, "step": call.step, "reason": "terminal", "attempts": call.attempt});
    assert_eq!((emitted.event.as_str(), value), ("Lost", expected));
}

#[tokio::test]
async fn an_input_that_cannot_be_read_is_not_sent() {
    let (url, server) = Server::start(Script { status: 204, ..Script::default() }).await;
    let bad = call(Action::Do, vec![input("Asked", "1", "{")]);
    let told = told(handler(&url, false, declared(&["Found"])).call(&bad).await);
    assert!(told.starts_with("undecodable Asked can't be read: not JSON"), "{told}");
    assert!(server.seen.lock().unwrap().is_empty());
}
