//! The nouns of the mesh: what every service reads from Kafka and writes to it.
//!
//! Pure data and arithmetic: no clock, no randomness, no IO. An ID is always derived from what it names, so that a
//! copy of an event, a second delivery or a restarted service arrives at the same ID.
//!
//! | module | holds |
//! | --- | --- |
//! | [`ids`] | saga runs, activations, events |
//! | [`envelope`] | CloudEvents attributes and the mesh's own headers on a record |
//! | [`structured`] | CloudEvents structured mode, for reading |
//! | [`partition`] | the Java client's partitioner |
//! | [`record`] | records, read and to be written |
//! | [`topics`] | names of the topics that belong to the mesh |
//! | [`upkeep`] | settings of those topics: as they are made, and what is wrong with those that are there |
//! | [`definition`] | which definition of a mesh is active, and what may follow it |
//! | [`fact`] | what the coordinator learns |
//! | [`command`] | what the coordinator asks of a step |
//! | [`journal`] | what the coordinator applied, in order |
//! | [`outcome`] | how a saga ended |
//! | [`dead_letter`] | headers of a dead-lettered record |
//! | [`format`] | how facts, commands and journal entries become bytes |

pub mod command;
pub mod dead_letter;
pub mod definition;
pub mod envelope;
pub mod fact;
pub mod format;
pub mod ids;
pub mod journal;
pub mod outcome;
pub mod partition;
pub mod record;
pub mod structured;
pub mod topics;
pub mod upkeep;

pub use envelope::{Definition, Envelope, Lineage};
pub use ids::{ActivationId, EventId, RunId};
pub use record::{OutRecord, Partition, Record};
