//! One activation, with its tries in place.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use quadrille_kafka::failpoint;
use quadrille_step::conclude::Answer;
use quadrille_step::plan::Work;
use quadrille_step::retry::{Failure, Next};
use quadrille_step::spec::StepSpec;
use quadrille_types::dead_letter::Reason;
use quadrille_types::ids::Action;
use tracing::Instrument as _;

use crate::handler::{Call, Handler, HandlerError, Reply};

/// Calls `handler` until it answers, or the step's tries are used up. Returns the answer and the attempts.
pub async fn run(handler: &dyn Handler, step: &StepSpec, work: &Work) -> (Answer, u32) {
    let mut call = Call {
        step: step.name.clone(),
        activation: work.activation,
        action: work.action,
        attempt: 1,
        lineage: work.lineage.clone(),
        correlation_id: work.correlation_id.clone(),
        inputs: work.inputs.clone(),
        deadline_ms: work.deadline_ms,
        traceparent: work.traceparent.clone(),
        tracestate: work.tracestate.clone(),
        source: work.source.clone(),
        causation_id: work.caused_by.clone(),
    };
    let span = span(&call);
    async move {
        match prepare(handler, &call).await {
            Ok(()) => attempts(handler, step, &mut call).await,
            Err(error) => {
                tracing::warn!(target: "quadrille::step", %error, "cannot be handled: it goes to the dead-letter topic");
                (Answer::Failed { reason: classify(&error).1, message: error.to_string() }, 0)
            }
        }
    }
    .instrument(span)
    .await
}

/// What everything carries that is logged meanwhile.
fn span(call: &Call) -> tracing::Span {
    let saga = call.lineage.as_ref().map(|lineage| tracing::field::display(lineage.run));
    // version "-" trace ID "-" parent ID "-" flags
    let trace_id = call.traceparent.as_deref().and_then(|traceparent| traceparent.split('-').nth(1));
    tracing::info_span!(
        target: "quadrille::step",
        "activation",
        saga,
        correlation_id = call.correlation_id,
        step = call.step,
        activation = %call.activation,
        action = %call.action,
        trace_id,
    )
}

fn classify(error: &HandlerError) -> (Failure, Reason) {
    match error {
        HandlerError::Retryable { after_ms, .. } => {
            (Failure::Retryable { after_ms: *after_ms }, Reason::Exhausted)
        }
        HandlerError::Terminal(_) => (Failure::Terminal, Reason::Terminal),
        HandlerError::Undecodable(_) => (Failure::Terminal, Reason::Undecodable),
    }
}

async fn attempts(handler: &dyn Handler, step: &StepSpec, call: &mut Call) -> (Answer, u32) {
    loop {
        let error = match attempt(handler, step, call).await {
            Ok(Reply::Done(events)) => return (Answer::Succeeded(events), call.attempt),
            Ok(Reply::Rejected(events)) => return (Answer::Rejected(events), call.attempt),
            Err(error) => error,
        };
        let (failure, reason) = classify(&error);
        metrics::counter!("quadrille_attempts_failed_total", "step" => step.name.clone()).increment(1);
        match step.retry.after(call.attempt, failure, fastrand::u64(..)) {
            Next::Again { wait_ms } => {
                tracing::info!(
                    target: "quadrille::step",
                    attempt = call.attempt,
                    wait_ms,
                    %error,
                    "trying again"
                );
                tokio::time::sleep(Duration::from_millis(wait_ms)).await;
                call.attempt += 1;
            }
            Next::GiveUp => {
                tracing::warn!(
                    target: "quadrille::step",
                    attempts = call.attempt,
                    %error,
                    "given up: the record goes to the dead-letter topic"
                );
                return (given_up(handler, step, call, reason, error.to_string()), call.attempt);
            }
        }
    }
}

/// Exhausted tries, with the event that follows them where the step has one. An input that cannot be read has no value that
/// the event could be made of.
fn given_up(handler: &dyn Handler, step: &StepSpec, call: &Call, reason: Reason, message: String) -> Answer {
    let gives_up = step.gives_up.as_ref().filter(|_| call.action == Action::Do);
    let (Some(gives_up), Reason::Exhausted | Reason::Terminal) = (gives_up, reason) else {
        return Answer::Failed { reason, message };
    };
    match handler.give_up(call, gives_up, reason) {
        Ok(emitted) => Answer::GaveUp { reason, message, emitted },
        Err(error) => {
            tracing::warn!(target: "quadrille::step", event = gives_up.event, %error, "no event can follow: it is held");
            Answer::Failed { reason, message: format!("{message}; no {} follows: {error}", gives_up.event) }
        }
    }
}

async fn prepare(handler: &dyn Handler, call: &Call) -> Result<(), HandlerError> {
    match CatchUnwind(handler.prepare(call)).await {
        Ok(result) => result,
        Err(panic) => Err(HandlerError::Terminal(format!("the preparation panicked: {panic}"))),
    }
}

/// One attempt, within its time. A panic in a handler is its failure and nobody else's.
async fn attempt(handler: &dyn Handler, step: &StepSpec, call: &Call) -> Result<Reply, HandlerError> {
    wait_at_failpoint(call.action).await;
    let guarded = CatchUnwind(Box::pin(async move { handler.call(call).await }));
    match tokio::time::timeout(Duration::from_millis(step.timeout_ms), guarded).await {
        Ok(Ok(result)) => result,
        Ok(Err(panic)) => Err(HandlerError::retryable(format!("the handler panicked: {panic}"))),
        Err(_) => Err(HandlerError::retryable(format!("no answer within {} ms", step.timeout_ms))),
    }
}

async fn wait_at_failpoint(action: Action) {
    let name = match action {
        Action::Do => "handler-running",
        Action::Undo => "undo-running",
    };
    if failpoint::enabled() && failpoint::take(name) {
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
}

/// A future whose panics are errors.
struct CatchUnwind<F>(F);

impl<F: Future + Unpin> Future for CatchUnwind<F> {
    type Output = Result<F::Output, String>;

    fn poll(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Self::Output> {
        let inner = &mut self.0;
        match std::panic::catch_unwind(AssertUnwindSafe(|| std::pin::Pin::new(inner).poll(context))) {
            Ok(poll) => poll.map(Ok),
            Err(panic) => {
                let text = panic
                    .downcast_ref::<&str>()
                    .map(|text| (*text).to_owned())
                    .or_else(|| panic.downcast_ref::<String>().cloned());
                std::task::Poll::Ready(Err(text.unwrap_or_else(|| "no message".to_owned())))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::atomic::{AtomicU32, Ordering};

    use quadrille_step::conclude::Emitted;
    use quadrille_step::retry::Policy;
    use quadrille_step::spec::{Emits, Fields, GivesUp};
    use quadrille_types::RunId;
    use quadrille_types::envelope::Position;
    use quadrille_types::ids::Trigger;

    use super::*;
    use crate::handler::BoxFuture;

    fn step() -> StepSpec {
        StepSpec {
            name: "charge".into(),
            listens_to: None,
            partitions: 1,
            emits: Emits::one_of::<String>([]),
            rejects: Emits::one_of::<String>([]),
            gives_up: None,
            undo_emits: None,
            retry: Policy { tries: 3, wait_min_ms: 100, wait_max_ms: 1_000 },
            timeout_ms: 500,
            concurrency: 1,
            carries: BTreeSet::new(),
            keeps_ledger: false,
        }
    }

    fn work() -> Work {
        Work {
            step: 0,
            lineage: None,
            correlation_id: "4711".into(),
            activation: RunId::of("m", "f", "4711").activation("charge", &Trigger::Start),
            trigger: Trigger::Start,
            action: Action::Do,
            inputs: vec![],
            causation_id: None,
            source: None,
            caused_by: None,
            deadline_ms: None,
            origin: Position { topic: "orders".into(), partition: 0, offset: 0 },
            origin_time_ms: 0,
            traceparent: None,
            tracestate: None,
        }
    }

    /// Runs an activation whose attempts answer as `script` says.
    async fn with(script: fn(u32) -> BoxFuture<'static, Result<Reply, HandlerError>>) -> (Answer, u32, u32) {
        let calls = std::sync::Arc::new(AtomicU32::new(0));
        let seen = std::sync::Arc::clone(&calls);
        let handler = move |call: Call| {
            seen.fetch_add(1, Ordering::Relaxed);
            script(call.attempt)
        };
        let (answer, attempts) = run(&handler, &step(), &work()).await;
        (answer, attempts, calls.load(Ordering::Relaxed))
    }

    fn failed(reason: Reason, message: &str) -> Answer {
        Answer::Failed { reason, message: message.into() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_failing_attempt_is_tried_again_until_it_answers() {
        let result = with(|attempt| {
            Box::pin(async move {
                if attempt < 3 { Err(HandlerError::retryable("down")) } else { Ok(Reply::Done(vec![])) }
            })
        });
        assert_eq!(result.await, (Answer::Succeeded(vec![]), 3, 3));
    }

    #[tokio::test(start_paused = true)]
    async fn tries_end_and_a_terminal_failure_ends_them_at_once() {
        let exhausted = with(|_| Box::pin(async { Err(HandlerError::retryable("down")) })).await;
        assert_eq!(exhausted, (failed(Reason::Exhausted, "down"), 3, 3));
        let terminal = with(|_| Box::pin(async { Err(HandlerError::Terminal("no".into())) })).await;
        assert_eq!(terminal, (failed(Reason::Terminal, "no"), 1, 1));
        let undecodable = with(|_| Box::pin(async { Err(HandlerError::Undecodable("x".into())) })).await;
        assert_eq!(undecodable, (failed(Reason::Undecodable, "x"), 1, 1));
    }

    /// A handler that never succeeds and writes an event when it gives up.
    struct GivingUp(HandlerError);

    impl Handler for GivingUp {
        fn call<'a>(&'a self, _: &'a Call) -> BoxFuture<'a, Result<Reply, HandlerError>> {
            Box::pin(async { Err(self.0.clone()) })
        }

        fn give_up(&self, call: &Call, gives_up: &GivesUp, reason: Reason) -> Result<Emitted, HandlerError> {
            let value = format!("{reason} after {}", call.attempt).into_bytes();
            Ok(Emitted { event: gives_up.event.clone(), content_type: None, value })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn exhausted_tries_of_a_do_are_followed_by_the_steps_event() {
        let gives_up = GivesUp { event: "Unclear".into(), fields: Fields::Trigger };
        let step = StepSpec { gives_up: Some(gives_up), ..step() };
        let followed = async |error: HandlerError, action| match run(
            &GivingUp(error),
            &step,
            &Work { action, ..work() },
        )
        .await
        .0
        {
            Answer::GaveUp { emitted, .. } => String::from_utf8(emitted.value).unwrap(),
            Answer::Failed { .. } => "held".to_owned(),
            answer => panic!("{answer:?}"),
        };
        assert_eq!(followed(HandlerError::retryable("down"), Action::Do).await, "exhausted after 3");
        assert_eq!(followed(HandlerError::Terminal("no".into()), Action::Do).await, "terminal after 1");
        assert_eq!(followed(HandlerError::Undecodable("x".into()), Action::Do).await, "held");
        assert_eq!(followed(HandlerError::retryable("down"), Action::Undo).await, "held");
        let cannot = |_: Call| -> BoxFuture<'static, Result<Reply, HandlerError>> {
            Box::pin(async { Err(HandlerError::retryable("down")) })
        };
        let (answer, _) = run(&cannot, &step, &work()).await;
        assert_eq!(
            answer,
            failed(
                Reason::Exhausted,
                "down; no Unclear follows: the handler of step charge can't write Unclear"
            )
        );
    }

    /// A handler whose schemas come late, or never fit.
    struct Preparing(fn() -> BoxFuture<'static, Result<(), HandlerError>>);

    impl Handler for Preparing {
        fn prepare<'a>(&'a self, _: &'a Call) -> BoxFuture<'a, Result<(), HandlerError>> {
            (self.0)()
        }

        fn call<'a>(&'a self, _: &'a Call) -> BoxFuture<'a, Result<Reply, HandlerError>> {
            Box::pin(async { Ok(Reply::Done(vec![])) })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn preparation_may_take_long_and_uses_up_no_attempt() {
        let late = || -> BoxFuture<'static, _> {
            Box::pin(async {
                tokio::time::sleep(Duration::from_secs(3_600)).await;
                Ok(())
            })
        };
        assert_eq!(run(&Preparing(late), &step(), &work()).await, (Answer::Succeeded(vec![]), 1));
        let never =
            || -> BoxFuture<'static, _> { Box::pin(async { Err(HandlerError::Undecodable("no".into())) }) };
        assert_eq!(run(&Preparing(never), &step(), &work()).await, (failed(Reason::Undecodable, "no"), 0));
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_that_hangs_or_panics_is_a_failed_attempt() {
        let hanging = with(|_| Box::pin(std::future::pending())).await;
        assert_eq!(hanging, (failed(Reason::Exhausted, "no answer within 500 ms"), 3, 3));
        let panicking = with(|_| Box::pin(async { panic!("oh") })).await;
        assert_eq!(panicking, (failed(Reason::Exhausted, "the handler panicked: oh"), 3, 3));
    }
}
