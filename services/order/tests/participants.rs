//! The participants of the order example against the topology's own schemas: the steps in Rust without a broker, stock
//! over HTTP as the mesh calls it, in Rust and in Python.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use quadrille_events::Codecs;
use quadrille_http_handler::{Client, Declared, Endpoint, HttpHandler};
use quadrille_order::{payment, shipping, stock};
use quadrille_participant::{Flush, Participant, StoreOptions};
use quadrille_runtime::{Call, Handler, HandlerError, Reply};
use quadrille_sdk::StepError;
use quadrille_sdk::test::TestStep;
use quadrille_types::RunId;
use quadrille_types::fact::{EventRef, Payload};
use quadrille_types::ids::{Action, Trigger};
use serde_json::{Value, json};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn topology() -> PathBuf {
    repository().join("topology/order.yaml")
}

fn open(folder: &Path, name: &str, tables: &str) -> Participant {
    StoreOptions { stores: folder.to_owned(), flush: Flush::Os }.open(name, tables).unwrap()
}

fn order(id: &str, customer: &str, sku: &str) -> Value {
    json!({
        "order_id": id,
        "customer_id": customer,
        "lines": [{ "sku": sku, "quantity": 2, "unit_price_cents": 500 }],
        "amount_cents": 1000,
        "currency": "EUR",
    })
}

/// `participant action applied` of every effect, in their order.
fn effects(folder: &Path, name: &str) -> Vec<String> {
    let store = rusqlite::Connection::open(folder.join(format!("{name}.db"))).unwrap();
    let mut query = store
        .prepare("SELECT participant, action, applied, correlation_id FROM effects ORDER BY seq")
        .unwrap();
    let line = |row: &rusqlite::Row<'_>| {
        let (who, action, applied): (String, String, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(format!("{who} {action} {applied} {}", row.get::<_, String>(3)?))
    };
    query.query_map([], line).unwrap().map(Result::unwrap).collect()
}

#[tokio::test]
async fn a_customer_is_charged_once_and_refunded_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), "payment", payment::TABLES);
    let steps = payment::steps(store);
    let call = |id: &str, customer: &str, handler: &str| {
        TestStep::named(&steps, handler)
            .topology(topology())
            .correlation_id(id)
            .input("OrderPlaced", &order(id, customer, "lamp"))
    };
    let first = call("1", "ada", "charge").run().await.unwrap();
    assert_eq!(call("1", "ada", "charge").attempt(2).run().await, Ok(first.clone()));
    let taken = first.iter().next().unwrap();
    assert_eq!(
        (taken.event.as_str(), taken.data.as_ref().unwrap()["amount_cents"].as_i64()),
        ("PaymentTaken", Some(1000))
    );
    for _ in 0..2 {
        let refunded = call("1", "ada", "refund").undo().run().await.unwrap();
        assert_eq!(refunded.iter().next().unwrap().data.as_ref().unwrap()["amount_cents"], 1000);
    }
    assert!(matches!(call("1", "ada", "charge").run().await, Err(StepError::Terminal(_))), "it is undone");
    let declined = call("2", "DECLINED-bob", "charge").run().await;
    assert!(
        matches!(declined, Err(StepError::Rejected(outputs)) if outputs.iter().next().unwrap().event == "CardDeclined")
    );
    let nothing = call("3", "eve", "refund").undo().run().await.unwrap();
    assert_eq!(nothing.iter().next().unwrap().data.as_ref().unwrap()["payment_id"], Value::Null);
    let expect = ["payment do 1 1", "payment undo 1 1", "payment do 0 2", "payment undo 0 3"];
    assert_eq!(effects(folder.path(), "payment"), expect);
}

#[tokio::test]
async fn what_is_reserved_and_paid_is_shipped() {
    let folder = tempfile::tempdir().unwrap();
    let steps = shipping::steps(open(folder.path(), "shipping", shipping::TABLES));
    let paid = json!({ "order_id": "1", "payment_id": "p", "amount_cents": 1, "currency": "EUR" });
    let shipped = TestStep::named(&steps, "ship")
        .topology(topology())
        .input("StockReserved", &json!({ "order_id": "1", "reservation_id": "r" }))
        .input("PaymentTaken", &paid)
        .run()
        .await
        .unwrap();
    assert_eq!(shipped.iter().next().unwrap().event, "OrderShipped");
    assert_eq!(effects(folder.path(), "shipping"), ["shipping do 1 1"]);
}

/// The stock's endpoints, called as the step service calls them.
struct Stock {
    reserve: HttpHandler,
    release: HttpHandler,
    codecs: Arc<Codecs>,
}

impl Stock {
    fn at(base: &str) -> Self {
        let mesh = quadrille_host::topology::load(&topology()).unwrap();
        let codecs = Arc::new(Codecs::offline(&mesh).unwrap());
        let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect();
        let handler = |path: &str, emits: &str, rejects: &[&str]| {
            let endpoint = Endpoint {
                url: format!("{base}{path}"),
                mesh: mesh.name.clone(),
                join: false,
                timeout: Duration::from_secs(60),
                declared: Declared { emits: names(&[emits]), rejects: names(rejects) },
            };
            HttpHandler::new(Client::new().unwrap(), Arc::clone(&codecs), endpoint)
        };
        Self {
            reserve: handler("/reserve", "StockReserved", &["OutOfStock"]),
            release: handler("/release", "StockReleased", &[]),
            codecs: Arc::clone(&codecs),
        }
    }

    /// The answer in a line.
    async fn call(&self, action: Action, id: &str, sku: &str) -> String {
        let emitted = self.codecs.encode("OrderPlaced", &order(id, "ada", sku)).unwrap();
        let payload = Payload { content_type: emitted.content_type, value: emitted.value };
        let call = Call {
            step: "reserve-stock".into(),
            activation: RunId::of("shop", "order", id).activation("reserve-stock", &Trigger::Start),
            action,
            attempt: 1,
            lineage: None,
            correlation_id: id.into(),
            inputs: vec![EventRef { event: "OrderPlaced".into(), id: "e".into(), payload: Some(payload) }],
            deadline_ms: None,
            traceparent: None,
            tracestate: None,
            source: None,
            causation_id: None,
        };
        let handler = if action == Action::Do { &self.reserve } else { &self.release };
        match handler.call(&call).await {
            Ok(Reply::Done(events)) => format!("done {}", self.told(&events)),
            Ok(Reply::Rejected(events)) => format!("rejected {}", self.told(&events)),
            Err(HandlerError::Retryable { .. }) => "retryable".to_owned(),
            Err(HandlerError::Terminal(message)) => format!("terminal {message}"),
            Err(HandlerError::Undecodable(message)) => format!("undecodable {message}"),
        }
    }

    fn told(&self, events: &[quadrille_step::conclude::Emitted]) -> String {
        let event = &events[0];
        let payload = Payload { content_type: event.content_type.clone(), value: event.value.clone() };
        let input = EventRef { event: event.event.clone(), id: String::new(), payload: Some(payload) };
        let data = self.codecs.decode(&input).unwrap();
        let detail = data.get("sku").or(data.get("reservation_id")).unwrap();
        let detail = if detail.as_str().is_some_and(|text| text.len() == 36) {
            "an ID".to_owned()
        } else {
            detail.to_string()
        };
        format!("{}: {detail}", event.event)
    }
}

/// The same story, whoever serves it.
async fn tell(base: &str, folder: &Path) {
    use Action::{Do, Undo};
    let stock = Stock::at(base);
    for (action, id, sku, expect) in [
        (Do, "1", "lamp", "done StockReserved: an ID"),
        (Do, "1", "lamp", "done StockReserved: an ID"),
        (Undo, "1", "lamp", "done StockReleased: an ID"),
        (Undo, "1", "lamp", "done StockReleased: an ID"),
        (
            Do,
            "1",
            "lamp",
            "terminal the handler answered 410: the activation is undone: it is never done again; ",
        ),
        (Do, "2", "SOLD-OUT-chair", "rejected OutOfStock: \"SOLD-OUT-chair\""),
        (Undo, "2", "SOLD-OUT-chair", "done StockReleased: null"),
        (Do, "Ä 3", "FLAKY-2-shelf", "retryable"),
        (Do, "Ä 3", "FLAKY-2-shelf", "retryable"),
        (Do, "Ä 3", "FLAKY-2-shelf", "done StockReserved: an ID"),
        (Undo, "4", "lamp", "done StockReleased: null"),
        (Undo, "4", "lamp", "done StockReleased: null"),
    ] {
        assert_eq!(stock.call(action, id, sku).await, expect.trim_end_matches("; "), "{action} {id}");
    }
    let expect = [
        "stock do 1 1",
        "stock undo 1 1",
        "stock do 0 2",
        "stock undo 0 2",
        "stock do 1 Ä 3",
        "stock undo 0 4",
    ];
    assert_eq!(effects(folder, "stock"), expect);
}

#[tokio::test]
async fn stock_is_reserved_once_and_released_once() {
    let folder = tempfile::tempdir().unwrap();
    let router = stock::router(open(folder.path(), "stock", stock::TABLES));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    tell(&base, folder.path()).await;
}

/// A process that ends with the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn the_same_in_python() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new("python3")
        .arg(repository().join("examples/python/stock.py"))
        .args(["--listen", "127.0.0.1:0", "--flush", "os", "--stores"])
        .arg(folder.path())
        .stderr(Stdio::piped())
        .spawn()
        .expect("python3 is there");
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let _process = Process(child);
    let said = lines.next().expect("it says where it listens").unwrap();
    let base = said.strip_prefix("stock listens on ").unwrap_or_else(|| panic!("{said}")).to_owned();
    tell(&base, folder.path()).await;
}
