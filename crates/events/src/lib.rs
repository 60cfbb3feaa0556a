//! The values of a mesh's events, between records and handlers.
//!
//! A handler, in Rust or over HTTP, sees plain JSON (in Rust: whatever serde makes of it); a record's value is Avro in
//! Confluent's wire format, or JSON. [`Codecs`] stands between: it knows, from the topology, how each event is written.
//!
//! Everything that needs the registry is done beside the handling: [`Codecs::connect`] finds the ids of the schemas that
//! a service writes at its start; [`Codecs::prepare`] fetches a schema that is met for the first time, and **waits** while
//! the registry cannot be used, since that says nothing about the record. Encoding and decoding ask nobody.
//!
//! | value | read as |
//! | --- | --- |
//! | `content-type` is JSON (`application/json`, `…+json`) | JSON, held against the event's schema if it has one |
//! | otherwise, of an event with a schema | Confluent's wire format, as the schema in the topology sees it |
//! | otherwise | JSON |

mod codecs;
mod error;
mod registry;

pub use codecs::{AVRO, Codecs, JSON, by_schema, is_json};
pub use error::{Error, StartError};
