//! What may come next.

use std::fmt;

use quadrille_types::ActivationId;
use quadrille_types::dead_letter::Reason;
use quadrille_types::envelope::Position;
use quadrille_types::fact::{Body, EventRef, Fact, Outcome, StepResult};
use quadrille_types::ids::Action as Effect;
use quadrille_types::journal::{Input, Timer, TimerKind};

use super::shape::Shape;
use crate::definition::{Exhausted, Step};
use crate::state::{Activation, Live, Phase};

/// One fact or timer on the way of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Move {
    /// This event starts the run.
    Starts(String),
    /// This event, which only others publish, is there.
    Observed(String),
    /// A step answers.
    Answers {
        /// Its name.
        step: String,
        /// What it answers.
        answer: Answer,
    },
    /// The deadline passes.
    Deadline,
}

/// What a step answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It succeeds.
    Success {
        /// What it emits.
        events: Vec<String>,
        /// It is the first that the file names, or the only one.
        first: bool,
    },
    /// It refuses with this event.
    Rejection(String),
    /// Every try failed.
    Exhausted,
    /// Every try failed, and the event for that follows.
    GaveUp(String),
    /// Its effect is undone, which emits these events.
    Undone(Vec<String>),
    /// Its effect can't be undone until somebody sees to it.
    NotUndone,
}

/// An input that may come next.
pub(super) struct Possible {
    pub(super) input: Input,
    pub(super) step: Move,
    /// Whose answer it is.
    pub(super) activation: Option<ActivationId>,
    pub(super) must_come: bool,
}

impl Move {
    /// The events that came with it.
    pub fn events(&self) -> &[String] {
        match self {
            Self::Starts(event) | Self::Observed(event) => std::slice::from_ref(event),
            Self::Answers { answer: Answer::Success { events, .. } | Answer::Undone(events), .. } => events,
            Self::Answers { answer: Answer::Rejection(event) | Answer::GaveUp(event), .. } => {
                std::slice::from_ref(event)
            }
            Self::Answers { answer: Answer::Exhausted | Answer::NotUndone, .. } | Self::Deadline => &[],
        }
    }
}

impl fmt::Display for Move {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Starts(event) => write!(f, "{event} starts the run"),
            Self::Observed(event) => write!(f, "{event} is observed"),
            Self::Deadline => f.write_str("the deadline passes"),
            Self::Answers { step, answer } => write!(f, "{step} {answer}"),
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Success { events, .. } if events.is_empty() => f.write_str("succeeds"),
            Self::Success { events, .. } => write!(f, "emits {}", events.join(" and ")),
            Self::Rejection(event) => write!(f, "rejects with {event}"),
            Self::Exhausted => f.write_str("exhausts its tries"),
            Self::GaveUp(event) => write!(f, "exhausts its tries and emits {event}"),
            Self::Undone(_) => f.write_str("is undone"),
            Self::NotUndone => f.write_str("cannot be undone at first"),
        }
    }
}

pub(super) fn starts(shape: &Shape<'_>) -> Vec<Possible> {
    let start = |name: &String| {
        let body = Body::Started(event(name, name.clone()));
        possible(shape, body, Move::Starts(name.clone()), None, true)
    };
    shape.flow.starts.iter().map(start).collect()
}

/// Everything that may come next; answers in the order of the file's steps.
pub(super) fn all(shape: &Shape<'_>, live: &Live) -> Vec<Possible> {
    let mut activations: Vec<_> =
        live.activations.values().filter_map(|a| Some((shape.number(&a.step)?, a))).collect();
    activations.sort_by_key(|(number, activation)| (*number, activation.id));
    let mut moves: Vec<Possible> = activations
        .into_iter()
        .flat_map(|(number, activation)| answers(shape, activation, &shape.flow.steps[number]))
        .collect();
    if let Some(due_ms) = live.head.deadline_ms.filter(|_| live.head.timer_set) {
        let timer = Timer { run: live.run(), kind: TimerKind::Deadline, due_ms };
        let input = Input::Timer(timer);
        moves.push(Possible { input, step: Move::Deadline, activation: None, must_come: true });
    }
    moves.extend(shape.foreign().map(|name| {
        let body = Body::Observed(event(name, name.to_owned()));
        possible(shape, body, Move::Observed(name.to_owned()), None, false)
    }));
    moves
}

fn possible(
    shape: &Shape<'_>,
    body: Body,
    step: Move,
    activation: Option<ActivationId>,
    must_come: bool,
) -> Possible {
    let source = Position { topic: String::new(), partition: 0, offset: 0 };
    let fact = Fact {
        lineage: shape.lineage.clone(),
        source,
        source_time_ms: 0,
        body,
        traceparent: None,
        tracestate: None,
    };
    Possible { input: Input::Fact(fact), step, activation, must_come }
}

fn event(name: &str, id: String) -> EventRef {
    EventRef { event: name.to_owned(), id, payload: None }
}

/// Every answer that an activation may still give.
fn answers(shape: &Shape<'_>, activation: &Activation, step: &Step) -> Vec<Possible> {
    let answers = match activation.phase {
        Phase::Open => [successes(step), rejections(step), vec![Answer::Exhausted], gave_up(step)].concat(),
        Phase::Exhausted => [successes(step), rejections(step), gave_up(step)].concat(),
        Phase::Undoing => [undone(step), vec![Answer::NotUndone]].concat(),
        Phase::UndoFailed => undone(step),
        Phase::Gathering | Phase::Succeeded | Phase::Rejected | Phase::GivenUp | Phase::Undone => Vec::new(),
    };
    let one = |answer: Answer| {
        let result = StepResult {
            step: step.name.clone(),
            activation: activation.id,
            trigger: activation.trigger.clone(),
            result: outcome(activation, &answer),
            attempts: 1,
        };
        let step = Move::Answers { step: step.name.clone(), answer };
        possible(shape, Body::Step(result), step, Some(activation.id), true)
    };
    answers.into_iter().map(one).collect()
}

fn outcome(activation: &Activation, answer: &Answer) -> Outcome {
    let events = |action, names: &[String]| -> Vec<EventRef> {
        let id = |index| activation.id.event(action, index).to_string();
        names.iter().enumerate().map(|(index, name)| event(name, id(index))).collect()
    };
    match answer {
        Answer::Success { events: names, .. } => {
            Outcome::Succeeded { events: events(Effect::Do, names), inputs: Vec::new() }
        }
        Answer::Rejection(name) => {
            Outcome::Rejected { events: events(Effect::Do, std::slice::from_ref(name)) }
        }
        Answer::Exhausted => {
            let reason = Reason::Exhausted;
            Outcome::Exhausted { reason, message: String::new(), inputs: Vec::new(), event: None }
        }
        Answer::GaveUp(name) => Outcome::Exhausted {
            reason: Reason::Exhausted,
            message: String::new(),
            inputs: Vec::new(),
            event: events(Effect::Do, std::slice::from_ref(name)).pop(),
        },
        Answer::Undone(names) => Outcome::Undone { events: events(Effect::Undo, names) },
        Answer::NotUndone => Outcome::UndoExhausted { reason: Reason::Exhausted, message: String::new() },
    }
}

fn successes(step: &Step) -> Vec<Answer> {
    let success = |(index, events)| Answer::Success { events, first: index == 0 };
    let choices = if step.emits_all || step.emits.is_empty() {
        vec![step.emits.clone()]
    } else {
        step.emits.iter().map(|event| vec![event.clone()]).collect()
    };
    choices.into_iter().enumerate().map(success).collect()
}

fn rejections(step: &Step) -> Vec<Answer> {
    step.rejects.iter().cloned().map(Answer::Rejection).collect()
}

fn gave_up(step: &Step) -> Vec<Answer> {
    match &step.exhausted {
        Exhausted::Emit(event) => vec![Answer::GaveUp(event.clone())],
        Exhausted::Hold | Exhausted::Undo => Vec::new(),
    }
}

/// An undo says with one event that it has happened, or without any.
fn undone(step: &Step) -> Vec<Answer> {
    let emits = step.undo.iter().flat_map(|undo| &undo.emits);
    let mut answers: Vec<Answer> = emits.map(|event| Answer::Undone(vec![event.clone()])).collect();
    if answers.is_empty() {
        answers.push(Answer::Undone(Vec::new()));
    }
    answers
}
