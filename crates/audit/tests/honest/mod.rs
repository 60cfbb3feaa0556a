//! Honest evidence of a small run: one order completed, one whose card was declined, one without stock, and two records
//! with the same broken bytes.

use quadrille_audit::Expectations;
use quadrille_audit::evidence::{
    Action, DeadLetter, Effect, Event, Evidence, Input, Note, Outcome, Position, Seen,
};

/// The line for it.
pub(crate) const HONEST: &str = "accepted=5 effect_once=3 dlt=2 lost=0 dup_effect=0 leaked=0 after_undo=0 unsettled=0 phantom=0 \
    | sagas=3 completed=1 compensated=2 stuck=0 dual_outcome=0 | txns=- aborted=- fenced=- takeovers=- | VALID";

/// When all sagas ended.
pub(crate) const ENDED_AT_MS: i64 = 10_000;

/// Content of the broken records.
pub(crate) const BROKEN: u64 = 4711;

pub(crate) fn expectations() -> Expectations {
    Expectations::parse(
        "
        flow: order
        inputs: [{ topic: orders }]
        outcomes_topic: outcomes
        dead_letters: { prefix: dead. }
        participants: [stock, payment, shipping]
        publishes: { payment: { do: Taken, undo: Refunded, rejects: [Declined] } }
        outcomes:
          completed:
            stock: { do: 1, undo: 0 }
            payment: { do: 1, undo: 0 }
            shipping: { do: 1, undo: 0 }
          compensated: { stock: balanced, payment: balanced, shipping: never }",
    )
    .unwrap()
}

pub(crate) fn evidence() -> Evidence {
    let rejected = |seq, participant, identity| Effect {
        applied: false,
        ..effect(seq, participant, identity, Action::Do)
    };
    let notes: Vec<Note> =
        (0..5).map(|offset| Note { at: position("orders", offset), content: offset as u64 }).collect();
    Evidence {
        inputs: vec![
            input(0, Some("good")),
            input(1, Some("declined")),
            input(2, Some("no-stock")),
            input(10, None),
            input(11, None),
        ],
        outcomes: vec![
            outcome(0, "good", "completed"),
            outcome(1, "declined", "compensated"),
            outcome(2, "no-stock", "compensated"),
        ],
        events: vec![
            event(0, "Taken", "good"),
            event(1, "Declined", "declined"),
            event(2, "Taken", "no-stock"),
            event(3, "Refunded", "no-stock"),
        ],
        began: Default::default(),
        dead_letters: vec![
            dead_letter("dead.charge", 0, Some(("orders", 10)), None),
            dead_letter("dead.charge", 1, Some(("orders", 11)), None),
        ],
        effects: vec![
            effect(1, "stock", "good", Action::Do),
            effect(1, "payment", "good", Action::Do),
            effect(1, "shipping", "good", Action::Do),
            effect(2, "stock", "declined", Action::Do),
            rejected(2, "payment", "declined"),
            effect(3, "stock", "declined", Action::Undo),
            rejected(4, "stock", "no-stock"),
            effect(3, "payment", "no-stock", Action::Do),
            effect(4, "payment", "no-stock", Action::Undo),
        ],
        read: notes.iter().cloned().collect(),
        seen: Some(Seen { watched: [("orders".to_owned(), 0)].into(), notes: notes.into_iter().collect() }),
        unreadable: Vec::new(),
    }
}

pub(crate) fn input(offset: i64, identity: Option<&str>) -> Input {
    let content = if identity.is_none() { BROKEN } else { offset as u64 };
    Input { at: position("orders", offset), content, identity: identity.map(str::to_owned) }
}

pub(crate) fn outcome(offset: i64, identity: &str, name: &str) -> Outcome {
    Outcome {
        at: position("outcomes", offset),
        identity: identity.into(),
        run: format!("run of {identity}"),
        name: name.into(),
        ended_at_ms: ENDED_AT_MS,
    }
}

pub(crate) fn event(offset: i64, kind: &str, identity: &str) -> Event {
    Event { at: position("payments", offset), kind: kind.into(), identity: identity.into() }
}

pub(crate) fn dead_letter(
    topic: &str,
    offset: i64,
    origin: Option<(&str, i64)>,
    identity: Option<&str>,
) -> DeadLetter {
    let broken = matches!(origin, Some(("orders", 10 | 11)));
    DeadLetter {
        at: position(topic, offset),
        content: if broken { BROKEN } else { offset as u64 },
        origin: origin.map(|(topic, offset)| position(topic, offset)),
        identity: identity.map(str::to_owned),
        undo: false,
        tried: false,
    }
}

pub(crate) fn effect(seq: i64, participant: &str, identity: &str, action: Action) -> Effect {
    Effect {
        seq,
        participant: participant.into(),
        activation: format!("{participant} for {identity}"),
        identity: identity.into(),
        action,
        applied: true,
        at_ms: ENDED_AT_MS - 100,
        pid: 1,
    }
}

fn position(topic: &str, offset: i64) -> Position {
    Position { topic: topic.into(), partition: 0, offset }
}
