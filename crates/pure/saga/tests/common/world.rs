//! The mesh around one run: choreographed steps answer as soon as their trigger is in the log, commanded ones when they
//! are commanded, and each fact waits until the test delivers it, as often as the test wants.
//!
//! After each delivery the invariants are checked that hold at any time.

use std::collections::{BTreeMap, BTreeSet};

use quadrille_saga::changelog::{self, Key};
use quadrille_saga::definition::{Exhausted, Flow, Step, When};
use quadrille_saga::state::{ENDED_BYTES_MAX, End};
use quadrille_saga::transition::Unmatched;
use quadrille_saga::{Action, State, next};
use quadrille_types::command::Command;
use quadrille_types::dead_letter::Reason;
use quadrille_types::fact::{Body, EventRef, Fact, Outcome, StepResult};
use quadrille_types::format;
use quadrille_types::ids::{Action as Effect, ActivationId, Trigger};
use quadrille_types::journal::{Entry, Input, Timer};

use super::{event, fact, known, lineage};

/// How a step behaves in a test.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Manner {
    #[default]
    Succeeds,
    Rejects,
    Exhausts,
    /// Its first result is exhausted; a redrive succeeds.
    Redriven,
}

#[derive(Clone)]
pub struct Letter {
    pub fact: Fact,
    pub left: u8,
    delivered: bool,
    number: usize,
}

#[derive(Clone)]
pub struct World<'a> {
    pub flow: &'a Flow,
    manners: BTreeMap<String, Manner>,
    copies: u8,
    pub state: Option<State>,
    pub mail: Vec<Letter>,
    put_so_far: usize,
    pub journal: Vec<Entry>,
    pub ends: Vec<String>,
    pub undos: Vec<String>,
    pub timer: Option<Timer>,
    records: BTreeMap<Key, Vec<u8>>,
    ran: BTreeSet<ActivationId>,
    /// Redriven, or set off by a redriven one: their answers may come after the run has given up.
    late: BTreeSet<ActivationId>,
    /// Activations with a known effect, in the order of their answers, and those that may have one.
    done: Vec<ActivationId>,
    unknown: BTreeSet<ActivationId>,
    undoing: Option<ActivationId>,
    undone: BTreeSet<ActivationId>,
}

impl<'a> World<'a> {
    /// A run that has just started: `copies` of each fact will be delivered.
    pub fn new(flow: &'a Flow, manners: &[(&str, Manner)], copies: u8) -> Self {
        let mut world = Self {
            flow,
            manners: manners.iter().map(|(step, manner)| ((*step).to_owned(), *manner)).collect(),
            copies,
            state: None,
            mail: Vec::new(),
            put_so_far: 0,
            journal: Vec::new(),
            ends: Vec::new(),
            undos: Vec::new(),
            timer: None,
            records: BTreeMap::new(),
            ran: BTreeSet::new(),
            late: BTreeSet::new(),
            done: Vec::new(),
            unknown: BTreeSet::new(),
            undoing: None,
            undone: BTreeSet::new(),
        };
        let start = event(&flow.starts[0], "start");
        world.put(fact(flow, Body::Started(start.clone())));
        world.in_log(&start, false);
        world
    }

    fn put(&mut self, fact: Fact) {
        self.put_so_far += 1;
        let (left, number) = (self.copies, self.put_so_far);
        self.mail.push(Letter { fact, left, delivered: false, number });
    }

    fn in_log(&mut self, event: &EventRef, late: bool) {
        let start = self.flow.is_start(&event.event);
        let trigger = if start { Trigger::Start } else { Trigger::Event(event.id.clone()) };
        for step in &self.flow.steps {
            if matches!(&step.when, When::Seen(name) if *name == event.event) {
                self.run_step(&step.name, trigger.clone(), late);
            }
        }
    }

    fn run_step(&mut self, step: &str, trigger: Trigger, late: bool) {
        let activation = lineage(self.flow).run.activation(step, &trigger);
        if self.ran.insert(activation) {
            self.late.extend(late.then_some(activation));
            let manner = self.manners.get(step).copied().unwrap_or_default();
            self.answer(step, activation, trigger, manner);
        }
    }

    fn answer(&mut self, name: &str, activation: ActivationId, trigger: Trigger, manner: Manner) {
        let step = self.flow.step(name).expect("a step");
        let emitted = |names: &[String]| -> Vec<EventRef> {
            let id = |index| activation.event(Effect::Do, index).to_string();
            names.iter().enumerate().map(|(index, name)| event(name, &id(index))).collect()
        };
        let inputs = vec![event("Input", name)];
        let (result, events) = match manner {
            Manner::Rejects if !step.rejects.is_empty() => {
                let events = emitted(&step.rejects[..1]);
                (Outcome::Rejected { events: events.clone() }, events)
            }
            Manner::Succeeds | Manner::Rejects => {
                let events = emitted(&step.emits);
                (Outcome::Succeeded { events: events.clone(), inputs }, events)
            }
            Manner::Exhausts | Manner::Redriven => {
                let events = match &step.exhausted {
                    Exhausted::Emit(event) => emitted(std::slice::from_ref(event)),
                    Exhausted::Hold | Exhausted::Undo => Vec::new(),
                };
                let (reason, message, event) = (Reason::Exhausted, String::new(), events.first().cloned());
                (Outcome::Exhausted { reason, message, inputs, event }, events)
            }
        };
        self.step_fact(name, activation, trigger, result);
        let late = self.late.contains(&activation);
        events.iter().for_each(|event| self.in_log(event, late));
    }

    fn step_fact(&mut self, step: &str, activation: ActivationId, trigger: Trigger, result: Outcome) {
        let result = StepResult { step: step.into(), activation, trigger, result, attempts: 1 };
        self.put(fact(self.flow, Body::Step(result)));
    }

    /// What may come next: anything, but the answers of one activation lie in one partition and keep their order.
    pub fn next(&self) -> Vec<usize> {
        let earlier = |letter: &Letter| {
            let id = letter.fact.activation();
            let before = |l: &&Letter| !l.delivered && l.number < letter.number && l.fact.activation() == id;
            id.is_some() && self.mail.iter().any(|l| before(&l))
        };
        (0..self.mail.len()).filter(|at| !earlier(&self.mail[*at])).collect()
    }

    /// Delivers one copy of the fact at `at`.
    pub fn deliver(&mut self, at: usize) {
        let letter = &mut self.mail[at];
        letter.left -= 1;
        let first = !std::mem::replace(&mut letter.delivered, true);
        let fact = letter.fact.clone();
        if letter.left == 0 {
            self.mail.swap_remove(at);
        }
        if first && let Body::Step(result) = &fact.body {
            self.note(result);
        }
        self.apply(Input::Fact(fact), 1);
        self.assert_copies_change_nothing();
    }

    /// A copy of the start may come at any time. A step that has answered says that it knows it, behind its answer.
    fn assert_copies_change_nothing(&self) {
        let start = |step: &&Step| matches!(&step.when, When::Seen(event) if self.flow.is_start(event));
        for step in self.flow.steps.iter().filter(start) {
            let activation = lineage(self.flow).run.activation(&step.name, &Trigger::Start);
            let answers = |entry: &&Entry| match &entry.input {
                Input::Fact(fact) => fact.activation() == Some(activation),
                Input::Timer(_) | Input::Forgotten(_) => false,
            };
            if self.journal.iter().any(|entry| answers(&entry)) {
                let mut state = self.state.clone();
                let transition = next(self.flow, &mut state, &known(self.flow, &step.name), 1);
                assert_eq!(transition.actions, [Action::Unmatched(Unmatched::Duplicate)]);
                assert!(transition.changed.is_empty() && state == self.state, "{} is known", step.name);
            }
        }
    }

    /// Fires the deadline, if its timer runs.
    pub fn fire(&mut self) -> bool {
        let Some(timer) = self.timer.take() else { return false };
        let now_ms = timer.due_ms;
        self.apply(Input::Timer(timer), now_ms);
        true
    }

    fn note(&mut self, result: &StepResult) {
        match result.result {
            Outcome::Succeeded { .. } => self.done.push(result.activation),
            Outcome::Exhausted { ref event, .. } => {
                let also = self.flow.step(&result.step).and_then(|step| step.undo.as_ref());
                if also.is_some_and(|undo| undo.also_when_unknown) {
                    self.unknown.insert(result.activation);
                }
                if self.manners.get(&result.step) == Some(&Manner::Redriven)
                    && event.is_none()
                    && !self.undone.contains(&result.activation)
                    && self.undoing != Some(result.activation)
                {
                    self.late.insert(result.activation);
                    let trigger = result.trigger.clone();
                    self.answer(&result.step, result.activation, trigger, Manner::Succeeds);
                }
            }
            Outcome::Undone { .. } => {
                self.undoing = self.undoing.filter(|id| *id != result.activation);
                self.undone.insert(result.activation);
            }
            Outcome::Rejected { .. } | Outcome::UndoExhausted { .. } => {}
        }
    }

    fn apply(&mut self, input: Input, now_ms: i64) {
        let before = self.state.clone();
        let transition = next(self.flow, &mut self.state, &input, now_ms);
        self.journal.push(Entry { now_ms, input });
        assert!(!transition.changed.is_empty() || before == self.state, "a change that is not told");
        self.keep(&transition.changed);
        let ended = matches!(before, Some(State::Ended(_)));
        for action in transition.actions {
            self.act(action, ended);
        }
    }

    /// The changelog, and that it restores to the state.
    fn keep(&mut self, changed: &quadrille_saga::transition::Changed) {
        let run = lineage(self.flow).run;
        let Some(state) = &self.state else { return };
        for record in changelog::records(run, state, changed) {
            assert_eq!(Key::from_bytes(&record.key.to_bytes()), Ok(record.key));
            match record.value {
                Some(value) => self.records.insert(record.key, value),
                None => self.records.remove(&record.key),
            };
        }
        let head = &self.records[&Key::Head(run)];
        let activations = self.records.iter().filter(|(key, _)| matches!(key, Key::Activation(..)));
        let restored = changelog::restore(run, head, activations.map(|(_, value)| value.as_slice()));
        assert_eq!(restored.as_ref(), Ok(state), "the changelog restores to the state");
        if state.ended().is_some() {
            assert_eq!(self.records.len(), 1);
            assert!(head.len() <= ENDED_BYTES_MAX, "{} bytes", head.len());
        }
    }

    fn act(&mut self, action: Action, ended: bool) {
        match action {
            Action::Do(command) => {
                assert!(self.undos.is_empty(), "do {} after an undo", command.step);
                assert!(self.ends.is_empty(), "do {} after the outcome", command.step);
                assert!(!self.ran.contains(&command.activation), "do {} twice", command.step);
                self.run_step(&command.step, command.trigger, false);
            }
            Action::Undo(command) => self.undo(command, ended),
            Action::SetTimer(timer) => self.timer = Some(timer),
            Action::ClearTimer(timer) => assert_eq!(self.timer.take(), Some(timer)),
            Action::End(outcome) => {
                self.assert_settled(outcome.end);
                self.ends.push(outcome.outcome);
                assert_eq!(self.ends.len(), 1, "a second outcome");
            }
            Action::Flag(_) | Action::Unmatched(_) => {}
        }
    }

    fn undo(&mut self, command: Command, ended: bool) {
        let id = command.activation;
        assert!(!self.undone.contains(&id) && self.undoing != Some(id), "undo {} twice", command.step);
        assert_eq!(command.inputs.len(), 1, "undo {} has its inputs", command.step);
        if !ended {
            assert_eq!(self.undoing, None, "undo {} beside another", command.step);
            assert!(
                self.done.contains(&id) || self.unknown.contains(&id),
                "undo {} never done",
                command.step
            );
            let later = self.done.iter().rev().take_while(|done| **done != id && self.done.contains(&id));
            for done in later.filter(|done| self.is_undoable(**done)) {
                assert!(self.undone.contains(done), "undo {} before a later one", command.step);
            }
            self.undoing = Some(id);
        }
        self.undos.push(command.step.clone());
        self.step_fact(&command.step, id, command.trigger, Outcome::Undone { events: Vec::new() });
    }

    fn is_undoable(&self, id: ActivationId) -> bool {
        let live = self.state.as_ref().and_then(State::live);
        let activation = live.and_then(|live| live.activations.get(&id));
        activation.and_then(|a| self.flow.step(&a.step)).is_some_and(|step| step.undo.is_some())
    }

    /// At the outcome: no answer is on its way but redrives of what was given up, and what must be undone is undone.
    fn assert_settled(&self, end: End) {
        for letter in self.mail.iter().filter(|letter| !letter.delivered) {
            if let Body::Step(result) = &letter.fact.body {
                let given_up = self.late.contains(&result.activation);
                assert!(given_up && end == End::Compensated, "{} is unsettled", result.step);
            }
        }
        assert_eq!(self.undoing, None);
        if end == End::Completed {
            assert!(self.undos.is_empty(), "completed although {:?} is undone", self.undos);
        }
    }

    /// Once nothing is on its way: what the outcome demands, exactly.
    pub fn assert_final(&self) {
        assert!(self.mail.is_empty());
        let undoable: BTreeSet<_> = self.journal.iter().filter_map(|entry| self.effect(entry)).collect();
        if self.ends == ["compensated"] {
            assert_eq!(self.undone, undoable, "undone = done or unknown, with an undo");
        } else if self.ends == ["completed"] {
            assert!(self.undone.is_empty());
        }
        let replayed = quadrille_saga::replay(self.flow, &self.journal);
        assert_eq!(replayed, self.state, "folding the journal gives the state");
    }

    fn effect(&self, entry: &Entry) -> Option<ActivationId> {
        let Input::Fact(Fact { body: Body::Step(result), .. }) = &entry.input else { return None };
        let undo = self.flow.step(&result.step)?.undo.as_ref()?;
        let effect = match result.result {
            Outcome::Succeeded { .. } => true,
            Outcome::Exhausted { .. } => undo.also_when_unknown,
            _ => false,
        };
        effect.then_some(result.activation)
    }

    /// What tells one moment from another, for whoever visits every order of deliveries.
    pub fn moment(&self) -> Vec<u8> {
        let mut mail: Vec<_> =
            self.mail.iter().map(|l| (format::encode(&l.fact), l.left, l.delivered)).collect();
        mail.sort();
        let mut undos = self.undos.clone();
        undos.sort();
        let records: Vec<_> = self.records.iter().map(|(key, value)| (key.to_bytes(), value)).collect();
        format!("{mail:?} {undos:?} {:?} {records:?} {:?}", self.ends, self.timer).into_bytes()
    }
}
