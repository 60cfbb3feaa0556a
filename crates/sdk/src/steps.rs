//! The handlers of a service, by the names in the topology file.

use std::collections::BTreeMap;
use std::sync::Arc;

use quadrille_runtime::handler::BoxFuture;

use crate::answer::{Outputs, StepError};
use crate::context::Context;
use crate::input::{Events, Input, InputError};

/// A step: an async function or closure of its context and its input.
pub trait StepFn<I: Input>: Send + Sync + 'static {
    /// One attempt.
    fn attempt(&self, context: Context, input: I) -> BoxFuture<'static, Result<Outputs, StepError>>;
}

impl<I, F, R> StepFn<I> for F
where
    I: Input,
    F: Fn(Context, I) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Outputs, StepError>> + Send + 'static,
{
    fn attempt(&self, context: Context, input: I) -> BoxFuture<'static, Result<Outputs, StepError>> {
        Box::pin(self(context, input))
    }
}

/// A step whose input's type is forgotten.
pub(crate) type Attempt = dyn Fn(Context, Events, bool) -> Result<BoxFuture<'static, Result<Outputs, StepError>>, InputError>
    + Send
    + Sync;

/// The handlers of a service.
#[derive(Clone, Default)]
pub struct Steps {
    pub(crate) service: Option<String>,
    pub(crate) handlers: BTreeMap<String, Arc<Attempt>>,
}

impl std::fmt::Debug for Steps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Steps").field("service", &self.service).field("handlers", &self.names()).finish()
    }
}

impl Steps {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Name of the service in the topology file, unless `--service` says otherwise.
    #[must_use]
    pub fn service(mut self, name: impl Into<String>) -> Self {
        self.service = Some(name.into());
        self
    }

    /// The function that the file means by `rust: NAME`, for a do or an undo. The last one of a name counts.
    #[must_use]
    pub fn handler<I: Input>(mut self, name: impl Into<String>, step: impl StepFn<I>) -> Self {
        self.handlers.insert(name.into(), erased(step));
        self
    }

    /// Names of the handlers.
    pub fn names(&self) -> Vec<&str> {
        self.handlers.keys().map(String::as_str).collect()
    }
}

/// Forgets the type of a step's input.
pub(crate) fn erased<I: Input>(step: impl StepFn<I>) -> Arc<Attempt> {
    Arc::new(move |context, events, join| Ok(step.attempt(context, I::from_events(events, join)?)))
}
