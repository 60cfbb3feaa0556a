//! Facts about a run that has its outcome: they change no outcome. A success that the outcome does not account for is
//! undone, if the run was, and its record is kept.
//!
//! After a time even that is forgotten. An answer that comes still later finds no run. It begins none by itself: it waits
//! for a start event that does not come, commands nothing and ends nothing, and is recorded as late.

use quadrille_types::command::Command;
use quadrille_types::fact::{Body, Fact, Outcome, StepResult};
use quadrille_types::ids::Action as Effect;

use crate::answers::is_genuine;
use crate::definition::{Flow, Step};
use crate::state::{End, Ended, Kind};
use crate::transition::{Action, Flag, Transition, Unmatched};

/// Whether a run that ended is to be forgotten at `now_ms`, when such runs are remembered for `keep_ms`: its head's record
/// is deleted then.
pub fn is_spent(ended: &Ended, keep_ms: i64, now_ms: i64) -> bool {
    ended.at_ms.saturating_add(keep_ms) <= now_ms
}

pub(crate) fn fact(flow: &Flow, ended: &mut Ended, fact: &Fact) -> Transition {
    match &fact.body {
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
            if !is_genuine(flow, fact.lineage.run, step, result) =>
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
