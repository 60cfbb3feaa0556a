//! What a handler is called with and may answer.

use std::future::Future;
use std::pin::Pin;

use quadrille_step::conclude::Emitted;
use quadrille_step::spec::GivesUp;
use quadrille_types::dead_letter::Reason;
use quadrille_types::envelope::Lineage;
use quadrille_types::fact::EventRef;
use quadrille_types::ids::{Action, ActivationId};

/// One attempt of one action of one activation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Name of the step.
    pub step: String,
    /// The activation: the same in every attempt, on every instance, after every crash.
    pub activation: ActivationId,
    /// Do or undo.
    pub action: Action,
    /// The attempt, from 1; it starts again at 1 when another instance takes over.
    pub attempt: u32,
    /// The saga, if the event belongs to one.
    pub lineage: Option<Lineage>,
    /// Identity of the saga, or key of the event.
    pub correlation_id: String,
    /// The event that set the step off; for a join all of them, in the order of the file; for an undo those of its do.
    pub inputs: Vec<EventRef>,
    /// When the saga's deadline is, in ms since 1970.
    pub deadline_ms: Option<i64>,
    /// W3C `traceparent` of the input.
    pub traceparent: Option<String>,
    /// W3C `tracestate` beside it.
    pub tracestate: Option<String>,
    /// `ce_source` of the event, where the step read it itself.
    pub source: Option<String>,
    /// `ce_causationid` of the event; where the coordinator commands, ID of the event that led to the command.
    pub causation_id: Option<String>,
}

impl Call {
    /// Under this key a participant recognises a repeated call.
    pub fn idempotency_key(&self) -> String {
        self.activation.idempotency_key(self.action)
    }

    /// The key of the do that this undo compensates.
    pub fn do_key(&self) -> String {
        self.activation.idempotency_key(Action::Do)
    }
}

/// A handler's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It is done; these events follow.
    Done(Vec<Emitted>),
    /// A business failure that the file declares: nothing was done; these events follow.
    Rejected(Vec<Emitted>),
}

/// A handler's failure.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandlerError {
    /// Trying again may help.
    #[error("{message}")]
    Retryable {
        /// What went wrong.
        message: String,
        /// Not before this many ms, if the handler knows.
        after_ms: Option<u64>,
    },
    /// Trying again is useless.
    #[error("{0}")]
    Terminal(String),
    /// The input is not what its schema says.
    #[error("{0}")]
    Undecodable(String),
}

impl HandlerError {
    /// Trying again may help.
    pub fn retryable(message: impl Into<String>) -> Self {
        Self::Retryable { message: message.into(), after_ms: None }
    }
}

/// A future on the heap.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Handles the activations of one step. May be called again with the same activation, at any time and on any instance:
/// its effect must happen once all the same.
pub trait Handler: Send + Sync + 'static {
    /// Gets what every attempt needs and what is not the handler's own business, such as the schemas of the inputs.
    /// It is called once before the attempts, has no time limit and uses up no attempt: what is missing for a while (a
    /// registry that is down) is waited for in here. An error ends the activation without an attempt.
    fn prepare<'a>(&'a self, _call: &'a Call) -> BoxFuture<'a, Result<(), HandlerError>> {
        Box::pin(async { Ok(()) })
    }

    /// One attempt.
    fn call<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<Reply, HandlerError>>;

    /// The event that follows when the tries of `call` are exhausted: `call.attempt` of them, for `reason`. An error leaves
    /// the activation without the event, as if the file named none. A handler that does not write events has none.
    fn give_up(&self, call: &Call, gives_up: &GivesUp, _reason: Reason) -> Result<Emitted, HandlerError> {
        Err(HandlerError::Terminal(format!(
            "the handler of step {} can't write {}",
            call.step, gives_up.event
        )))
    }
}

impl<F> Handler for F
where
    F: Fn(Call) -> BoxFuture<'static, Result<Reply, HandlerError>> + Send + Sync + 'static,
{
    fn call<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<Reply, HandlerError>> {
        self(call.clone())
    }
}
