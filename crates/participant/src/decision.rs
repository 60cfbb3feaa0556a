//! What a participant decides, and why it may be unable to.

use quadrille_sdk::{Outputs, StepError};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// A participant's answer: one event, with or without an effect. It is kept by the fence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// Whether the effect is there (for an undo: compensated).
    pub applied: bool,
    /// Name of the event that says so.
    pub event: String,
    /// Its data.
    pub data: Json,
}

impl Decision {
    /// The effect is there.
    ///
    /// # Panics
    /// If `data` has no JSON form (a map with keys that are no strings).
    pub fn done(event: &str, data: &impl Serialize) -> Self {
        Self::new(true, event, data)
    }

    /// A business rejection: there is no effect.
    ///
    /// # Panics
    /// As [`Decision::done`].
    pub fn rejected(event: &str, data: &impl Serialize) -> Self {
        Self::new(false, event, data)
    }

    fn new(applied: bool, event: &str, data: &impl Serialize) -> Self {
        let data = serde_json::to_value(data).expect("the event's data has a JSON form");
        Self { applied, event: event.to_owned(), data }
    }
}

/// Why a call got no decision. Nothing of it was kept.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The participant's store cannot be used now. Retryable.
    #[error("the store failed: {0}")]
    Store(String),
    /// A do whose undo came first. Not retryable.
    #[error("the activation is undone: it is never done again")]
    Refused,
    /// The call makes no sense. Not retryable.
    #[error("{0}")]
    BadCall(String),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.to_string())
    }
}

/// A decision as a step in Rust returns it.
///
/// # Errors
/// A rejection, or the failure.
pub fn outputs(result: Result<Decision, Failure>) -> Result<Outputs, StepError> {
    match result {
        Ok(decision) if decision.applied => Ok(Outputs::of(decision.event, &decision.data)),
        Ok(decision) => Err(StepError::rejected(decision.event, &decision.data)),
        Err(failure @ Failure::Store(_)) => Err(StepError::retryable(failure)),
        Err(failure) => Err(StepError::terminal(failure)),
    }
}
