//! Runs a handler without Kafka, registry or clock.
//!
//! ```
//! use quadrille_sdk::test::TestStep;
//! use quadrille_sdk::{Context, Outputs, StepError};
//! use serde_json::{Value, json};
//!
//! async fn greet(_: Context, input: Value) -> Result<Outputs, StepError> {
//!     let name = input["name"].as_str().ok_or_else(|| StepError::terminal("nobody"))?;
//!     Ok(Outputs::of("Greeted", &json!({ "text": format!("hello {name}") })))
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let answer = TestStep::new(greet).input("Asked", &json!({ "name": "Ada" })).run().await;
//! assert_eq!(answer, Ok(Outputs::of("Greeted", &json!({ "text": "hello Ada" }))));
//! # });
//! ```

use std::path::Path;
use std::sync::Arc;

use quadrille_events::Codecs;
use quadrille_runtime::Call;
use quadrille_topology::Mesh;
use quadrille_types::fact::{EventRef, Payload};
use quadrille_types::ids::{Action, Trigger};
use quadrille_types::{ActivationId, RunId};
use serde::Serialize;

use crate::answer::{Outputs, StepError};
use crate::context::Context;
use crate::input::{Events, Input};
use crate::steps::{Attempt, StepFn, Steps, erased};

/// A handler, and the call that is to be made.
#[must_use = "nothing happens before `run`"]
pub struct TestStep {
    attempt: Arc<Attempt>,
    call: Call,
    inputs: Vec<(String, serde_json::Value)>,
    join: bool,
    mesh: Option<Mesh>,
}

impl std::fmt::Debug for TestStep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TestStep")
            .field("call", &self.call)
            .field("inputs", &self.inputs)
            .finish_non_exhaustive()
    }
}

impl TestStep {
    /// The first attempt of a do, without inputs yet.
    pub fn new<I: Input>(step: impl StepFn<I>) -> Self {
        Self::of(erased(step))
    }

    /// As [`TestStep::new`], for a handler that is registered in `steps`.
    ///
    /// # Panics
    /// If there is none of this name.
    pub fn named(steps: &Steps, name: &str) -> Self {
        let attempt = steps.handlers.get(name);
        Self::of(Arc::clone(attempt.unwrap_or_else(|| panic!("no handler {name} in {steps:?}"))))
    }

    fn of(attempt: Arc<Attempt>) -> Self {
        Self { attempt, call: call("1"), inputs: Vec::new(), join: false, mesh: None }
    }

    /// An event that the handler gets; a second one makes the call that of a join.
    ///
    /// # Panics
    /// If `data` has no JSON form.
    pub fn input(mut self, event: &str, data: &impl Serialize) -> Self {
        let data = serde_json::to_value(data).expect("the test's input has a JSON form");
        self.inputs.push((event.to_owned(), data));
        self.join = self.inputs.len() > 1;
        self
    }

    /// Holds inputs and outputs against the schemas of this topology file.
    ///
    /// # Panics
    /// If the file cannot be read or has mistakes.
    pub fn topology(mut self, file: impl AsRef<Path>) -> Self {
        let mesh = quadrille_host::topology::load(file.as_ref());
        self.mesh = Some(mesh.unwrap_or_else(|error| panic!("{error}")));
        self
    }

    /// The call is an undo.
    pub fn undo(mut self) -> Self {
        self.call.action = Action::Undo;
        self
    }

    /// The number of the attempt.
    pub fn attempt(mut self, attempt: u32) -> Self {
        self.call.attempt = attempt;
        self
    }

    /// Identity of the saga; it also makes another activation.
    pub fn correlation_id(mut self, id: &str) -> Self {
        id.clone_into(&mut self.call.correlation_id);
        self.call.activation = activation(id);
        self
    }

    /// Calls the handler once. What does not fit the schemas of [`TestStep::topology`] is a
    /// terminal error, as it would be in the mesh.
    ///
    /// # Errors
    /// What the handler returned.
    pub async fn run(&self) -> Result<Outputs, StepError> {
        let codecs = self.mesh.as_ref().map(Codecs::offline).transpose().map_err(StepError::terminal)?;
        let events = match &codecs {
            Some(codecs) => Events::read(codecs, &self.encoded(codecs)?).map_err(StepError::terminal)?,
            None => Events::of(self.inputs.clone()),
        };
        let context = Context(Arc::new(self.call.clone()));
        let answer = (self.attempt)(context, events, self.join).map_err(StepError::terminal)?.await;
        if let Some(codecs) = &codecs
            && let Ok(outputs) | Err(StepError::Rejected(outputs)) = &answer
        {
            for output in outputs.iter() {
                let data = output.data.as_ref().map_err(StepError::terminal)?;
                codecs.encode(&output.event, data).map_err(StepError::terminal)?;
            }
        }
        answer
    }

    fn encoded(&self, codecs: &Codecs) -> Result<Vec<EventRef>, StepError> {
        let encode = |(event, data): &(String, serde_json::Value)| {
            let emitted = codecs.encode(event, data).map_err(StepError::terminal)?;
            let payload = Payload { content_type: emitted.content_type, value: emitted.value };
            Ok(EventRef { event: event.clone(), id: "1".into(), payload: Some(payload) })
        };
        self.inputs.iter().map(encode).collect()
    }
}

/// The first attempt of a do, without inputs.
pub(crate) fn call(identity: &str) -> Call {
    Call {
        step: "step".into(),
        activation: activation(identity),
        action: Action::Do,
        attempt: 1,
        lineage: None,
        correlation_id: identity.into(),
        inputs: Vec::new(),
        deadline_ms: None,
        traceparent: None,
        tracestate: None,
        source: None,
        causation_id: None,
    }
}

fn activation(identity: &str) -> ActivationId {
    RunId::of("test", "test", identity).activation("step", &Trigger::Start)
}
