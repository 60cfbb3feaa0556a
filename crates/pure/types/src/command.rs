//! Commands: what the coordinator asks of a step.
//!
//! A command lies in the control topic of its step, on the partition where the step's input for that saga lies, so that
//! one lane orders everything that happens to an activation.

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::envelope::Lineage;
use crate::fact::EventRef;
use crate::ids::{Action, ActivationId, Trigger};

/// One command. Key of its record: the saga's correlation ID.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Command {
    /// The run.
    #[n(0)]
    pub lineage: Lineage,
    /// Name of the step.
    #[n(1)]
    pub step: String,
    /// The activation to do or to undo.
    #[n(2)]
    pub activation: ActivationId,
    /// What set the activation off.
    #[n(3)]
    pub trigger: Trigger,
    /// What to do with it.
    #[n(4)]
    pub action: Action,
    /// The events that the handler gets: those of the join, or the inputs of the `do` that is undone.
    #[n(5)]
    pub inputs: Vec<EventRef>,
    /// ID of the event that led to this command, for `ce_causationid` of what follows.
    #[n(6)]
    pub causation_id: Option<String>,
    /// When the saga's deadline is, in ms since 1970.
    #[n(7)]
    pub deadline_ms: Option<i64>,
    /// W3C `traceparent`.
    #[n(8)]
    pub traceparent: Option<String>,
    /// W3C `tracestate`.
    #[n(9)]
    pub tracestate: Option<String>,
}
