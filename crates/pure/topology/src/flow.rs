//! What certainly comes before what, what can come after, and what excludes each other.
//!
//! Used where it is decided who triggers a step, and by the checks. All answers err on the safe side: two steps
//! count as running beside each other unless it is certain that they don't.

use std::collections::{BTreeMap, BTreeSet};

use crate::mesh::{Exhausted, Group, Mesh, Owner, Saga, Step};

/// What has certainly happened when something occurs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Certain {
    steps: BTreeSet<String>,
    events: BTreeSet<String>,
}

impl Certain {
    fn join(mut self, other: &Self) -> Self {
        self.steps.extend(other.steps.iter().cloned());
        self.events.extend(other.events.iter().cloned());
        self
    }

    fn meet(self, other: &Self) -> Self {
        Self {
            steps: self.steps.intersection(&other.steps).cloned().collect(),
            events: self.events.intersection(&other.events).cloned().collect(),
        }
    }
}

/// The order of the steps of a mesh.
#[derive(Debug)]
pub(crate) struct Flow {
    before: BTreeMap<String, Certain>,
    after: BTreeMap<String, BTreeSet<String>>,
}

impl Flow {
    pub(crate) fn of(mesh: &Mesh) -> Self {
        Self { before: certain_before(mesh), after: possible_after(mesh) }
    }

    /// Whether `first` has certainly ended, one way or another, when `second` runs.
    pub(crate) fn is_before(&self, first: &str, second: &str) -> bool {
        self.before.get(second).is_some_and(|c| c.steps.contains(first))
    }

    /// Whether `second` can be a consequence of `first`.
    pub(crate) fn can_follow(&self, first: &str, second: &str) -> bool {
        self.after.get(first).is_some_and(|steps| steps.contains(second))
    }

    /// The steps of `step`'s saga that can fail it while `step` runs, because neither waits for the other.
    pub(crate) fn failing_beside(&self, mesh: &Mesh, saga: &Saga, step: &Step) -> Vec<String> {
        mesh.steps_in(&saga.name)
            .filter(|other| other.name != step.name && can_fail(other, saga))
            .filter(|other| {
                !self.is_before(&other.name, &step.name) && !self.can_follow(&step.name, &other.name)
            })
            .filter(|other| !self.exclude(mesh, &step.name, &other.name))
            .map(|other| other.name.clone())
            .collect()
    }

    /// Whether the saga's pivot has certainly succeeded when the step runs.
    pub(crate) fn is_after_pivot(&self, mesh: &Mesh, step: &Step) -> bool {
        let Some(saga) = &step.saga else { return false };
        mesh.steps_in(saga).any(|s| s.pivot && self.is_before(&s.name, &step.name))
    }

    /// Whether no run has both steps, because they need different results of a third.
    pub(crate) fn exclude(&self, mesh: &Mesh, one: &str, other: &str) -> bool {
        match (self.before.get(one), self.before.get(other)) {
            (Some(one), Some(other)) => are_exclusive(mesh, one, other),
            _ => false,
        }
    }

    /// Whether no run has both events.
    pub(crate) fn events_exclude(&self, mesh: &Mesh, one: &str, other: &str) -> bool {
        let certain = |event: &str| certain_of_event(mesh, &self.before, event);
        one != other && are_exclusive(mesh, &certain(one), &certain(other))
    }
}

/// Whether a step can fail its saga.
pub(crate) fn can_fail(step: &Step, saga: &Saga) -> bool {
    step.exhausted == Exhausted::Undo || step.forward_outputs().any(|e| saga.fails.iter().any(|f| f == e))
}

/// The results that a step can have, as the events of each; successes first.
pub(crate) fn results(step: &Step) -> Vec<Vec<&str>> {
    let mut results: Vec<Vec<&str>> = match &step.emits {
        Group::All(events) => vec![events.iter().map(String::as_str).collect()],
        Group::Any(events) if events.is_empty() => vec![Vec::new()],
        Group::Any(events) => events.iter().map(|e| vec![e.as_str()]).collect(),
    };
    results.extend(step.rejects.iter().map(|e| vec![e.as_str()]));
    if let Exhausted::Emit(event) = &step.exhausted {
        results.push(vec![event.as_str()]);
    }
    results
}

/// The steps that emit an event while the saga goes forward.
pub(crate) fn forward_emitters<'m>(mesh: &'m Mesh, event: &str) -> impl Iterator<Item = &'m Step> {
    mesh.steps.values().filter(move |s| s.forward_outputs().any(|e| e == event))
}

/// Greatest fixpoint: everything is certain until a way is found on which it isn't.
fn certain_before(mesh: &Mesh) -> BTreeMap<String, Certain> {
    let all = Certain {
        steps: mesh.steps.keys().cloned().collect(),
        events: mesh.events.keys().cloned().collect(),
    };
    let mut before: BTreeMap<String, Certain> =
        mesh.steps.keys().map(|name| (name.clone(), all.clone())).collect();
    loop {
        let next: BTreeMap<String, Certain> = mesh
            .steps
            .values()
            .map(|step| {
                let events = step.when.events().iter();
                let certain =
                    events.fold(Certain::default(), |sum, e| sum.join(&certain_of_event(mesh, &before, e)));
                (step.name.clone(), certain)
            })
            .collect();
        if next == before {
            return before;
        }
        before = next;
    }
}

/// What has certainly happened when an event occurs: the event, and what all ways to it have in common.
fn certain_of_event(mesh: &Mesh, before: &BTreeMap<String, Certain>, event: &str) -> Certain {
    let itself = Certain { steps: BTreeSet::new(), events: BTreeSet::from([event.to_owned()]) };
    if mesh.events.get(event).is_some_and(|e| e.owner == Owner::Foreign) {
        return itself;
    }
    let ways = forward_emitters(mesh, event).map(|step| {
        let mut certain = before.get(&step.name).cloned().unwrap_or_default();
        certain.steps.insert(step.name.clone());
        certain
    });
    ways.reduce(|one, other| one.meet(&other)).unwrap_or_default().join(&itself)
}

fn possible_after(mesh: &Mesh) -> BTreeMap<String, BTreeSet<String>> {
    let next = |step: &Step| -> BTreeSet<String> {
        step.forward_outputs().flat_map(|e| mesh.triggered(e)).map(|s| s.name.clone()).collect()
    };
    let next: BTreeMap<&str, BTreeSet<String>> =
        mesh.steps.values().map(|step| (step.name.as_str(), next(step))).collect();
    let reach = |from: &str| {
        let mut found = BTreeSet::new();
        let mut open = vec![from.to_owned()];
        while let Some(name) = open.pop() {
            for step in next.get(name.as_str()).into_iter().flatten() {
                if found.insert(step.clone()) {
                    open.push(step.clone());
                }
            }
        }
        found
    };
    mesh.steps.keys().map(|name| (name.clone(), reach(name))).collect()
}

/// Whether two sets of certain events contain different results of one step that alone emits them.
fn are_exclusive(mesh: &Mesh, one: &Certain, other: &Certain) -> bool {
    let only_emitter = |event: &str| {
        let mut emitters = forward_emitters(mesh, event);
        emitters.next().filter(|_| emitters.next().is_none())
    };
    one.events.iter().filter_map(|event| Some((event, only_emitter(event)?))).any(|(event, step)| {
        let results = results(step);
        other.events.iter().filter(|e| *e != event).any(|second| {
            only_emitter(second).is_some_and(|s| s.name == step.name)
                && !results.iter().any(|r| r.contains(&event.as_str()) && r.contains(&second.as_str()))
        })
    })
}
