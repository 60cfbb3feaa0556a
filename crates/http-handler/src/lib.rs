//! Handlers in any language: an endpoint gets a CloudEvent over HTTP and answers with what follows from it.
//!
//! # The request
//! `POST` to the URL in the topology file, in the binary mode of the CloudEvents HTTP binding, with a JSON body: Avro is
//! the mesh's business.
//!
//! | header | is |
//! | --- | --- |
//! | `content-type` | `application/json` |
//! | `ce-specversion` | `1.0` |
//! | `ce-type` | name of the event; for a join `quadrille.inputs` |
//! | `ce-id` | ID of the event; for a join that of the activation |
//! | `ce-source` | of the event; where the coordinator has commanded the call, `/` and the name of the mesh |
//! | `ce-correlationid` | identity of the saga, or key of the event |
//! | `ce-causationid` | of the event, if it has one; where the coordinator has commanded the call, ID of the event that led to it |
//! | `traceparent`, `tracestate` | W3C trace context of the event, if it has one |
//! | `idempotency-key` | the same whenever this call is repeated: have the effect once under it |
//! | `quadrille-step` | name of the step |
//! | `quadrille-activation` | what is done or undone: a do and its undo have the same |
//! | `quadrille-action` | `do` or `undo` |
//! | `quadrille-do-key` | of an undo: the idempotency key of its do |
//! | `quadrille-attempt` | from 1 |
//! | `quadrille-deadline` | RFC 3339, the saga's deadline if it is known |
//!
//! The body is the event's data; for a join an object with the data of each event under its name. For an undo it is what
//! the do got. Values of `ce-` headers are percent-encoded as the binding says.
//!
//! # The answer
//! | status | `content-type` and `ce-type` | means |
//! | --- | --- | --- |
//! | 2xx | `ce-type: NAME`, JSON body | done; the event follows |
//! | 2xx | no `ce-type`, JSON body | done; the one event that the step emits follows (if it emits one only) |
//! | 2xx | `application/cloudevents+json` | done; the event in the body follows |
//! | 2xx | `application/cloudevents-batch+json` | done; the events in the body follow, in their order |
//! | 204, or 2xx without body and `ce-type` | | done; no event follows |
//! | 409, 422 | an event that the step declares under `rejects`, in any of the shapes above but the one without `ce-type` | a business rejection: there was no effect |
//! | 429, 503 | `retry-after` (seconds or a date) | try again, not before that |
//! | other 5xx, 429, 503 | | try again |
//! | no connection, a broken one, no answer in time | | try again |
//! | other 4xx, 409 and 422 without such an event | | terminal: trying again is useless |
//! | 3xx | | terminal: redirects are not followed |
//! | 2xx that cannot be understood, more than 1 MiB | | terminal |
//!
//! What a repeated call is answered must not change: an endpoint that has had the effect answers as it did then. From an
//! event in an answer only its type and its data are taken; ID, source and the rest follow from the activation.

mod answer;
mod client;
mod handler;
pub mod percent;
mod request;

pub use answer::{ANSWER_BYTES_MAX, Declared};
pub use client::{BuildError, Client};
pub use handler::{Endpoint, HttpHandler};
