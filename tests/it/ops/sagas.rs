//! `quadrille sagas`, on topics that hold what the coordinator's own types encode.

use anyhow::{Context, Result, ensure};
use quadrille_saga::changelog;
use quadrille_saga::transition::Action;
use quadrille_saga::{Flow, State, next};
use quadrille_schema::{Codec, wire};
use quadrille_tests::clients::{PATIENCE, producer};
use quadrille_tests::folders::run_dir;
use quadrille_tests::process::Process;
use quadrille_tests::{Cluster, Promise, promise};
use quadrille_topology::lower::{self, SAGA_PARTITIONS};
use quadrille_types::dead_letter::Reason;
use quadrille_types::envelope::{Lineage, Position};
use quadrille_types::fact::{Body, EventRef, Fact, Known, Outcome, StepResult};
use quadrille_types::ids::{RunId, Trigger};
use quadrille_types::journal::{Entry, Input};
use quadrille_types::outcome::{SCHEMA, SagaOutcome};
use quadrille_types::topics::Names;
use quadrille_types::{format, partition};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};

use super::{Shop, quadrille, run};

/// When the sagas started, in ms since 1970.
const STARTED_MS: i64 = 1_795_000_000_000;

pub(crate) fn promises() -> Vec<Promise> {
    vec![
        promise!(on_broker, list_says_where_each_saga_waits),
        promise!(on_broker, show_tells_how_a_saga_came_where_it_is),
        promise!(on_broker, watch_tells_each_move),
        promise!(on_broker, a_mesh_that_was_never_applied_is_said),
    ]
}

fn list_says_where_each_saga_waits(cluster: &Cluster) -> Result<()> {
    let mesh = Filled::open(cluster)?;
    mesh.fill()?;
    let list = |more: &[&str]| -> Result<Vec<(String, String, String)>> {
        let said =
            run(cluster, &[&["sagas", "list", mesh.shop.file()?, "--json"], more].concat())?.ended(0)?;
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let waits = |o: &serde_json::Value| text(&o["waits"][0]["for"]);
        let row = |o: &serde_json::Value| (text(&o["correlation_id"]), text(&o["state"]), waits(o));
        Ok(said.objects()?.iter().map(row).collect())
    };
    let row = |id: &str, state: &str, waits: &str| (id.to_owned(), state.to_owned(), waits.to_owned());
    let open = [
        row("o-stuck", "stuck", "a redrive of the undo of reserve-stock"),
        row("o-running", "running", "charge to answer"),
        row("o-undoing", "undoing", "reserve-stock to be undone"),
    ];
    ensure!(list(&[])? == open, "{:?}", list(&[])?);
    ensure!(list(&["--limit", "1"])? == open[..1]);
    ensure!(list(&["--state", "running"])? == open[1..2]);
    ensure!(
        list(&["--state", "ended"])? == [row("o-done", "completed", "")],
        "{:?}",
        list(&["--state", "ended"])?
    );
    let said = run(cluster, &["sagas", "list", mesh.shop.file()?, "--state", "all"])?.ended(0)?;
    ensure!(said.err == "3 open: 1 stuck, 1 undoing, 1 running; 1 ended: 1 completed\n", "{said:#?}");
    ensure!(said.out.lines().count() == 5 && !said.out.contains("o-aborted"), "{said:#?}");
    Ok(())
}

fn show_tells_how_a_saga_came_where_it_is(cluster: &Cluster) -> Result<()> {
    let mesh = Filled::open(cluster)?;
    mesh.fill()?;
    let show = |id: &str| run(cluster, &["sagas", "show", mesh.shop.file()?, id]);
    let undoing = show("o-undoing")?.ended(0)?.out;
    for part in [
        "state       undoing since 2026-11-18T11:06:42.000Z",
        "because of CardDeclined",
        "waits for   reserve-stock to be undone, since 2026-11-18T11:06:42.000Z",
        "charge rejected: CardDeclined",
        "running → undoing",
        "the undo of reserve-stock is commanded",
    ] {
        ensure!(undoing.contains(part), "{part} is not in\n{undoing}");
    }
    let steps: Vec<Vec<&str>> = undoing.lines().map(|line| line.split_whitespace().collect()).collect();
    ensure!(steps.iter().any(|step| step.starts_with(&["reserve-stock", "undoing"])), "{undoing}");
    ensure!(steps.iter().any(|step| step.starts_with(&["charge", "rejected"])), "{undoing}");

    let by_run = show(&mesh.run("o-done").to_string())?.ended(0)?.out;
    ensure!(show("o-done")?.ended(0)?.out.lines().nth(2) == by_run.lines().nth(2), "{by_run}");
    ensure!(!by_run.contains("Note:"), "state, journal and outcome agree: {by_run}");
    for part in ["saga        o-done", "outcome     completed (OrderShipped), after 3s", "ended completed"] {
        ensure!(by_run.contains(part), "{part} is not in\n{by_run}");
    }
    let json = run(cluster, &["sagas", "show", mesh.shop.file()?, "o-done", "--json"])?.ended(0)?;
    let object = json.objects()?.pop().context("one object")?;
    ensure!(object["history"].as_array().map(Vec::len) == Some(4), "{object}");
    ensure!(object["history"][3]["events"][0]["event"] == "OrderShipped", "{object}");
    ensure!(object["outcome"]["outcome"] == "completed", "{object}");
    mesh.begin_again("o-done")?;
    let again = show("o-done")?.ended(0)?.out;
    let place = |part: &str| again.find(part).with_context(|| format!("{part} is not in\n{again}"));
    let first = place("History of run 1 of 2 under this ID")?;
    let (forgotten, second) = (place("its time had come")?, place("History of run 2 of 2 under this ID")?);
    ensure!(first < place("ended completed")? && place("ended completed")? < forgotten, "{again}");
    ensure!(forgotten < second && second < place("ended as forgotten")?, "{again}");
    ensure!(again.contains("state       forgotten since") && !again.contains("Note:"), "{again}");
    let nobody = show("o-aborted")?.ended(1)?;
    ensure!(nobody.err.contains("no saga has the correlation ID or run o-aborted"), "{nobody:#?}");
    Ok(())
}

fn watch_tells_each_move(cluster: &Cluster) -> Result<()> {
    let mesh = Filled::open(cluster)?;
    mesh.fill()?;
    let log = run_dir()?.join(format!("{}.watch", mesh.shop.mesh.name));
    let command = quadrille(cluster, &["sagas", "watch", mesh.shop.file()?])?;
    let process = Process::spawn("quadrille sagas watch", command, &log)?;
    let says = |text: &str| std::fs::read_to_string(&log).unwrap_or_default().contains(text);
    process.wait_ready(PATIENCE, || says("o-running  running  waits for charge to answer"))?;
    let producer = mesh.producer()?;
    producer.begin_transaction()?;
    let more = [("reserve-stock", succeeded("StockReserved")), ("charge", rejected("CardDeclined"))];
    mesh.write(&producer, "o-running", &more, 1)?;
    producer.commit_transaction(PATIENCE)?;
    let moved = "o-running  running → undoing (CardDeclined)  waits for reserve-stock to be undone";
    process.wait_ready(PATIENCE, || says(moved))?;
    let status = process.interrupt(PATIENCE)?;
    ensure!(status.code() == Some(0) && !says("panicked") && !says("\u{1b}"), "{status}");
    Ok(())
}

fn a_mesh_that_was_never_applied_is_said(cluster: &Cluster) -> Result<()> {
    let shop = Shop::new(cluster, |text| text)?;
    let said = run(cluster, &["sagas", "list", shop.file()?])?.ended(2)?;
    ensure!(said.err.contains("run `quadrille apply`"), "{said:#?}");
    Ok(())
}

fn event(name: &str) -> EventRef {
    EventRef { event: name.into(), id: format!("{name}-1"), payload: None }
}

fn succeeded(name: &str) -> Outcome {
    Outcome::Succeeded { events: vec![event(name)], inputs: vec![] }
}

fn rejected(name: &str) -> Outcome {
    Outcome::Rejected { events: vec![event(name)] }
}

type Answers<'a> = [(&'a str, Outcome)];

/// A mesh whose state, journal and outcomes are filled as its coordinator would.
struct Filled<'a> {
    cluster: &'a Cluster,
    shop: Shop,
    names: Names,
    flow: Flow,
}

impl Filled<'_> {
    fn open(cluster: &Cluster) -> Result<Filled<'_>> {
        let shop = Shop::new(cluster, |text| text)?;
        run(cluster, &["apply", shop.file()?, "--replication-factor", "1"])?.ended(0)?;
        let flow = lower::flow(&shop.mesh, &shop.mesh.sagas["order"]);
        let names = Names::new(&shop.mesh.name);
        Ok(Filled { cluster, shop, names, flow })
    }

    fn producer(&self) -> Result<ThreadedProducer<DefaultProducerContext>> {
        producer(self.cluster, Some(&self.cluster.unique("coordinator")))
    }

    /// Four sagas that count, and one in a transaction that is aborted.
    fn fill(&self) -> Result<()> {
        let producer = self.producer()?;
        let terminal = Reason::Terminal;
        let reserved = ("reserve-stock", succeeded("StockReserved"));
        let declined = ("charge", rejected("CardDeclined"));
        let gave_up = Outcome::UndoExhausted { reason: terminal, message: "no such order".into() };
        let (paid, shipped) = (("charge", succeeded("PaymentTaken")), ("ship", succeeded("OrderShipped")));
        producer.begin_transaction()?;
        self.write(&producer, "o-running", std::slice::from_ref(&reserved), 0)?;
        self.write(&producer, "o-undoing", &[reserved.clone(), declined.clone()], 0)?;
        let stuck = [reserved.clone(), declined, ("reserve-stock", gave_up)];
        self.write(&producer, "o-stuck", &stuck, 0)?;
        self.write(&producer, "o-done", &[reserved.clone(), paid, shipped], 0)?;
        producer.commit_transaction(PATIENCE)?;
        producer.begin_transaction()?;
        self.write(&producer, "o-aborted", &[reserved], 0)?;
        producer.flush(PATIENCE)?;
        producer.abort_transaction(PATIENCE)?;
        Ok(())
    }

    fn run(&self, id: &str) -> RunId {
        RunId::of(self.names.mesh(), "order", id)
    }

    /// Writes what the start of `id` and these answers lead to; the first `known` answers are written already.
    fn write(
        &self,
        producer: &ThreadedProducer<DefaultProducerContext>,
        id: &str,
        answers: &Answers<'_>,
        known: usize,
    ) -> Result<()> {
        let run = self.run(id);
        let key = run.to_string();
        let number = partition::of_key(key.as_bytes(), SAGA_PARTITIONS) as i32;
        let start = Body::Started(event("OrderPlaced"));
        let bodies =
            std::iter::once(start).chain(answers.iter().map(|(step, result)| answer(run, step, result)));
        let mut state = None;
        for (index, body) in bodies.enumerate() {
            let now_ms = STARTED_MS + 1_000 * index as i64;
            let input = Input::Fact(self.fact(id, body));
            let transition = next(&self.flow, &mut state, &input, now_ms);
            if known > 0 && index <= known {
                continue;
            }
            let entry = format::encode(&Entry { now_ms, input });
            send(producer, &self.names.journal(), number, key.as_bytes(), Some(&entry))?;
            let state: &State = state.as_ref().context("a run")?;
            for record in changelog::records(run, state, &transition.changed) {
                let key = record.key.to_bytes();
                send(producer, &self.names.state(), number, &key, record.value.as_deref())?;
            }
            for action in &transition.actions {
                if let Action::End(outcome) = action {
                    self.outcome(producer, id, (&outcome.outcome, &outcome.cause.to_string()), now_ms)?;
                }
            }
        }
        Ok(())
    }

    /// The run is forgotten, a copy of its start comes, and *charge* knows it.
    fn begin_again(&self, id: &str) -> Result<()> {
        let (run, producer) = (self.run(id), self.producer()?);
        let number = partition::of_key(run.to_string().as_bytes(), SAGA_PARTITIONS) as i32;
        let (step, trigger) = ("charge".to_owned(), Trigger::Start);
        let known = Known { activation: run.activation(&step, &trigger), step, trigger };
        let inputs = [
            Input::Forgotten(run),
            Input::Fact(self.fact(id, Body::Started(event("OrderPlaced")))),
            Input::Fact(self.fact(id, Body::Known(known))),
        ];
        producer.begin_transaction()?;
        let mut state = None;
        for input in inputs {
            let now_ms = STARTED_MS + 1_000_000;
            let transition = next(&self.flow, &mut state, &input, now_ms);
            let entry = format::encode(&Entry { now_ms, input });
            send(&producer, &self.names.journal(), number, run.to_string().as_bytes(), Some(&entry))?;
            for record in state.iter().flat_map(|state| changelog::records(run, state, &transition.changed)) {
                let key = record.key.to_bytes();
                send(&producer, &self.names.state(), number, &key, record.value.as_deref())?;
            }
        }
        producer.commit_transaction(PATIENCE)?;
        Ok(())
    }

    fn fact(&self, id: &str, body: Body) -> Fact {
        let lineage = Lineage {
            flow: "order".into(),
            run: self.run(id),
            correlation_id: id.into(),
            definition: self.flow.definition.clone(),
        };
        let source = Position { topic: "orders".into(), partition: 0, offset: 0 };
        Fact { lineage, source, source_time_ms: STARTED_MS, body, traceparent: None, tracestate: None }
    }

    fn outcome(
        &self,
        producer: &ThreadedProducer<DefaultProducerContext>,
        id: &str,
        (outcome, cause): (&str, &str),
        ended_at: i64,
    ) -> Result<()> {
        let event = SagaOutcome {
            mesh: self.names.mesh().into(),
            flow: "order".into(),
            run: self.run(id).to_string(),
            correlation_id: id.into(),
            outcome: outcome.into(),
            cause: cause.into(),
            definition_version: 1,
            definition_hash: self.flow.definition.hash.clone(),
            started_at: STARTED_MS,
            ended_at,
        };
        let value = wire::frame(1, &Codec::parse(SCHEMA)?.encode(&event)?);
        let number = partition::of_key(id.as_bytes(), SAGA_PARTITIONS) as i32;
        send(producer, &self.names.outcomes(), number, id.as_bytes(), Some(&value))
    }
}

fn answer(run: RunId, step: &str, result: &Outcome) -> Body {
    let trigger = if step == "ship" { Trigger::Join } else { Trigger::Start };
    let activation = run.activation(step, &trigger);
    Body::Step(StepResult { step: step.into(), activation, trigger, result: result.clone(), attempts: 1 })
}

fn send(
    producer: &ThreadedProducer<DefaultProducerContext>,
    topic: &str,
    partition: i32,
    key: &[u8],
    value: Option<&[u8]>,
) -> Result<()> {
    let mut record = BaseRecord::<[u8], [u8]>::to(topic).partition(partition).key(key);
    record.payload = value;
    producer.send(record).map_err(|(error, _)| error)?;
    Ok(())
}
