//! What the runtime and the coordinator ask a mesh.

use std::collections::BTreeSet;

use super::{
    CoordinatorReason, Event, Exhausted, Group, Mesh, Owner, Saga, Step, Topic, Trigger, TriggeredBy,
};

impl Group {
    /// No event at all.
    #[must_use]
    pub fn none() -> Self {
        Self::Any(Vec::new())
    }

    /// The events, whichever way they count.
    #[must_use]
    pub fn events(&self) -> &[String] {
        let (Self::Any(events) | Self::All(events)) = self;
        events
    }
}

impl Trigger {
    /// The events of the trigger.
    #[must_use]
    pub fn events(&self) -> &[String] {
        match self {
            Self::Event(event) => std::slice::from_ref(event),
            Self::All(events) => events,
        }
    }
}

impl Step {
    /// Whether the step listens to its trigger's topic itself.
    #[must_use]
    pub fn is_choreographed(&self) -> bool {
        self.triggered_by == TriggeredBy::Choreography
    }

    /// Every event that the step may write: successes, rejections, what exhausted tries emit, and its undo's.
    pub fn outputs(&self) -> impl Iterator<Item = &str> {
        self.forward_outputs().chain(self.undo.iter().flat_map(|u| &u.emits).map(String::as_str))
    }

    /// Every event that the step may write while the saga goes forward.
    pub fn forward_outputs(&self) -> impl Iterator<Item = &str> {
        let exhausted = match &self.exhausted {
            Exhausted::Emit(event) => Some(event),
            Exhausted::Hold | Exhausted::Undo => None,
        };
        self.emits.events().iter().chain(&self.rejects).chain(exhausted).map(String::as_str)
    }
}

impl TriggeredBy {
    /// Who, as a word: `choreographed` or `coordinated`.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Choreography => "choreographed",
            Self::Coordinator(_) => "coordinated",
        }
    }

    /// The steps that must be past failing before the coordinator triggers the step.
    #[must_use]
    pub fn waits_for(&self) -> &[String] {
        match self {
            Self::Coordinator(
                CoordinatorReason::PivotBeside(steps) | CoordinatorReason::NoUndoBeside(steps),
            ) => steps,
            Self::Coordinator(CoordinatorReason::Join) | Self::Choreography => &[],
        }
    }

    /// Why, as a sentence.
    #[must_use]
    pub fn reason(&self) -> String {
        use crate::suggest::listed;
        match self {
            Self::Choreography => {
                "its trigger is one event, so it listens to the topic itself and no hop is needed".into()
            }
            Self::Coordinator(CoordinatorReason::Join) => {
                "it waits for several events, and only the coordinator sees them all".into()
            }
            Self::Coordinator(CoordinatorReason::PivotBeside(steps)) => {
                format!("it is the pivot and must not start while {} can still fail the saga", listed(steps))
            }
            Self::Coordinator(CoordinatorReason::NoUndoBeside(steps)) => format!(
                "its effect can't be undone and must not happen while {} can still fail the saga",
                listed(steps)
            ),
        }
    }
}

impl Mesh {
    /// The services that run steps.
    #[must_use]
    pub fn services(&self) -> BTreeSet<&str> {
        self.steps.values().map(|s| s.service.as_str()).collect()
    }

    /// The steps that a service runs.
    pub fn steps_of<'m>(&'m self, service: &str) -> impl Iterator<Item = &'m Step> {
        self.steps.values().filter(move |s| s.service == service)
    }

    /// The events of a step's trigger.
    pub fn inputs<'m>(&'m self, step: &'m Step) -> impl Iterator<Item = &'m Event> {
        step.when.events().iter().filter_map(|name| self.events.get(name))
    }

    /// The topic that a step reads itself; `None` if the coordinator triggers it.
    #[must_use]
    pub fn topic_read<'m>(&'m self, step: &'m Step) -> Option<&'m Topic> {
        let event = self.inputs(step).next().filter(|_| step.is_choreographed())?;
        self.topics.get(&event.topic)
    }

    /// The steps that an event triggers without the coordinator.
    pub fn listeners<'m>(&'m self, event: &str) -> impl Iterator<Item = &'m Step> {
        self.triggered(event).filter(|s| s.is_choreographed())
    }

    /// The steps whose trigger the event is or belongs to.
    pub fn triggered<'m>(&'m self, event: &str) -> impl Iterator<Item = &'m Step> {
        self.steps.values().filter(move |s| s.when.events().iter().any(|e| e == event))
    }

    /// The steps that may write an event, undo included.
    pub fn emitters<'m>(&'m self, event: &str) -> impl Iterator<Item = &'m Step> {
        self.steps.values().filter(move |s| s.outputs().any(|e| e == event))
    }

    /// The events that a topic carries.
    pub fn events_on<'m>(&'m self, topic: &str) -> impl Iterator<Item = &'m Event> {
        self.events.values().filter(move |e| e.topic == topic)
    }

    /// Whether others write to a topic too, so that known activations have to be dropped there.
    #[must_use]
    pub fn is_foreign_topic(&self, topic: &str) -> bool {
        self.events_on(topic).any(|e| e.owner == Owner::Foreign)
    }

    /// The saga that a step belongs to.
    #[must_use]
    pub fn saga_of(&self, step: &Step) -> Option<&Saga> {
        self.sagas.get(step.saga.as_ref()?)
    }

    /// The steps of a saga.
    pub fn steps_in<'m>(&'m self, saga: &str) -> impl Iterator<Item = &'m Step> {
        self.steps.values().filter(move |s| s.saga.as_deref() == Some(saga))
    }

    /// The sagas that an event starts.
    pub fn started_by<'m>(&'m self, event: &str) -> impl Iterator<Item = &'m Saga> {
        self.sagas.values().filter(move |s| s.starts.iter().any(|e| e == event))
    }

    /// The sagas that an event completes, alone or with others.
    pub fn completed_by<'m>(&'m self, event: &str) -> impl Iterator<Item = &'m Saga> {
        self.sagas.values().filter(move |s| s.completes.events().iter().any(|e| e == event))
    }

    /// The sagas that an event fails.
    pub fn failed_by<'m>(&'m self, event: &str) -> impl Iterator<Item = &'m Saga> {
        self.sagas.values().filter(move |s| s.fails.iter().any(|e| e == event))
    }

    /// The foreign events that the coordinator has to turn into facts for a saga: those that start, complete or
    /// fail it, and those that its steps wait for.
    #[must_use]
    pub fn ingested_for<'m>(&'m self, saga: &'m Saga) -> BTreeSet<&'m str> {
        let awaited = self.steps_in(&saga.name).flat_map(|s| s.when.events());
        let named = saga.starts.iter().chain(saga.completes.events()).chain(&saga.fails);
        named.chain(awaited).filter(|e| self.is_foreign(e)).map(String::as_str).collect()
    }

    fn is_foreign(&self, event: &str) -> bool {
        self.events.get(event).is_some_and(|e| e.owner == Owner::Foreign)
    }

    /// The events whose raw bytes a fact has to carry, because a later command needs them: all that a coordinated
    /// step waits for, and for an undo what triggered the step and what the step emitted.
    #[must_use]
    pub fn events_kept(&self) -> BTreeSet<&str> {
        let mut kept = BTreeSet::new();
        for step in self.steps.values().filter(|s| s.saga.is_some()) {
            if !step.is_choreographed() || step.undo.is_some() {
                kept.extend(step.when.events().iter().map(String::as_str));
            }
            if step.undo.is_some() {
                kept.extend(step.emits.events().iter().map(String::as_str));
            }
        }
        kept
    }
}
