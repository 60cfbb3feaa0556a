//! From a handler's answer to the records that belong to it: events, the fact for the coordinator, the ledger's entry or
//! the dead letter. They are written in the transaction that commits the offset of the record that led to them.

use quadrille_types::dead_letter::{self, DeadLetter, Reason};
use quadrille_types::envelope::Envelope;
use quadrille_types::fact::{Body, EventRef, Fact, Known, Outcome, Payload, StepResult};
use quadrille_types::ids::{Action, Trigger};
use quadrille_types::{format, partition};

use crate::plan::Work;
use crate::spec::{ServiceSpec, StepSpec};
use quadrille_types::{OutRecord, Record};

/// An event that a handler returned, encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Emitted {
    /// Its name in the topology file.
    pub event: String,
    /// `content-type` of the value.
    pub content_type: Option<String>,
    /// The value.
    pub value: Vec<u8>,
}

/// What a handler answered in the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The effect is there (or, for an undo, compensated).
    Succeeded(Vec<Emitted>),
    /// A business failure: there is no effect.
    Rejected(Vec<Emitted>),
    /// Given up.
    Failed {
        /// Why.
        reason: Reason,
        /// The last error.
        message: String,
    },
    /// Given up, and the event that the file names for this follows.
    GaveUp {
        /// Why.
        reason: Reason,
        /// The last error.
        message: String,
        /// The event.
        emitted: Emitted,
    },
}

/// A finished activation.
#[derive(Clone, Debug)]
pub struct Concluded<'a> {
    /// The record that led to it.
    pub record: &'a Record,
    /// The activation.
    pub work: &'a Work,
    /// What the handler answered.
    pub answer: Answer,
    /// Attempts that it took; 0 when no handler was called.
    pub attempts: u32,
    /// The time, in ms since 1970.
    pub now_ms: i64,
}

impl Concluded<'_> {
    /// Whether the activation is known from now on, so that copies of its event are dropped.
    pub fn is_remembered(&self, spec: &ServiceSpec) -> bool {
        spec.steps[self.work.step].keeps_ledger && self.work.action == Action::Do && !self.is_garbage()
    }

    /// Bytes that claim to be a start event and are none. They must neither settle nor use up the activation that a good
    /// copy sets off.
    fn is_garbage(&self) -> bool {
        let unreadable = matches!(self.answer, Answer::Failed { reason: Reason::Undecodable, .. });
        unreadable && matches!(self.work.trigger, Trigger::Start | Trigger::Record(_))
    }
}

/// The records that `concluded` leaves, in the order in which they are to be written.
pub fn conclude(spec: &ServiceSpec, concluded: Concluded<'_>) -> Vec<OutRecord> {
    let apart;
    let concluded = match (&concluded.work.lineage, concluded.is_garbage()) {
        (Some(lineage), true) => {
            let trigger = Trigger::Record(concluded.work.origin.to_string());
            let activation = lineage.run.activation(&spec.steps[concluded.work.step].name, &trigger);
            apart = Work { activation, trigger, ..concluded.work.clone() };
            Concluded { work: &apart, ..concluded }
        }
        _ => concluded,
    };
    let step = &spec.steps[concluded.work.step];
    let answer = declared(step, &concluded);
    let mut out = written(spec, step, &concluded, &answer);
    if let Some(message) = oversized(spec, step, &answer, &out) {
        let answer = match answer {
            // Tries that are exhausted are that, whatever became of the event.
            Answer::GaveUp { reason, message: error, .. } => {
                Answer::Failed { reason, message: format!("{error}; {message}") }
            }
            _ => Answer::Failed { reason: Reason::Oversized, message },
        };
        out = written(spec, step, &concluded, &answer);
    }
    if concluded.is_remembered(spec) {
        out.push(ledger(spec, step, &concluded));
    }
    out
}

/// The events or the dead letter, and the fact.
fn written(
    spec: &ServiceSpec,
    step: &StepSpec,
    concluded: &Concluded<'_>,
    answer: &Answer,
) -> Vec<OutRecord> {
    let (mut out, may_be_cut) = match answer {
        Answer::Succeeded(emitted) | Answer::Rejected(emitted) => {
            (events(spec, step, concluded, emitted), false)
        }
        Answer::Failed { reason, message } => (vec![dead(spec, step, concluded, *reason, message)], true),
        Answer::GaveUp { reason, message, emitted } => {
            let mut out = events(spec, step, concluded, std::slice::from_ref(emitted));
            out.push(dead(spec, step, concluded, *reason, message));
            (out, false)
        }
    };
    let fact = |inputs| fact(spec, step, concluded, answer, inputs);
    let inputs = if step.undo_emits.is_some() { concluded.work.inputs.clone() } else { Vec::new() };
    let names = || inputs.iter().map(|input| EventRef { payload: None, ..input.clone() }).collect();
    let whole = fact(inputs.clone());
    let is_too_large = |fact: &OutRecord| fact.size() > spec.limits.own(&fact.topic);
    out.extend(if may_be_cut && whole.as_ref().is_some_and(is_too_large) { fact(names()) } else { whole });
    out
}

/// What is too large of what an answer would leave.
fn oversized(spec: &ServiceSpec, step: &StepSpec, answer: &Answer, out: &[OutRecord]) -> Option<String> {
    let emitted = match answer {
        Answer::Succeeded(emitted) | Answer::Rejected(emitted) => emitted.as_slice(),
        Answer::GaveUp { emitted, .. } => std::slice::from_ref(emitted),
        Answer::Failed { .. } => return None,
    };
    let facts = spec.names.facts(&spec.service);
    let dead = spec.names.dead(&step.name);
    let is_own = |topic: &str| topic == facts || topic == dead;
    let limit = |topic: &str| if is_own(topic) { spec.limits.own(topic) } else { spec.limits.event(topic) };
    let large = out.iter().find(|record| record.size() > limit(&record.topic));
    let large = large.map(|record| {
        let (topic, takes) = (&record.topic, record.size());
        let what = if *topic == facts { "the fact" } else { "an event" };
        format!("{what} for topic {topic} takes {takes} bytes, more than the {} allowed", limit(topic))
    });
    let kept = emitted.iter().find(|e| step.carries.contains(&e.event) && e.value.len() > spec.limits.kept);
    large.or_else(|| kept.map(|e| too_large_to_keep(&e.event, e.value.len(), spec.limits.kept)))
}

/// A join or an undo would need this event, and it is too large to travel in a command.
pub(crate) fn too_large_to_keep(event: &str, bytes: usize, limit: usize) -> String {
    format!("{event} has {bytes} bytes, more than the {limit} that a later command can carry")
}

/// The answer, or what is wrong with it.
fn declared(step: &StepSpec, concluded: &Concluded<'_>) -> Answer {
    let action = concluded.work.action;
    let (emitted, expected, what) = match &concluded.answer {
        Answer::Succeeded(emitted) => (emitted, step.emits(action), "success"),
        Answer::Rejected(emitted) => (emitted, step.rejects(action), "rejection"),
        Answer::Failed { .. } | Answer::GaveUp { .. } => return concluded.answer.clone(),
    };
    let failed = |reason, message| Answer::Failed { reason, message };
    let names: Vec<&str> = emitted.iter().map(|e| e.event.as_str()).collect();
    if !expected.is_some_and(|expected| expected.are(&names)) {
        let answered = if names.is_empty() { "no event".to_owned() } else { names.join(", ") };
        let expected = expected.map_or_else(|| "none is declared".to_owned(), ToString::to_string);
        let message = format!(
            "the {action} handler of step {} answered its {what} with {answered}; the topology says: {expected}",
            step.name
        );
        return failed(Reason::Undeclared, message);
    }
    concluded.answer.clone()
}

fn events(
    spec: &ServiceSpec,
    step: &StepSpec,
    concluded: &Concluded<'_>,
    emitted: &[Emitted],
) -> Vec<OutRecord> {
    let work = concluded.work;
    let known = emitted.iter().enumerate().filter_map(|(i, e)| Some((i, e, spec.events.get(&e.event)?)));
    known
        .map(|(index, emitted, event)| {
            let envelope = Envelope {
                id: work.activation.event(work.action, index).to_string(),
                source: format!("/{}/{}", spec.names.mesh(), step.name),
                event: Some(emitted.event.clone()),
                time_ms: Some(concluded.now_ms),
                subject: None,
                correlation_id: Some(work.correlation_id.clone()),
                causation_id: work.causation_id.clone(),
                content_type: emitted.content_type.clone(),
                traceparent: work.traceparent.clone(),
                tracestate: work.tracestate.clone(),
            };
            OutRecord {
                topic: event.topic.clone(),
                partition: partition::of_key(work.correlation_id.as_bytes(), event.partitions) as i32,
                key: Some(work.correlation_id.clone().into_bytes()),
                value: Some(emitted.value.clone()),
                headers: envelope.write(work.lineage.as_ref()),
            }
        })
        .collect()
}

fn fact(
    spec: &ServiceSpec,
    step: &StepSpec,
    concluded: &Concluded<'_>,
    answer: &Answer,
    inputs: Vec<EventRef>,
) -> Option<OutRecord> {
    let work = concluded.work;
    let refs = |emitted: &[Emitted]| -> Vec<EventRef> {
        let one = |(index, e): (usize, &Emitted)| EventRef {
            event: e.event.clone(),
            id: work.activation.event(work.action, index).to_string(),
            payload: step
                .carries
                .contains(&e.event)
                .then(|| Payload { content_type: e.content_type.clone(), value: e.value.clone() }),
        };
        emitted.iter().enumerate().map(one).collect()
    };
    let result = match (answer, work.action) {
        (Answer::Succeeded(emitted), Action::Do) => Outcome::Succeeded { events: refs(emitted), inputs },
        (Answer::Succeeded(emitted), Action::Undo) => Outcome::Undone { events: refs(emitted) },
        (Answer::Rejected(emitted), _) => Outcome::Rejected { events: refs(emitted) },
        (Answer::Failed { reason, message }, Action::Do) => Outcome::Exhausted {
            reason: *reason,
            message: dead_letter::truncated(message).to_owned(),
            inputs,
            event: None,
        },
        (Answer::GaveUp { reason, message, emitted }, Action::Do) => Outcome::Exhausted {
            reason: *reason,
            message: dead_letter::truncated(message).to_owned(),
            inputs,
            event: refs(std::slice::from_ref(emitted)).pop(),
        },
        (Answer::Failed { reason, message } | Answer::GaveUp { reason, message, .. }, Action::Undo) => {
            Outcome::UndoExhausted { reason: *reason, message: dead_letter::truncated(message).to_owned() }
        }
    };
    let (step, trigger) = (step.name.clone(), work.trigger.clone());
    let (activation, attempts) = (work.activation, concluded.attempts);
    fact_of(spec, work, Body::Step(StepResult { step, activation, trigger, result, attempts }))
}

/// What a copy leaves whose activation is known: that it is, where the copy could begin a run. Other copies begin none.
pub(crate) fn known(spec: &ServiceSpec, work: &Work) -> Vec<OutRecord> {
    let (step, trigger) = (spec.steps[work.step].name.clone(), work.trigger.clone());
    let known = Known { step, activation: work.activation, trigger };
    let starts = work.trigger == Trigger::Start && work.action == Action::Do;
    starts.then(|| fact_of(spec, work, Body::Known(known))).flatten().into_iter().collect()
}

/// The fact about `work`, unless it belongs to no saga.
fn fact_of(spec: &ServiceSpec, work: &Work, body: Body) -> Option<OutRecord> {
    let lineage = work.lineage.clone()?;
    let key = lineage.run.to_string();
    let fact = Fact {
        source: work.origin.clone(),
        source_time_ms: work.origin_time_ms,
        body,
        traceparent: work.traceparent.clone(),
        tracestate: work.tracestate.clone(),
        lineage,
    };
    Some(OutRecord {
        topic: spec.names.facts(&spec.service),
        partition: partition::of_key(key.as_bytes(), spec.saga_partitions) as i32,
        key: Some(key.into_bytes()),
        value: Some(format::encode(&fact)),
        headers: content_type(),
    })
}

fn dead(
    spec: &ServiceSpec,
    step: &StepSpec,
    concluded: &Concluded<'_>,
    reason: Reason,
    message: &str,
) -> OutRecord {
    let letter = DeadLetter {
        origin: concluded.work.origin.clone(),
        origin_time_ms: concluded.work.origin_time_ms,
        group: spec.group(),
        step: step.name.clone(),
        activation: Some(concluded.work.activation),
        action: concluded.work.action,
        reason,
        message: message.to_owned(),
        attempts: concluded.attempts,
    };
    let topic = spec.names.dead(&step.name);
    let bytes_max = spec.limits.own(&topic);
    letter.of(concluded.record, topic, concluded.record.position.partition, bytes_max)
}

fn ledger(spec: &ServiceSpec, step: &StepSpec, concluded: &Concluded<'_>) -> OutRecord {
    OutRecord {
        topic: spec.names.ledger(&step.name),
        partition: concluded.record.position.partition,
        key: Some(concluded.work.activation.to_string().into_bytes()),
        value: Some(concluded.work.origin.to_string().into_bytes()),
        headers: Vec::new(),
    }
}

fn content_type() -> quadrille_types::envelope::Headers {
    vec![("content-type".to_owned(), Some(format::CONTENT_TYPE.as_bytes().to_vec()))]
}
