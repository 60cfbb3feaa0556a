//! The outcome event: one for each saga that ended, on `<mesh>.sagas.outcomes`.
//!
//! Key: correlation ID. Value: Avro, schema [`SCHEMA`], in Confluent's wire format. Headers: those of any event of the
//! mesh; `ce_type` is `SagaOutcome`, `ce_id` is derived from the run, so that there can never be two of them with
//! different IDs.

use serde::{Deserialize, Serialize};

/// `ce_type` of the event.
pub const EVENT: &str = "SagaOutcome";

/// The Avro schema of the value.
pub const SCHEMA: &str = include_str!("../../../../schemas/saga_outcome.avsc");

/// How a saga ended. Final: a run has at most one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SagaOutcome {
    /// Name of the mesh.
    pub mesh: String,
    /// Name of the flow.
    pub flow: String,
    /// The run's ID.
    pub run: String,
    /// Its identity.
    pub correlation_id: String,
    /// `completed` or `compensated`, or the file's own name for it.
    pub outcome: String,
    /// What decided it: the event or the deadline.
    pub cause: String,
    /// Version of the definition that it followed.
    pub definition_version: i32,
    /// Hash of that definition.
    pub definition_hash: String,
    /// When the start event was written, in ms since 1970.
    pub started_at: i64,
    /// When the coordinator ended it, in ms since 1970.
    pub ended_at: i64,
}
