//! What the author of a step imports.
//!
//! A step is one async function: it gets a [`Context`] and its input, has its effect, and **returns** the events that
//! follow. It publishes nothing itself; the mesh writes what it returned in the transaction that ends its input, so that
//! both are there or neither. The mesh may call it again with the same activation, after a failure or a crash and on any
//! instance: the effect has to happen once under [`Context::idempotency_key`] all the same.
//!
//! ```no_run
//! use std::process::ExitCode;
//!
//! use quadrille_sdk::{Context, Outputs, StepError, Steps};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Deserialize)]
//! struct BookRequested {
//!     book: String,
//!     copies: u32,
//! }
//!
//! #[derive(Serialize)]
//! struct BookLent {
//!     book: String,
//!     loan: String,
//! }
//!
//! async fn lend(context: Context, request: BookRequested) -> Result<Outputs, StepError> {
//!     if request.copies > 5 {
//!         // A business answer that the topology declares: never tried again.
//!         return Err(StepError::rejected("TooMany", &request.copies));
//!     }
//!     // … has its effect, once under `context.idempotency_key()`; a failing connection is tried again.
//!     let loan = format!("{}-{}", context.correlation_id(), request.copies);
//!     Ok(Outputs::of("BookLent", &BookLent { book: request.book, loan }))
//! }
//!
//! fn main() -> ExitCode {
//!     quadrille_sdk::run(Steps::new().service("library").handler("lend", lend))
//! }
//! ```
//!
//! The topology file names the function: `handler: { rust: lend }` in a step of `service: library`.
//!
//! # Input
//! Whatever serde can make of plain JSON; Avro becomes JSON as [`quadrille_schema`] says. A step that waits for one event
//! gets that event. One that waits for several gets a struct with a field for each, named like the event
//! (`#[serde(rename = "BookLent")]`), or [`Events`]. An undo gets what its do got.
//!
//! # Answers
//! | returned | means |
//! | --- | --- |
//! | `Ok(outputs)` | the effect is there; these events follow |
//! | [`StepError::Retryable`] | try again, as the step's `retry` says; any `std` error becomes this one with `?` |
//! | [`StepError::Rejected`] | a business failure that the file declares under `rejects`; there is no effect |
//! | [`StepError::Terminal`] | trying again is useless: the input goes to the dead-letter topic |
//!
//! # Running
//! [`run`] is the whole `main` of a service; [`Options`] says what it takes from flags and environment. [`test`] runs a
//! handler without Kafka. [`service`] starts a service inside another program.

mod answer;
mod context;
mod handler;
mod input;
mod options;
mod run;
pub mod service;
mod steps;
pub mod test;

pub use answer::{Output, Outputs, StepError};
pub use context::Context;
pub use input::{Events, Input, InputError};
pub use options::Options;
pub use quadrille_types::ids::{Action, ActivationId};
pub use run::{run, run_with};
pub use steps::{StepFn, Steps};
