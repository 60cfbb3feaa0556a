//! A Rust step as a handler of the runtime, and the two handlers of a step as one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use quadrille_events::Codecs;
use quadrille_runtime::handler::BoxFuture;
use quadrille_runtime::{Call, Handler, HandlerError, Reply};
use quadrille_step::conclude::Emitted;
use quadrille_step::spec::GivesUp;
use quadrille_types::dead_letter::Reason;
use quadrille_types::ids::Action;

use crate::answer::{Outputs, StepError};
use crate::context::Context;
use crate::input::Events;
use crate::steps::Attempt;

/// Calls a Rust function.
pub(crate) struct RustHandler {
    pub(crate) attempt: Arc<Attempt>,
    pub(crate) codecs: Arc<Codecs>,
    /// Whether the step waits for several events.
    pub(crate) join: bool,
}

impl RustHandler {
    async fn attempt(&self, call: &Call) -> Result<Reply, HandlerError> {
        let events = Events::read(&self.codecs, &call.inputs)
            .map_err(|e: crate::InputError| HandlerError::Undecodable(e.to_string()))?;
        let context = Context(Arc::new(call.clone()));
        // What the event's schema takes and the step's own type does not is an event all the same: its saga runs, and must
        // be told.
        let refused = |e: crate::InputError| HandlerError::Terminal(e.to_string());
        let answer = (self.attempt)(context, events, self.join).map_err(refused)?.await;
        match answer {
            Ok(outputs) => Ok(Reply::Done(self.encoded(&outputs)?)),
            Err(StepError::Rejected(outputs)) => Ok(Reply::Rejected(self.encoded(&outputs)?)),
            Err(StepError::Terminal(message)) => Err(HandlerError::Terminal(message)),
            Err(StepError::Retryable { message, after }) => {
                Err(HandlerError::Retryable { message, after_ms: after.map(whole_ms) })
            }
        }
    }

    fn encoded(&self, outputs: &Outputs) -> Result<Vec<Emitted>, HandlerError> {
        let encode = |output: &crate::Output| {
            let data = output.data.as_ref().map_err(|reason| {
                HandlerError::Terminal(format!("{} can't be written: {reason}", output.event))
            })?;
            self.codecs.encode(&output.event, data).map_err(|e| HandlerError::Terminal(e.to_string()))
        };
        outputs.iter().map(encode).collect()
    }
}

impl Handler for RustHandler {
    fn prepare<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<(), HandlerError>> {
        Box::pin(async move {
            for input in &call.inputs {
                let prepared = self.codecs.prepare(input).await;
                prepared.map_err(|e| HandlerError::Undecodable(e.to_string()))?;
            }
            Ok(())
        })
    }

    fn call<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<Reply, HandlerError>> {
        Box::pin(self.attempt(call))
    }

    fn give_up(&self, call: &Call, gives_up: &GivesUp, reason: Reason) -> Result<Emitted, HandlerError> {
        let said = (call.step.as_str(), reason.as_str(), call.attempt);
        let emitted = self.codecs.give_up(gives_up, &call.inputs, said);
        emitted.map_err(|e| HandlerError::Terminal(e.to_string()))
    }
}

/// The handlers of one step, for its do and its undo, measured.
pub(crate) struct StepHandler {
    pub(crate) forward: Arc<dyn Handler>,
    pub(crate) undo: Option<Arc<dyn Handler>>,
}

impl StepHandler {
    fn of(&self, call: &Call) -> Result<&dyn Handler, HandlerError> {
        let handler = match call.action {
            Action::Do => Some(&self.forward),
            Action::Undo => self.undo.as_ref(),
        };
        let missing = || HandlerError::Terminal(format!("step {} has no undo", call.step));
        handler.map(|handler| &**handler).ok_or_else(missing)
    }
}

impl Handler for StepHandler {
    fn prepare<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<(), HandlerError>> {
        Box::pin(async move { self.of(call)?.prepare(call).await })
    }

    fn call<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<Reply, HandlerError>> {
        Box::pin(async move {
            let began = Instant::now();
            let result = self.of(call)?.call(call).await;
            let labels = [
                ("step", call.step.clone()),
                ("action", call.action.to_string()),
                ("result", word(&result).to_owned()),
            ];
            metrics::histogram!("quadrille_handler_seconds", &labels).record(began.elapsed().as_secs_f64());
            result
        })
    }

    fn give_up(&self, call: &Call, gives_up: &GivesUp, reason: Reason) -> Result<Emitted, HandlerError> {
        self.of(call)?.give_up(call, gives_up, reason)
    }
}

fn word(result: &Result<Reply, HandlerError>) -> &'static str {
    match result {
        Ok(Reply::Done(_)) => "done",
        Ok(Reply::Rejected(_)) => "rejected",
        Err(HandlerError::Retryable { .. }) => "retryable",
        Err(HandlerError::Terminal(_)) => "terminal",
        Err(HandlerError::Undecodable(_)) => "undecodable",
    }
}

fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use quadrille_types::fact::{EventRef, Payload};
    use serde::Deserialize;

    use super::*;
    use crate::StepFn;
    use crate::steps::erased;
    use crate::test::call;

    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Both {
        found: u32,
        checked: Vec<u32>,
    }

    fn handler<I: crate::Input>(join: bool, step: impl StepFn<I>) -> RustHandler {
        let codecs = Arc::new(Codecs::offline(&crate::service::tests::mesh()).unwrap());
        RustHandler { attempt: erased(step), codecs, join }
    }

    fn with(inputs: &[(&str, &str)]) -> Call {
        let input = |(event, json): &(&str, &str)| EventRef {
            event: (*event).to_owned(),
            id: "1".to_owned(),
            payload: Some(Payload { content_type: None, value: (*json).into() }),
        };
        Call { inputs: inputs.iter().map(input).collect(), ..call("4711") }
    }

    #[tokio::test]
    async fn a_join_comes_as_a_struct_and_what_is_returned_is_encoded() {
        let tell = async |context: Context, both: Both| {
            let text = format!("{}: {} of {}", context.correlation_id(), both.found, both.checked.len());
            Ok(Outputs::of("Told", &text))
        };
        let call = with(&[("Found", "7"), ("Checked", "[1, 2]")]);
        let Ok(Reply::Done(emitted)) = handler(true, tell).call(&call).await else { panic!("it succeeds") };
        assert_eq!(
            (emitted[0].event.as_str(), emitted[0].value.as_slice()),
            ("Told", br#""4711: 7 of 2""#.as_slice())
        );
    }

    #[tokio::test]
    async fn every_error_of_a_step_is_one_of_the_runtime() {
        let after = Duration::from_millis(1_500);
        let fail = |error: StepError| {
            handler(false, move |_: Context, _: u32| std::future::ready(Err(error.clone())))
        };
        let call = with(&[("Asked", "1")]);
        let rejected = fail(StepError::rejected("Wrong", &1)).call(&call).await;
        assert!(matches!(rejected, Ok(Reply::Rejected(events)) if events[0].event == "Wrong"));
        let busy = HandlerError::Retryable { message: "busy".into(), after_ms: Some(1_500) };
        assert_eq!(fail(StepError::retryable_after("busy", after)).call(&call).await, Err(busy));
        assert_eq!(
            fail(StepError::terminal("no")).call(&call).await,
            Err(HandlerError::Terminal("no".into()))
        );
        let unknown = fail(StepError::rejected("Nonsense", &1)).call(&call).await;
        assert_eq!(unknown, Err(HandlerError::Terminal("the topology has no event Nonsense".into())));
    }

    #[tokio::test]
    async fn an_input_that_is_no_event_is_undecodable_and_one_of_another_shape_is_refused() {
        let any = handler(false, async |_: Context, _: u32| Ok(Outputs::none()));
        let Err(HandlerError::Terminal(message)) = any.call(&with(&[("Asked", "\"x\"")])).await else {
            panic!("it is refused")
        };
        assert!(message.starts_with("Asked does not fit the handler's type"), "{message}");
        let Err(HandlerError::Undecodable(message)) = any.call(&with(&[("Asked", "{")])).await else {
            panic!("it cannot be decoded")
        };
        assert!(message.starts_with("Asked can't be read: not JSON"), "{message}");
    }

    #[tokio::test]
    async fn an_undo_goes_to_its_own_handler() {
        let answering = |event: &'static str| -> Arc<dyn Handler> {
            Arc::new(handler(false, move |_: Context, _: u32| std::future::ready(Ok(Outputs::of(event, &1)))))
        };
        let step = StepHandler { forward: answering("Found"), undo: Some(answering("Forgotten")) };
        let undo = Call { action: Action::Undo, ..with(&[("Asked", "1")]) };
        assert!(matches!(step.call(&undo).await, Ok(Reply::Done(events)) if events[0].event == "Forgotten"));
        let without = StepHandler { forward: answering("Found"), undo: None };
        assert!(matches!(without.call(&undo).await, Err(HandlerError::Terminal(_))));
    }
}
