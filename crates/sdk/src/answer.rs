//! What a step returns.

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value as Json;

/// One event that follows from a step.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// Its name in the topology file.
    pub event: String,
    /// Its data as plain JSON, or why it cannot be had.
    pub data: Result<Json, String>,
}

/// The events that follow from a step, in their order. Their IDs follow from the activation and their place in here, so
/// a step that is called again has to return the same events in the same order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outputs(Vec<Output>);

impl Outputs {
    /// No event.
    pub fn none() -> Self {
        Self::default()
    }

    /// One event.
    pub fn of(event: impl Into<String>, data: &impl Serialize) -> Self {
        Self::none().and(event, data)
    }

    /// One more event.
    #[must_use]
    pub fn and(mut self, event: impl Into<String>, data: &impl Serialize) -> Self {
        let data = serde_json::to_value(data).map_err(|e| e.to_string());
        self.0.push(Output { event: event.into(), data });
        self
    }

    /// The events.
    pub fn iter(&self) -> impl Iterator<Item = &Output> {
        self.0.iter()
    }
}

/// Why a step did not succeed.
///
/// Every `std` error becomes [`StepError::Retryable`] by `?`: what a step does not expect is tried again, and after the
/// tries that the file allows it lies in the dead-letter topic. That is why this type is no `std` error itself.
#[derive(Clone, Debug, PartialEq)]
pub enum StepError {
    /// Trying again may help.
    Retryable {
        /// What went wrong.
        message: String,
        /// Not before this time, if the step knows.
        after: Option<Duration>,
    },
    /// A business failure that the file declares under `rejects`: there is no effect, and these events follow.
    Rejected(Outputs),
    /// Trying again is useless.
    Terminal(String),
}

impl StepError {
    /// Trying again may help.
    pub fn retryable(message: impl fmt::Display) -> Self {
        Self::Retryable { message: message.to_string(), after: None }
    }

    /// Trying again may help, but not before `after`.
    pub fn retryable_after(message: impl fmt::Display, after: Duration) -> Self {
        Self::Retryable { message: message.to_string(), after: Some(after) }
    }

    /// A business failure, told by this event.
    pub fn rejected(event: impl Into<String>, data: &impl Serialize) -> Self {
        Self::Rejected(Outputs::of(event, data))
    }

    /// Trying again is useless.
    pub fn terminal(message: impl fmt::Display) -> Self {
        Self::Terminal(message.to_string())
    }
}

impl fmt::Display for StepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Retryable { message, .. } | Self::Terminal(message) => f.write_str(message),
            Self::Rejected(outputs) => {
                let names: Vec<_> = outputs.iter().map(|output| output.event.as_str()).collect();
                write!(f, "rejected: {}", names.join(", "))
            }
        }
    }
}

impl<E: std::error::Error> From<E> for StepError {
    fn from(error: E) -> Self {
        let causes = std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source());
        Self::retryable(causes.map(ToString::to_string).collect::<Vec<_>>().join(": "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_error_is_retryable_with_its_causes() {
        fn parse() -> Result<u8, StepError> {
            Ok("x".parse::<u8>()?)
        }
        assert_eq!(parse(), Err(StepError::retryable("invalid digit found in string")));
    }

    #[test]
    fn events_keep_their_order() {
        let outputs = Outputs::of("A", &1).and("B", &"b");
        let names: Vec<_> = outputs.iter().map(|output| output.event.as_str()).collect();
        assert_eq!(names, ["A", "B"]);
        assert_eq!(StepError::Rejected(outputs).to_string(), "rejected: A, B");
    }
}
