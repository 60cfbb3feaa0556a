//! Kafka, as the mesh uses it. The only crate of the runtime that knows rdkafka.
//!
//! | module | is for |
//! | --- | --- |
//! | [`settings`] | where the cluster is, and which librdkafka settings are the mesh's own |
//! | [`connect`] | finding out within seconds, with a clear error, whether the cluster can be used |
//! | [`topics`] | creating topics, checking their partitions and settings, writing first positions |
//! | [`definition`] | which definition of a mesh is active |
//! | [`start`] | what every service checks before it starts |
//! | [`group`] | a member of a consumer group that owns what it has read |
//! | [`holding`] | who holds a partition, for the next owner to see |
//! | [`transaction`] | one short transaction: records and the offsets that led to them |
//! | [`acknowledged`] | at least once instead |
//! | [`writer`] | either of the two |
//! | [`restore`] | reading a partition back up to where it ended |
//! | [`tail`] | reading partitions from given offsets on, and what comes after |
//! | [`inspect`] | looking at any cluster: topics, ends, groups and their positions |
//! | [`publish`] | a plain producer, for tools |
//! | [`failpoint`] | places where a test may kill the process |
//!
//! Everything here blocks: call it from a thread of its own, never from an async task.

pub mod acknowledged;
pub mod connect;
pub mod definition;
mod errors;
pub mod failpoint;
pub mod group;
pub mod holding;
pub mod inspect;
pub mod publish;
pub mod restore;
pub mod settings;
mod settled;
pub mod start;
pub mod tail;
pub mod topics;
pub mod transaction;
pub mod writer;

pub use errors::{ClientErrors, Error};
pub use quadrille_types::Partition;
pub use settings::Settings;
