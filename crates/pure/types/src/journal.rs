//! The journal: what the coordinator applied, in order, with its time. Folding the entries of a run with the
//! transition function gives its state, today and a year later. A run that was forgotten may begin anew: its entries
//! follow those of the one before.

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::fact::Fact;
use crate::ids::RunId;

/// One applied input. Key of its record: the run's ID.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Entry {
    /// The coordinator's time when it applied the input, in ms since 1970.
    #[n(0)]
    pub now_ms: i64,
    /// The input.
    #[n(1)]
    pub input: Input,
}

/// What a saga reacts to. Nearly always a fact, so the difference in size costs nothing.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Input {
    /// Something happened.
    #[n(0)]
    Fact(#[n(0)] Fact),
    /// A time came.
    #[n(1)]
    Timer(#[n(0)] Timer),
    /// The coordinator forgot the run, since its time had come: from here on nothing is known of it.
    #[n(2)]
    Forgotten(#[n(0)] RunId),
}

/// A time that a saga waits for. A timer that no longer fits the saga's state changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Serialize, Deserialize)]
pub struct Timer {
    /// The run.
    #[n(0)]
    pub run: RunId,
    /// Which of its times.
    #[n(1)]
    pub kind: TimerKind,
    /// When it is due, in ms since 1970.
    #[n(2)]
    pub due_ms: i64,
}

/// Which time of a saga came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimerKind {
    /// The deadline of the whole saga.
    #[n(0)]
    Deadline,
}
