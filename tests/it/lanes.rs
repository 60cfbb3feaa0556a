//! A step's lanes: each activation has its outputs once, whatever partitioner its producer used, however often its
//! event was sent, while instances come and go.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Result, ensure};
use quadrille_kafka::restore::Restorer;
use quadrille_kafka::topics::{self, From, Topic};
use quadrille_kafka::{Partition, Settings};
use quadrille_runtime::{Call, Handler, HandlerError, Reply, Service, ServiceConfig};
use quadrille_step::conclude::Emitted;
use quadrille_step::retry::Policy;
use quadrille_step::spec::{Emits, EventSpec, Guarantee, Limits, Owner, ServiceSpec, StepSpec};
use quadrille_tests::clients::{Isolation, PATIENCE, committed_offsets, config, read_to_end};
use quadrille_tests::wait::eventually;
use quadrille_tests::{Cluster, Promise, promise};
use quadrille_types::Definition;
use quadrille_types::topics::Names;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};

const PARTITIONS: u32 = 4;

pub(crate) fn promises() -> Vec<Promise> {
    vec![
        promise!(on_broker, an_order_sent_three_times_is_charged_once),
        promise!(on_broker, instances_that_come_and_go_repeat_nothing),
        promise!(on_broker, what_cannot_be_handled_is_dead_lettered_unchanged),
        promise!(on_broker, at_least_once_loses_nothing_and_drops_copies_too),
        promise!(on_broker, what_a_topic_refuses_for_its_size_is_given_up_and_the_rest_goes_on)
            .within(Duration::from_secs(300)),
    ]
}

fn an_order_sent_three_times_is_charged_once(cluster: &Cluster) -> Result<()> {
    let mesh = Mesh::create(cluster)?;
    let calls = Calls::default();
    let service = mesh.start(&calls, Some("0"))?;
    mesh.publish(0..300, "murmur2_random")?;
    let strays = mesh.publish(0..300, "consistent_random")?;
    mesh.publish(200..300, "murmur2_random")?;
    ensure!(strays > 50, "only {strays} of 300 records lay on another partition: nothing was proven");
    mesh.until_settled(700)?;
    service.stop();
    let payments = read_to_end(cluster, &mesh.payments(), Isolation::ReadCommitted)?;
    let charged: BTreeSet<_> = payments.iter().map(|record| record.key.as_str()).collect();
    ensure!(payments.len() == 300 && charged.len() == 300, "{} payments", payments.len());
    ensure!(calls.total() == 300, "{} calls for 300 orders", calls.total());
    Ok(())
}

fn instances_that_come_and_go_repeat_nothing(cluster: &Cluster) -> Result<()> {
    let mesh = Mesh::create(cluster)?;
    let calls = Calls::default();
    // New members after each start: they leave, and nobody waits for the end of a session.
    let first = mesh.start(&calls, None)?;
    mesh.publish(0..400, "murmur2_random")?;
    eventually(PATIENCE, "some calls", || {
        ensure!(calls.total() > 50, "{} calls", calls.total());
        Ok(())
    })?;
    let second = mesh.start(&calls, None)?;
    eventually(PATIENCE, "the second instance has partitions", || {
        ensure!(second.is_ready(), "it has none");
        Ok(())
    })?;
    mesh.publish(400..800, "murmur2_random")?;
    first.stop();
    mesh.publish(800..1_000, "murmur2_random")?;
    mesh.until_settled(1_000)?;
    second.stop();
    let payments = read_to_end(cluster, &mesh.payments(), Isolation::ReadCommitted)?;
    let charged: BTreeSet<_> = payments.iter().map(|record| record.key.as_str()).collect();
    ensure!(payments.len() == 1_000 && charged.len() == 1_000, "{} payments", payments.len());
    ensure!(calls.total() == 1_000, "a drained instance leaves nothing half done: {} calls", calls.total());
    Ok(())
}

fn at_least_once_loses_nothing_and_drops_copies_too(cluster: &Cluster) -> Result<()> {
    let mesh = Mesh::create_with(cluster, Guarantee::AtLeastOnce)?;
    let calls = Calls::default();
    let first = mesh.start(&calls, Some("0"))?;
    mesh.publish(0..300, "murmur2_random")?;
    eventually(PATIENCE, "some calls", || {
        ensure!(calls.total() > 20, "{} calls", calls.total());
        Ok(())
    })?;
    first.stop();
    mesh.publish(0..300, "consistent_random")?;
    let second = mesh.start(&calls, Some("0"))?;
    mesh.until_settled(600)?;
    second.stop();
    let payments = read_to_end(cluster, &mesh.payments(), Isolation::ReadCommitted)?;
    let charged: BTreeSet<_> = payments.iter().map(|record| record.key.as_str()).collect();
    ensure!(payments.len() == 300 && charged.len() == 300, "{} payments", payments.len());
    Ok(())
}

fn what_cannot_be_handled_is_dead_lettered_unchanged(cluster: &Cluster) -> Result<()> {
    let mesh = Mesh::create(cluster)?;
    let calls = Calls::default();
    let service = mesh.start(&calls, Some("0"))?;
    mesh.publish(0..20, "murmur2_random")?;
    mesh.send("poison", Some("garbage"))?;
    mesh.send("flaky-1", Some("fails twice"))?;
    mesh.send("broken-1", Some("always fails"))?;
    mesh.until_settled(23)?;
    service.stop();
    let dead = read_to_end(cluster, &mesh.names.dead("charge"), Isolation::ReadCommitted)?;
    let mut found: Vec<_> = dead.iter().map(|r| (r.key.as_str(), r.value.as_str())).collect();
    found.sort_unstable();
    ensure!(found == [("broken-1", "always fails"), ("poison", "garbage")], "{found:?}");
    let payments = read_to_end(cluster, &mesh.payments(), Isolation::ReadCommitted)?;
    ensure!(payments.len() == 21, "{} payments", payments.len());
    Ok(())
}

/// One output is larger than any event may be, one larger than its topic takes, which nobody said, and one input fits
/// into its own topic but, with what a dead letter says, not into that of the dead.
fn what_a_topic_refuses_for_its_size_is_given_up_and_the_rest_goes_on(cluster: &Cluster) -> Result<()> {
    for guarantee in [Guarantee::ExactlyOnce, Guarantee::AtLeastOnce] {
        let mesh = Mesh::create_with(cluster, guarantee)?;
        let service = mesh.start(&Calls::default(), Some("0"))?;
        mesh.publish(0..20, "murmur2_random")?;
        mesh.send("huge-1", Some("its payment has 2 MB"))?;
        mesh.send("large-1", Some("its payment has 300 kB"))?;
        mesh.send("poison-1", Some(&incompressible(1_048_200)))?;
        mesh.send("flaky-1", Some("fails twice"))?;
        mesh.until_settled(24)?;
        mesh.publish(20..30, "murmur2_random")?;
        mesh.until_settled(34)?;
        service.stop();
        ensure!(service.failed().borrow().is_none(), "the service ended by itself");
        // At least once, what a failed burst left is there twice.
        let mut dead = BTreeSet::new();
        let restorer = Restorer::new(&mesh.settings, "test")?;
        for number in 0..PARTITIONS as i32 {
            restorer.read(&Partition::new(mesh.names.dead("charge"), number), None, |record| {
                let text = |name| record.header_text(name).unwrap_or_default().to_owned();
                let key = String::from_utf8_lossy(record.key.as_deref().unwrap_or_default()).into_owned();
                let cut = !text("quadrille-dead-omitted").is_empty();
                dead.insert((key, text("quadrille-dead-reason"), record.value.is_some(), cut));
            })?;
        }
        let expected = [
            ("huge-1", "oversized", true, false),
            ("large-1", "oversized", true, false),
            ("poison-1", "undecodable", false, true),
        ];
        let found = dead.iter().map(|(k, r, whole, cut)| (k.as_str(), r.as_str(), *whole, *cut));
        ensure!(found.eq(expected), "{guarantee:?}: {dead:?}");
        let payments = read_to_end(cluster, &mesh.payments(), Isolation::ReadCommitted)?;
        let charged: BTreeSet<_> = payments.iter().map(|record| record.key.as_str()).collect();
        ensure!(charged.len() == 31, "{guarantee:?}: {} were charged", charged.len());
        ensure!(guarantee == Guarantee::AtLeastOnce || payments.len() == 31, "{} payments", payments.len());
    }
    Ok(())
}

fn incompressible(bytes: usize) -> String {
    std::iter::repeat_with(fastrand::alphanumeric).take(bytes).collect()
}

/// Calls of the handler, by correlation ID.
#[derive(Clone, Default)]
pub(crate) struct Calls(Arc<Mutex<BTreeMap<String, usize>>>, Arc<AtomicUsize>);

impl Calls {
    pub(crate) fn total(&self) -> usize {
        self.1.load(Ordering::Relaxed)
    }

    fn handler(&self) -> Arc<dyn Handler> {
        let calls = self.clone();
        Arc::new(move |call: Call| -> quadrille_runtime::handler::BoxFuture<'static, _> {
            let calls = calls.clone();
            Box::pin(async move { calls.answer(&call).await })
        })
    }

    async fn answer(&self, call: &Call) -> Result<Reply, HandlerError> {
        let id = call.correlation_id.clone();
        *self.0.lock().expect("no panic while locked").entry(id.clone()).or_default() += 1;
        self.1.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(fastrand::u64(0..10))).await;
        match id.split('-').next() {
            Some("poison") => Err(HandlerError::Undecodable("not an order".into())),
            Some("broken") => Err(HandlerError::retryable("down for good")),
            Some("flaky") if call.attempt < 3 => Err(HandlerError::retryable("down for a while")),
            first => {
                let value = match first {
                    Some("huge") => incompressible(2_000_000),
                    Some("large") => incompressible(300_000),
                    _ => id,
                };
                let (event, content_type, value) = ("PaymentTaken".into(), None, value.into_bytes());
                Ok(Reply::Done(vec![Emitted { event, content_type, value }]))
            }
        }
    }
}

/// One step, `charge`, listening to `OrderPlaced`.
pub(crate) struct Mesh<'a> {
    cluster: &'a Cluster,
    pub(crate) names: Names,
    pub(crate) settings: Settings,
    runtime: tokio::runtime::Runtime,
    guarantee: Guarantee,
}

impl Mesh<'_> {
    pub(crate) fn create(cluster: &Cluster) -> Result<Mesh<'_>> {
        Self::create_with(cluster, Guarantee::ExactlyOnce)
    }

    fn create_with(cluster: &Cluster, guarantee: Guarantee) -> Result<Mesh<'_>> {
        let settings = Settings::new(cluster.bootstrap(), [])?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let mesh = Mesh { cluster, names: Names::new(cluster.unique("shop")), settings, runtime, guarantee };
        let spec = mesh.spec();
        let mut wanted = BTreeMap::from([
            (mesh.payments(), PARTITIONS),
            (mesh.names.dead("charge"), PARTITIONS),
            (mesh.names.ledger("charge"), PARTITIONS),
            (mesh.names.facts("payment"), spec.saga_partitions),
        ]);
        wanted.extend(spec.inputs());
        let small = BTreeMap::from([("max.message.bytes".to_owned(), "100000".to_owned())]);
        let topic = |(name, partitions): (String, u32)| {
            let config = if name == mesh.payments() { small.clone() } else { BTreeMap::new() };
            Topic { name, partitions, config }
        };
        topics::create(&mesh.settings, &wanted.into_iter().map(topic).collect::<Vec<_>>(), 1)?;
        let inputs: Vec<_> = spec.inputs().into_iter().map(topic).map(|t| (t, From::Earliest)).collect();
        let group = spec.group();
        ensure!(topics::write_first_positions(&mesh.settings, &group, &inputs)? == 8);
        ensure!(topics::write_first_positions(&mesh.settings, &group, &inputs)? == 0, "written once");
        Ok(mesh)
    }

    pub(crate) fn orders(&self) -> String {
        format!("{}.orders", self.names.mesh())
    }

    pub(crate) fn payments(&self) -> String {
        format!("{}.payments", self.names.mesh())
    }

    pub(crate) fn spec(&self) -> ServiceSpec {
        let event = |topic: String, owner, starts: Option<&str>| EventSpec {
            topic,
            partitions: PARTITIONS,
            owner,
            by_key: false,
            starts: starts.map(Into::into),
            flow: Some("order".into()),
        };
        ServiceSpec {
            names: self.names.clone(),
            service: "payment".into(),
            guarantee: self.guarantee,
            definition: Definition { version: 1, hash: "test".into() },
            saga_partitions: 2,
            limits: Limits { event: 1_000_000, own: 7_900_000, kept: 1_000_000, found: BTreeMap::new() },
            events: BTreeMap::from([
                ("OrderPlaced".into(), event(self.orders(), Owner::Foreign, Some("order"))),
                ("PaymentTaken".into(), event(self.payments(), Owner::Mesh, None)),
            ]),
            steps: vec![StepSpec {
                name: "charge".into(),
                listens_to: Some("OrderPlaced".into()),
                partitions: PARTITIONS,
                emits: Emits::one_of(["PaymentTaken"]),
                gives_up: None,
                rejects: Emits::one_of::<String>([]),
                undo_emits: None,
                retry: Policy { tries: 3, wait_min_ms: 5, wait_max_ms: 20 },
                timeout_ms: 30_000,
                concurrency: 16,
                carries: BTreeSet::new(),
                keeps_ledger: true,
            }],
        }
    }

    /// A static member, or one that is new each time.
    pub(crate) fn start(&self, calls: &Calls, instance: Option<&str>) -> Result<Service> {
        let config = ServiceConfig {
            settings: self.settings.clone(),
            specs: vec![self.spec()],
            handlers: BTreeMap::from([("charge".to_owned(), calls.handler())]),
            lanes: 1,
            instance: instance.map(str::to_owned),
            drain: Duration::from_secs(30),
        };
        Ok(Service::start(config, self.runtime.handle())?)
    }

    fn producer(&self, partitioner: &str) -> Result<ThreadedProducer<DefaultProducerContext>> {
        let large = "2000000";
        let mut config = config(self.cluster);
        config.set("partitioner", partitioner).set("linger.ms", "5").set("message.max.bytes", large);
        Ok(config.create()?)
    }

    /// Sends orders, each with an event ID of its own, and says how many lie where murmur2 would not put them.
    pub(crate) fn publish(&self, numbers: std::ops::Range<usize>, partitioner: &str) -> Result<usize> {
        let (producer, topic) = (self.producer(partitioner)?, self.orders());
        for number in numbers.clone() {
            let id = format!("{partitioner}-{number}-{}", fastrand::u32(..));
            let header = Header { key: "ce_id", value: Some(&id) };
            let key = format!("order-{number}");
            let record =
                BaseRecord::to(&topic).key(&key).payload("order").headers(OwnedHeaders::new().insert(header));
            producer.send(record).map_err(|(error, _)| error)?;
        }
        producer.flush(PATIENCE)?;
        let home = |key: &str| quadrille_types::partition::of_key(key.as_bytes(), PARTITIONS) as i32;
        let all = read_to_end(self.cluster, &self.orders(), Isolation::ReadCommitted)?;
        Ok(all.iter().filter(|record| record.partition != home(&record.key)).count())
    }

    fn send(&self, key: &str, value: Option<&str>) -> Result<()> {
        let producer = self.producer("murmur2_random")?;
        let (topic, mut record) = (self.orders(), BaseRecord::<str, str>::to("").key(key));
        record.topic = &topic;
        record.payload = value;
        producer.send(record).map_err(|(error, _)| error)?;
        Ok(producer.flush(PATIENCE)?)
    }

    /// Waits until the group has committed everything in its inputs, `orders` records of the orders topic among them.
    pub(crate) fn until_settled(&self, orders: usize) -> Result<()> {
        eventually(Duration::from_secs(90), "the group stands at the end of its inputs", || {
            let sent = read_to_end(self.cluster, &self.orders(), Isolation::ReadCommitted)?;
            ensure!(sent.len() == orders, "{} records were sent, not {orders}", sent.len());
            self.spec().inputs().keys().try_for_each(|topic| self.is_done_with(topic))
        })
    }

    /// Behind the last record there may be markers, which nobody commits.
    fn is_done_with(&self, topic: &str) -> Result<()> {
        let committed = committed_offsets(self.cluster, &self.spec().group(), topic)?;
        for record in read_to_end(self.cluster, topic, Isolation::ReadCommitted)? {
            let at = committed[record.partition as usize];
            ensure!(at > Some(record.offset), "{topic}/{} stands at {at:?}", record.partition);
        }
        Ok(())
    }
}
