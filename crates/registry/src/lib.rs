//! An embedded schema registry: Confluent's REST API for Avro on loopback, durable in one folder.
//!
//! It is for development and tests. Any Confluent client can use it; what it answers is what Confluent documents,
//! so that a mistake that would hurt there hurts here too. The layers, each knowing only the ones before it:
//!
//! * `avro` and `canonical`: parse a schema with its references; one text per schema, which gives it its id.
//! * [`compatibility`]: may this schema follow those, and which field is in the way.
//! * `store`: all that is known and what each command makes of it, as a pure state machine.
//! * `journal`: the events of the store on disk, flushed before they are answered.
//! * `service`: store and journal together; `http`: the REST API over them; `connections`: how much clients may take.
//!
//! # Known differences from Confluent's registry
//! - Avro only, and no contexts: subjects that begin with `:.` are refused. No metadata, rules, aliases, tags, GUIDs and
//!   associations. `format` and other parameters that it does not know are ignored.
//! - `normalize` is always on, as far as attributes and their order go.
//! - Decimals of another precision or scale do not fit each other, as the Avro specification says; Confluent's registry
//!   does not look.
//! - A version cannot be imported over another one that is not deleted.
//! - Bodies have 1 MiB, schemas 64 levels and 256 references at most. What clients may take else is bounded too: connections,
//!   silence, the time for a body, schemas compared at once.
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
mod connections;
mod error;
mod http;
mod journal;
mod server;
mod service;
mod store;

pub use error::Error;
pub use journal::JournalError;
pub use server::{Config, Registry, StartError};
