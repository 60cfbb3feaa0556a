//! What was read, as plain data.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Where a record lies.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Topic.
    pub topic: String,
    /// Partition, from 0.
    pub partition: i32,
    /// Offset, from 0.
    pub offset: i64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.topic, self.partition, self.offset)
    }
}

/// A record and what was in it, as a hash of key and value: enough to see that it is gone or was another one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Note {
    /// Where it lies.
    pub at: Position,
    /// Hash of key and value, comparable within one process.
    pub content: u64,
}

/// One record of an input topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// Where it lies.
    pub at: Position,
    /// Hash of key and value.
    pub content: u64,
    /// Identity of the saga that it starts; none where the record cannot be read or names nobody.
    pub identity: Option<String>,
}

/// One record of the outcomes topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Where it lies.
    pub at: Position,
    /// Identity of the saga.
    pub identity: String,
    /// Its run.
    pub run: String,
    /// Name of the outcome.
    pub name: String,
    /// When it was decided, in ms since 1970, by the clock of the machine that decided it.
    pub ended_at_ms: i64,
}

/// One event that says what a participant did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Where it lies.
    pub at: Position,
    /// Its type.
    pub kind: String,
    /// Identity of its saga.
    pub identity: String,
}

/// One record of a dead-letter topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Where it lies.
    pub at: Position,
    /// Hash of key and value, which are those of the record that failed.
    pub content: u64,
    /// Where that record lay.
    pub origin: Option<Position>,
    /// Identity of its saga.
    pub identity: Option<String>,
    /// Whether it was an `undo` that failed.
    pub undo: bool,
    /// Whether it was tried in vain: tries are exhausted, or the handler said that more are useless.
    pub tried: bool,
}

/// What a participant was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// Have the effect.
    Do,
    /// Compensate it.
    Undo,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Do => "do",
            Self::Undo => "undo",
        })
    }
}

/// One line of a participant's log of effects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effect {
    /// Order within the participant.
    pub seq: i64,
    /// Whose effect it is.
    pub participant: String,
    /// The intended run of a step that it belongs to.
    pub activation: String,
    /// Identity of the saga.
    pub identity: String,
    /// What was asked.
    pub action: Action,
    /// Whether it had an effect: a rejected call and an `undo` of nothing had none.
    pub applied: bool,
    /// When, in ms since 1970, by the clock of the participant's machine.
    pub at_ms: i64,
    /// The process.
    pub pid: i64,
}

/// What a concurrent reader saw.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Partitions that it watched for as long as the final reading looks back.
    pub watched: BTreeSet<(String, i32)>,
    /// All records that it saw there.
    pub notes: BTreeSet<Note>,
}

/// All that a verdict rests on.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// Records of the input topics.
    pub inputs: Vec<Input>,
    /// Records of the outcomes topic, of this flow.
    pub outcomes: Vec<Outcome>,
    /// Events that say what participants did.
    pub events: Vec<Event>,
    /// Records of the dead-letter topics.
    pub dead_letters: Vec<DeadLetter>,
    /// Lines of the participants' logs.
    pub effects: Vec<Effect>,
    /// First offset that was read of each partition; those before it prove nothing.
    pub began: BTreeMap<(String, i32), i64>,
    /// All records of the final reading.
    pub read: BTreeSet<Note>,
    /// What the concurrent reader saw, where there was one.
    pub seen: Option<Seen>,
    /// Records that should be readable and are not, and why.
    pub unreadable: Vec<(Position, String)>,
}
