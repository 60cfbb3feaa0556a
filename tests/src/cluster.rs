//! What a promise is handed: a broker, a registry, or both, and the means to stop, kill and freeze the broker.

use std::fmt::{self, Debug, Formatter};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use anyhow::{Context, Result, bail};

use crate::faults::Faults;
use crate::process::Process;
use crate::secured::Access;

/// Which implementation a promise runs against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The broker and registry that come with Quadrille, one process for both.
    Embedded,
    /// Apache Kafka, with the Confluent-compatible registry where the promise asks for one.
    Kafka,
    /// The Confluent-compatible registry alone.
    Registry,
}

impl Kind {
    /// The first part of a trial's name.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Embedded => "embedded",
            Kind::Kafka => "kafka",
            Kind::Registry => "registry",
        }
    }
}

/// A server process that keeps its address and its data while it is stopped.
pub trait Server: Send {
    /// Starts it and returns when it is ready.
    fn start(&mut self) -> Result<()>;
    /// Ends it in order and returns when it has ended.
    fn stop(&mut self) -> Result<()>;
    /// `kill -9`.
    fn kill(&mut self) -> Result<()>;
    /// Its process while it runs.
    fn process(&self) -> Option<&Process>;
    /// `host:port` of its Kafka listener, if it has one. Known once it has started.
    fn bootstrap(&self) -> Option<String>;
    /// The base URL of its registry, if it has one. Known once it has started.
    fn registry_url(&self) -> Option<String>;
    /// The base URL of the control endpoint of its faults, if it has one. Known once it has started.
    fn faults_url(&self) -> Option<String> {
        None
    }
    /// How clients get in, if not everybody does. Known once it has started.
    fn access(&self) -> Option<Access> {
        None
    }
    /// Where its output goes.
    fn log(&self) -> PathBuf;
}

/// A started server that several promises may hold.
pub struct Node {
    bootstrap: Option<String>,
    registry_url: Option<String>,
    faults_url: Option<String>,
    access: Option<Access>,
    log: PathBuf,
    server: Mutex<Box<dyn Server>>,
}

impl Node {
    /// Starts `server`.
    pub fn start(mut server: Box<dyn Server>) -> Result<Arc<Node>> {
        server.start().with_context(|| format!("log: {}", server.log().display()))?;
        let (bootstrap, registry_url, log) = (server.bootstrap(), server.registry_url(), server.log());
        let (access, faults_url) = (server.access(), server.faults_url());
        Ok(Arc::new(Node { bootstrap, registry_url, faults_url, access, log, server: Mutex::new(server) }))
    }

    fn server(&self) -> MutexGuard<'_, Box<dyn Server>> {
        self.server.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Debug for Node {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "Node({:?}, {:?}, {})", self.bootstrap, self.registry_url, self.log.display())
    }
}

/// The servers of one promise. Others may use the same ones at the same time: take names from [`Cluster::unique`].
#[derive(Clone, Debug)]
pub struct Cluster {
    kind: Kind,
    nodes: Vec<Arc<Node>>,
    owned: bool,
}

impl Cluster {
    /// `owned`: no other promise uses the broker, so it may be stopped.
    pub(crate) fn new(kind: Kind, nodes: Vec<Arc<Node>>, owned: bool) -> Cluster {
        Cluster { kind, nodes, owned }
    }

    /// What this promise runs against.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// `host:port` for `bootstrap.servers`. Panics in a promise that asked for a registry alone.
    pub fn bootstrap(&self) -> &str {
        let address = self.nodes.iter().find_map(|node| node.bootstrap.as_deref());
        address.expect("this promise asked for no broker")
    }

    /// The base URL for any Confluent client. Panics in a promise that did not ask for a registry.
    pub fn registry_url(&self) -> &str {
        let url = self.nodes.iter().find_map(|node| node.registry_url.as_deref());
        url.expect("this promise asked for no registry: add .with_registry()")
    }

    /// What goes wrong on demand. An error where others use the broker too, or where nothing can go wrong on demand.
    pub fn faults(&self) -> Result<Faults> {
        Faults::at(self.broker()?.faults_url.as_deref().context("this broker has no faults on demand")?)
    }

    /// How a secured broker is used. Panics in a promise that asked for no such broker.
    pub fn access(&self) -> &Access {
        let access = self.nodes.iter().find_map(|node| node.access.as_ref());
        access.expect("this promise asked for no secured broker: make it on_secured")
    }

    /// A name for a topic, group, subject or transactional ID that no other promise and no earlier run uses.
    pub fn unique(&self, what: &str) -> String {
        format!("{what}-{:08x}", fastrand::u32(..))
    }

    /// Ends the broker in order; [`Cluster::start_broker`] brings it back at the same address with the same data.
    pub fn stop_broker(&self) -> Result<()> {
        self.broker()?.server().stop()
    }

    /// `kill -9` of the broker.
    pub fn kill_broker(&self) -> Result<()> {
        self.broker()?.server().kill()
    }

    /// Starts a broker that was stopped or killed and returns when it is ready.
    pub fn start_broker(&self) -> Result<()> {
        self.broker()?.server().start()
    }

    /// A clean stop, and a start.
    pub fn restart_broker(&self) -> Result<()> {
        self.stop_broker()?;
        self.start_broker()
    }

    /// `SIGSTOP`: connections stay open, nothing answers until [`Cluster::thaw_broker`].
    pub fn freeze_broker(&self) -> Result<()> {
        self.broker()?.server().process().context("the broker does not run")?.freeze()
    }

    /// `SIGCONT`.
    pub fn thaw_broker(&self) -> Result<()> {
        self.broker()?.server().process().context("the broker does not run")?.thaw()
    }

    /// The process ID of the broker, for measurements.
    pub fn broker_pid(&self) -> Result<u32> {
        Ok(self.broker()?.server().process().context("the broker does not run")?.pid())
    }

    /// The log files of all servers.
    pub fn logs(&self) -> Vec<PathBuf> {
        self.nodes.iter().map(|node| node.log.clone()).collect()
    }

    fn broker(&self) -> Result<&Node> {
        if !self.owned {
            bail!("this promise shares its broker with others: add .own_broker()");
        }
        let broker = self.nodes.iter().find(|node| node.bootstrap.is_some());
        broker.map(Arc::as_ref).context("this promise asked for no broker")
    }
}
