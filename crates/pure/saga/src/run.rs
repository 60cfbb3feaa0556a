//! A run at work: what a fact or a timer says is entered into the state. What follows from it is decided in `decide`.

use quadrille_types::fact::{Body, EventRef, Fact};
use quadrille_types::ids::{ActivationId, Trigger};
use quadrille_types::journal::{Timer, TimerKind};

use crate::definition::{Exhausted, Flow, Step, When};
use crate::state::{Activation, Cause, End, Live, Phase, Seen, Start, Status};
use crate::transition::{Action, Changed, Flag, Transition, Unmatched};

/// One transition of one live run.
pub(crate) struct Run<'a> {
    pub(crate) flow: &'a Flow,
    pub(crate) live: &'a mut Live,
    pub(crate) now_ms: i64,
    /// What is applied, unless a time came.
    pub(crate) cause: Option<&'a Fact>,
    pub(crate) changed: Changed,
    pub(crate) actions: Vec<Action>,
    pub(crate) ending: Option<End>,
}

impl<'a> Run<'a> {
    pub(crate) fn new(flow: &'a Flow, live: &'a mut Live, cause: Option<&'a Fact>, now_ms: i64) -> Self {
        Self { flow, live, now_ms, cause, changed: Changed::default(), actions: Vec::new(), ending: None }
    }

    /// W3C `traceparent` and `tracestate` of what is applied, or else of what the run began with.
    pub(crate) fn trace(&self) -> (Option<String>, Option<String>) {
        match self.cause {
            Some(Fact { traceparent: Some(traceparent), tracestate, .. }) => {
                (Some(traceparent.clone()), tracestate.clone())
            }
            _ => (self.live.head.traceparent.clone(), self.live.head.tracestate.clone()),
        }
    }

    pub(crate) fn done(self) -> (Transition, Option<End>) {
        (Transition { changed: self.changed, actions: self.actions }, self.ending)
    }

    pub(crate) fn fact(&mut self, fact: &Fact) {
        match &fact.body {
            Body::Started(event) => self.started(event, fact.source_time_ms),
            Body::Observed(event) if self.flow.is_start(&event.event) => {
                self.started(event, fact.source_time_ms);
            }
            Body::Observed(event) => self.observed(event),
            Body::Step(result) => self.answer(result, fact.source_time_ms),
            Body::Known(known) => self.known(known),
        }
        if !self.changed.is_empty() && self.ending.is_none() {
            self.decide();
        }
    }

    pub(crate) fn timer(&mut self, timer: &Timer) {
        let TimerKind::Deadline = timer.kind;
        let head = &mut self.live.head;
        if timer.run != head.lineage.run || !head.timer_set || Some(timer.due_ms) != head.deadline_ms {
            return;
        }
        if self.now_ms < timer.due_ms {
            self.actions.push(Action::SetTimer(timer.clone()));
            return;
        }
        head.timer_set = false;
        head.overdue = true;
        self.changed.head = true;
        if self.fail(Cause::Deadline) {
            self.actions.push(Action::Flag(Flag::Overdue));
        }
        self.decide();
    }

    /// A start event's own fact.
    fn started(&mut self, event: &EventRef, time_ms: i64) {
        if !self.flow.is_start(&event.event) {
            return self.unmatched(Unmatched::Unknown);
        }
        if self.live.head.starts.iter().any(|start| start.here && start.event == event.event) {
            return self.unmatched(Unmatched::Duplicate);
        }
        self.start(&event.event, time_ms, true);
        self.event(event);
    }

    /// The start event `name` exists: its fact is `here`, or a step that it triggers has answered.
    pub(crate) fn start(&mut self, name: &str, time_ms: i64, here: bool) {
        let head = &mut self.live.head;
        match head.starts.iter_mut().find(|start| start.event == name) {
            Some(start) if start.here || !here => return,
            Some(start) => start.here = true,
            None => head.starts.push(Start { event: name.to_owned(), here }),
        }
        self.changed.head = true;
        if head.started_at_ms.is_none() {
            head.started_at_ms = Some(time_ms);
            self.enter(Status::Running);
            self.set_deadline(time_ms);
        }
        self.expect_all(name, &Trigger::Start);
    }

    fn set_deadline(&mut self, started_at_ms: i64) {
        let Some(deadline) = self.flow.deadline else { return };
        self.live.head.deadline_ms = Some(started_at_ms.saturating_add(deadline.after_ms));
        self.live.head.timer_set = true;
        let timer = self.deadline_timer();
        self.actions.extend(timer.map(Action::SetTimer));
    }

    pub(crate) fn deadline_timer(&self) -> Option<Timer> {
        let head = &self.live.head;
        let due_ms = head.deadline_ms.filter(|_| head.timer_set)?;
        Some(Timer { run: head.lineage.run, kind: TimerKind::Deadline, due_ms })
    }

    fn observed(&mut self, event: &EventRef) {
        let actions = self.actions.len();
        self.event(event);
        if self.changed.is_empty() && self.actions.len() == actions {
            self.unmatched(match self.live.head.status {
                _ if !self.flow.knows(&event.event) => Unmatched::Unknown,
                Status::Undoing => Unmatched::Late,
                Status::Forming | Status::Running => Unmatched::Duplicate,
            });
        }
    }

    /// An event is in the log: expects what it sets off, and notes what it means for the run.
    pub(crate) fn event(&mut self, event: &EventRef) {
        let flow = self.flow;
        self.expect_all(&event.event, &flow.trigger(&event.event, &event.id));
        for step in &flow.steps {
            if matches!(&step.when, When::All(all) if all.contains(&event.event)) {
                self.gather(step, event);
            }
        }
        let cause = || Cause::Event { event: event.event.clone(), id: event.id.clone() };
        if flow.completes.events.contains(&event.event) && !self.live.head.has_completing(&event.event) {
            self.live.head.completing.push(cause());
            self.changed.head = true;
        }
        if flow.fails.events.contains(&event.event) && self.fail(cause()) {
            self.unmatched(Unmatched::AfterPivot);
        }
    }

    /// Every choreographed step that listens to `event` runs, or has run.
    pub(crate) fn expect_all(&mut self, event: &str, trigger: &Trigger) {
        for step in &self.flow.steps {
            if matches!(&step.when, When::Seen(name) if name == event) {
                let id = self.live.run().activation(&step.name, trigger);
                if !self.live.activations.contains_key(&id) {
                    self.insert(id, step, trigger.clone(), Phase::Open);
                }
            }
        }
    }

    /// Keeps `event` for the command of `step`, unless one of that name is there or the command is given.
    fn gather(&mut self, step: &Step, event: &EventRef) {
        let id = self.live.run().activation(&step.name, &Trigger::Join);
        if !self.live.activations.contains_key(&id) {
            self.insert(id, step, Trigger::Join, Phase::Gathering);
        }
        if let Some(activation) = self.live.activations.get_mut(&id)
            && activation.phase == Phase::Gathering
            && !activation.inputs.iter().any(|input| input.event == event.event)
        {
            activation.inputs.push(event.clone());
            self.changed.activations.insert(id);
        }
    }

    pub(crate) fn insert(&mut self, id: ActivationId, step: &Step, trigger: Trigger, phase: Phase) {
        let (step, since_ms, seen) = (step.name.clone(), self.now_ms, Seen::default());
        let activation =
            Activation { id, step, trigger, phase, since_ms, order: 0, seen, inputs: Vec::new() };
        self.live.activations.insert(id, activation);
        self.changed.activations.insert(id);
    }

    /// Something makes the run fail. Returns whether a pivot stands against it.
    pub(crate) fn fail(&mut self, cause: Cause) -> bool {
        if self.live.head.status == Status::Undoing {
            return false;
        }
        let against = self.pivot(&[Phase::Open, Phase::Exhausted, Phase::Succeeded]);
        if self.live.head.failing.is_none() {
            self.live.head.failing = Some(cause);
            self.changed.head = true;
        }
        against
    }

    pub(crate) fn enter(&mut self, status: Status) {
        self.live.head.status = status;
        self.live.head.since_ms = self.now_ms;
        self.changed.head = true;
    }

    pub(crate) fn unmatched(&mut self, reason: Unmatched) {
        self.actions.push(Action::Unmatched(reason));
    }

    /// A pivot's activation is in one of `phases`. An exhausted pivot whose file says undo does not count as one.
    pub(crate) fn pivot(&self, phases: &[Phase]) -> bool {
        let stands = |activation: &Activation, step: &Step| {
            let given_up = activation.phase == Phase::Exhausted && step.exhausted == Exhausted::Undo;
            step.pivot && !given_up && phases.contains(&activation.phase)
        };
        self.live
            .activations
            .values()
            .any(|activation| self.flow.step(&activation.step).is_some_and(|step| stands(activation, step)))
    }
}
