//! Embedded Kafka-protocol broker.

mod api;
mod broker;
mod clock;
mod config;
mod error;
mod failpoint;
mod group;
mod journal;
mod log;
mod server;
mod state;
mod txn;

pub use broker::{Broker, Stats};
pub use config::{Config, Flush};
pub use error::{Error, Result};
