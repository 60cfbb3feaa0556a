//! A step service: its lanes, its health, its end.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use quadrille_kafka::group::Member;
use quadrille_kafka::holding::Holding;
use quadrille_kafka::restore::Restorer;
use quadrille_kafka::transaction::Busy;
use quadrille_kafka::writer::Writer;
use quadrille_kafka::{Error, Settings, start};
use quadrille_step::lane::Lane;
use quadrille_step::spec::{Guarantee, ServiceSpec};
use quadrille_types::topics::Names;
use tokio::sync::watch;

use crate::handler::Handler;
use crate::lane::{Core, Shared, run};

/// Activations that a ledger remembers for each partition. Reading them back, with as many markers, took 3 s in a debug build
/// on a loaded machine with two cores; the member is polled after each ledger, so heartbeats and rebalances go on.
pub const LEDGER_WINDOW: usize = 100_000;

/// What a service needs to run.
pub struct ServiceConfig {
    /// The cluster.
    pub settings: Settings,
    /// What to run: one for each guarantee that the service's steps have.
    pub specs: Vec<ServiceSpec>,
    /// A handler for each step.
    pub handlers: BTreeMap<String, Arc<dyn Handler>>,
    /// Lanes: threads that share the partitions among them.
    pub lanes: usize,
    /// Name of this instance, only if it is stable over restarts and nobody else has it (such as the ordinal of a
    /// stateful set): its partitions then wait for it. None: the instance is one of many.
    pub instance: Option<String>,
    /// How long a revocation or the end waits for handlers that run.
    pub drain: Duration,
}

/// A running service.
pub struct Service {
    lanes: Vec<Running>,
    failed: watch::Receiver<Option<String>>,
    transaction_timeout: Duration,
}

struct Running {
    shared: Arc<Shared>,
    busy: Arc<Busy>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Service {
    /// Starts the lanes. Blocks until Kafka has answered and the topics are found as the topology says; refuses to start
    /// otherwise. `tokio` runs the handlers.
    pub fn start(config: ServiceConfig, tokio: &tokio::runtime::Handle) -> Result<Self, Error> {
        let needed = config.specs.iter().flat_map(needed_topics).collect();
        if let Some(spec) = config.specs.first() {
            start::topics(&config.settings, &spec.names, &needed)?;
        }
        let (report, failed) = watch::channel(None);
        let instance = config.instance.clone().unwrap_or_else(|| format!("{:016x}", fastrand::u64(..)));
        let starting = Starting { config: &config, tokio, report };
        let mut lanes = Vec::new();
        for spec in &config.specs {
            let (spec, handlers) = (Arc::new(spec.clone()), handlers(spec, &config.handlers)?);
            for index in 0..config.lanes.max(1) {
                let id = Names::lane(&spec.group(), &instance, index);
                lanes.push(starting.lane(&spec, &handlers, &id)?);
            }
        }
        Ok(Self { lanes, failed, transaction_timeout: config.settings.transaction_timeout })
    }

    /// Changes to the reason when a lane has ended that should not have: the process should end too.
    pub fn failed(&self) -> watch::Receiver<Option<String>> {
        self.failed.clone()
    }

    /// Whether every lane has been given its partitions, be they none, and none has failed.
    pub fn is_ready(&self) -> bool {
        let ready = |lane: &Running| lane.shared.ready.load(Ordering::Acquire);
        self.failed.borrow().is_none() && self.lanes.iter().all(ready)
    }

    /// A call to Kafka that has taken longer than any can: the thread cannot be freed, so the process must end.
    pub fn is_stuck(&self) -> bool {
        let limit = self.transaction_timeout + Duration::from_secs(10);
        self.lanes.iter().any(|lane| lane.busy.for_how_long().is_some_and(|blocked| blocked > limit))
    }

    /// Takes no more records, finishes those in work, leaves the groups. Blocks.
    pub fn stop(&self) {
        for lane in &self.lanes {
            lane.shared.stop.store(true, Ordering::Release);
            lane.shared.wake();
        }
        for lane in &self.lanes {
            let thread = lane.thread.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
            if thread.is_some_and(|thread| thread.join().is_err()) {
                tracing::error!(target: "quadrille::step", "a lane panicked");
            }
        }
    }
}

/// What all lanes of a service are started with.
struct Starting<'a> {
    config: &'a ServiceConfig,
    tokio: &'a tokio::runtime::Handle,
    report: watch::Sender<Option<String>>,
}

impl Starting<'_> {
    /// Starts the lane that writes, and is a member of its group, as `id`.
    fn lane(
        &self,
        spec: &Arc<ServiceSpec>,
        handlers: &[Arc<dyn Handler>],
        id: &str,
    ) -> Result<Running, Error> {
        let settings = &self.config.settings;
        let writer = match spec.guarantee {
            Guarantee::ExactlyOnce => Writer::exactly_once(settings, id.to_owned())?,
            Guarantee::AtLeastOnce => Writer::at_least_once(settings, id.to_owned(), spec.written_last())?,
        };
        let busy = writer.busy();
        let slots: usize = spec.steps.iter().map(|step| step.concurrency.max(1)).sum();
        let (sender, receiver) = sync_channel(slots + 16);
        let core = Core {
            lane: Lane::new(Arc::clone(spec), LEDGER_WINDOW),
            writer,
            restorer: Restorer::new(settings, &spec.group())?,
            receiver,
            must_rewind: false,
            must_prepare: false,
            joined: false,
            early: Vec::new(),
            broken: None,
            holding: Holding::default(),
        };
        let shared = Arc::new(Shared {
            spec: Arc::clone(spec),
            handlers: handlers.to_vec(),
            tokio: self.tokio.clone(),
            sender,
            drain: self.config.drain,
            window: LEDGER_WINDOW,
            woken: AtomicBool::new(false),
            ready: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            core: Mutex::new(core),
        });
        let inputs = spec.inputs();
        let topics: Vec<&str> = inputs.keys().map(String::as_str).collect();
        let static_id = self.config.instance.as_ref().map(|_| id);
        let waker = Arc::downgrade(&shared);
        let member = Member::join(settings, &spec.group(), static_id, &topics, &shared, move || {
            if let Some(shared) = waker.upgrade() {
                shared.wake();
            }
        })?;
        let thread = spawn(&shared, member, self.report.clone(), id);
        Ok(Running { shared, busy, thread: Mutex::new(Some(thread)) })
    }
}

fn spawn(
    shared: &Arc<Shared>,
    member: Member,
    report: watch::Sender<Option<String>>,
    id: &str,
) -> JoinHandle<()> {
    let shared = Arc::clone(shared);
    let body = move || {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(&shared, &member)));
        let failure = match outcome {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "the lane panicked: see its message above".to_owned(),
        };
        tracing::error!(target: "quadrille::step", service = shared.spec.service, failure, "lane ended");
        report.send_replace(Some(failure));
    };
    std::thread::Builder::new().name(id.to_owned()).spawn(body).expect("the system has room for a thread")
}

/// Topics that must be there, with their partitions.
fn needed_topics(spec: &ServiceSpec) -> BTreeMap<String, u32> {
    let mut topics = spec.inputs();
    topics.insert(spec.names.facts(&spec.service), spec.saga_partitions);
    for step in &spec.steps {
        topics.insert(spec.names.dead(&step.name), step.partitions);
        if step.keeps_ledger {
            topics.insert(spec.names.ledger(&step.name), step.partitions);
        }
        for event in step.events().filter_map(|name| spec.events.get(name)) {
            topics.insert(event.topic.clone(), event.partitions);
        }
    }
    topics
}

fn handlers(
    spec: &ServiceSpec,
    known: &BTreeMap<String, Arc<dyn Handler>>,
) -> Result<Vec<Arc<dyn Handler>>, Error> {
    let find = |name: &String| {
        known.get(name).cloned().ok_or_else(|| {
            Error::Setting(format!("service {} has no handler for its step {name}", spec.service))
        })
    };
    spec.steps.iter().map(|step| find(&step.name)).collect()
}
