//! The servers of a run: started when first asked for, shared, ended at the end.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use anyhow::{Result, anyhow};

use crate::cluster::{Cluster, Kind, Node};
use crate::folders::run_dir;
use crate::promise::{Needs, Promise};
use crate::python::Python;
use crate::{embedded, kafka, registry};

/// Why a promise was not handed a cluster.
#[derive(Debug)]
pub enum Refused {
    /// The real server cannot be had on this machine, and why.
    Unavailable(String),
    /// It could be had and did not start: a failure.
    Failed(anyhow::Error),
}

/// The cluster that `promise` needs on `kind`.
pub fn cluster_for(promise: &Promise, kind: Kind) -> Result<Cluster, Refused> {
    if kind == Kind::Embedded {
        let node = if promise.own_broker { own_embedded()? } else { EMBEDDED.get(own_embedded)? };
        return Ok(Cluster::new(kind, vec![node], promise.own_broker));
    }
    let mut nodes = Vec::new();
    if promise.needs != Needs::Registry {
        nodes.push(match (promise.secured, promise.own_broker) {
            (true, _) => SECURED.get(own_secured)?,
            (false, true) => own_kafka()?,
            (false, false) => KAFKA.get(own_kafka)?,
        });
    }
    if promise.needs != Needs::Broker {
        nodes.push(REGISTRY.get(own_registry)?);
    }
    Ok(Cluster::new(kind, nodes, promise.own_broker))
}

/// The embedded broker that promises share.
pub(crate) fn shared_embedded() -> Result<Cluster> {
    match EMBEDDED.get(own_embedded) {
        Ok(node) => Ok(Cluster::new(Kind::Embedded, vec![node], false)),
        Err(Refused::Failed(error)) => Err(error),
        Err(Refused::Unavailable(why)) => Err(anyhow!(why)),
    }
}

/// Fetches all that the tests need. The error names what cannot be had.
pub fn fetch() -> Result<()> {
    let kits = [kafka_kit().err(), registry_kit().err(), Python::kit().err()];
    let missing: Vec<&str> = kits.into_iter().flatten().map(String::as_str).collect();
    if missing.is_empty() { Ok(()) } else { Err(anyhow!(missing.join("\n"))) }
}

/// Ends the shared servers.
pub fn shutdown() {
    EMBEDDED.clear();
    KAFKA.clear();
    SECURED.clear();
    REGISTRY.clear();
}

static EMBEDDED: Shared = Shared::new();
static KAFKA: Shared = Shared::new();
static SECURED: Shared = Shared::new();
static REGISTRY: Shared = Shared::new();

/// A node that is started once; whoever comes meanwhile waits. A failed start is not tried again.
struct Shared(Mutex<Option<Result<Arc<Node>, String>>>);

impl Shared {
    const fn new() -> Shared {
        Shared(Mutex::new(None))
    }

    fn get(&self, start: fn() -> Result<Arc<Node>, Refused>) -> Result<Arc<Node>, Refused> {
        let mut slot = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        match &*slot {
            Some(Ok(node)) => Ok(node.clone()),
            Some(Err(error)) => Err(Refused::Failed(anyhow!("it failed to start before: {error}"))),
            None => {
                let started = start();
                *slot = match &started {
                    Ok(node) => Some(Ok(node.clone())),
                    Err(Refused::Failed(error)) => Some(Err(format!("{error:#}"))),
                    Err(Refused::Unavailable(_)) => None,
                };
                started
            }
        }
    }

    fn clear(&self) {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
    }
}

fn own_embedded() -> Result<Arc<Node>, Refused> {
    let start = || Node::start(Box::new(embedded::Embedded::new(&next_folder("embedded")?)?));
    start().map_err(Refused::Failed)
}

fn own_kafka() -> Result<Arc<Node>, Refused> {
    let kit = kafka_kit().map_err(|why| Refused::Unavailable(why.clone()))?;
    let start = || Node::start(Box::new(kafka::Kafka::new(kit, &next_folder("kafka")?)?));
    start().map_err(Refused::Failed)
}

fn own_secured() -> Result<Arc<Node>, Refused> {
    let kit = kafka_kit().map_err(|why| Refused::Unavailable(why.clone()))?;
    let start = || Node::start(Box::new(kafka::Kafka::secured(kit, &next_folder("secured")?)?));
    start().map_err(Refused::Failed)
}

fn own_registry() -> Result<Arc<Node>, Refused> {
    let kit = registry_kit().map_err(|why| Refused::Unavailable(why.clone()))?;
    let start = || Node::start(Box::new(registry::Registry::new(kit, &next_folder("registry")?)?));
    start().map_err(Refused::Failed)
}

fn kafka_kit() -> Result<&'static kafka::Kit, &'static String> {
    static KIT: OnceLock<Result<kafka::Kit, String>> = OnceLock::new();
    KIT.get_or_init(|| kafka::Kit::prepare().map_err(|error| format!("{error:#}"))).as_ref()
}

fn registry_kit() -> Result<&'static registry::Kit, &'static String> {
    static KIT: OnceLock<Result<registry::Kit, String>> = OnceLock::new();
    KIT.get_or_init(|| registry::Kit::prepare().map_err(|error| format!("{error:#}"))).as_ref()
}

fn next_folder(name: &str) -> Result<std::path::PathBuf> {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    Ok(run_dir()?.join(format!("{name}-{}", NEXT.fetch_add(1, Ordering::Relaxed))))
}
