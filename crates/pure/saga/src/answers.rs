//! A step's answers: which of them count, and what they make of their activation.

use quadrille_types::RunId;
use quadrille_types::dead_letter::Reason;
use quadrille_types::fact::{Known, Outcome, StepResult};
use quadrille_types::ids::{ActivationId, Trigger};

use crate::definition::{Exhausted, Flow, Step, When};
use crate::run::Run;
use crate::state::{Cause, End, Kind, Phase, Status};
use crate::transition::{Action, Flag, Unmatched};

impl Run<'_> {
    /// A step's answer to `do` or `undo`.
    pub(crate) fn answer(&mut self, result: &StepResult, time_ms: i64) {
        let Some(step) = self.flow.step(&result.step) else { return self.unmatched(Unmatched::Unknown) };
        if matches!(result.trigger, Trigger::Record(_)) || !self.is_proof(step, result) {
            return self.unmatched(Unmatched::Unreadable);
        }
        if !is_genuine(self.flow, self.live.run(), step, &result.trigger, result.activation) {
            return self.unmatched(Unmatched::Contradictory);
        }
        match Kind::of(&result.result) {
            Kind::Undone | Kind::UndoExhausted => self.undo_answer(step, result),
            Kind::Succeeded | Kind::Rejected | Kind::Exhausted | Kind::GaveUp => {
                self.triggered(step, result, time_ms);
                self.do_answer(step, result);
            }
        }
    }

    /// A step knows the activation and does not answer again. Its answer came before this fact, so a run that lacks it has
    /// begun with a copy, after the run that had it had ended and was forgotten.
    pub(crate) fn known(&mut self, known: &Known) {
        if let Some(reason) = fault(self.flow, self.live.run(), known) {
            return self.unmatched(reason);
        }
        let answered = self.live.activations.get(&known.activation).is_some_and(|a| !a.seen.is_empty());
        if answered {
            return self.unmatched(Unmatched::Duplicate);
        }
        self.clear_timer();
        self.changed.head = true;
        self.ending = Some(End::Forgotten);
        self.unmatched(Unmatched::Forgotten);
    }

    /// Bytes that could not be read prove no run, unless the mesh itself emitted them. Of a known run they tell.
    fn is_proof(&self, step: &Step, result: &StepResult) -> bool {
        let known = self.live.head.status != Status::Forming || !self.live.activations.is_empty();
        known || !is_unreadable(&result.result) || self.is_from_mesh(step, result)
    }

    fn is_from_mesh(&self, step: &Step, result: &StepResult) -> bool {
        matches!(result.trigger, Trigger::Event(_))
            && matches!(&step.when, When::Seen(event) if self.flow.is_emitted(event))
    }

    /// The answer proves that the step's trigger exists, and with it everything else that the trigger sets off.
    fn triggered(&mut self, step: &Step, result: &StepResult, time_ms: i64) {
        let When::Seen(event) = &step.when else { return };
        match result.trigger {
            Trigger::Start if is_unreadable(&result.result) || self.may_be_forgotten(time_ms) => {
                if !self.live.activations.contains_key(&result.activation) {
                    self.insert(result.activation, step, Trigger::Start, Phase::Open);
                }
            }
            Trigger::Start => self.start(event, time_ms, false),
            _ => self.expect_all(event, &result.trigger),
        }
    }

    /// The run may have ended and been forgotten: its start is believed when its own fact comes.
    pub(crate) fn may_be_forgotten(&self, time_ms: i64) -> bool {
        self.live.head.started_at_ms.is_none() && time_ms < self.now_ms.saturating_sub(self.flow.keep_ms)
    }

    fn do_answer(&mut self, step: &Step, result: &StepResult) {
        let kind = Kind::of(&result.result);
        let failing = self.live.head.failing.is_some() && !self.pivot(&[Phase::Succeeded]);
        let Some(activation) = self.live.activations.get_mut(&result.activation) else {
            return self.unmatched(Unmatched::Contradictory);
        };
        let unknown = activation.seen.has(Kind::Exhausted) && !activation.seen.has(Kind::Succeeded);
        let (phase, verdict) = match (activation.phase, kind) {
            _ if activation.seen.has(kind) => return self.unmatched(Unmatched::Duplicate),
            (Phase::Gathering, _) => return self.unmatched(Unmatched::Contradictory),
            (Phase::Open, kind) => (phase_of(kind), None),
            (Phase::Exhausted, Kind::Succeeded) if failing && !step.pivot => {
                (Phase::Succeeded, Some(Unmatched::Late))
            }
            (Phase::Exhausted, kind) => (phase_of(kind), None),
            (
                phase @ (Phase::Undoing | Phase::UndoFailed),
                Kind::Succeeded | Kind::Rejected | Kind::GaveUp,
            ) if unknown => (phase, Some(Unmatched::Late)),
            (_, Kind::Exhausted) if is_unreadable(&result.result) => {
                return self.unmatched(Unmatched::Unreadable);
            }
            (Phase::GivenUp, Kind::Exhausted) => return self.unmatched(Unmatched::Duplicate),
            (Phase::Rejected | Phase::GivenUp, Kind::Succeeded) => {
                (Phase::Succeeded, Some(Unmatched::Contradictory))
            }
            (phase, _) => (phase, Some(Unmatched::Contradictory)),
        };
        activation.seen.add(kind);
        if activation.phase != phase {
            activation.phase = phase;
            activation.since_ms = self.now_ms;
            self.live.head.answers += 1;
            activation.order = self.live.head.answers;
            self.changed.head = true;
        }
        self.changed.activations.insert(result.activation);
        self.keep_inputs(step, result);
        match verdict {
            Some(reason) => self.unmatched(reason),
            None if kind == Kind::Exhausted => self.exhausted(step, result),
            None => {}
        }
        if verdict != Some(Unmatched::Contradictory) {
            self.events(&result.result);
        }
    }

    /// Inputs stay for as long as a compensation may need them.
    fn keep_inputs(&mut self, step: &Step, result: &StepResult) {
        let Some(activation) = self.live.activations.get_mut(&result.activation) else { return };
        let effect = matches!(activation.phase, Phase::Succeeded | Phase::Exhausted | Phase::GivenUp);
        match &result.result {
            _ if !effect || step.undo.is_none() => activation.inputs.clear(),
            Outcome::Succeeded { inputs, .. } | Outcome::Exhausted { inputs, .. } if !inputs.is_empty() => {
                activation.inputs.clone_from(inputs);
            }
            _ => {}
        }
    }

    /// A copy of the start that cannot be read must not undo what a good copy does: it holds, whatever the policy.
    fn exhausted(&mut self, step: &Step, result: &StepResult) {
        let bad_copy = result.trigger == Trigger::Start && is_unreadable(&result.result);
        let undo = step.exhausted == Exhausted::Undo && !bad_copy;
        if !undo || self.fail(Cause::Exhausted { step: step.name.clone() }) {
            let (step, activation) = (step.name.clone(), result.activation);
            self.actions.push(Action::Flag(Flag::Held { step, activation }));
        }
    }

    fn undo_answer(&mut self, step: &Step, result: &StepResult) {
        let kind = Kind::of(&result.result);
        let Some(activation) = self.live.activations.get_mut(&result.activation) else {
            return self.unmatched(Unmatched::Unknown);
        };
        let phase = match (activation.phase, kind) {
            _ if activation.seen.has(kind) => return self.unmatched(Unmatched::Duplicate),
            (Phase::Undoing | Phase::UndoFailed, Kind::Undone) => Phase::Undone,
            (Phase::Undoing, _) => Phase::UndoFailed,
            (Phase::Undone, _) => return self.unmatched(Unmatched::Late),
            _ => return self.unmatched(Unmatched::Contradictory),
        };
        activation.phase = phase;
        activation.since_ms = self.now_ms;
        activation.seen.add(kind);
        self.changed.activations.insert(result.activation);
        if phase == Phase::UndoFailed {
            let (step, activation) = (step.name.clone(), result.activation);
            self.actions.push(Action::Flag(Flag::Stuck { step, activation }));
        }
        self.events(&result.result);
    }

    fn events(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Succeeded { events, .. } | Outcome::Rejected { events } | Outcome::Undone { events } => {
                events.iter().for_each(|event| self.event(event));
            }
            Outcome::Exhausted { event, .. } => event.iter().for_each(|event| self.event(event)),
            Outcome::UndoExhausted { .. } => {}
        }
    }
}

/// The answer's activation is the one that its step and trigger give, and such a trigger sets the step off.
pub(crate) fn is_genuine(
    flow: &Flow,
    run: RunId,
    step: &Step,
    trigger: &Trigger,
    activation: ActivationId,
) -> bool {
    step.fits(trigger, flow) && activation == run.activation(&step.name, trigger)
}

/// Why nothing follows from `known`, if so. Only of a start event it says something: answers to it are never left out.
pub(crate) fn fault(flow: &Flow, run: RunId, known: &Known) -> Option<Unmatched> {
    let Some(step) = flow.step(&known.step) else { return Some(Unmatched::Unknown) };
    let genuine = known.trigger == Trigger::Start && matches!(step.when, When::Seen(_));
    let genuine = genuine && is_genuine(flow, run, step, &known.trigger, known.activation);
    (!genuine).then_some(Unmatched::Contradictory)
}

/// Whether a step gave up because the record could not be read at all.
fn is_unreadable(outcome: &Outcome) -> bool {
    matches!(
        outcome,
        Outcome::Exhausted { reason: Reason::Undecodable | Reason::NoKey | Reason::NoValue, .. }
    )
}

fn phase_of(kind: Kind) -> Phase {
    match kind {
        Kind::Succeeded => Phase::Succeeded,
        Kind::Rejected => Phase::Rejected,
        Kind::Exhausted => Phase::Exhausted,
        Kind::GaveUp => Phase::GivenUp,
        Kind::Undone => Phase::Undone,
        Kind::UndoExhausted => Phase::UndoFailed,
    }
}
