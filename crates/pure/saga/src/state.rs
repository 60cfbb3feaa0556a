//! The state of one run: a head and one record for each activation, so that a fact writes what it changes.
//!
//! An ended run is its head alone, at most [`ENDED_BYTES_MAX`] bytes whatever the flow's size and names.

use std::collections::BTreeMap;
use std::fmt;

use minicbor::{Decode, Encode};
use quadrille_types::fact::{EventRef, Fact, Outcome};
use quadrille_types::ids::{ActivationId, Trigger};
use quadrille_types::{Lineage, RunId};

/// Most bytes that an ended run leaves, encoded.
pub const ENDED_BYTES_MAX: usize = 64;

/// One run, as far as the coordinator knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It has no outcome yet.
    Live(Box<Live>),
    /// It has one, and that is final.
    Ended(Ended),
}

/// A run without an outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Live {
    /// What concerns the run as a whole.
    pub head: Head,
    /// Each intended run of a step.
    pub activations: BTreeMap<ActivationId, Activation>,
}

/// What concerns a run as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Head {
    /// Flow, run, identity, definition.
    #[n(0)]
    pub lineage: Lineage,
    /// Where the run stands.
    #[n(1)]
    pub status: Status,
    /// When it came to stand there, in ms since 1970.
    #[n(2)]
    pub since_ms: i64,
    /// Timestamp of the record that first proved the start, in ms since 1970. Absent while only later facts are here.
    #[n(3)]
    pub started_at_ms: Option<i64>,
    /// Start events that are known to exist.
    #[n(4)]
    pub starts: Vec<Start>,
    /// When the deadline is due, in ms since 1970.
    #[n(5)]
    pub deadline_ms: Option<i64>,
    /// The deadline's timer runs.
    #[n(6)]
    pub timer_set: bool,
    /// The deadline has passed.
    #[n(7)]
    pub overdue: bool,
    /// The completing events that are there, each name once, in the order in which they came.
    #[n(8)]
    pub completing: Vec<Cause>,
    /// What made the run fail, once something did.
    #[n(9)]
    pub failing: Option<Cause>,
    /// Answers to a `do` so far: gives activations their order of completion.
    #[n(10)]
    pub answers: u32,
    /// Nothing is outstanding, no timer runs, and no outcome is in reach.
    #[n(11)]
    pub stalled: bool,
    /// W3C `traceparent` of the fact that the run began with.
    #[n(12)]
    pub traceparent: Option<String>,
    /// W3C `tracestate` beside it.
    #[n(13)]
    pub tracestate: Option<String>,
}

/// Where a live run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(index_only)]
pub enum Status {
    /// Facts are here whose start is still to come: nothing is commanded.
    #[n(0)]
    Forming,
    /// Going forward; with [`Head::failing`] set, waiting for what is outstanding before it decides.
    #[n(1)]
    Running,
    /// Everything has settled and is being undone. There is no way back.
    #[n(2)]
    Undoing,
}

/// A start event that is known to exist.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Start {
    /// Its name.
    #[n(0)]
    pub event: String,
    /// Its own fact is here; otherwise a step that it triggered was faster.
    #[n(1)]
    pub here: bool,
}

/// What decided something about a run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub enum Cause {
    /// An event.
    #[n(0)]
    Event {
        /// Its name.
        #[n(0)]
        event: String,
        /// `ce_id`.
        #[n(1)]
        id: String,
    },
    /// The deadline passed.
    #[n(1)]
    Deadline,
    /// Every try of a step failed, and the file says that this means undo.
    #[n(2)]
    Exhausted {
        /// Name of the step.
        #[n(0)]
        step: String,
    },
}

/// One intended run of a step.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Activation {
    /// Its ID.
    #[n(0)]
    pub id: ActivationId,
    /// Name of the step.
    #[n(1)]
    pub step: String,
    /// What sets it off.
    #[n(2)]
    pub trigger: Trigger,
    /// Where it stands.
    #[n(3)]
    pub phase: Phase,
    /// When it came to stand there, in ms since 1970.
    #[n(4)]
    pub since_ms: i64,
    /// Its place in the order of answers, from 1; 0 before its answer.
    #[n(5)]
    pub order: u32,
    /// Kinds of answers that were already applied.
    #[n(6)]
    pub seen: Seen,
    /// Events that a later command needs: those that are there of a join, or the inputs of a compensation.
    #[n(7)]
    pub inputs: Vec<EventRef>,
}

/// Where an activation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(index_only)]
pub enum Phase {
    /// Coordinated, not yet commanded: events are missing, or it must wait for its turn.
    #[n(0)]
    Gathering,
    /// Its trigger is in the log or its command is given; no answer yet.
    #[n(1)]
    Open,
    /// The effect is there.
    #[n(2)]
    Succeeded,
    /// Refused: there is no effect.
    #[n(3)]
    Rejected,
    /// Every try failed: whether there is an effect is unknown.
    #[n(4)]
    Exhausted,
    /// Its compensation is commanded; no answer yet.
    #[n(5)]
    Undoing,
    /// Its compensation failed for good: the run is stuck until somebody redrives it.
    #[n(6)]
    UndoFailed,
    /// The effect is compensated.
    #[n(7)]
    Undone,
    /// Every try failed and the event for that was emitted: it has settled, and whether there is an effect is unknown.
    #[n(8)]
    GivenUp,
}

/// The kind of a step's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Succeeded = 1,
    Rejected = 2,
    Exhausted = 4,
    Undone = 8,
    UndoExhausted = 16,
    /// Exhausted, with the event for that.
    GaveUp = 32,
}

/// A set of kinds of answers. A second answer of one kind is a duplicate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub struct Seen(#[n(0)] u8);

/// What an ended run leaves.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Ended {
    /// Which end it was.
    #[n(0)]
    pub end: End,
    /// When, in ms since 1970.
    #[n(1)]
    pub at_ms: i64,
    /// Version of the definition that it followed.
    #[n(2)]
    pub definition_version: u32,
    /// Four bytes for each answer whose effect is accounted for, the oldest first. A success that is not among them is
    /// late; one that was crowded out is undone once more, which a participant answers from memory.
    #[cbor(n(3), with = "minicbor::bytes")]
    pub known: Vec<u8>,
}

/// Which end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(index_only)]
pub enum End {
    /// The good one.
    #[n(0)]
    Completed,
    /// Everything was undone.
    #[n(1)]
    Compensated,
    /// It had its outcome before, and was forgotten: a copy of its start event came later than that. Which outcome it was,
    /// nobody here knows any more, so nothing is done about it.
    #[n(2)]
    Forgotten,
}

impl State {
    /// The live run, if it is one.
    pub fn live(&self) -> Option<&Live> {
        match self {
            Self::Live(live) => Some(live),
            Self::Ended(_) => None,
        }
    }

    /// What is left of the run, if it has ended.
    pub fn ended(&self) -> Option<&Ended> {
        match self {
            Self::Live(_) => None,
            Self::Ended(ended) => Some(ended),
        }
    }
}

impl Head {
    pub(crate) fn has_completing(&self, name: &str) -> bool {
        self.completing.iter().any(|cause| matches!(cause, Cause::Event { event, .. } if event == name))
    }
}

impl Live {
    pub(crate) fn new(fact: &Fact, now_ms: i64) -> Self {
        let head = Head {
            lineage: fact.lineage.clone(),
            status: Status::Forming,
            since_ms: now_ms,
            started_at_ms: None,
            starts: Vec::new(),
            deadline_ms: None,
            timer_set: false,
            overdue: false,
            completing: Vec::new(),
            failing: None,
            answers: 0,
            stalled: false,
            traceparent: fact.traceparent.clone(),
            tracestate: fact.tracestate.clone(),
        };
        Self { head, activations: BTreeMap::new() }
    }

    /// The run's ID.
    pub fn run(&self) -> RunId {
        self.head.lineage.run
    }

    /// A compensation failed for good: a person is needed.
    pub fn is_stuck(&self) -> bool {
        self.any(Phase::UndoFailed)
    }

    /// Some activation is in `phase`.
    pub fn any(&self, phase: Phase) -> bool {
        self.activations.values().any(|activation| activation.phase == phase)
    }
}

impl Seen {
    /// Nothing was answered.
    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) fn has(self, kind: Kind) -> bool {
        self.0 & kind as u8 != 0
    }

    pub(crate) fn add(&mut self, kind: Kind) {
        self.0 |= kind as u8;
    }
}

impl Kind {
    pub(crate) fn of(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Succeeded { .. } => Self::Succeeded,
            Outcome::Rejected { .. } => Self::Rejected,
            Outcome::Exhausted { event: None, .. } => Self::Exhausted,
            Outcome::Exhausted { event: Some(_), .. } => Self::GaveUp,
            Outcome::Undone { .. } => Self::Undone,
            Outcome::UndoExhausted { .. } => Self::UndoExhausted,
        }
    }
}

impl Ended {
    const MARK: usize = 4;
    const MARKS_MAX: usize = 10;

    /// What is left of a run that nothing was left of until now.
    pub(crate) fn forgotten(definition_version: u32, now_ms: i64) -> Self {
        Self { end: End::Forgotten, at_ms: now_ms, definition_version, known: Vec::new() }
    }

    pub(crate) fn of(live: &Live, end: End, now_ms: i64) -> Self {
        let definition_version = live.head.lineage.definition.version;
        let mut ended = Self { end, at_ms: now_ms, definition_version, known: Vec::new() };
        let mut activations: Vec<_> = live.activations.values().collect();
        activations.sort_by_key(|activation| activation.order);
        for activation in activations {
            if activation.seen.has(Kind::Succeeded) {
                ended.learn(activation.id, Kind::Succeeded);
            }
            let unknown = activation.seen.has(Kind::Exhausted) || activation.seen.has(Kind::GaveUp);
            if unknown && activation.phase == Phase::Undone {
                ended.learn(activation.id, Kind::Exhausted);
            }
        }
        ended
    }

    /// Whether what an answer of that kind says of `activation` is accounted for.
    pub(crate) fn knows(&self, activation: ActivationId, kind: Kind) -> bool {
        self.known.chunks(Self::MARK).any(|mark| mark == Self::mark(activation, kind))
    }

    pub(crate) fn learn(&mut self, activation: ActivationId, kind: Kind) {
        if self.known.len() >= Self::MARK * Self::MARKS_MAX {
            self.known.drain(..Self::MARK);
        }
        self.known.extend(Self::mark(activation, kind));
    }

    /// The ID is a hash, so its bytes tell activations apart, and other bytes of it answers of another kind.
    fn mark(activation: ActivationId, kind: Kind) -> [u8; Self::MARK] {
        let [a, b, c, d, .., w, x, y, z] = activation.uuid().into_bytes();
        if kind == Kind::Succeeded { [a, b, c, d] } else { [w, x, y, z] }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Event { event, .. } => f.write_str(event),
            Self::Deadline => f.write_str("deadline"),
            Self::Exhausted { step } => write!(f, "{step} exhausted"),
        }
    }
}
