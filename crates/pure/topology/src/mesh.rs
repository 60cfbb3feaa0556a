//! The compiled mesh: plain, owned data without places, which the step runtime and the coordinator run by.
//!
//! Everything in it is resolved: a name stands for something that exists, and every default is filled in. Maps are
//! ordered, so that two processes see the same mesh in the same order. [`Mesh::hash`] covers all of it; comments,
//! layout and the order of the file don't change it.

mod prefix;
mod questions;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use prefix::{BadPrefix, Prefix};

/// A compiled topology file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mesh {
    /// Prefix of consumer groups, transactional IDs and internal topics.
    pub name: String,
    /// Version of the definition, as the file says.
    pub version: u64,
    /// SHA-256 over the canonical JSON of everything else in here, in hex (64 digits).
    pub hash: String,
    /// Topics that carry events, by name.
    pub topics: BTreeMap<String, Topic>,
    /// Events by name; the name is the CloudEvents type.
    pub events: BTreeMap<String, Event>,
    /// Steps by name.
    pub steps: BTreeMap<String, Step>,
    /// Sagas by name.
    pub sagas: BTreeMap<String, Saga>,
}

/// A topic that carries events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Topic {
    /// Its name in Kafka.
    pub name: String,
    /// Partition count.
    pub partitions: u32,
    /// How those who write to it choose the partition of a key.
    pub partitioner: Partitioner,
    /// Further settings as Kafka names them, such as `retention.ms`.
    pub settings: BTreeMap<String, String>,
}

/// How writers choose the partition of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Partitioner {
    /// As the Java client does: murmur2 over the key, modulo the partition count.
    #[default]
    Murmur2,
    /// Not known: what is read goes through a re-key hop.
    Unknown,
}

/// An event type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Its name; equals the CloudEvents type `ce_type`.
    pub name: String,
    /// The topic that carries it.
    pub topic: String,
    /// How its body is written.
    pub body: Body,
    /// Field of the body that is the record's key; `None`: the key is the correlation ID.
    pub key: Option<String>,
    /// Where the correlation ID is read.
    pub correlation: Correlation,
    /// Who may emit it.
    pub owner: Owner,
    /// Whether somebody outside the mesh reads it.
    pub foreign_readers: bool,
}

/// How the body of an event is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Body {
    /// JSON without a schema.
    Json,
    /// Confluent wire format with an Avro schema.
    Avro(AvroBody),
}

/// The Avro schema of an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AvroBody {
    /// Subject in the registry: `<topic>-<full name of the record>` (topic record name strategy), so that one topic
    /// may carry many events, each with a history of its own.
    pub subject: String,
    /// Full name of the record, namespace included.
    pub record: String,
    /// The schema as compact JSON, doc strings removed.
    pub schema: String,
}

/// Where the correlation ID of an event is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Correlation {
    /// The header `ce_correlationid`, else the record's key.
    #[default]
    Header,
    /// The record's key, whatever the header says.
    Key,
}

/// Who may emit an event.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Owner {
    /// Somebody outside the mesh, so that duplicates have to be recognised.
    Foreign,
    /// The steps of this service.
    Service(String),
}

/// A step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Its name.
    pub name: String,
    /// The service that runs it.
    pub service: String,
    /// What has to occur.
    pub when: Trigger,
    /// Who triggers it, and why.
    pub triggered_by: TriggeredBy,
    /// The saga it belongs to: whose start leads to it.
    pub saga: Option<String>,
    /// Who does the work.
    pub handler: Handler,
    /// What a success emits; [`Group::none`] if nothing.
    pub emits: Group,
    /// What a refusal for business reasons emits: one of these.
    pub rejects: Vec<String>,
    /// How its effect is undone.
    pub undo: Option<Undo>,
    /// How a failing handler is tried again.
    pub retry: Retry,
    /// What follows when all tries failed.
    pub exhausted: Exhausted,
    /// Time for one try of the handler, in milliseconds.
    pub timeout_ms: u64,
    /// Records handled at the same time per instance.
    pub concurrency: u32,
    /// Where a new reader of the trigger's topic starts; `None` if the coordinator triggers the step.
    pub from: Option<StartAt>,
    /// From here on the saga only goes forward.
    pub pivot: bool,
    /// Whether it changes anything.
    pub effect: bool,
    /// What is promised about its records.
    pub guarantee: Guarantee,
}

/// What has to occur for a step to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Trigger {
    /// This event.
    Event(String),
    /// All of these, in one saga.
    All(Vec<String>),
}

/// Several events, of which any one or all count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Group {
    /// Exactly one when emitted, any one when awaited.
    Any(Vec<String>),
    /// Every one.
    All(Vec<String>),
}

/// Who triggers a step, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TriggeredBy {
    /// The step listens to the topic of its trigger itself.
    Choreography,
    /// The coordinator sends it a command.
    Coordinator(CoordinatorReason),
}

/// Why the coordinator has to trigger a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CoordinatorReason {
    /// Its trigger is a join.
    Join,
    /// It is the pivot, and these steps could still fail beside it.
    PivotBeside(Vec<String>),
    /// Its effect can't be undone, and these steps could still fail beside it.
    NoUndoBeside(Vec<String>),
}

/// Who does the work of a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Handler {
    /// A POST to this URL.
    Http(String),
    /// The function registered under this name.
    Rust(String),
}

/// How the effect of a step is undone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undo {
    /// Who undoes it.
    pub handler: Handler,
    /// Which one of these events says that it was undone; may be empty.
    pub emits: Vec<String>,
    /// Undo also when it is not known whether the step took effect.
    pub also_when_unknown: bool,
}

/// Tries in place: exponential waits between the bounds, with full jitter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    /// How often in all, the first try included.
    pub tries: u32,
    /// Upper bound of the first wait, in milliseconds.
    pub wait_ms_min: u64,
    /// Upper bound of every wait, in milliseconds.
    pub wait_ms_max: u64,
}

/// What follows when all tries failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Exhausted {
    /// Flagged for a person; the saga's clock runs.
    Hold,
    /// The saga fails.
    Undo,
    /// This event is emitted in the step's name, which has settled then; held where there is no value to make it of.
    Emit(String),
}

/// Where a new reader of a topic starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StartAt {
    /// At the oldest record.
    Earliest,
    /// Behind the newest record.
    Now,
    /// At the first record of this time or later, in milliseconds since the epoch.
    TimeMs(i64),
}

/// What is promised about the records of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Guarantee {
    /// Outputs and position in one transaction.
    #[default]
    ExactlyOnce,
    /// Outputs acknowledged before the position is stored; duplicates may follow a crash.
    AtLeastOnce,
}

/// A saga.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saga {
    /// Its name: the flow in headers.
    pub name: String,
    /// Any of these events starts a run.
    pub starts: Vec<String>,
    /// What tells its runs apart.
    pub identity: Identity,
    /// What a second start of the same identity does.
    pub again: Again,
    /// What completes it.
    pub completes: Group,
    /// Any of these events fails it.
    pub fails: Vec<String>,
    /// Names of its outcomes.
    pub outcomes: Outcomes,
    /// When it is given up; `None`: it may wait, and check has shown that it needn't wait for ever, or the file says why.
    pub deadline: Option<Deadline>,
    /// Why it may wait without a deadline, if the file says so.
    pub may_wait: Option<String>,
    /// Where the coordinator starts reading foreign events; `None` if it reads none.
    pub from: Option<StartAt>,
}

/// Names of a saga's outcomes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcomes {
    /// Default `completed`.
    pub completed: String,
    /// Default `compensated`.
    pub compensated: String,
}

/// When a saga is given up, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deadline {
    /// Counted from the start event, in milliseconds.
    pub after_ms: u64,
    /// What happens then, unless the pivot has succeeded.
    pub then: Then,
}

/// What tells the runs of a saga apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Identity {
    /// The correlation ID.
    #[default]
    Correlation,
}

/// What a second start of the same identity does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Again {
    /// It counts as a copy of the first.
    #[default]
    Ignore,
}

/// What a deadline does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Then {
    /// Undo what was done.
    #[default]
    Undo,
}
