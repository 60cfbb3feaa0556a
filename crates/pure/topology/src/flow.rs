//! What certainly comes before what, what can come after, and what excludes each other.
//!
//! Used where it is decided who triggers a step, and by the checks. All answers err on the safe side: two steps
//! count as running beside each other unless it is certain that they don't.

use std::collections::BTreeMap;

use crate::mesh::{Exhausted, Group, Mesh, Owner, Saga, Step};

mod bits;

use bits::Bits;

/// The order of the steps of a mesh. Steps and events are numbered; a set of them is a row of bits.
#[derive(Debug)]
pub(crate) struct Flow {
    numbers: BTreeMap<String, usize>,
    event_numbers: BTreeMap<String, usize>,
    /// Per step, the steps and events that have certainly happened when it runs.
    before: Vec<Bits>,
    /// Per event, the steps and events that have certainly happened when it occurs.
    before_event: Vec<Bits>,
    /// Per step, the steps that can be its consequence.
    after: Vec<Bits>,
    /// Events that are different results of the one step that emits them.
    exclusive: Vec<(usize, usize)>,
}

impl Flow {
    pub(crate) fn of(mesh: &Mesh) -> Self {
        let numbers = numbered(mesh.steps.keys(), 0);
        let event_numbers = numbered(mesh.events.keys(), numbers.len());
        let mut flow = Self {
            numbers,
            event_numbers,
            before: vec![],
            before_event: vec![],
            after: vec![],
            exclusive: vec![],
        };
        flow.settle_before(mesh);
        flow.settle_after(mesh);
        flow.settle_exclusive(mesh);
        flow
    }

    /// Whether `first` has certainly ended, one way or another, when `second` runs.
    pub(crate) fn is_before(&self, first: &str, second: &str) -> bool {
        match (self.numbers.get(first), self.numbers.get(second)) {
            (Some(first), Some(second)) => self.before[*second].has(*first),
            _ => false,
        }
    }

    /// Whether `second` can be a consequence of `first`.
    pub(crate) fn can_follow(&self, first: &str, second: &str) -> bool {
        match (self.numbers.get(first), self.numbers.get(second)) {
            (Some(first), Some(second)) => self.after[*first].has(*second),
            _ => false,
        }
    }

    /// The steps of `step`'s saga that can fail it while `step` runs, because neither waits for the other.
    pub(crate) fn failing_beside(&self, mesh: &Mesh, saga: &Saga, step: &Step) -> Vec<String> {
        mesh.steps_in(&saga.name)
            .filter(|other| other.name != step.name && can_fail(other, saga))
            .filter(|other| {
                !self.is_before(&other.name, &step.name) && !self.can_follow(&step.name, &other.name)
            })
            .filter(|other| !self.exclude(&step.name, &other.name))
            .map(|other| other.name.clone())
            .collect()
    }

    /// Whether the saga's pivot has certainly succeeded when the step runs.
    pub(crate) fn is_after_pivot(&self, mesh: &Mesh, step: &Step) -> bool {
        let Some(saga) = &step.saga else { return false };
        mesh.steps_in(saga).any(|s| s.pivot && self.is_before(&s.name, &step.name))
    }

    /// Whether no run has both steps, because they need different results of a third.
    pub(crate) fn exclude(&self, one: &str, other: &str) -> bool {
        match (self.numbers.get(one), self.numbers.get(other)) {
            (Some(one), Some(other)) => self.are_exclusive(&self.before[*one], &self.before[*other]),
            _ => false,
        }
    }

    /// Whether no run has both events.
    pub(crate) fn events_exclude(&self, one: &str, other: &str) -> bool {
        let before =
            |event: &str| self.event_numbers.get(event).map(|n| &self.before_event[n - self.numbers.len()]);
        match (before(one), before(other)) {
            (Some(first), Some(second)) => one != other && self.are_exclusive(first, second),
            _ => false,
        }
    }

    fn are_exclusive(&self, one: &Bits, other: &Bits) -> bool {
        let both = |a: usize, b: usize| one.has(a) && other.has(b);
        self.exclusive.iter().any(|(a, b)| both(*a, *b) || both(*b, *a))
    }

    /// Greatest fixpoint: everything is certain until a way is found on which it isn't.
    fn settle_before(&mut self, mesh: &Mesh) {
        let size = self.numbers.len() + self.event_numbers.len();
        let ways = self.ways(mesh);
        self.before = vec![Bits::all(size); self.numbers.len()];
        loop {
            self.before_event = ways
                .iter()
                .enumerate()
                .map(|(event, emitters)| {
                    let way = |step: &usize| self.before[*step].with(*step);
                    let common = emitters.iter().map(way).reduce(|one, other| one.meet(&other));
                    common.unwrap_or_else(|| Bits::none(size)).with(self.numbers.len() + event)
                })
                .collect();
            let needed = |step: &Step| {
                let events = step.when.events().iter().filter_map(|e| self.event_numbers.get(e));
                let certain = events.map(|number| &self.before_event[number - self.numbers.len()]);
                certain.fold(Bits::none(size), |sum, bits| sum.join(bits))
            };
            let next: Vec<Bits> = mesh.steps.values().map(needed).collect();
            if next == self.before {
                return;
            }
            self.before = next;
        }
    }

    /// Per event, the steps that emit it on the forward way; none for an event from outside.
    fn ways(&self, mesh: &Mesh) -> Vec<Vec<usize>> {
        let mut ways = vec![Vec::new(); self.event_numbers.len()];
        for step in mesh.steps.values() {
            for event in step.forward_outputs() {
                let foreign = mesh.events.get(event).is_some_and(|e| e.owner == Owner::Foreign);
                if let Some(number) = self.event_numbers.get(event).filter(|_| !foreign) {
                    ways[number - self.numbers.len()].push(self.numbers[&step.name]);
                }
            }
        }
        ways
    }

    fn settle_after(&mut self, mesh: &Mesh) {
        let followers = |step: &Step| -> Vec<usize> {
            step.forward_outputs().flat_map(|e| mesh.triggered(e)).map(|s| self.numbers[&s.name]).collect()
        };
        let next: Vec<Vec<usize>> = mesh.steps.values().map(followers).collect();
        let reach = |from: usize| {
            let mut found = Bits::none(next.len());
            let mut open = vec![from];
            while let Some(step) = open.pop() {
                for follower in &next[step] {
                    if found.add(*follower) {
                        open.push(*follower);
                    }
                }
            }
            found
        };
        self.after = (0..next.len()).map(reach).collect();
    }

    fn settle_exclusive(&mut self, mesh: &Mesh) {
        let ways = self.ways(mesh);
        let only_one = |event: &&str| {
            self.event_numbers.get(*event).is_some_and(|n| {
                let emitters = &ways[n - self.numbers.len()];
                !emitters.is_empty() && emitters.iter().all(|e| e == &emitters[0])
            })
        };
        let mut exclusive = Vec::new();
        for step in mesh.steps.values() {
            let results = results(step);
            let outputs: Vec<&str> = step.forward_outputs().filter(only_one).collect();
            for (index, one) in outputs.iter().enumerate() {
                for other in outputs[index + 1..].iter().filter(|other| *other != one) {
                    if !results.iter().any(|r| r.contains(one) && r.contains(other)) {
                        exclusive.push((self.event_numbers[*one], self.event_numbers[*other]));
                    }
                }
            }
        }
        self.exclusive = exclusive;
    }
}

fn numbered<'n>(names: impl Iterator<Item = &'n String>, first: usize) -> BTreeMap<String, usize> {
    names.enumerate().map(|(index, name)| (name.clone(), first + index)).collect()
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
