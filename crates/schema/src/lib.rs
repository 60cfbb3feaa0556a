//! Avro on Kafka as Confluent's clients have it: wire format, serde and plain JSON, and the registry.
//!
//! * [`wire`]: `00`, the schema's id in four bytes, the Avro datum; or the id in a header.
//! * [`Codec`]: one schema, ready to encode and decode, typed through serde or as plain JSON.
//! * [`Resolver`]: reads what another schema wrote as one's own schema.
//! * [`Schemas`]: the registry client; knows every schema it has met by id, so that encoding and decoding are
//!   synchronous and take a read lock at most.
//! * [`Encoder`] and [`Decoder`]: framed values to and from records.
//!
//! # Rust types
//! A struct or enum has to have the short name of the record or enum it stands for; say
//! `#[serde(rename = "OrderPlaced")]` where it has another.
//!
//! # Plain JSON
//! Handlers in any language send and get JSON that looks like the data, not Avro's own JSON encoding:
//!
//! | Avro | JSON |
//! | --- | --- |
//! | null, boolean, string, enum, array, map, record | the obvious; map and record are objects |
//! | int, long | a number; `3.0` is taken for 3. Beyond 2^53 JavaScript rounds: use a string field there |
//! | float, double | a number, or `"NaN"`, `"Infinity"`, `"-Infinity"` |
//! | bytes, fixed | base64 (standard alphabet, padded) |
//! | date, time-*, timestamp-*, local-timestamp-* | the number that Avro holds, in the unit of the type |
//! | decimal, big-decimal | a string such as `"-12.30"`; numbers are taken when nothing has to be rounded |
//! | uuid | a string with hyphens |
//! | duration | `{"months": 0, "days": 0, "millis": 0}` |
//! | union | the value itself where JSON tells the branches apart (`["null", "string"]`: `null` or `"x"`), else `{"branch": value}` with the branch's full name or type. Tagged values are always taken, unless the union holds a record or map of its own and needs no tags |
//!
//! A missing field takes its default; without one it is refused, as is a field that the schema does not have, each
//! with its path. Defaults inside schemas follow the Avro specification (bytes as Latin-1).

mod codec;
mod error;
mod json;
mod names;
mod registry;
mod resolve;
mod skim;
pub mod wire;

pub use codec::{Codec, Resolver};
pub use error::{DataError, Error, RegistryError};
pub use registry::{BasicAuth, Decoder, Encoder, Reference, RegistryConfig, SchemaSource, Schemas};
