//! What a service must know of the topology to run its steps: plain data, lowered from the compiled file.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use quadrille_types::Definition;
use quadrille_types::ids::Action;
use quadrille_types::topics::Names;

use crate::retry::Policy;

/// One service of a mesh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceSpec {
    /// Names of the mesh's topics and groups.
    pub names: Names,
    /// Name of the service.
    pub service: String,
    /// What is promised about the records of its steps.
    pub guarantee: Guarantee,
    /// The definition that runs.
    pub definition: Definition,
    /// Partitions of the facts topics and of everything else that is keyed by saga.
    pub saga_partitions: u32,
    /// Largest records.
    pub limits: Limits,
    /// Every event of the mesh, by name.
    pub events: BTreeMap<String, EventSpec>,
    /// The steps of this service.
    pub steps: Vec<StepSpec>,
}

/// Largest records, in bytes as [`OutRecord::size`](quadrille_types::OutRecord::size) counts them: what is larger is never
/// written, so that no topic refuses it again and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// An event: below what brokers take by default.
    pub event: usize,
    /// A record of the mesh's own, such as a fact: below what its topics are created with.
    pub own: usize,
    /// The value of an event that travels in facts and commands: so small that those of a step fit into one record.
    pub kept: usize,
    /// What topics were found to take, where that is less.
    pub found: BTreeMap<String, usize>,
}

/// The least that a topic of the mesh's own must take, in bytes: any of its records can be cut down to this.
pub const OWN_BYTES_MIN: usize = 65_536;

/// What is promised about the records of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Guarantee {
    /// Outputs and position in one transaction.
    ExactlyOnce,
    /// Outputs acknowledged before the position is stored: a crash may repeat them, with the same IDs.
    AtLeastOnce,
}

impl Guarantee {
    /// The consumer group of those steps of `service` that promise this: each guarantee has a group of its own.
    pub fn group(self, names: &Names, service: &str) -> String {
        match self {
            Self::ExactlyOnce => names.group(service),
            Self::AtLeastOnce => names.group(&format!("{service}.at-least-once")),
        }
    }
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventSpec {
    /// Topic that it lies in.
    pub topic: String,
    /// Partitions of that topic.
    pub partitions: u32,
    /// Who emits it.
    pub owner: Owner,
    /// Its correlation ID is the record's key, whatever its headers say.
    pub by_key: bool,
    /// The flow that it starts.
    pub starts: Option<String>,
    /// The flow whose running sagas it belongs to.
    pub flow: Option<String>,
}

/// Who may emit an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A step of the mesh: its headers are trusted.
    Mesh,
    /// Anybody else: reserved headers are ignored.
    Foreign,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepSpec {
    /// Name of the step.
    pub name: String,
    /// The event that the step listens to itself; none when the coordinator triggers it.
    pub listens_to: Option<String>,
    /// Partitions of its control topic, its ledger and its dead-letter topic: those of its input.
    pub partitions: u32,
    /// Events of success.
    pub emits: Emits,
    /// Events of a business failure.
    pub rejects: Emits,
    /// What is emitted when the tries are exhausted; none when the saga is told only that they are.
    pub gives_up: Option<GivesUp>,
    /// Events of the compensation; none when there is no compensation.
    pub undo_emits: Option<Emits>,
    /// Tries in place.
    pub retry: Policy,
    /// Longest that one attempt may take, in ms.
    pub timeout_ms: u64,
    /// Handlers beside each other.
    pub concurrency: usize,
    /// Events whose values travel in facts, since a join or a compensation needs them.
    pub carries: BTreeSet<String>,
    /// Whether its trigger can come twice, from a foreign producer or a step that is at least once: it keeps a ledger.
    pub keeps_ledger: bool,
}

/// The event that follows exhausted tries, in the step's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivesUp {
    /// Its name in the topology file.
    pub event: String,
    /// What its value is made of.
    pub fields: Fields,
}

/// What the value of an event after exhausted tries is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fields {
    /// All fields of the trigger, the first event's first, and over them `step`, `reason` and `attempts`: for JSON without a
    /// schema.
    Trigger,
    /// These fields; a field of the schema that is not among them has a default.
    Named(Vec<(String, Filling)>),
}

/// Where the value of a field comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filling {
    /// From the field of the same name in this event of the trigger.
    Input(String),
    /// Name of the step.
    Step,
    /// `exhausted`, or `terminal` if a try said that more of them are useless.
    Reason,
    /// How many tries there were.
    Attempts,
    /// Null.
    Null,
}

/// The events that an answer must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Emits {
    /// Exactly one of these; nothing if there are none.
    OneOf(BTreeSet<String>),
    /// Each of these, once.
    Each(BTreeSet<String>),
}

impl Emits {
    /// Exactly one of `names`.
    pub fn one_of<S: Into<String>>(names: impl IntoIterator<Item = S>) -> Self {
        Self::OneOf(names.into_iter().map(Into::into).collect())
    }

    /// All names.
    pub fn names(&self) -> &BTreeSet<String> {
        let (Self::OneOf(names) | Self::Each(names)) = self;
        names
    }

    /// Whether `emitted`, in any order, is such an answer.
    pub fn are(&self, emitted: &[&str]) -> bool {
        let known = emitted.iter().all(|name| self.names().contains(*name));
        let count = match self {
            Self::OneOf(names) => usize::from(!names.is_empty()),
            Self::Each(names) => names.len(),
        };
        let distinct: BTreeSet<_> = emitted.iter().collect();
        known && emitted.len() == count && distinct.len() == count
    }
}

impl fmt::Display for Emits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.names().iter().map(String::as_str).collect();
        match self {
            Self::OneOf(names) if names.is_empty() => f.write_str("no event"),
            Self::OneOf(_) => write!(f, "one of {}", names.join(", ")),
            Self::Each(_) => write!(f, "each of {}", names.join(", ")),
        }
    }
}

impl Limits {
    /// Of events in `topic`.
    pub fn event(&self, topic: &str) -> usize {
        self.found.get(topic).map_or(self.event, |found| self.event.min(*found))
    }

    /// Of the mesh's own records in `topic`.
    pub fn own(&self, topic: &str) -> usize {
        self.found.get(topic).map_or(self.own, |found| self.own.min(*found))
    }

    /// A record of `bytes` was refused by `topic`.
    pub fn refused(&mut self, topic: &str, bytes: usize) {
        let below = bytes.saturating_sub(1);
        self.found.entry(topic.to_owned()).and_modify(|found| *found = below.min(*found)).or_insert(below);
    }
}

impl StepSpec {
    /// What `action` emits when it succeeds.
    pub fn emits(&self, action: Action) -> Option<&Emits> {
        match action {
            Action::Do => Some(&self.emits),
            Action::Undo => self.undo_emits.as_ref(),
        }
    }

    /// What `action` emits when it is refused for business reasons. A compensation has no such right.
    pub fn rejects(&self, action: Action) -> Option<&Emits> {
        (action == Action::Do && !self.rejects.names().is_empty()).then_some(&self.rejects)
    }

    /// Every event that the step may emit.
    pub fn events(&self) -> impl Iterator<Item = &String> {
        let undo = self.undo_emits.iter().flat_map(Emits::names);
        let gives_up = self.gives_up.iter().map(|gives_up| &gives_up.event);
        self.emits.names().iter().chain(self.rejects.names()).chain(gives_up).chain(undo)
    }
}

impl ServiceSpec {
    /// Its consumer group.
    pub fn group(&self) -> String {
        self.guarantee.group(&self.names, &self.service)
    }

    /// Topics that the service reads: those of its steps' events and its steps' control topics.
    pub fn inputs(&self) -> BTreeMap<String, u32> {
        let mut topics = BTreeMap::new();
        for step in &self.steps {
            topics.insert(self.names.control(&step.name), step.partitions);
            if let Some(event) = step.listens_to.as_ref().and_then(|name| self.events.get(name)) {
                topics.insert(event.topic.clone(), event.partitions);
            }
        }
        topics
    }

    /// Topics whose records say that something is done: without a transaction they must not be there before it is. Events
    /// come first, then facts, then ledgers: what a ledger knows is answered.
    pub fn written_last(&self) -> Vec<BTreeSet<String>> {
        let ledgers = self.steps.iter().map(|step| self.names.ledger(&step.name));
        vec![BTreeSet::from([self.names.facts(&self.service)]), ledgers.collect()]
    }

    /// The events that lie in `topic`.
    pub fn events_in<'a>(&'a self, topic: &'a str) -> impl Iterator<Item = (&'a String, &'a EventSpec)> {
        self.events.iter().filter(move |(_, event)| event.topic == topic)
    }

    /// The step whose control topic is `topic`.
    pub fn controlled_by(&self, topic: &str) -> Option<usize> {
        self.steps.iter().position(|step| self.names.control(&step.name) == topic)
    }
}
