//! A step service: its lanes, its health, its end.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use quadrille_kafka::group::Member;
use quadrille_kafka::restore::Restorer;
use quadrille_kafka::transaction::Busy;
use quadrille_kafka::writer::Writer;
use quadrille_kafka::{Error, Settings, connect, topics};
use quadrille_step::lane::Lane;
use quadrille_step::spec::{Guarantee, ServiceSpec};
use quadrille_types::topics::Names;
use tokio::sync::watch;

use crate::handler::Handler;
use crate::lane::{Core, Shared, run};

/// Activations that a ledger remembers for each partition.
pub const LEDGER_WINDOW: usize = 100_000;

/// How long a start waits for Kafka to answer.
const START: Duration = Duration::from_secs(10);

/// What a service needs to run.
pub struct ServiceConfig {
    /// The cluster.
    pub settings: Settings,
    /// What to run.
    pub spec: ServiceSpec,
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
    busy: Vec<Arc<Busy>>,
    failed: watch::Receiver<Option<String>>,
    transaction_timeout: Duration,
}

struct Running {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Service {
    /// Starts the lanes. Blocks until Kafka has answered and the topics are found as the topology says; refuses to start
    /// otherwise. `tokio` runs the handlers.
    pub fn start(config: ServiceConfig, tokio: &tokio::runtime::Handle) -> Result<Self, Error> {
        connect::check(&config.settings, START)?;
        let inputs = config.spec.inputs();
        let needed = needed_topics(&config.spec);
        topics::check(&config.settings, needed.iter().map(|(name, count)| (name.as_str(), *count)), START)?;
        let handlers = handlers(&config)?;
        let spec = Arc::new(config.spec);
        let instance = config.instance.clone().unwrap_or_else(|| format!("{:016x}", fastrand::u64(..)));
        let (report, failed) = watch::channel(None);
        let (mut lanes, mut busy) = (Vec::new(), Vec::new());
        for index in 0..config.lanes.max(1) {
            let id = Names::lane(&spec.group(), &instance, index);
            let writer = match spec.guarantee {
                Guarantee::ExactlyOnce => Writer::exactly_once(&config.settings, id.clone())?,
                Guarantee::AtLeastOnce => Writer::at_least_once(&config.settings)?,
            };
            busy.push(writer.busy());
            let slots: usize = spec.steps.iter().map(|step| step.concurrency.max(1)).sum();
            let (sender, receiver) = sync_channel(slots + 16);
            let core = Core {
                lane: Lane::new(Arc::clone(&spec), LEDGER_WINDOW),
                writer,
                restorer: Restorer::new(&config.settings, &spec.group())?,
                receiver,
                must_rewind: false,
            };
            let shared = Arc::new(Shared {
                spec: Arc::clone(&spec),
                handlers: handlers.clone(),
                tokio: tokio.clone(),
                sender,
                drain: config.drain,
                window: LEDGER_WINDOW,
                woken: AtomicBool::new(false),
                stop: AtomicBool::new(false),
                core: Mutex::new(core),
            });
            let names: Vec<&str> = inputs.keys().map(String::as_str).collect();
            let static_id = config.instance.as_ref().map(|_| id.as_str());
            let waker = Arc::downgrade(&shared);
            let member =
                Member::join(&config.settings, &spec.group(), static_id, &names, &shared, move || {
                    if let Some(shared) = waker.upgrade() {
                        shared.wake();
                    }
                })?;
            let thread = spawn(&shared, member, report.clone(), index);
            lanes.push(Running { shared, thread: Mutex::new(Some(thread)) });
        }
        Ok(Self { lanes, busy, failed, transaction_timeout: config.settings.transaction_timeout })
    }

    /// Changes to the reason when a lane has ended that should not have: the process should end too.
    pub fn failed(&self) -> watch::Receiver<Option<String>> {
        self.failed.clone()
    }

    /// Whether every lane owns partitions or has been told that there are none for it, and none has failed.
    pub fn is_ready(&self) -> bool {
        self.failed.borrow().is_none()
            && self.lanes.iter().any(|lane| lane.shared.core().lane.partitions().next().is_some())
    }

    /// A call to Kafka that has taken longer than any can: the thread cannot be freed, so the process must end.
    pub fn is_stuck(&self) -> bool {
        let limit = self.transaction_timeout + Duration::from_secs(10);
        self.busy.iter().any(|busy| busy.for_how_long().is_some_and(|blocked| blocked > limit))
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

fn spawn(
    shared: &Arc<Shared>,
    member: Member,
    report: watch::Sender<Option<String>>,
    index: usize,
) -> JoinHandle<()> {
    let shared = Arc::clone(shared);
    let name = format!("lane-{}-{index}", shared.spec.service);
    let body = move || {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(&shared, &member)));
        let failure = match outcome {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some("the lane panicked: see its message above".to_owned()),
        };
        if let Some(failure) = failure {
            tracing::error!(target: "quadrille::step", service = shared.spec.service, failure, "lane ended");
            report.send_replace(Some(failure));
        }
    };
    std::thread::Builder::new().name(name).spawn(body).expect("the system has room for a thread")
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

fn handlers(config: &ServiceConfig) -> Result<Vec<Arc<dyn Handler>>, Error> {
    let find = |name: &String| {
        config.handlers.get(name).cloned().ok_or_else(|| {
            Error::Setting(format!("service {} has no handler for its step {name}", config.spec.service))
        })
    };
    config.spec.steps.iter().map(|step| find(&step.name)).collect()
}
