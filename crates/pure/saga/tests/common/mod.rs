//! Flows to test with, facts about them, and actions as short texts.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part")]

pub mod world;

use quadrille_saga::definition::{
    Compensation, Deadline, Ending, Exhausted, Flow, Needs, Step, Then, Undo, When,
};
use quadrille_saga::transition::{Action, Flag, Outcome as End};
use quadrille_saga::{State, next};
use quadrille_types::dead_letter::Reason;
use quadrille_types::envelope::{Definition, Lineage, Position};
use quadrille_types::fact::{Body, EventRef, Fact, Known, Outcome, Payload, StepResult};
use quadrille_types::ids::{Action as Effect, ActivationId, RunId, Trigger};
use quadrille_types::journal::{Input, Timer, TimerKind};

pub const MINUTE_MS: i64 = 60_000;

pub fn flow(name: &str, starts: &str, completes: &[&str], fails: &[&str], steps: Vec<Step>) -> Flow {
    let ending = |events: &[&str], outcome: &str| Ending {
        events: names(events),
        needs: Needs::Any,
        outcome: outcome.into(),
    };
    Flow {
        name: name.into(),
        definition: Definition { version: 7, hash: "c0ffee".into() },
        starts: names(&[starts]),
        completes: ending(completes, "completed"),
        fails: ending(fails, "compensated"),
        deadline: Some(Deadline { after_ms: 15 * MINUTE_MS, then: Then::Undo }),
        compensation: Compensation::Reverse,
        keep_ms: i64::MAX,
        steps,
    }
}

pub fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(|name| (*name).to_owned()).collect()
}

pub fn step(name: &str, when: When, emits: &[&str], rejects: &[&str]) -> Step {
    Step {
        name: name.into(),
        when,
        emits: names(emits),
        emits_all: false,
        rejects: names(rejects),
        undo: None,
        pivot: false,
        exhausted: Exhausted::Hold,
    }
}

pub fn seen(event: &str) -> When {
    When::Seen(event.into())
}

pub fn all(events: &[&str]) -> When {
    When::All(names(events))
}

/// What a test adds to a step.
pub trait With: Sized {
    fn undo(self) -> Self;
    fn undo_if_unknown(self) -> Self;
    fn pivot(self) -> Self;
    fn exhausted_means_undo(self) -> Self;
    fn exhausted_emits(self, event: &str) -> Self;
}

impl With for Step {
    fn undo(self) -> Self {
        Self { undo: Some(Undo::default()), ..self }
    }

    fn undo_if_unknown(self) -> Self {
        Self { undo: Some(Undo { also_when_unknown: true, ..Undo::default() }), ..self }
    }

    fn pivot(self) -> Self {
        Self { pivot: true, ..self }
    }

    fn exhausted_means_undo(self) -> Self {
        Self { exhausted: Exhausted::Undo, ..self }
    }

    fn exhausted_emits(self, event: &str) -> Self {
        Self { exhausted: Exhausted::Emit(event.into()), ..self }
    }
}

/// Two parallel steps and a join to a pivot.
pub fn order() -> Flow {
    let steps = vec![
        step("reserve", seen("OrderPlaced"), &["StockReserved"], &["OutOfStock"]).undo(),
        step("charge", seen("OrderPlaced"), &["PaymentTaken"], &["CardDeclined"]).undo_if_unknown(),
        step("ship", all(&["StockReserved", "PaymentTaken"]), &["OrderShipped"], &[]).pivot(),
    ];
    flow("order", "OrderPlaced", &["OrderShipped"], &["OutOfStock", "CardDeclined"], steps)
}

/// Three parallel steps with undo, and a join that only says that all is well.
pub fn trip() -> Flow {
    let steps = vec![
        step("flight", seen("TripBooked"), &["FlightBooked"], &["FlightFull"]).undo(),
        step("hotel", seen("TripBooked"), &["HotelBooked"], &["HotelFull"]).undo(),
        step("car", seen("TripBooked"), &["CarBooked"], &["NoCar"]).undo(),
        step("confirm", all(&["FlightBooked", "HotelBooked", "CarBooked"]), &["TripConfirmed"], &[]),
    ];
    flow("trip", "TripBooked", &["TripConfirmed"], &["FlightFull", "HotelFull", "NoCar"], steps)
}

/// Three bookings beside each other; the trip is complete with the last of them.
pub fn bookings() -> Flow {
    let mut flow = trip();
    flow.steps.pop();
    flow.completes.events = names(&["FlightBooked", "HotelBooked", "CarBooked"]);
    flow.completes.needs = Needs::All;
    flow
}

/// One after the other, all choreographed.
pub fn chain() -> Flow {
    let steps = vec![
        step("first", seen("Begun"), &["One"], &["NotOne"]).undo(),
        step("second", seen("One"), &["Two"], &["NotTwo"]).undo(),
        step("third", seen("Two"), &["Three"], &["NotThree"]).undo(),
    ];
    flow("chain", "Begun", &["Three"], &["NotOne", "NotTwo", "NotThree"], steps)
}

/// Reserve, then a pivot that can refuse, then a last step that only goes forward.
pub fn food() -> Flow {
    let steps = vec![
        step("ticket", seen("OrderPlaced"), &["TicketCreated"], &["Closed"]).undo(),
        step("authorize", seen("TicketCreated"), &["Authorized"], &["Declined"]).pivot(),
        step("approve", seen("Authorized"), &["Approved"], &["Odd"]),
    ];
    flow("food", "OrderPlaced", &["Approved"], &["Closed", "Declined", "Odd", "Cancelled"], steps)
}

pub fn lineage(flow: &Flow) -> Lineage {
    Lineage {
        flow: flow.name.clone(),
        run: RunId::of("shop", &flow.name, "4711"),
        correlation_id: "4711".into(),
        definition: flow.definition.clone(),
    }
}

pub fn fact(flow: &Flow, body: Body) -> Fact {
    let source = Position { topic: "orders".into(), partition: 2, offset: 40 };
    Fact { lineage: lineage(flow), source, source_time_ms: 0, body, traceparent: None, tracestate: None }
}

pub fn event(name: &str, id: &str) -> EventRef {
    let payload = Some(Payload { content_type: None, value: name.as_bytes().to_vec() });
    EventRef { event: name.into(), id: id.into(), payload }
}

pub fn started(flow: &Flow, name: &str, id: &str) -> Input {
    Input::Fact(fact(flow, Body::Started(event(name, id))))
}

pub fn observed(flow: &Flow, name: &str, id: &str) -> Input {
    Input::Fact(fact(flow, Body::Observed(event(name, id))))
}

pub fn deadline(flow: &Flow) -> Input {
    Input::Timer(Timer { run: lineage(flow).run, kind: TimerKind::Deadline, due_ms: 15 * MINUTE_MS })
}

/// What sets `name` off in a run in which each step runs once: an event that no step emits has the ID `x`.
pub fn trigger(flow: &Flow, name: &str) -> Trigger {
    match &flow.step(name).expect("a step").when {
        When::All(_) => Trigger::Join,
        When::Seen(event) if flow.is_start(event) => Trigger::Start,
        When::Seen(event) => Trigger::Event(event_id(flow, event)),
    }
}

fn event_id(flow: &Flow, event: &str) -> String {
    let place = |events: &[String]| events.iter().position(|name| name == event);
    let emitter = flow.steps.iter().find_map(|step| {
        let given_up = || (step.exhausted == Exhausted::Emit(event.to_owned())).then_some(0);
        Some((step, place(&step.emits).or_else(|| place(&step.rejects)).or_else(given_up)?))
    });
    emitter.map_or_else(
        || "x".to_owned(),
        |(step, index)| activation(flow, &step.name).event(Effect::Do, index).to_string(),
    )
}

pub fn activation(flow: &Flow, step: &str) -> ActivationId {
    lineage(flow).run.activation(step, &trigger(flow, step))
}

pub fn answer(flow: &Flow, step: &str, result: Outcome) -> Input {
    let (activation, trigger) = (activation(flow, step), trigger(flow, step));
    let result = StepResult { step: step.into(), activation, trigger, result, attempts: 1 };
    Input::Fact(fact(flow, Body::Step(result)))
}

fn emitted(flow: &Flow, step: &str, action: Effect, events: &[String]) -> Vec<EventRef> {
    let id = |index| activation(flow, step).event(action, index).to_string();
    events.iter().enumerate().map(|(index, name)| event(name, &id(index))).collect()
}

/// The step has met a copy of what it had answered before.
pub fn known(flow: &Flow, step: &str) -> Input {
    let (activation, trigger) = (activation(flow, step), trigger(flow, step));
    Input::Fact(fact(flow, Body::Known(Known { step: step.into(), activation, trigger })))
}

/// The run's time has come.
pub fn forgotten(flow: &Flow) -> Input {
    Input::Forgotten(lineage(flow).run)
}

/// The step succeeds and emits all that it emits.
pub fn ok(flow: &Flow, step: &str) -> Input {
    let events = emitted(flow, step, Effect::Do, &flow.step(step).expect("a step").emits);
    answer(flow, step, Outcome::Succeeded { events, inputs: vec![event("Input", step)] })
}

/// The step refuses with the first of its rejections.
pub fn no(flow: &Flow, step: &str) -> Input {
    let events = emitted(flow, step, Effect::Do, &flow.step(step).expect("a step").rejects[..1]);
    answer(flow, step, Outcome::Rejected { events })
}

pub fn exhausted(flow: &Flow, step: &str, reason: Reason) -> Input {
    let inputs = vec![event("Input", step)];
    answer(flow, step, Outcome::Exhausted { reason, message: "why".into(), inputs, event: None })
}

pub fn gone(flow: &Flow, step: &str) -> Input {
    exhausted(flow, step, Reason::Exhausted)
}

/// Every try fails, and the event that the step names for that is emitted.
pub fn gave_up(flow: &Flow, step: &str) -> Input {
    let Exhausted::Emit(event) = &flow.step(step).expect("a step").exhausted else {
        panic!("{step} emits none")
    };
    let event = emitted(flow, step, Effect::Do, std::slice::from_ref(event)).pop();
    let inputs = vec![self::event("Input", step)];
    answer(flow, step, Outcome::Exhausted { reason: Reason::Exhausted, message: "why".into(), inputs, event })
}

pub fn undone(flow: &Flow, step: &str) -> Input {
    let undo = flow.step(step).and_then(|step| step.undo.clone()).unwrap_or_default();
    answer(flow, step, Outcome::Undone { events: emitted(flow, step, Effect::Undo, &undo.emits) })
}

pub fn not_undone(flow: &Flow, step: &str) -> Input {
    answer(flow, step, Outcome::UndoExhausted { reason: Reason::Exhausted, message: "why".into() })
}

/// An action in a few words.
pub fn words(action: &Action) -> String {
    match action {
        Action::Do(command) => {
            let inputs: Vec<_> = command.inputs.iter().map(|input| input.event.as_str()).collect();
            format!("do {}({})", command.step, inputs.join(" "))
        }
        Action::Undo(command) => format!("undo {}", command.step),
        Action::SetTimer(timer) => format!("timer {}", timer.due_ms / MINUTE_MS),
        Action::ClearTimer(_) => "clear".into(),
        Action::End(End { outcome, cause, .. }) => format!("end {outcome}: {cause}"),
        Action::Flag(Flag::Held { step, .. }) => format!("held {step}"),
        Action::Flag(Flag::Stuck { step, .. }) => format!("stuck {step}"),
        Action::Flag(Flag::Overdue) => "overdue".into(),
        Action::Flag(Flag::Stalled) => "stalled".into(),
        Action::Unmatched(reason) => format!("unmatched {reason}"),
    }
}

/// Applies the inputs one after the other and compares the actions of each, in words, with those that stand beside it.
#[track_caller]
pub fn play(flow: &Flow, table: &[(Input, &str)]) -> Option<State> {
    let mut state = None;
    for (line, (input, expected)) in table.iter().enumerate() {
        let now_ms = if matches!(input, Input::Timer(_)) { 15 * MINUTE_MS } else { MINUTE_MS };
        let transition = next(flow, &mut state, input, now_ms);
        let actions: Vec<_> = transition.actions.iter().map(words).collect();
        assert_eq!(actions.join(", "), *expected, "line {} of the table", line + 1);
    }
    state
}
