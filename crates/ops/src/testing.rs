//! A flow, and journals of its runs, for the tests of this crate.

use quadrille_saga::Flow;
use quadrille_saga::definition::{Compensation, Deadline, Ending, Exhausted, Needs, Step, Then, Undo, When};
use quadrille_types::dead_letter::Reason;
use quadrille_types::envelope::{Definition, Lineage, Position};
use quadrille_types::fact::{Body, EventRef, Fact, Known, Outcome, StepResult};
use quadrille_types::ids::{RunId, Trigger};
use quadrille_types::journal::{Entry, Input, Timer, TimerKind};

pub(crate) fn order() -> Flow {
    let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let step = |name: &str, when, emits: &str, rejects: &[&str], undo| Step {
        name: name.to_owned(),
        when,
        emits: names(&[emits]),
        emits_all: false,
        rejects: names(rejects),
        undo,
        pivot: name == "ship",
        exhausted: Exhausted::Hold,
    };
    let ending = |events: &[&str], outcome: &str| Ending {
        events: names(events),
        needs: Needs::Any,
        outcome: outcome.to_owned(),
    };
    let placed = || When::Seen("OrderPlaced".into());
    let undo = || Some(Undo::default());
    Flow {
        name: "order".into(),
        definition: Definition { version: 7, hash: "c0ffee".into() },
        starts: names(&["OrderPlaced"]),
        completes: ending(&["OrderShipped"], "completed"),
        fails: ending(&["OutOfStock", "CardDeclined"], "compensated"),
        deadline: Some(Deadline { after_ms: 900_000, then: Then::Undo }),
        compensation: Compensation::Reverse,
        keep_ms: i64::MAX,
        steps: vec![
            step("reserve", placed(), "StockReserved", &["OutOfStock"], undo()),
            step("charge", placed(), "PaymentTaken", &["CardDeclined"], undo()),
            step("ship", When::All(names(&["StockReserved", "PaymentTaken"])), "OrderShipped", &[], None),
        ],
    }
}

pub(crate) fn run() -> RunId {
    RunId::of("shop", "order", "4711")
}

pub(crate) fn event(name: &str) -> EventRef {
    EventRef { event: name.into(), id: format!("{name}-1"), payload: None }
}

pub(crate) fn started(now_ms: i64) -> Entry {
    entry(now_ms, Body::Started(event("OrderPlaced")))
}

pub(crate) fn emitted(now_ms: i64, step: &str, name: &str) -> Entry {
    answer(now_ms, step, Outcome::Succeeded { events: vec![event(name)], inputs: vec![] })
}

pub(crate) fn rejected(now_ms: i64, step: &str, name: &str) -> Entry {
    answer(now_ms, step, Outcome::Rejected { events: vec![event(name)] })
}

pub(crate) fn undone(now_ms: i64, step: &str) -> Entry {
    answer(now_ms, step, Outcome::Undone { events: vec![] })
}

pub(crate) fn gave_up(now_ms: i64, step: &str) -> Entry {
    let (reason, message) = (Reason::Exhausted, "gateway down".to_owned());
    answer(now_ms, step, Outcome::Exhausted { reason, message, inputs: vec![], event: None })
}

pub(crate) fn undo_gave_up(now_ms: i64, step: &str) -> Entry {
    let (reason, message) = (Reason::Terminal, "no such charge".to_owned());
    answer(now_ms, step, Outcome::UndoExhausted { reason, message })
}

pub(crate) fn overdue(now_ms: i64) -> Entry {
    let timer = Timer { run: run(), kind: TimerKind::Deadline, due_ms: 900_000 };
    Entry { now_ms, input: Input::Timer(timer) }
}

pub(crate) fn forgotten(now_ms: i64) -> Entry {
    Entry { now_ms, input: Input::Forgotten(run()) }
}

pub(crate) fn known(now_ms: i64, step: &str) -> Entry {
    let (step, activation) = (step.to_owned(), run().activation(step, &Trigger::Start));
    entry(now_ms, Body::Known(Known { step, activation, trigger: Trigger::Start }))
}

fn answer(now_ms: i64, step: &str, result: Outcome) -> Entry {
    let trigger = if step == "ship" { Trigger::Join } else { Trigger::Start };
    let activation = run().activation(step, &trigger);
    entry(now_ms, Body::Step(StepResult { step: step.into(), activation, trigger, result, attempts: 1 }))
}

fn entry(now_ms: i64, body: Body) -> Entry {
    let lineage = Lineage {
        flow: "order".into(),
        run: run(),
        correlation_id: "4711".into(),
        definition: order().definition,
    };
    let source = Position { topic: "orders".into(), partition: 2, offset: now_ms };
    let fact = Fact { lineage, source, source_time_ms: 0, body, traceparent: None, tracestate: None };
    Entry { now_ms, input: Input::Fact(fact) }
}
