//! A compiled flow: what the transition needs of the topology file, and no more.
//!
//! Plain data that a compiler fills. Names are the file's own. The transition makes no assumption beyond the types: a
//! flow that no `check` has seen may wait for ever, but it never makes the transition panic.

use std::collections::BTreeSet;

use quadrille_types::Definition;
use quadrille_types::ids::Trigger;

/// One flow of one definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flow {
    /// Name of the flow.
    pub name: String,
    /// The definition that this was compiled from.
    pub definition: Definition,
    /// Events that start a run. Copies of one of them count once, whatever their IDs.
    pub starts: Vec<String>,
    /// The good end.
    pub completes: Ending,
    /// The other end: any of these events begins compensation.
    pub fails: Ending,
    /// How long a run may take.
    pub deadline: Option<Deadline>,
    /// In which order effects are undone.
    pub compensation: Compensation,
    /// How long an ended run is remembered, in ms. A step's answer about a run that is not known, to something older than
    /// this, may be about one that is forgotten: it begins nothing by itself.
    pub keep_ms: i64,
    /// The steps, in the order of the file.
    pub steps: Vec<Step>,
}

/// How a run ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// These events lead to it.
    pub events: Vec<String>,
    /// Any one of them, or all of them together.
    pub needs: Needs,
    /// Name of the outcome, such as `completed`.
    pub outcome: String,
}

/// How many of the events of an ending it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Any one of them.
    Any,
    /// All of them, in any order.
    All,
}

/// How long a run may take, counted from its start event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline {
    /// Time from the start event's timestamp, in ms.
    pub after_ms: i64,
    /// What happens then.
    pub then: Then,
}

/// What a deadline means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// Undo what was done.
    Undo,
}

/// In which order effects are undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compensation {
    /// The last success first, one at a time, each after the answer to the one before.
    Reverse,
}

/// One step of a flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Name of the step.
    pub name: String,
    /// What sets it off, and who does.
    pub when: When,
    /// What it may emit when it succeeds.
    pub emits: Vec<String>,
    /// A success emits all of `emits`; otherwise exactly one of them.
    pub emits_all: bool,
    /// What it may emit when it refuses: business failures.
    pub rejects: Vec<String>,
    /// Its compensation.
    pub undo: Option<Undo>,
    /// From its success on, the run only goes forward.
    pub pivot: bool,
    /// What exhausted tries mean.
    pub exhausted: Exhausted,
}

/// What sets a step off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum When {
    /// Choreographed: the step's own lane sees this event and runs, whether or not the coordinator has seen it.
    Seen(String),
    /// Coordinated: the coordinator commands the step, once, when all of these events are there (often just one).
    All(Vec<String>),
}

/// How a step is compensated.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Undo {
    /// What the compensation emits.
    pub emits: Vec<String>,
    /// Also undo when every try of the step failed, so that nobody knows whether it had its effect.
    pub also_when_unknown: bool,
}

/// What it means for the run that every try of a step failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exhausted {
    /// Flag it and wait for a redrive, while the deadline's clock runs.
    Hold,
    /// Begin compensation.
    Undo,
    /// The step emits this event and has settled; whether it had its effect is unknown. Where it could not emit it (the
    /// input could not be read), it is held.
    Emit(String),
}

impl Ending {
    /// Whether the events that `seen` knows lead to it.
    pub(crate) fn is_reached(&self, seen: impl Fn(&str) -> bool) -> bool {
        match self.needs {
            Needs::Any => self.events.iter().any(|event| seen(event)),
            Needs::All => !self.events.is_empty() && self.events.iter().all(|event| seen(event)),
        }
    }
}

impl Flow {
    /// The step of that name.
    pub fn step(&self, name: &str) -> Option<&Step> {
        self.steps.iter().find(|step| step.name == name)
    }

    /// Whether `event` starts runs.
    pub fn is_start(&self, event: &str) -> bool {
        self.starts.iter().any(|e| e == event)
    }

    /// Whether a step or a compensation of this flow emits `event`.
    pub fn is_emitted(&self, event: &str) -> bool {
        self.steps.iter().any(|step| step.emitted().any(|e| e == event))
    }

    /// Whether this flow has any use for `event`.
    pub fn knows(&self, event: &str) -> bool {
        let named = |events: &[String]| events.iter().any(|e| e == event);
        self.is_start(event)
            || named(&self.completes.events)
            || named(&self.fails.events)
            || self.steps.iter().any(|step| step.when.names(event))
    }

    /// What an event of that name and ID triggers with: copies of a start are one trigger.
    pub(crate) fn trigger(&self, event: &str, id: &str) -> Trigger {
        if self.is_start(event) { Trigger::Start } else { Trigger::Event(id.to_owned()) }
    }

    /// Whether an activation of `step` that has not answered may still, by itself or by what follows from it, begin
    /// compensation.
    pub(crate) fn may_fail(&self, step: &Step) -> bool {
        let mut seen = BTreeSet::from([step.name.as_str()]);
        let mut next = vec![step];
        while let Some(step) = next.pop() {
            if step.exhausted == Exhausted::Undo {
                return true;
            }
            for event in step.forward() {
                if self.fails.events.contains(event) {
                    return true;
                }
                next.extend(
                    self.steps.iter().filter(|s| s.when.names(event) && seen.insert(s.name.as_str())),
                );
            }
        }
        false
    }
}

impl Step {
    /// Everything that the step or its compensation may emit.
    pub fn emitted(&self) -> impl Iterator<Item = &str> {
        let undo = self.undo.iter().flat_map(|undo| &undo.emits);
        self.forward().chain(undo).map(String::as_str)
    }

    /// What it may emit as the run goes forward: successes, rejections, what exhausted tries emit.
    pub(crate) fn forward(&self) -> impl Iterator<Item = &String> {
        let exhausted = match &self.exhausted {
            Exhausted::Emit(event) => Some(event),
            Exhausted::Hold | Exhausted::Undo => None,
        };
        self.emits.iter().chain(&self.rejects).chain(exhausted)
    }

    /// Whether an activation of this step can have been set off by `trigger`.
    pub(crate) fn fits(&self, trigger: &Trigger, flow: &Flow) -> bool {
        match (&self.when, trigger) {
            (When::Seen(event), Trigger::Start) => flow.is_start(event),
            (When::Seen(_), Trigger::Event(_)) | (When::All(_), Trigger::Join) => true,
            _ => false,
        }
    }
}

impl When {
    /// Whether `event` is (one of) the trigger's.
    pub fn names(&self, event: &str) -> bool {
        match self {
            Self::Seen(name) => name == event,
            Self::All(names) => names.iter().any(|name| name == event),
        }
    }
}
