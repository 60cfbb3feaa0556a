//! A participant in Rust: somebody who has effects when the mesh calls, each of them once.
//!
//! It puts the fence of [`quadrille_fence`] behind a call, whether the call came to a step in Rust or over HTTP: a
//! repeated call gets the answer that the first one got, a do that comes after its undo is refused, and an undo of what
//! never happened makes sure that it never will.
//!
//! ```
//! # use quadrille_participant::{Call, Decision, Failure, Participant};
//! # async fn lend(library: &Participant, call: Call) -> Result<Decision, Failure> {
//! library
//!     .perform(call, |tx, call| {
//!         tx.execute("INSERT INTO loans (id) VALUES (?)", [&call.activation])?;
//!         Ok(Decision::done("BookLent", &call.activation))
//!     })
//!     .await
//! # }
//! ```
//!
//! | outcome | of a step | over HTTP |
//! | --- | --- | --- |
//! | [`Decision`], done | the event | 200 with the event |
//! | [`Decision`], rejected | [`StepError::Rejected`](quadrille_sdk::StepError) | 409 with the event |
//! | [`Failure::Store`] | retryable | 503 |
//! | [`Failure::Refused`] | terminal | 410 |
//! | [`Failure::BadCall`] | terminal | 400 |

mod decision;
mod http;
mod participant;
mod store;

pub use decision::{Decision, Failure, outputs};
pub use http::{response, serve};
pub use participant::{Call, Participant};
pub use quadrille_fence::Action;
pub use store::{Flush, StoreOptions};
