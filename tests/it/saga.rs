//! The order flow with its coordinator: each order ends once, with exactly the effects that its outcome demands.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use quadrille_coordinator::{Coordinator, CoordinatorConfig, CoordinatorSpec};
use quadrille_kafka::restore::Restorer;
use quadrille_kafka::{Partition, Settings};
use quadrille_provision::How;
use quadrille_runtime::handler::BoxFuture;
use quadrille_runtime::{Call, Handler, HandlerError, Reply, Service, ServiceConfig};
use quadrille_saga::State;
use quadrille_saga::changelog::{self, Key};
use quadrille_saga::state::{End, Ended};
use quadrille_schema::{RegistryConfig, Schemas};
use quadrille_step::conclude::Emitted;
use quadrille_tests::clients::{PATIENCE, config, read_values};
use quadrille_tests::wait::eventually;
use quadrille_tests::{Cluster, Promise, promise};
use quadrille_topology::{Mesh, lower, topology};
use quadrille_types::fact::{Body, Fact};
use quadrille_types::ids::Action;
use quadrille_types::outcome::SagaOutcome;
use quadrille_types::topics::Names;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};

const ORDERS: usize = 300;

/// What is waited for is slow only where the machine is.
const LONG: Duration = Duration::from_secs(60);

/// Every tenth is out of stock, every seventh has a declined card; some are both.
pub(crate) fn is_refused(number: usize) -> bool {
    number.is_multiple_of(10) || number.is_multiple_of(7)
}

pub(crate) fn promises() -> Vec<Promise> {
    vec![
        promise!(on_broker, each_order_ends_once_with_the_effects_of_its_outcome).with_registry(),
        promise!(on_broker, a_deadline_fires_also_after_a_restart).with_registry(),
        promise!(on_broker, an_ended_saga_is_forgotten_and_what_comes_later_begins_nothing)
            .with_registry()
            .within(Duration::from_secs(240)),
    ]
}

fn each_order_ends_once_with_the_effects_of_its_outcome(cluster: &Cluster) -> Result<()> {
    let shop = Shop::open(cluster, "15m")?;
    let running = shop.start(&["stock", "payment", "shipping"])?;
    shop.publish(0..ORDERS, "murmur2_random")?;
    shop.publish(0..ORDERS / 2, "consistent_random")?;
    shop.publish_garbage()?;
    let outcomes = shop.outcomes(ORDERS)?;
    running.stop();
    for number in 0..ORDERS {
        let order = format!("order-{number}");
        let expected = if is_refused(number) { "compensated" } else { "completed" };
        let found: Vec<_> = outcomes.iter().filter(|o| o.correlation_id == order).collect();
        ensure!(found.len() == 1 && found[0].outcome == expected, "{order}: {found:?}");
        shop.check_effects(&order, is_refused(number))?;
    }
    ensure!(outcomes.len() == ORDERS, "{} outcomes", outcomes.len());
    Ok(())
}

fn a_deadline_fires_also_after_a_restart(cluster: &Cluster) -> Result<()> {
    let shop = Shop::open(cluster, "4s")?;
    // Nobody runs the payment, so that only the deadline can end the order; its charge has to settle first, though.
    let running = shop.start(&["stock", "shipping"])?;
    shop.publish(1..2, "murmur2_random")?;
    eventually(PATIENCE, "the stock is reserved", || {
        ensure!(shop.effects("order-1", "reserve", Action::Do) == 1, "not yet");
        Ok(())
    })?;
    running.stop();
    let running = shop.start(&["stock", "shipping"])?;
    eventually(PATIENCE, "the deadline has passed for the journal", || {
        let entries = read_values(cluster, &shop.names.journal())?;
        let timer = |value: &Vec<u8>| {
            let entry = quadrille_types::format::decode::<quadrille_types::journal::Entry>(value);
            matches!(entry, Ok(entry) if matches!(entry.input, quadrille_types::journal::Input::Timer(_)))
        };
        ensure!(entries.iter().any(timer), "no timer among {} entries", entries.len());
        Ok(())
    })?;
    ensure!(
        read_values(cluster, &shop.names.outcomes())?.is_empty(),
        "an outcome before the charge has settled"
    );
    let payment = shop.start_service("payment")?;
    let outcomes = shop.outcomes(1)?;
    payment.stop();
    running.stop();
    ensure!(outcomes[0].outcome == "compensated" && outcomes[0].cause == "deadline", "{:?}", outcomes[0]);
    shop.check_effects("order-1", true)
}

fn an_ended_saga_is_forgotten_and_what_comes_later_begins_nothing(cluster: &Cluster) -> Result<()> {
    let shop = Shop::open(cluster, "15m")?;
    let services = shop.start(&["stock", "payment", "shipping"])?;
    shop.publish(1..21, "murmur2_random")?;
    shop.outcomes(20)?;
    services.stop();
    let left = || -> Result<BTreeMap<Vec<u8>, Vec<u8>>> {
        let restorer = Restorer::new(&shop.settings, "test")?;
        let mut left = BTreeMap::new();
        for number in 0..lower::SAGA_PARTITIONS as i32 {
            restorer.read(&Partition::new(shop.names.state(), number), None, |record| {
                let key = record.key.unwrap_or_default();
                match record.value {
                    Some(value) => left.insert(key, value),
                    None => left.remove(&key),
                };
            })?;
        }
        Ok(left)
    };
    let ended = left()?;
    ensure!(ended.len() == 20, "a head for each of 20, and {} are left", ended.len());
    let restorer = Restorer::new(&shop.settings, "test")?;
    let (mut slices, mut records) = (0, 0);
    for number in 0..lower::SAGA_PARTITIONS as i32 {
        let mut reading = restorer.start(&Partition::new(shop.names.state(), number), None)?;
        while !restorer.advance(&mut reading, Duration::ZERO, |_| records += 1)? {
            slices += 1;
        }
        ensure!(reading.left() == 0, "{} offsets", reading.left());
    }
    ensure!(slices > 4 && records >= 20, "{records} records in {slices} slices");
    ensure!(ended.values().all(|value| value.len() <= 64), "more than 64 bytes are left of one");

    let coordinator = shop.coordinator(Duration::from_millis(1))?;
    eventually(PATIENCE, "nothing is left", || {
        let left = left()?;
        ensure!(left.is_empty(), "{} are left", left.len());
        Ok(())
    })?;
    let facts = read_values(cluster, &shop.names.facts("stock"))?;
    let late = facts.first().context("a fact")?;
    let fact: Fact = quadrille_types::format::decode(late)?;
    shop.send(&shop.names.facts("stock"), &fact.lineage.run.to_string(), late)?;
    eventually(PATIENCE, "the late fact is recorded", || {
        let unmatched = read_values(cluster, &shop.names.unmatched())?;
        ensure!(unmatched.contains(late), "it is not among {}", unmatched.len());
        Ok(())
    })?;
    shop.copies_are_known(coordinator, &left)
}

/// The order flow with JSON bodies, its participants in memory.
pub(crate) struct Shop<'a> {
    cluster: &'a Cluster,
    mesh: Mesh,
    pub(crate) names: Names,
    settings: Settings,
    runtime: tokio::runtime::Runtime,
    effects: Effects,
}

/// What was called: order, step, action.
#[derive(Clone, Default)]
struct Effects(Arc<Mutex<Vec<(String, String, Action)>>>);

pub(crate) struct Running {
    services: Vec<Service>,
    coordinator: Coordinator,
}

impl Running {
    pub(crate) fn stop(&self) {
        self.services.iter().for_each(Service::stop);
        self.coordinator.stop();
    }
}

impl Shop<'_> {
    /// Copies of 20 starts that the coordinator has forgotten and the steps have not, half of them on other partitions
    /// than the first time: no saga of them stays open, and nothing has a second effect or outcome.
    fn copies_are_known(
        &self,
        coordinator: Coordinator,
        left: &impl Fn() -> Result<BTreeMap<Vec<u8>, Vec<u8>>>,
    ) -> Result<()> {
        let services = ["stock", "payment", "shipping"].map(|name| self.start_service(name));
        let services = services.into_iter().collect::<Result<Vec<_>>>()?;
        let running = Running { services, coordinator };
        self.publish(1..21, "murmur2_random")?;
        self.publish(11..21, "consistent_random")?;
        // Every copy is read by ingest, reserve and charge: then all that follows from them is in the facts.
        let read = |service: &str| -> Result<usize> {
            let values = read_values(self.cluster, &self.names.facts(service))?;
            let facts = values.iter().map(|value| quadrille_types::format::decode::<Fact>(value));
            let facts: Vec<Fact> = facts.collect::<Result<_, _>>()?;
            Ok(facts.iter().filter(|fact| matches!(fact.body, Body::Started(_) | Body::Known(_))).count())
        };
        eventually(LONG, "every copy has left its facts", || {
            let found = (read("ingest")?, read("stock")?, read("payment")?);
            ensure!(found == (20 + 30, 30, 30), "{found:?}");
            Ok(())
        })?;
        eventually(LONG, "every saga that began again has ended as forgotten", || {
            let left = left()?;
            let forgotten = left.iter().filter(|(key, value)| {
                let run = Key::from_bytes(key).map(Key::run);
                let state = run.and_then(|run| changelog::restore(run, value, []));
                matches!(state, Ok(State::Ended(Ended { end: End::Forgotten, .. })))
            });
            let forgotten = forgotten.count();
            ensure!(forgotten == 20 && left.len() == 20, "{forgotten} of {}", left.len());
            Ok(())
        })?;
        running.stop();
        ensure!(read_values(self.cluster, &self.names.outcomes())?.len() == 20, "a second outcome");
        (1..21).try_for_each(|number| self.check_effects(&format!("order-{number}"), is_refused(number)))
    }

    pub(crate) fn open<'a>(cluster: &'a Cluster, deadline: &str) -> Result<Shop<'a>> {
        let name = cluster.unique("shop");
        let text = include_str!("saga.yaml").replace("MESH", &name).replace("DEADLINE", deadline);
        let none = |path: &str| Err(format!("no schema {path}"));
        let checked = topology(text.as_bytes(), &none);
        let mesh = checked.mesh.with_context(|| format!("{:?}", checked.diagnostics))?;
        let settings = Settings::new(cluster.bootstrap(), [])?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let report = quadrille_provision::apply(&settings, &mesh, How::new(1))?;
        ensure!(report.created.len() == report.topics && report.activated, "{report:?}");
        let again = quadrille_provision::apply(&settings, &mesh, How::new(1))?;
        ensure!(
            again.created.is_empty() && again.positions == 0 && !again.activated && again.warnings.is_empty(),
            "a second time changes nothing: {again:?}"
        );
        Ok(Shop {
            cluster,
            names: Names::new(&mesh.name),
            mesh,
            settings,
            runtime,
            effects: Effects::default(),
        })
    }

    pub(crate) fn start(&self, services: &[&str]) -> Result<Running> {
        let coordinator = self.coordinator(Duration::from_secs(3_600))?;
        let services = services.iter().map(|name| self.start_service(name)).collect::<Result<_>>()?;
        Ok(Running { services, coordinator })
    }

    fn coordinator(&self, keep_ended: Duration) -> Result<Coordinator> {
        let config = CoordinatorConfig {
            settings: self.settings.clone(),
            schemas: Schemas::new(RegistryConfig {
                auto_register: true,
                ..RegistryConfig::new(self.cluster.registry_url())
            })?,
            spec: CoordinatorSpec::of(&self.mesh).keeping_ended(keep_ended),
            instance: None,
        };
        Ok(Coordinator::start(config, self.runtime.handle())?)
    }

    fn send(&self, topic: &str, key: &str, value: &[u8]) -> Result<()> {
        let producer: ThreadedProducer<DefaultProducerContext> =
            config(self.cluster).set("partitioner", "murmur2_random").create()?;
        producer.send(BaseRecord::to(topic).key(key).payload(value)).map_err(|(error, _)| error)?;
        Ok(producer.flush(PATIENCE)?)
    }

    fn start_service(&self, service: &str) -> Result<Service> {
        let specs = lower::service_specs(&self.mesh, service);
        let handlers = self
            .mesh
            .steps_of(service)
            .map(|step| (step.name.clone(), self.effects.handler(&self.mesh, &step.name)));
        let config = ServiceConfig {
            settings: self.settings.clone(),
            handlers: handlers.collect(),
            specs,
            lanes: 1,
            instance: None,
            drain: Duration::from_secs(30),
        };
        Ok(Service::start(config, self.runtime.handle())?)
    }

    pub(crate) fn publish(&self, numbers: std::ops::Range<usize>, partitioner: &str) -> Result<()> {
        let producer: ThreadedProducer<DefaultProducerContext> =
            config(self.cluster).set("partitioner", partitioner).create()?;
        let topic = format!("{}-orders", self.mesh.name);
        for number in numbers {
            let (key, value) = (format!("order-{number}"), format!("{{\"number\":{number}}}"));
            let record = BaseRecord::to(&topic).key(&key).payload(&value);
            producer.send(record).map_err(|(error, _)| error)?;
        }
        Ok(producer.flush(PATIENCE)?)
    }

    /// Bytes that are no JSON: under a key of their own, and under that of an order.
    fn publish_garbage(&self) -> Result<()> {
        let producer: ThreadedProducer<DefaultProducerContext> = config(self.cluster).create()?;
        let topic = format!("{}-orders", self.mesh.name);
        for key in ["garbage", "order-1"] {
            let record = BaseRecord::to(&topic).key(key).payload("{");
            producer.send(record).map_err(|(error, _)| error)?;
        }
        Ok(producer.flush(PATIENCE)?)
    }

    pub(crate) fn outcomes(&self, count: usize) -> Result<Vec<SagaOutcome>> {
        let topic = self.names.outcomes();
        let values = eventually(Duration::from_secs(60), "every order has its outcome", || {
            let values = read_values(self.cluster, &topic)?;
            ensure!(values.len() >= count, "{} of {count}", values.len());
            Ok(values)
        })?;
        let codec = quadrille_schema::Codec::parse(quadrille_types::outcome::SCHEMA)?;
        values.iter().map(|value| Ok(codec.decode(quadrille_schema::wire::unframe(value)?.1)?)).collect()
    }

    fn effects(&self, order: &str, step: &str, action: Action) -> usize {
        let all = self.effects.0.lock().expect("no panic while locked");
        all.iter().filter(|(o, s, a)| o == order && s == step && *a == action).count()
    }

    /// Refused orders have a balance of nothing and were never shipped.
    fn check_effects(&self, order: &str, refused: bool) -> Result<()> {
        let count = |step, action| self.effects(order, step, action);
        let (reserved, released) = (count("reserve", Action::Do), count("reserve", Action::Undo));
        let (charged, refunded) = (count("charge", Action::Do), count("charge", Action::Undo));
        let shipped = count("ship", Action::Do);
        let found = (reserved, released, charged, refunded, shipped);
        match refused {
            false => ensure!(found == (1, 0, 1, 0, 1), "{order}: {found:?}"),
            true => {
                ensure!(reserved == released && charged == refunded && shipped == 0, "{order}: {found:?}")
            }
        }
        Ok(())
    }
}

impl Effects {
    fn handler(&self, mesh: &Mesh, step: &str) -> Arc<dyn Handler> {
        let effects = self.clone();
        let answers: BTreeMap<Action, String> = [
            (Action::Do, mesh.steps[step].emits.events().first().cloned()),
            (Action::Undo, mesh.steps[step].undo.as_ref().and_then(|undo| undo.emits.first().cloned())),
        ]
        .into_iter()
        .filter_map(|(action, event)| Some((action, event?)))
        .collect();
        let rejects = mesh.steps[step].rejects.first().cloned();
        Arc::new(move |call: Call| -> BoxFuture<'static, Result<Reply, HandlerError>> {
            let (effects, answers, rejects) = (effects.clone(), answers.clone(), rejects.clone());
            Box::pin(async move { effects.answer(&call, &answers, rejects) })
        })
    }

    fn answer(
        &self,
        call: &Call,
        answers: &BTreeMap<Action, String>,
        rejects: Option<String>,
    ) -> Result<Reply, HandlerError> {
        let values: BTreeSet<_> =
            call.inputs.iter().filter_map(|input| Some(&input.payload.as_ref()?.value)).collect();
        for value in values {
            serde_json::from_slice::<serde_json::Value>(value)
                .map_err(|e| HandlerError::Undecodable(e.to_string()))?;
        }
        let number: usize = call
            .correlation_id
            .trim_start_matches("order-")
            .parse()
            .map_err(|_| HandlerError::Terminal("key".into()))?;
        let emitted = |event: &str| {
            let value = format!("{{\"number\":{number}}}").into_bytes();
            vec![Emitted { event: event.to_owned(), content_type: Some("application/json".into()), value }]
        };
        let refuses = (call.step == "reserve" && number.is_multiple_of(10))
            || (call.step == "charge" && number.is_multiple_of(7));
        if let (Action::Do, true, Some(event)) = (call.action, refuses, &rejects) {
            return Ok(Reply::Rejected(emitted(event)));
        }
        let effect = (call.correlation_id.clone(), call.step.clone(), call.action);
        self.0.lock().expect("no panic while locked").push(effect);
        Ok(Reply::Done(answers.get(&call.action).map(|event| emitted(event)).unwrap_or_default()))
    }
}
