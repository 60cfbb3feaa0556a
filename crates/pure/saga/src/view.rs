//! What a run waits for, and since when.

use quadrille_types::ids::ActivationId;

use crate::definition::{Flow, When};
use crate::state::{Activation, Live, Phase, State, Status};

/// One thing that a run waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    /// What.
    pub what: For,
    /// Since when, in ms since 1970.
    pub since_ms: i64,
}

/// What a run waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum For {
    /// The fact of its start: only what follows from it is here.
    Start,
    /// A step's answer.
    Answer {
        /// Name of the step.
        step: String,
        /// The activation.
        activation: ActivationId,
    },
    /// A redrive of an activation whose tries are exhausted.
    Redrive {
        /// Name of the step.
        step: String,
        /// The activation.
        activation: ActivationId,
    },
    /// The answer to a compensation.
    Undo {
        /// Name of the step.
        step: String,
        /// The activation.
        activation: ActivationId,
    },
    /// A redrive of a compensation that failed for good: the run is stuck.
    UndoRedrive {
        /// Name of the step.
        step: String,
        /// The activation.
        activation: ActivationId,
    },
    /// Events that a coordinated step lacks.
    Events {
        /// Name of the step.
        step: String,
        /// Their names; none: it must wait until nothing beside it can fail.
        missing: Vec<String>,
    },
    /// The deadline.
    Deadline {
        /// When it is due, in ms since 1970.
        due_ms: i64,
    },
    /// Nothing that will come by itself: no answer is outstanding, no timer runs.
    Nothing,
}

/// What the run waits for, the start first, then its activations, then the deadline. Empty once it has ended.
pub fn waits(flow: &Flow, state: &State) -> Vec<Wait> {
    let State::Live(live) = state else { return Vec::new() };
    let head = &live.head;
    let mut activations: Vec<_> = live.activations.values().collect();
    activations.sort_by_key(|a| (a.since_ms, flow.steps.iter().position(|step| step.name == a.step), a.id));
    let wait = |what| Wait { what, since_ms: head.since_ms };
    let mut waits = Vec::new();
    if head.status == Status::Forming {
        waits.push(wait(For::Start));
    }
    waits.extend(activations.into_iter().filter_map(|activation| of(flow, live, activation)));
    if let Some(due_ms) = head.deadline_ms.filter(|_| head.timer_set) {
        waits.push(wait(For::Deadline { due_ms }));
    }
    if head.stalled {
        waits.push(wait(For::Nothing));
    }
    waits
}

fn of(flow: &Flow, live: &Live, activation: &Activation) -> Option<Wait> {
    let (step, id) = (activation.step.clone(), activation.id);
    let undoing = live.head.status == Status::Undoing;
    let what = match activation.phase {
        Phase::Gathering if undoing => return None,
        Phase::Gathering => For::Events { missing: missing(flow, activation), step },
        Phase::Open => For::Answer { step, activation: id },
        Phase::Exhausted if undoing => return None,
        Phase::Exhausted => For::Redrive { step, activation: id },
        Phase::Undoing => For::Undo { step, activation: id },
        Phase::UndoFailed => For::UndoRedrive { step, activation: id },
        Phase::Succeeded | Phase::Rejected | Phase::GivenUp | Phase::Undone => return None,
    };
    Some(Wait { what, since_ms: activation.since_ms })
}

fn missing(flow: &Flow, activation: &Activation) -> Vec<String> {
    let here = |event: &String| activation.inputs.iter().any(|input| input.event == *event);
    match flow.step(&activation.step).map(|step| &step.when) {
        Some(When::All(all)) => all.iter().filter(|event| !here(event)).cloned().collect(),
        _ => Vec::new(),
    }
}
