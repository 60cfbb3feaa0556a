//! Facts about a run that has its outcome: they change no outcome. A success that the outcome does not account for is
//! undone, if the run was, and its record is kept.
//!
//! After a time even that is forgotten ([`is_spent`]). What comes still later finds no run:
//!
//! - An answer begins none by itself: it waits for a start event that does not come, commands nothing and ends nothing, is
//!   recorded as late, and is forgotten too.
//! - A copy of the start event begins one, but a step that remembers its activation does not run again: it says that it
//!   knows it ([`Known`](quadrille_types::fact::Known)). Its answer came before in the same partition. So a run that lacks
//!   the answer is not the one that had it: that one had ended. The new one ends as forgotten, with no second outcome
//!   and no undo. What says so before its start event is here leaves the same.

use quadrille_types::command::Command;
use quadrille_types::fact::{Body, Fact, Outcome, StepResult};
use quadrille_types::ids::Action as Effect;

use crate::answers::is_genuine;
use crate::definition::{Flow, Step};
use crate::state::{End, Ended, Kind, State, Status};
use crate::transition::{Action, Flag, Transition, Unmatched};

/// Least time, in ms, for which that is kept whose start event may still be on its way. Facts of a run come from several
/// topics, so one may be read before another by as much as their readers lag behind.
pub const STRAY_MS_MIN: i64 = 60 * 60 * 1_000;

/// Whether a run is to be forgotten at `now_ms`, when ended runs are remembered for `keep_ms`: its records are deleted then.
/// One that waits for its start event that long was forgotten before, or never began.
pub fn is_spent(state: &State, keep_ms: i64, now_ms: i64) -> bool {
    let (since_ms, keep_ms) = match state {
        State::Ended(ended) if ended.end != End::Forgotten => (ended.at_ms, keep_ms),
        State::Ended(_) | State::Live(_) => match stray_since(state) {
            Some(since_ms) => (since_ms, keep_ms.max(STRAY_MS_MIN)),
            None => return false,
        },
    };
    since_ms.saturating_add(keep_ms) <= now_ms
}

/// Since when, in ms since 1970, the run is known by what came before its start event, or instead of it, alone.
pub fn stray_since(state: &State) -> Option<i64> {
    match state {
        State::Ended(ended) => (ended.end == End::Forgotten).then_some(ended.at_ms),
        State::Live(live) => (live.head.status == Status::Forming).then_some(live.head.since_ms),
    }
}

pub(crate) fn fact(flow: &Flow, ended: &mut Ended, fact: &Fact) -> Transition {
    match &fact.body {
        Body::Known(_) => unmatched(Unmatched::Duplicate),
        // It was given up with its definition.
        Body::Step(_) if fact.lineage.definition != flow.definition => unmatched(Unmatched::Definition),
        Body::Started(_) => unmatched(Unmatched::Duplicate),
        Body::Observed(event) if flow.is_start(&event.event) => unmatched(Unmatched::Duplicate),
        Body::Observed(_) => unmatched(Unmatched::Late),
        Body::Step(result) => answer(flow, ended, fact, result),
    }
}

fn answer(flow: &Flow, ended: &mut Ended, fact: &Fact, result: &StepResult) -> Transition {
    let Some(step) = flow.step(&result.step) else { return unmatched(Unmatched::Unknown) };
    let kind = Kind::of(&result.result);
    match kind {
        Kind::Succeeded | Kind::Exhausted | Kind::GaveUp
            if !is_genuine(flow, fact.lineage.run, step, &result.trigger, result.activation) =>
        {
            unmatched(Unmatched::Contradictory)
        }
        Kind::Succeeded | Kind::Exhausted | Kind::GaveUp if ended.knows(result.activation, kind) => {
            unmatched(Unmatched::Duplicate)
        }
        Kind::Succeeded => late_effect(step, ended, fact, result),
        Kind::Exhausted | Kind::GaveUp if step.undo.as_ref().is_some_and(|undo| undo.also_when_unknown) => {
            late_effect(step, ended, fact, result)
        }
        Kind::UndoExhausted => {
            let (step, activation) = (step.name.clone(), result.activation);
            let mut transition = unmatched(Unmatched::Late);
            transition.actions.insert(0, Action::Flag(Flag::Stuck { step, activation }));
            transition
        }
        Kind::Exhausted | Kind::GaveUp | Kind::Rejected | Kind::Undone => unmatched(Unmatched::Late),
    }
}

/// There is an effect, or may be one, that the outcome does not account for. One undo is enough for both.
fn late_effect(step: &Step, ended: &mut Ended, fact: &Fact, result: &StepResult) -> Transition {
    let asked = [Kind::Succeeded, Kind::Exhausted].iter().any(|kind| ended.knows(result.activation, *kind));
    ended.learn(result.activation, Kind::of(&result.result));
    let mut transition = unmatched(Unmatched::Late);
    transition.changed.head = true;
    if ended.end == End::Compensated && step.undo.is_some() && !asked {
        transition.actions.insert(0, Action::Undo(undo(fact, result)));
    }
    transition
}

fn undo(fact: &Fact, result: &StepResult) -> Command {
    let inputs = match &result.result {
        Outcome::Succeeded { inputs, .. } | Outcome::Exhausted { inputs, .. } => inputs.clone(),
        _ => Vec::new(),
    };
    Command {
        lineage: fact.lineage.clone(),
        step: result.step.clone(),
        activation: result.activation,
        trigger: result.trigger.clone(),
        action: Effect::Undo,
        inputs,
        causation_id: None,
        deadline_ms: None,
        traceparent: fact.traceparent.clone(),
        tracestate: fact.tracestate.clone(),
    }
}

fn unmatched(reason: Unmatched) -> Transition {
    Transition { actions: vec![Action::Unmatched(reason)], ..Transition::default() }
}
