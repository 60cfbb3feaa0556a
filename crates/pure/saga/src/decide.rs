//! What follows from where a run stands: commands, the turn to compensation, the outcome. It looks at the state alone,
//! never at the fact that led there, so the order of facts cannot matter more than the state lets it.

use quadrille_types::command::Command;
use quadrille_types::fact::EventRef;
use quadrille_types::ids::{Action as Effect, ActivationId};

use crate::definition::{Compensation, Flow, Step, When};
use crate::run::Run;
use crate::state::{Activation, Cause, End, Phase, Status};
use crate::transition::{Action, Flag, Outcome};

/// Which of the steps that are ready come first: what can be undone, what cannot, the point of no return.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Undoable,
    Final,
    Pivot,
}

impl<'a> Run<'a> {
    pub(crate) fn decide(&mut self) {
        if self.live.head.status == Status::Running {
            self.forward();
        }
        if self.live.head.status == Status::Undoing {
            self.backward();
        }
        self.note_stall();
    }

    /// Commands what is ready; decides once nothing is open.
    fn forward(&mut self) {
        let passed = self.pivot(&[Phase::Succeeded]);
        let failing = self.live.head.failing.is_some() && !passed;
        if !failing {
            self.command_ready(passed);
        }
        if self.live.any(Phase::Open) {
            return;
        }
        if failing {
            if !self.pivot(&[Phase::Exhausted]) {
                self.clear_timer();
                self.enter(Status::Undoing);
            }
        } else if self.is_complete() && self.is_well() {
            self.end(End::Completed);
        }
    }

    /// The completing events are there, as many as it takes.
    fn is_complete(&self) -> bool {
        self.flow.completes.is_reached(|event| self.live.head.has_completing(event))
    }

    /// Every activation has settled as it should.
    fn is_well(&self) -> bool {
        let well = |a: &Activation| {
            matches!(a.phase, Phase::Succeeded | Phase::Rejected | Phase::GivenUp | Phase::Gathering)
        };
        self.live.activations.values().all(well) && self.awaiting_start().next().is_none()
    }

    /// Coordinated steps that need a start event which exists and whose own fact is still to come.
    fn awaiting_start(&self) -> impl Iterator<Item = &'a Step> {
        let flow: &'a Flow = self.flow;
        let starts = &self.live.head.starts;
        flow.steps.iter().filter(|step| {
            matches!(step.when, When::All(_))
                && starts.iter().any(|start| !start.here && step.when.names(&start.event))
        })
    }

    fn command_ready(&mut self, passed: bool) {
        let mut ready = self.ready();
        ready.sort_by_key(|(rank, _, _)| *rank);
        for (rank, step, id) in ready {
            if passed || rank == Rank::Undoable || !self.may_fail_beside(id) {
                self.command(step, id);
            }
        }
    }

    /// Coordinated steps whose events are all there, in the order of the file.
    fn ready(&self) -> Vec<(Rank, &'a Step, ActivationId)> {
        let flow: &'a Flow = self.flow;
        let gathering = self.live.activations.values().filter(|a| a.phase == Phase::Gathering);
        let is_complete = |all: &[String], activation: &Activation| {
            all.iter().all(|event| activation.inputs.iter().any(|input| input.event == *event))
        };
        let mut ready = Vec::new();
        for activation in gathering {
            let Some(at) = flow.steps.iter().position(|step| step.name == activation.step) else { continue };
            let step = &flow.steps[at];
            if matches!(&step.when, When::All(all) if is_complete(all, activation)) {
                ready.push((at, rank(step), step, activation.id));
            }
        }
        ready.sort_by_key(|(at, ..)| *at);
        ready.into_iter().map(|(_, rank, step, id)| (rank, step, id)).collect()
    }

    /// An activation other than `id` has not succeeded yet, and may still begin compensation.
    fn may_fail_beside(&self, id: ActivationId) -> bool {
        let unsettled = |a: &&Activation| a.id != id && matches!(a.phase, Phase::Open | Phase::Exhausted);
        let others = self.live.activations.values().filter(unsettled);
        let mut steps = others.filter_map(|a| self.flow.step(&a.step)).chain(self.awaiting_start());
        steps.any(|step| self.flow.may_fail(step))
    }

    fn command(&mut self, step: &Step, id: ActivationId) {
        let now_ms = self.now_ms;
        let Some(activation) = self.live.activations.get_mut(&id) else { return };
        let arrived = std::mem::take(&mut activation.inputs);
        let causation_id = arrived.last().map(|event| event.id.clone());
        let inputs = in_order(&step.when, arrived);
        if step.undo.is_some() {
            activation.inputs.clone_from(&inputs);
        }
        activation.phase = Phase::Open;
        activation.since_ms = now_ms;
        self.changed.activations.insert(id);
        let command = self.effect(id, Effect::Do, inputs, causation_id);
        self.actions.extend(command.map(Action::Do));
    }

    /// Undoes the last success that is not undone, once nothing is open; ends when there is none.
    fn backward(&mut self) {
        let waits = |a: &Activation| matches!(a.phase, Phase::Open | Phase::Undoing | Phase::UndoFailed);
        if self.live.activations.values().any(waits) {
            return;
        }
        let Compensation::Reverse = self.flow.compensation;
        let last = self.live.activations.values().filter(|a| self.is_undoable(a)).max_by_key(|a| a.order);
        match last.map(|activation| activation.id) {
            Some(id) => self.undo(id),
            None => self.end(End::Compensated),
        }
    }

    fn is_undoable(&self, activation: &Activation) -> bool {
        let undo = self.flow.step(&activation.step).and_then(|step| step.undo.as_ref());
        undo.is_some_and(|undo| match activation.phase {
            Phase::Succeeded => true,
            Phase::Exhausted | Phase::GivenUp => undo.also_when_unknown,
            _ => false,
        })
    }

    fn undo(&mut self, id: ActivationId) {
        let now_ms = self.now_ms;
        let Some(activation) = self.live.activations.get_mut(&id) else { return };
        activation.phase = Phase::Undoing;
        activation.since_ms = now_ms;
        let inputs = std::mem::take(&mut activation.inputs);
        self.changed.activations.insert(id);
        let causation_id = match &self.live.head.failing {
            Some(Cause::Event { id, .. }) => Some(id.clone()),
            _ => None,
        };
        let command = self.effect(id, Effect::Undo, inputs, causation_id);
        self.actions.extend(command.map(Action::Undo));
    }

    /// A command for activation `id`. A compensation has no deadline.
    fn effect(
        &self,
        id: ActivationId,
        action: Effect,
        inputs: Vec<EventRef>,
        causation_id: Option<String>,
    ) -> Option<Command> {
        let (traceparent, tracestate) = self.trace();
        let (head, activation) = (&self.live.head, self.live.activations.get(&id)?);
        Some(Command {
            lineage: head.lineage.clone(),
            step: activation.step.clone(),
            activation: id,
            trigger: activation.trigger.clone(),
            action,
            inputs,
            causation_id,
            deadline_ms: head.deadline_ms.filter(|_| action == Effect::Do),
            traceparent,
            tracestate,
        })
    }

    fn end(&mut self, end: End) {
        let head = &self.live.head;
        let (ending, cause) = match end {
            End::Completed => (&self.flow.completes, head.completing.last()),
            End::Compensated => (&self.flow.fails, head.failing.as_ref()),
            End::Forgotten => return,
        };
        let (Some(cause), Some(started_at_ms)) = (cause.cloned(), head.started_at_ms) else { return };
        let outcome = ending.outcome.clone();
        let (traceparent, tracestate) = self.trace();
        self.clear_timer();
        let outcome = Outcome { end, outcome, cause, started_at_ms, traceparent, tracestate };
        self.actions.push(Action::End(outcome));
        self.ending = Some(end);
    }

    pub(crate) fn clear_timer(&mut self) {
        if let Some(timer) = self.deadline_timer() {
            self.live.head.timer_set = false;
            self.changed.head = true;
            self.actions.push(Action::ClearTimer(timer));
        }
    }

    fn note_stall(&mut self) {
        let head = &self.live.head;
        let waits = self.live.any(Phase::Open)
            || self.live.any(Phase::Exhausted)
            || self.awaiting_start().next().is_some();
        let stalled = head.status == Status::Running && !head.timer_set && !waits && self.ending.is_none();
        if stalled != head.stalled {
            self.live.head.stalled = stalled;
            self.changed.head = true;
            self.actions.extend(stalled.then_some(Action::Flag(Flag::Stalled)));
        }
    }
}

fn rank(step: &Step) -> Rank {
    match step {
        Step { pivot: true, .. } => Rank::Pivot,
        Step { undo: None, .. } => Rank::Final,
        Step { .. } => Rank::Undoable,
    }
}

/// `events` in the order in which the trigger names them.
fn in_order(when: &When, mut events: Vec<EventRef>) -> Vec<EventRef> {
    if let When::All(names) = when {
        events.sort_by_key(|event| names.iter().position(|name| *name == event.event));
    }
    events
}
