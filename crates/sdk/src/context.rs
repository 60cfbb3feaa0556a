//! What a step knows of its call.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use quadrille_runtime::Call;
use quadrille_types::ids::{Action, ActivationId};

/// The call: which activation, which attempt, of which saga. A clone is cheap.
#[derive(Clone, Debug)]
pub struct Context(pub(crate) Arc<Call>);

impl Context {
    /// Name of the step.
    pub fn step(&self) -> &str {
        &self.0.step
    }

    /// One intended run of the step: the same in every attempt, on every instance, after every crash, and for a do and
    /// its undo.
    pub fn activation(&self) -> ActivationId {
        self.0.activation
    }

    /// Do or undo.
    pub fn action(&self) -> Action {
        self.0.action
    }

    /// The key under which the effect has to happen once, whatever else is called meanwhile.
    pub fn idempotency_key(&self) -> String {
        self.0.idempotency_key()
    }

    /// For an undo the idempotency key of its do; for a do its own.
    pub fn do_key(&self) -> String {
        self.0.do_key()
    }

    /// The attempt, from 1; it starts again at 1 when another instance takes over.
    pub fn attempt(&self) -> u32 {
        self.0.attempt
    }

    /// Identity of the saga, or key of the event where there is no saga.
    pub fn correlation_id(&self) -> &str {
        &self.0.correlation_id
    }

    /// Name of the flow, if the event belongs to one.
    pub fn flow(&self) -> Option<&str> {
        self.0.lineage.as_ref().map(|lineage| lineage.flow.as_str())
    }

    /// ID of the saga run, if the event belongs to one.
    pub fn saga(&self) -> Option<String> {
        self.0.lineage.as_ref().map(|lineage| lineage.run.to_string())
    }

    /// When the saga is given up, if that is known.
    pub fn deadline(&self) -> Option<SystemTime> {
        let since = Duration::from_millis(u64::try_from(self.0.deadline_ms?).ok()?);
        UNIX_EPOCH.checked_add(since)
    }

    /// W3C `traceparent` of the input, to be sent along with calls to others.
    pub fn traceparent(&self) -> Option<&str> {
        self.0.traceparent.as_deref()
    }

    /// W3C `tracestate` beside it.
    pub fn tracestate(&self) -> Option<&str> {
        self.0.tracestate.as_deref()
    }
}
