//! An embedded schema registry: Confluent's REST API for Avro on loopback, durable in one folder.
//!
//! It is for development and tests. Any Confluent client can use it; what it answers is what Confluent documents,
//! so that a mistake that would hurt there hurts here too. The layers, each knowing only the ones before it:
//!
//! * `avro` and `canonical`: parse a schema with its references; one text per schema, which gives it its id.
//! * [`compatibility`]: may this schema follow those, and which field is in the way.
//! * `store`: all that is known and what each command makes of it, as a pure state machine.
//! * `journal`: the events of the store on disk, flushed before they are answered.
//! * `service`: store and journal together; `http`: the REST API over them.
//!
//! ```no_run
//! # async fn run() -> Result<(), quadrille_registry::StartError> {
//! use quadrille_registry::{Config, Registry};
//! let listen = ([127, 0, 0, 1], 0).into();
//! let registry = Registry::start(Config { listen, data: "data/registry".into() }).await?;
//! println!("{}", registry.url());
//! registry.shutdown().await;
//! # Ok(())
//! # }
//! ```

mod avro;
mod canonical;
pub mod compatibility;
mod error;
mod http;
mod journal;
mod server;
mod service;
mod store;

pub use error::Error;
pub use journal::JournalError;
pub use server::{Config, Registry, StartError};
