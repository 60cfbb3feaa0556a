//! Facts: what the coordinator learns about a saga, and all that it learns.
//!
//! A step service writes the facts of its activations in the transaction of their outputs, so a fact is there if and
//! only if the outputs are. Ingest lanes write facts about events that others publish. A fact says everything that the
//! saga's transition needs, so the coordinator never decodes a business payload; payloads travel along, unread, only
//! where a later command needs them.

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::dead_letter::Reason;
use crate::envelope::{Lineage, Position};
use crate::ids::{ActivationId, Trigger};

/// One fact about one saga run. Key of its record: the run's ID.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Fact {
    /// The run that it is about.
    #[n(0)]
    pub lineage: Lineage,
    /// The record that brought it about.
    #[n(1)]
    pub source: Position,
    /// Timestamp of that record, in ms since 1970: for a start event, when the run started.
    #[n(2)]
    pub source_time_ms: i64,
    /// What happened.
    #[n(3)]
    pub body: Body,
    /// W3C `traceparent` of that record.
    #[n(4)]
    pub traceparent: Option<String>,
    /// W3C `tracestate` of that record.
    #[n(5)]
    pub tracestate: Option<String>,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Body {
    /// A start event was seen, whichever copy of it.
    #[n(0)]
    Started(#[n(0)] EventRef),
    /// An event of the running saga was seen that no step of the mesh emitted.
    #[n(1)]
    Observed(#[n(0)] EventRef),
    /// A step answered for an activation.
    #[n(2)]
    Step(#[n(0)] StepResult),
    /// A copy of a start event was dropped by a step that had answered it before.
    #[n(3)]
    Known(#[n(0)] Known),
}

/// A step has met a copy of the start event whose activation its ledger knows: it does not run again. Its answer lies
/// in the same partition of the same topic, earlier: whoever reads this has read that, be it a long time ago.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Known {
    /// Name of the step.
    #[n(0)]
    pub step: String,
    /// The activation.
    #[n(1)]
    pub activation: ActivationId,
    /// What set it off.
    #[n(2)]
    pub trigger: Trigger,
}

/// A step's answer for one activation: there is exactly one for `do` and, once asked, one for `undo`, but for
/// redrives of an exhausted one.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct StepResult {
    /// Name of the step.
    #[n(0)]
    pub step: String,
    /// The activation.
    #[n(1)]
    pub activation: ActivationId,
    /// What set it off.
    #[n(2)]
    pub trigger: Trigger,
    /// How it came out.
    #[n(3)]
    pub result: Outcome,
    /// Attempts that it took, from 1.
    #[n(4)]
    pub attempts: u32,
}

/// How an activation came out.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The effect is there.
    #[n(0)]
    Succeeded {
        /// What the step emitted, in order.
        #[n(0)]
        events: Vec<EventRef>,
        /// The step's inputs, where its compensation will need them.
        #[n(1)]
        inputs: Vec<EventRef>,
    },
    /// A business failure that the file declares: there is no effect.
    #[n(1)]
    Rejected {
        /// What the step emitted, in order.
        #[n(0)]
        events: Vec<EventRef>,
    },
    /// Every try failed, or the first failed for good: the record lies in the dead-letter topic, and whether there is
    /// an effect is unknown.
    #[n(2)]
    Exhausted {
        /// Why.
        #[n(0)]
        reason: Reason,
        /// The last error, at most 1 KiB.
        #[n(1)]
        message: String,
        /// The step's inputs, where its compensation will need them.
        #[n(2)]
        inputs: Vec<EventRef>,
        /// What was emitted in the step's name, where the file names an event for this: the activation has settled then.
        /// Without it, the activation waits or the saga fails, as the file says.
        #[n(3)]
        event: Option<EventRef>,
    },
    /// The effect is compensated, or it is certain that there will never be one.
    #[n(3)]
    Undone {
        /// What the compensation emitted, in order.
        #[n(0)]
        events: Vec<EventRef>,
    },
    /// The compensation failed for good: a person is needed.
    #[n(4)]
    UndoExhausted {
        /// Why.
        #[n(0)]
        reason: Reason,
        /// The last error, at most 1 KiB.
        #[n(1)]
        message: String,
    },
}

/// An event, by name and ID, with its value where somebody later needs it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct EventRef {
    /// The event's name in the topology file.
    #[n(0)]
    pub event: String,
    /// `ce_id`.
    #[n(1)]
    pub id: String,
    /// The value as it lay in the topic.
    #[n(2)]
    pub payload: Option<Payload>,
}

/// A record's value, unread.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Payload {
    /// `content-type` of the record.
    #[n(0)]
    pub content_type: Option<String>,
    /// The bytes.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub value: Vec<u8>,
}

impl Fact {
    /// The activation that this fact settles or changes, if it is a step's answer.
    pub fn activation(&self) -> Option<ActivationId> {
        match &self.body {
            Body::Step(result) => Some(result.activation),
            Body::Started(_) | Body::Observed(_) | Body::Known(_) => None,
        }
    }
}
