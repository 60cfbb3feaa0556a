//! The test harness: real brokers and registries as processes, and promises that run against each of them.
//!
//! A promise is one function, `fn(&Cluster) -> anyhow::Result<()>`, written once; [`run`] makes one trial of it for
//! every target (`embedded::…`, `kafka::…`, `registry::…`). A broker is started when the first promise asks for it and is
//! shared from then on, unless a promise says that it needs its own. Every process that the harness starts dies
//! with it, however it ends. Whatever a run writes lies in a folder of its own below the target folder, which is removed
//! after a run without a failure and kept, and named, after one with.
//!
//! - [`promise`], [`runner`], [`tally`]: what a promise needs, the trials made of it, and what came of them
//! - [`cluster`], [`pool`]: what a promise is handed, shared or its own
//! - [`embedded`]: the broker and registry that come with Quadrille, as its command line starts them
//! - [`kafka`], [`registry`], [`java`]: Apache Kafka, the Confluent-compatible registry, and what runs them
//! - [`secured`]: certificates and passwords for a Kafka that lets not everybody in
//! - [`python`]: Python with clients that others write with
//! - [`clients`], [`http`]: plain clients for promises
//! - [`faults`]: what the embedded broker does wrong on demand
//! - [`fleet`]: the services of a mesh as processes that are killed, frozen and started again
//! - [`process`], [`ports`], [`wait`], [`folders`]: the small parts below

pub mod clients;
pub mod cluster;
pub mod embedded;
pub mod faults;
pub mod fleet;
pub mod folders;
pub mod http;
pub mod java;
pub mod kafka;
pub mod pool;
pub mod ports;
pub mod process;
pub mod promise;
pub mod python;
pub mod registry;
pub mod runner;
pub mod secured;
pub mod tally;
pub mod wait;

pub use cluster::{Cluster, Kind};
pub use promise::Promise;
pub use runner::run;
