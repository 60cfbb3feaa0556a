//! The compiled mesh: plain, owned data without places, which the step runtime and the coordinator run by.
//!
//! Everything in it is resolved: a name stands for something that exists, and every default is filled in. Maps are
//! ordered, so that two processes see the same mesh in the same order. [`Mesh::hash`] covers all of it; comments,
//! layout and the order of the file don't change it.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
    /// This event is emitted in the step's name.
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

impl Group {
    /// No event at all.
    #[must_use]
    pub fn none() -> Self {
        Self::Any(Vec::new())
    }

    /// The events, whichever way they count.
    #[must_use]
    pub fn events(&self) -> &[String] {
        let (Self::Any(events) | Self::All(events)) = self;
        events
    }
}

impl Trigger {
    /// The events of the trigger.
    #[must_use]
    pub fn events(&self) -> &[String] {
        match self {
            Self::Event(event) => std::slice::from_ref(event),
            Self::All(events) => events,
        }
    }
}

impl Step {
    /// Whether the step listens to its trigger's topic itself.
    #[must_use]
    pub fn is_choreographed(&self) -> bool {
        self.triggered_by == TriggeredBy::Choreography
    }

    /// Every event that the step may write: successes, rejections, what exhausted tries emit, and its undo's.
    pub fn outputs(&self) -> impl Iterator<Item = &str> {
        self.forward_outputs().chain(self.undo.iter().flat_map(|u| &u.emits).map(String::as_str))
    }

    /// Every event that the step may write while the saga goes forward.
    pub fn forward_outputs(&self) -> impl Iterator<Item = &str> {
        let exhausted = match &self.exhausted {
            Exhausted::Emit(event) => Some(event),
            Exhausted::Hold | Exhausted::Undo => None,
        };
        self.emits.events().iter().chain(&self.rejects).chain(exhausted).map(String::as_str)
    }
}

impl TriggeredBy {
    /// Who, as a word: `choreographed` or `coordinated`.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Choreography => "choreographed",
            Self::Coordinator(_) => "coordinated",
        }
    }

    /// Why, as a sentence.
    #[must_use]
    pub fn reason(&self) -> String {
        use crate::suggest::listed;
        match self {
            Self::Choreography => {
                "its trigger is one event, so it listens to the topic itself and no hop is needed".into()
            }
            Self::Coordinator(CoordinatorReason::Join) => {
                "it waits for several events, and only the coordinator sees them all".into()
            }
            Self::Coordinator(CoordinatorReason::PivotBeside(steps)) => {
                format!("it is the pivot and must not start while {} can still fail the saga", listed(steps))
            }
            Self::Coordinator(CoordinatorReason::NoUndoBeside(steps)) => format!(
                "its effect can't be undone and must not happen while {} can still fail the saga",
                listed(steps)
            ),
        }
    }
}

impl Mesh {
    /// The services that run steps.
    #[must_use]
    pub fn services(&self) -> BTreeSet<&str> {
        self.steps.values().map(|s| s.service.as_str()).collect()
    }

    /// The steps that a service runs.
    pub fn steps_of<'m>(&'m self, service: &str) -> impl Iterator<Item = &'m Step> {
        self.steps.values().filter(move |s| s.service == service)
    }

    /// The events of a step's trigger.
    pub fn inputs<'m>(&'m self, step: &'m Step) -> impl Iterator<Item = &'m Event> {
        step.when.events().iter().filter_map(|name| self.events.get(name))
    }

    /// The topic that a step reads itself; `None` if the coordinator triggers it.
    #[must_use]
    pub fn topic_read<'m>(&'m self, step: &'m Step) -> Option<&'m Topic> {
        let event = self.inputs(step).next().filter(|_| step.is_choreographed())?;
        self.topics.get(&event.topic)
    }

    /// The steps that an event triggers without the coordinator.
    pub fn listeners<'m>(&'m self, event: &str) -> impl Iterator<Item = &'m Step> {
        self.triggered(event).filter(|s| s.is_choreographed())
    }

    /// The steps whose trigger the event is or belongs to.
    pub fn triggered<'m>(&'m self, event: &str) -> impl Iterator<Item = &'m Step> {
        self.steps.values().filter(move |s| s.when.events().iter().any(|e| e == event))
    }

    /// The steps that may write an event, undo included.
    pub fn emitters<'m>(&'m self, event: &str) -> impl Iterator<Item = &'m Step> {
        self.steps.values().filter(move |s| s.outputs().any(|e| e == event))
    }

    /// The events that a topic carries.
    pub fn events_on<'m>(&'m self, topic: &str) -> impl Iterator<Item = &'m Event> {
        self.events.values().filter(move |e| e.topic == topic)
    }

    /// Whether others write to a topic too, so that known activations have to be dropped there.
    #[must_use]
    pub fn is_foreign_topic(&self, topic: &str) -> bool {
        self.events_on(topic).any(|e| e.owner == Owner::Foreign)
    }

    /// The saga that a step belongs to.
    #[must_use]
    pub fn saga_of(&self, step: &Step) -> Option<&Saga> {
        self.sagas.get(step.saga.as_ref()?)
    }

    /// The steps of a saga.
    pub fn steps_in<'m>(&'m self, saga: &str) -> impl Iterator<Item = &'m Step> {
        self.steps.values().filter(move |s| s.saga.as_deref() == Some(saga))
    }

    /// The sagas that an event starts.
    pub fn started_by<'m>(&'m self, event: &str) -> impl Iterator<Item = &'m Saga> {
        self.sagas.values().filter(move |s| s.starts.iter().any(|e| e == event))
    }

    /// The sagas that an event completes, alone or with others.
    pub fn completed_by<'m>(&'m self, event: &str) -> impl Iterator<Item = &'m Saga> {
        self.sagas.values().filter(move |s| s.completes.events().iter().any(|e| e == event))
    }

    /// The sagas that an event fails.
    pub fn failed_by<'m>(&'m self, event: &str) -> impl Iterator<Item = &'m Saga> {
        self.sagas.values().filter(move |s| s.fails.iter().any(|e| e == event))
    }

    /// The foreign events that the coordinator has to turn into facts for a saga: those that start, complete or
    /// fail it, and those that its steps wait for.
    #[must_use]
    pub fn ingested_for<'m>(&'m self, saga: &'m Saga) -> BTreeSet<&'m str> {
        let awaited = self.steps_in(&saga.name).flat_map(|s| s.when.events());
        let named = saga.starts.iter().chain(saga.completes.events()).chain(&saga.fails);
        named.chain(awaited).filter(|e| self.is_foreign(e)).map(String::as_str).collect()
    }

    fn is_foreign(&self, event: &str) -> bool {
        self.events.get(event).is_some_and(|e| e.owner == Owner::Foreign)
    }

    /// The events whose raw bytes a fact has to carry, because a later command needs them: all that a coordinated
    /// step waits for, and for an undo what triggered the step and what the step emitted.
    #[must_use]
    pub fn events_kept(&self) -> BTreeSet<&str> {
        let mut kept = BTreeSet::new();
        for step in self.steps.values().filter(|s| s.saga.is_some()) {
            if !step.is_choreographed() || step.undo.is_some() {
                kept.extend(step.when.events().iter().map(String::as_str));
            }
            if step.undo.is_some() {
                kept.extend(step.emits.events().iter().map(String::as_str));
            }
        }
        kept
    }
}
