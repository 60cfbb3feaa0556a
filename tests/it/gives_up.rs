//! `exhausted: { emit: EVENT }`: the event follows exhausted tries once, with the dead letter, whoever triggered the step.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use quadrille_coordinator::{Coordinator, CoordinatorConfig, CoordinatorSpec};
use quadrille_kafka::restore::Restorer;
use quadrille_kafka::{Partition, Settings};
use quadrille_provision::How;
use quadrille_runtime::Service;
use quadrille_schema::{Codec, RegistryConfig, Schemas, wire};
use quadrille_sdk::service::Running;
use quadrille_sdk::{Context, Outputs, StepError, Steps};
use quadrille_tests::clients::{PATIENCE, config, read_values};
use quadrille_tests::wait::eventually;
use quadrille_tests::{Cluster, Promise, promise};
use quadrille_topology::{Mesh, lower, topology};
use quadrille_types::Record;
use quadrille_types::ids::{Action, RunId, Trigger};
use quadrille_types::outcome::SagaOutcome;
use quadrille_types::topics::Names;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use serde_json::{Value as Json, json};

const PLACED: &str = r#"{"type":"record","namespace":"test","name":"OrderPlaced","fields":[
    {"name":"order_id","type":"string"},{"name":"pieces","type":"int"},{"name":"reason","type":"string"}]}"#;
const UNCLEAR: &str = r#"{"type":"record","namespace":"test","name":"PaymentUnclear","fields":[
    {"name":"order_id","type":"string"},{"name":"pieces","type":["null","long"]},{"name":"note","type":["null","string"]},
    {"name":"step","type":"string"},{"name":"reason","type":"string"},{"name":"attempts","type":"long"},
    {"name":"level","type":"int","default":7}]}"#;
const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

pub(crate) fn promises() -> Vec<Promise> {
    vec![promise!(on_broker, exhausted_tries_are_followed_by_the_files_event_once).with_registry()]
}

fn exhausted_tries_are_followed_by_the_files_event_once(cluster: &Cluster) -> Result<()> {
    let shop = Shop::open(cluster)?;
    let coordinator = shop.coordinator()?;
    let service = shop.service()?;
    let placed = [("fine", "a"), ("lost", "b"), ("stuck", "d"), ("lost", "b2")];
    for (order, id) in placed {
        shop.place(order, id, &json!({"order_id": order, "pieces": 3, "reason": "birthday"}))?;
    }
    shop.place("garbage", "e", &json!({"order_id": 7}))?;
    let outcomes = shop.outcomes(3)?;
    service.stop();
    // The service comes back, and with it a copy of what it has given up.
    let service = shop.service()?;
    shop.place("lost", "b3", &json!({"order_id": "lost", "pieces": 3, "reason": "birthday"}))?;
    shop.place("last", "f", &json!({"order_id": "last", "pieces": 3, "reason": "birthday"}))?;
    shop.outcomes(4)?;
    service.stop();
    coordinator.stop();

    let ends: BTreeMap<_, _> = outcomes
        .iter()
        .map(|o| (o.correlation_id.as_str(), (o.outcome.as_str(), o.cause.as_str())))
        .collect();
    let expected = [
        ("fine", ("completed", "OrderShipped")),
        ("lost", ("compensated", "PaymentLost")),
        ("stuck", ("completed", "PickUpOffered")),
    ];
    ensure!(ends == BTreeMap::from(expected), "{ends:?}");
    shop.check_events()?;
    shop.check_letters()?;
    let undone = BTreeMap::from([("refund lost".to_owned(), 1)]);
    let calls = shop.calls.lock().expect("no panic while locked").clone();
    ensure!(calls == undone, "what is unknown is undone, and each once: {calls:?}");
    Ok(())
}

struct Shop<'a> {
    cluster: &'a Cluster,
    mesh: Mesh,
    names: Names,
    settings: Settings,
    schemas: Schemas,
    runtime: tokio::runtime::Runtime,
    /// What was undone, and how often.
    calls: Arc<Mutex<BTreeMap<String, usize>>>,
}

impl Shop<'_> {
    fn open(cluster: &Cluster) -> Result<Shop<'_>> {
        let text = include_str!("gives_up.yaml").replace("MESH", &cluster.unique("shop"));
        let schemas = |path: &str| Ok(if path.ends_with("placed") { PLACED } else { UNCLEAR }.to_owned());
        let checked = topology(text.as_bytes(), &schemas);
        let mesh = checked.mesh.with_context(|| format!("{:?}", checked.diagnostics))?;
        let settings = Settings::new(cluster.bootstrap(), [])?;
        quadrille_provision::apply(&settings, &mesh, How::new(1))?;
        let registry = RegistryConfig { auto_register: true, ..RegistryConfig::new(cluster.registry_url()) };
        Ok(Shop {
            cluster,
            names: Names::new(&mesh.name),
            mesh,
            settings,
            schemas: Schemas::new(registry)?,
            runtime: tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?,
            calls: Arc::default(),
        })
    }

    fn coordinator(&self) -> Result<Coordinator> {
        let config = CoordinatorConfig {
            settings: self.settings.clone(),
            schemas: self.schemas.clone(),
            spec: CoordinatorSpec::of(&self.mesh),
            instance: None,
        };
        Ok(Coordinator::start(config, self.runtime.handle())?)
    }

    fn service(&self) -> Result<Service> {
        let undo = |what: &'static str| {
            let calls = Arc::clone(&self.calls);
            move |context: Context, _: quadrille_sdk::Events| {
                let call = format!("{what} {}", context.correlation_id());
                *calls.lock().expect("no panic while locked").entry(call).or_default() += 1;
                async { Ok(Outputs::none()) }
            }
        };
        let steps = Steps::new()
            .service("shop")
            .handler("pack", |_: Context, _: Json| async {
                Ok(Outputs::of("Packed", &json!({"step": "pack"})))
            })
            .handler("charge", |_: Context, order: Json| async move {
                match order["order_id"].as_str() {
                    Some("lost") => Err(StepError::retryable("gateway down")),
                    _ => Ok(Outputs::of("PaymentTaken", &json!({"paid": order["pieces"]}))),
                }
            })
            .handler("ask", |_: Context, _: Json| async { Ok(Outputs::of("PaymentLost", &json!({}))) })
            .handler("ship", |context: Context, _: quadrille_sdk::Events| async move {
                match context.correlation_id() {
                    "stuck" => Err(StepError::terminal("no such address")),
                    _ => Ok(Outputs::of("OrderShipped", &json!({}))),
                }
            })
            .handler("refund", undo("refund"))
            .handler("call-back", undo("call-back"));
        let running = Running::new(self.settings.clone(), Some(self.schemas.clone()));
        Ok(self.runtime.block_on(quadrille_sdk::service::start(&self.mesh, &steps, running))?)
    }

    fn place(&self, order: &str, id: &str, value: &Json) -> Result<()> {
        let producer: ThreadedProducer<DefaultProducerContext> = config(self.cluster).create()?;
        let header = |key, value| Header { key, value: Some(value) };
        let headers = OwnedHeaders::new()
            .insert(header("content-type", "application/json"))
            .insert(header("ce_specversion", "1.0"))
            .insert(header("ce_id", id))
            .insert(header("ce_type", "OrderPlaced"))
            .insert(header("ce_source", "/test"))
            .insert(header("traceparent", TRACE));
        let (topic, value) = (format!("{}-orders", self.mesh.name), value.to_string());
        let record = BaseRecord::to(&topic).key(order).payload(&value).headers(headers);
        producer.send(record).map_err(|(error, _)| error)?;
        Ok(producer.flush(PATIENCE)?)
    }

    fn outcomes(&self, count: usize) -> Result<Vec<SagaOutcome>> {
        let values = eventually(Duration::from_secs(60), "the outcomes", || {
            let values = read_values(self.cluster, &self.names.outcomes())?;
            ensure!(values.len() >= count, "{} of {count}", values.len());
            Ok(values)
        })?;
        let codec = Codec::parse(quadrille_types::outcome::SCHEMA)?;
        values.iter().map(|value| Ok(codec.decode(wire::unframe(value)?.1)?)).collect()
    }

    fn read(&self, topic: &str, partitions: u32) -> Result<Vec<Record>> {
        let restorer = Restorer::new(&self.settings, "test")?;
        let mut records = Vec::new();
        for number in 0..partitions as i32 {
            restorer.read(&Partition::new(topic.to_owned(), number), None, |record| records.push(record))?;
        }
        records.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(records)
    }

    fn events(&self, event: &str) -> Result<Vec<Record>> {
        let topic = &self.mesh.events[event].topic;
        let mut records = self.read(topic, self.mesh.topics[topic].partitions)?;
        records.retain(|record| record.header_text("ce_type") == Some(event));
        Ok(records)
    }

    /// One for each order, with the fields and headers of any event of the mesh.
    fn check_events(&self) -> Result<()> {
        let codec = Codec::parse(UNCLEAR)?;
        let unclear = self.events("PaymentUnclear")?;
        ensure!(unclear.len() == 1, "{} events for one order", unclear.len());
        let record = &unclear[0];
        let value = codec.decode_json(wire::unframe(record.value.as_deref().unwrap_or_default())?.1)?;
        let expected = json!({"order_id": "lost", "pieces": 3, "note": null, "step": "charge",
            "reason": "exhausted", "attempts": 2, "level": 7});
        ensure!(value == expected, "{value}");
        let run = RunId::of(&self.mesh.name, "order", "lost");
        let id = run.activation("charge", &Trigger::Start).event(Action::Do, 0).to_string();
        let header = |name| record.header_text(name).unwrap_or_default();
        let found = (record.key.as_deref(), header("ce_id"), header("ce_correlationid"));
        ensure!(found == (Some(b"lost".as_slice()), id.as_str(), "lost"), "{found:?}");
        let caused = ["b", "b2"].contains(&header("ce_causationid"));
        ensure!(header("traceparent") == TRACE && caused, "{record:?}");
        let offered = self.events("PickUpOffered")?;
        ensure!(offered.len() == 1, "{} events for one order", offered.len());
        let value: Json = serde_json::from_slice(offered[0].value.as_deref().unwrap_or_default())?;
        let expected = json!({"paid": 3, "step": "ship", "reason": "terminal", "attempts": 1});
        ensure!(value == expected, "{value}");
        Ok(())
    }

    fn check_letters(&self) -> Result<()> {
        for (step, expected) in [
            ("charge", vec![("garbage", "undecodable"), ("lost", "exhausted")]),
            ("ship", vec![("", "terminal")]),
        ] {
            let partitions = lower::step_partitions(&self.mesh, &self.mesh.steps[step]);
            let letters = self.read(&self.names.dead(step), partitions)?;
            let found: Vec<_> = letters
                .iter()
                .map(|letter| {
                    // A command's key is the run.
                    let key = letter.key.as_deref().filter(|_| step != "ship").unwrap_or_default();
                    (
                        std::str::from_utf8(key).unwrap_or_default(),
                        letter.header_text("quadrille-dead-reason"),
                    )
                })
                .collect();
            let expected: Vec<_> = expected.into_iter().map(|(key, reason)| (key, Some(reason))).collect();
            ensure!(found == expected, "{step}: {found:?}");
        }
        Ok(())
    }
}
