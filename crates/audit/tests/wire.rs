//! The whole audit over real sockets: a simulated broker, a registry that answers from a table, SQLite files.
//!
//! The simulated broker knows no transactions; they are for the suites that run on real ones.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;
use apache_avro::{Schema, to_value};
use quadrille_audit::judge::Kind;
use quadrille_audit::read;
use quadrille_audit::stores::Stores;
use quadrille_audit::{ConcurrentReader, Config, Counters, Expectations, Rules, report, run};
use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer};
use rusqlite::Connection;
use serde::Serialize;
use tempfile::TempDir;

const ORDER: &str =
    r#"{"type":"record","name":"OrderPlaced","namespace":"shop","fields":[{"name":"id","type":"string"}]}"#;
const OUTCOME: &str = include_str!("../../../schemas/saga_outcome.avsc");
const EXPECT: &str = "
flow: order
inputs: [{ topic: orders, schema: order.avsc }]
outcomes_topic: outcomes
dead_letters: { prefix: dead. }
events: [payments]
participants: [payment]
outcomes:
  completed: { payment: { do: 1, undo: 0 } }
  compensated: { payment: balanced }
";
const ENDED_AT_MS: i64 = 1_000_000;

#[derive(Serialize)]
struct Outcome<'a> {
    mesh: &'a str,
    flow: &'a str,
    run: &'a str,
    correlation_id: &'a str,
    outcome: &'a str,
    cause: &'a str,
    definition_version: i32,
    definition_hash: &'a str,
    started_at: i64,
    ended_at: i64,
}

/// A mesh as far as the audit can see it.
struct World {
    cluster: MockCluster<'static, DefaultProducerContext>,
    producer: BaseProducer,
    registry: String,
    folder: TempDir,
}

impl World {
    fn new() -> Self {
        let cluster = MockCluster::new(1).unwrap();
        for topic in ["orders", "outcomes", "dead.charge", "payments"] {
            cluster.create_topic(topic, 3, 1).unwrap();
        }
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", cluster.bootstrap_servers());
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("order.avsc"), ORDER).unwrap();
        fs::write(folder.path().join("order.expect.yaml"), EXPECT).unwrap();
        let store = Connection::open(folder.path().join("payment.db")).unwrap();
        store
            .execute_batch(
                "CREATE TABLE effects (seq INTEGER PRIMARY KEY, participant TEXT, activation TEXT,
                 correlation_id TEXT, action TEXT, applied INTEGER, at_ms INTEGER, pid INTEGER)",
            )
            .unwrap();
        Self { cluster, producer: config.create().unwrap(), registry: registry(), folder }
    }

    /// One order completed, the same sent again; one record that is no order, with its dead letter.
    fn honest() -> Self {
        let world = Self::new();
        world.send("orders", "4711", &order("4711"), &[]);
        world.send("orders", "other key", &order("4711"), &[("ce_correlationid", b"4711".to_vec())]);
        world.effect("4711", "do");
        world.outcome("4711");
        world.send("orders", "broken", b"no avro", &[]);
        world.flush();
        let span = read::present(&world.settings(), &world.expectations()).unwrap();
        let partition = (0..3).find(|p| world.holds_broken(&span, *p)).unwrap();
        let offset = span.ends[&("orders".to_owned(), partition)] - 1;
        let origin = [
            ("kafka_dlt-original-topic", b"orders".to_vec()),
            ("kafka_dlt-original-partition", partition.to_be_bytes().to_vec()),
            ("kafka_dlt-original-offset", offset.to_be_bytes().to_vec()),
        ];
        world.send("dead.charge", "broken", b"no avro", &origin);
        world.flush();
        world
    }

    /// Whether the last record of this partition is the broken one; it was sent last.
    fn holds_broken(&self, span: &read::Span, partition: i32) -> bool {
        let at = ("orders".to_owned(), partition);
        let end = span.ends[&at];
        if end == 0 {
            return false;
        }
        let last = read::Span { from: [(at.clone(), end - 1)].into(), ends: [(at, end)].into() };
        let mut registry = quadrille_audit::registry::Registry::new(&self.registry).unwrap();
        let found = read::read(&self.settings(), &self.expectations(), &mut registry, &last, soon()).unwrap();
        found.inputs[0].identity.is_none()
    }

    fn send(&self, topic: &str, key: &str, value: &[u8], headers: &[(&str, Vec<u8>)]) {
        let headers = headers
            .iter()
            .fold(OwnedHeaders::new(), |all, (key, value)| all.insert(Header { key, value: Some(value) }));
        self.producer
            .send(BaseRecord::to(topic).key(key).payload(value).headers(headers))
            .map_err(|(e, _)| e)
            .unwrap();
    }

    fn outcome(&self, identity: &str) {
        let outcome = Outcome {
            mesh: "shop",
            flow: "order",
            run: "r1",
            correlation_id: identity,
            outcome: "completed",
            cause: "OrderShipped",
            definition_version: 1,
            definition_hash: "c0ffee",
            started_at: 0,
            ended_at: ENDED_AT_MS,
        };
        let schema = Schema::parse_str(OUTCOME).unwrap();
        let value = to_value(outcome).unwrap().resolve(&schema).unwrap();
        self.send("outcomes", identity, &framed(2, &schema, value), &[]);
    }

    fn effect(&self, identity: &str, action: &str) {
        let store = Connection::open(self.folder.path().join("payment.db")).unwrap();
        store
            .execute(
                "INSERT INTO effects (participant, activation, correlation_id, action, applied, at_ms, pid)
                 VALUES ('payment', 'a1', ?, ?, 1, ?, 1)",
                (identity, action, ENDED_AT_MS - 10),
            )
            .unwrap();
    }

    fn flush(&self) {
        self.producer.flush(Duration::from_secs(60)).unwrap();
    }

    fn settings(&self) -> Vec<(String, String)> {
        vec![("bootstrap.servers".to_owned(), self.cluster.bootstrap_servers())]
    }

    fn expectations(&self) -> Expectations {
        Expectations::load(&self.folder.path().join("order.expect.yaml")).unwrap()
    }

    fn config(&self) -> Config {
        Config {
            kafka: self.settings(),
            registry: self.registry.clone(),
            expectations: self.expectations(),
            stores: Stores { folder: self.folder.path().to_owned(), files: BTreeMap::new() },
            rules: Rules::default(),
            patience: Duration::from_secs(60),
        }
    }

    /// Last line and exit code of the binary.
    fn binary(&self) -> (String, Option<i32>) {
        let output = Command::new(env!("CARGO_BIN_EXE_quadrille-audit"))
            .args(["--bootstrap-servers", &self.cluster.bootstrap_servers()])
            .args(["--schema-registry", &self.registry])
            .arg("--expect")
            .arg(self.folder.path().join("order.expect.yaml"))
            .arg("--stores")
            .arg(self.folder.path())
            .args(["--txns", "8", "--aborted", "0", "--fenced", "0", "--takeovers", "0"])
            .args(["--patience-s", "20", "-X", "client.id=audit"])
            .output()
            .unwrap();
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        (text.lines().last().unwrap_or_default().to_owned(), output.status.code())
    }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

fn order(id: &str) -> Vec<u8> {
    let value = Value::Record(vec![("id".to_owned(), Value::String(id.to_owned()))]);
    framed(1, &Schema::parse_str(ORDER).unwrap(), value)
}

fn framed(id: u32, schema: &Schema, value: Value) -> Vec<u8> {
    let avro = GenericDatumWriter::builder(schema).build().unwrap().write_value_to_vec(value).unwrap();
    [&[0][..], &id.to_be_bytes(), &avro].concat()
}

/// A registry with the order as schema 1 and the outcome as schema 2.
fn registry() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || listener.incoming().flatten().for_each(|stream| drop(answer(stream))));
    url
}

fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    let lines: Vec<String> = BufReader::new(stream.try_clone()?)
        .lines()
        .map_while(Result::ok)
        .take_while(|l| !l.is_empty())
        .collect();
    let path = lines[0].split(' ').nth(1).unwrap_or_default();
    let (status, schema) = match path {
        "/schemas/ids/1" => ("200 OK", ORDER),
        "/schemas/ids/2" => ("200 OK", OUTCOME),
        _ => ("404 Not Found", ""),
    };
    let body = serde_json::json!({ "schema": schema }).to_string();
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
}

#[test]
fn an_honest_run_is_valid_for_the_library_and_for_the_binary() {
    let world = World::honest();
    let line = "accepted=2 effect_once=1 dlt=1 lost=0 dup_effect=0 leaked=0 after_undo=0 unsettled=0 phantom=0 | \
        sagas=1 completed=1 compensated=0 stuck=0 dual_outcome=0 | ";
    let verdict = run(&world.config(), None).unwrap();
    let named = report::offenders(&verdict);
    let library = report::line(&verdict, Counters::default());
    assert_eq!(library, format!("{line}txns=- aborted=- fenced=- takeovers=- | VALID"), "{named}");
    assert_eq!(world.binary(), (format!("{line}txns=8 aborted=0 fenced=0 takeovers=0 | VALID"), Some(0)));
}

#[test]
fn a_doubled_effect_in_a_store_makes_the_binary_end_with_1() {
    let world = World::honest();
    world.effect("4711", "do");
    let (line, code) = world.binary();
    assert!(line.contains("dup_effect=1") && line.ends_with("INVALID"), "{line}");
    assert_eq!(code, Some(1));
}

#[test]
fn a_second_outcome_and_an_unreadable_one_are_found() {
    let world = World::honest();
    world.outcome("4711");
    world.send("outcomes", "4711", b"no avro", &[]);
    world.send("outcomes", "4711", &[0, 0, 0, 0, 9, 1], &[]);
    world.flush();
    let verdict = run(&world.config(), None).unwrap();
    assert_eq!((verdict.count(Kind::DualOutcome), verdict.count(Kind::Unexplained)), (1, 2));
}

#[test]
fn a_value_of_an_unknown_schema_is_an_input_that_cannot_be_read() {
    let world = World::honest();
    world.send("orders", "4712", &[0, 0, 0, 0, 9, 1], &[]);
    world.flush();
    let verdict = run(&world.config(), None).unwrap();
    assert_eq!((verdict.accepted, verdict.count(Kind::Lost), verdict.count(Kind::Unsettled)), (3, 1, 0));
}

#[test]
fn the_concurrent_reader_sees_what_comes_after_its_start_and_that_is_what_counts() {
    let world = World::honest();
    let reader = ConcurrentReader::start(&world.settings(), &world.expectations()).unwrap();
    assert_eq!(reader.began().len(), 12);
    world.send("orders", "4712", &order("4712"), &[]);
    world.effect("4712", "do");
    world.outcome("4712");
    world.flush();
    let store = Connection::open(world.folder.path().join("payment.db")).unwrap();
    store.execute("DELETE FROM effects WHERE correlation_id = '4711'", ()).unwrap();

    let evidence = quadrille_audit::run::gather(&world.config(), Some(reader)).unwrap();
    assert_eq!(evidence.inputs.len(), 1);
    let seen = evidence.seen.unwrap();
    assert_eq!(seen.notes, evidence.read);
    assert_eq!((seen.notes.len(), seen.watched.len()), (2, 12));
}

#[test]
fn what_the_concurrent_reader_sees_behind_the_end_does_not_count() {
    let world = World::honest();
    let reader = ConcurrentReader::start(&world.settings(), &world.expectations()).unwrap();
    world.send("orders", "4712", &order("4712"), &[]);
    world.flush();
    let ends = read::present(&world.settings(), &world.expectations()).unwrap().ends;
    world.send("orders", "4712", &order("4712"), &[]);
    world.flush();
    assert_eq!(reader.finish(&ends, soon()).unwrap().len(), 1);
}

#[test]
fn a_broker_that_is_not_there_is_named() {
    let world = World::new();
    let nowhere = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let settings = [("bootstrap.servers".to_owned(), nowhere.clone())];
    let error = read::present(&settings, &world.expectations()).unwrap_err().to_string();
    assert!(error.contains(&nowhere), "{error}");
}

#[test]
fn what_cannot_be_read_ends_the_binary_with_2() {
    let world = World::honest();
    fs::remove_file(world.folder.path().join("payment.db")).unwrap();
    let (line, code) = world.binary();
    assert!(line.contains("cannot read the store") && line.contains("payment.db"), "{line}");
    assert_eq!(code, Some(2));

    let expect = world.folder.path().join("order.expect.yaml");
    fs::write(&expect, EXPECT.replace("[payments]", "[invoices]")).unwrap();
    let (line, code) = world.binary();
    assert!(line.ends_with("topic invoices does not exist"), "{line}");
    assert_eq!(code, Some(2));
}
