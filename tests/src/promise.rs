//! What a promise is, and what it needs.

use std::fmt::{self, Debug, Formatter};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;

use crate::cluster::{Cluster, Kind};
use crate::pool;

/// How long a promise may take unless it says otherwise: what hangs ends, and a machine that is slow and shared has time.
pub const LIMIT: Duration = Duration::from_secs(180);

/// One thing that Quadrille promises, written once and run against every target that has what it needs.
#[derive(Clone, Debug)]
pub struct Promise {
    pub(crate) name: String,
    pub(crate) body: PromiseBody,
    pub(crate) needs: Needs,
    pub(crate) own_broker: bool,
    pub(crate) embedded_only: bool,
    pub(crate) secured: bool,
    pub(crate) of_kafka_only: bool,
    pub(crate) python: bool,
    pub(crate) undisturbed: bool,
    pub(crate) limit: Duration,
}

/// A promise about servers.
type OnCluster = dyn Fn(&Cluster) -> Result<()> + Send + Sync;

/// What is run. Panics count as failures too.
#[derive(Clone)]
pub(crate) enum PromiseBody {
    OnCluster(Arc<OnCluster>),
    Alone(fn() -> Result<()>),
}

impl Debug for PromiseBody {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PromiseBody::OnCluster(_) => "OnCluster",
            PromiseBody::Alone(_) => "Alone",
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Needs {
    Nothing,
    Broker,
    Registry,
    BrokerAndRegistry,
}

impl Promise {
    /// A promise about a broker that it may share with others, within [`LIMIT`].
    pub fn on_broker(name: &str, body: impl Fn(&Cluster) -> Result<()> + Send + Sync + 'static) -> Promise {
        Promise::new(name, PromiseBody::OnCluster(Arc::new(body)), Needs::Broker)
    }

    /// A promise about a broker that lets in only who has a password, which it shares with others, within [`LIMIT`].
    /// There is one of Apache Kafka's only.
    pub fn on_secured(name: &str, body: impl Fn(&Cluster) -> Result<()> + Send + Sync + 'static) -> Promise {
        Promise { secured: true, of_kafka_only: true, ..Promise::on_broker(name, body) }
    }

    /// A promise that the embedded broker and Apache Kafka do the same, both shared with others, within [`LIMIT`]: one trial,
    /// `kafka::…`, with the embedded one as the first.
    pub fn on_both(
        name: &str,
        body: impl Fn(&Cluster, &Cluster) -> Result<()> + Send + Sync + 'static,
    ) -> Promise {
        let both = move |kafka: &Cluster| body(&pool::shared_embedded()?, kafka);
        Promise { of_kafka_only: true, ..Promise::on_broker(name, both) }
    }

    /// A promise about a registry alone, which it may share with others, within [`LIMIT`].
    pub fn on_registry(name: &str, body: impl Fn(&Cluster) -> Result<()> + Send + Sync + 'static) -> Promise {
        Promise::new(name, PromiseBody::OnCluster(Arc::new(body)), Needs::Registry)
    }

    /// A promise that needs neither, within [`LIMIT`]: one trial, `local::…`.
    pub fn alone(name: &str, body: fn() -> Result<()>) -> Promise {
        Promise::new(name, PromiseBody::Alone(body), Needs::Nothing)
    }

    fn new(name: &str, body: PromiseBody, needs: Needs) -> Promise {
        // `module_path!()` begins with the name of the test binary.
        let name = name.strip_prefix("promises::").unwrap_or(name).to_owned();
        Promise {
            name,
            body,
            needs,
            own_broker: false,
            embedded_only: false,
            secured: false,
            of_kafka_only: false,
            python: false,
            undisturbed: false,
            limit: LIMIT,
        }
    }

    /// It needs a registry beside its broker.
    pub fn with_registry(self) -> Promise {
        Promise { needs: Needs::BrokerAndRegistry, ..self }
    }

    /// It runs programs of `tests/python`.
    pub fn with_python(self) -> Promise {
        Promise { python: true, ..self }
    }

    /// It stops, kills or freezes its broker, or measures it: nobody else may use that one.
    pub fn own_broker(self) -> Promise {
        Promise { own_broker: true, ..self }
    }

    /// It is about what only the embedded broker can do: fail on demand.
    pub fn embedded_only(self) -> Promise {
        Promise { embedded_only: true, ..self }
    }

    /// It changes for a while what holds for everybody on its servers: no other promise runs meanwhile.
    pub fn undisturbed(self) -> Promise {
        Promise { undisturbed: true, ..self }
    }

    /// Another limit. The time in which servers start does not count.
    pub fn within(self, limit: Duration) -> Promise {
        Promise { limit, ..self }
    }

    /// Its name, without that of a target.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn kinds(&self) -> &'static [Kind] {
        match self.needs {
            Needs::Nothing => &[],
            _ if self.embedded_only => &[Kind::Embedded],
            _ if self.of_kafka_only => &[Kind::Kafka],
            Needs::Broker | Needs::BrokerAndRegistry => &[Kind::Embedded, Kind::Kafka],
            Needs::Registry => &[Kind::Embedded, Kind::Registry],
        }
    }
}

/// `promise!(on_broker, its_function)`: the promise `module::its_function`.
#[macro_export]
macro_rules! promise {
    ($needs:ident, $body:ident) => {
        $crate::Promise::$needs(concat!(module_path!(), "::", stringify!($body)), $body)
    };
}
