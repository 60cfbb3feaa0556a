//! What the `main` of every service shares, whatever the service does.
//!
//! | module | holds |
//! | --- | --- |
//! | [`options`] | flags and environment variables: cluster, registry, operations |
//! | [`topology`] | reads and checks the topology file |
//! | [`logs`] | logs as text or JSON, with the saga and the trace of what is being handled |
//! | [`ops`] | `/metrics`, `/livez`, `/readyz` |
//! | [`signals`] | the wish of the system that the process end |
//! | [`watchdog`] | ends a process whose threads hang where nothing can free them |
//! | [`process`] | all of these around a service's own future, and the exit code |
//!
//! A service's `main` parses its options, in which the ones from here are flattened, and calls [`process::run`].

pub mod lifecycle;
pub mod logs;
pub mod ops;
pub mod options;
pub mod process;
pub mod signals;
pub mod topology;
pub mod watchdog;

pub use ops::Readiness;
pub use options::{HostOptions, KafkaOptions, PrefixOption, RegistryOptions};
