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
    /// As `before`, and the steps that don't run when it does or that it is held back for: all have ended or never run.
    settled: Vec<Bits>,
    /// The same per event.
    settled_event: Vec<Bits>,
    /// Per step, the steps that can be its consequence.
    after: Vec<Bits>,
    /// Events that are different results of the one step that emits them.
    exclusive: Vec<(usize, usize)>,
}

impl Flow {
    pub(crate) fn of(mesh: &Mesh) -> Self {
        let numbers = numbered(mesh.steps.keys(), 0);
        let event_numbers = numbered(mesh.events.keys(), numbers.len());
        let ways = ways(mesh, &numbers, &event_numbers);
        let exclusive = exclusive(mesh, &ways, &numbers, &event_numbers);
        let after = after(mesh, &numbers);
        let mut flow = Self {
            numbers,
            event_numbers,
            exclusive,
            after,
            before: vec![],
            before_event: vec![],
            settled: vec![],
            settled_event: vec![],
        };
        let size = flow.numbers.len() + flow.event_numbers.len();
        let nothing = vec![Bits::none(size); flow.numbers.len()];
        (flow.before, flow.before_event) = flow.certain(mesh, &ways, &nothing);
        (flow.settled, flow.settled_event) = flow.certain(mesh, &ways, &flow.out_of_the_way(mesh));
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
            .filter(|other| !self.can_follow(&step.name, &other.name))
            .filter(|other| !self.is_settled(&other.name, &step.name))
            .map(|other| other.name.clone())
            .collect()
    }

    /// Whether the saga's pivot has certainly succeeded when the step runs.
    pub(crate) fn is_after_pivot(&self, mesh: &Mesh, step: &Step) -> bool {
        let Some(saga) = &step.saga else { return false };
        mesh.steps_in(saga).any(|s| s.pivot && self.is_before(&s.name, &step.name))
    }

    /// Whether `first` has certainly ended when `second` runs, or doesn't run then.
    fn is_settled(&self, first: &str, second: &str) -> bool {
        match (self.numbers.get(first), self.numbers.get(second)) {
            (Some(first), Some(second)) => {
                self.settled[*second].has(*first)
                    || self.are_exclusive(&self.before[*first], &self.before[*second])
            }
            _ => false,
        }
    }

    /// Whether `step` has certainly ended when `event` occurs, or doesn't run then.
    pub(crate) fn is_settled_at(&self, step: &str, event: &str) -> bool {
        match (self.numbers.get(step), self.event_numbers.get(event)) {
            (Some(step), Some(event)) => self.settled_event[event - self.numbers.len()].has(*step),
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

    /// Per step, the steps that can't run beside it any more: no run has both, because they need different results
    /// of a third; or the coordinator holds the step back until they can no longer fail.
    fn out_of_the_way(&self, mesh: &Mesh) -> Vec<Bits> {
        let of = |(step, one): (&Step, &Bits)| {
            let mut out = Bits::none(self.numbers.len() + self.event_numbers.len());
            for (number, other) in self.before.iter().enumerate() {
                if self.are_exclusive(one, other) {
                    out.add(number);
                }
            }
            for number in step.triggered_by.waits_for().iter().filter_map(|s| self.numbers.get(s)) {
                out.add(*number);
            }
            out
        };
        mesh.steps.values().zip(&self.before).map(of).collect()
    }

    /// What holds per step and per event, whichever way led there. A step brings itself and its `extra`. Greatest
    /// fixpoint: everything holds until a way is found on which it doesn't.
    fn certain(&self, mesh: &Mesh, ways: &[Vec<usize>], extra: &[Bits]) -> (Vec<Bits>, Vec<Bits>) {
        let first_event = self.numbers.len();
        let size = first_event + self.event_numbers.len();
        let mut steps = vec![Bits::all(size); first_event];
        loop {
            let of_event = |(event, emitters): (usize, &Vec<usize>)| {
                let way = |step: &usize| steps[*step].with(*step).join(&extra[*step]);
                let common = emitters.iter().map(way).reduce(|one, other| one.meet(&other));
                common.unwrap_or_else(|| Bits::none(size)).with(first_event + event)
            };
            let events: Vec<Bits> = ways.iter().enumerate().map(of_event).collect();
            let of_step = |step: &Step| {
                let numbers = step.when.events().iter().filter_map(|e| self.event_numbers.get(e));
                numbers.fold(Bits::none(size), |sum, number| sum.join(&events[number - first_event]))
            };
            let next: Vec<Bits> = mesh.steps.values().map(of_step).collect();
            if next == steps {
                return (steps, events);
            }
            steps = next;
        }
    }
}

type Numbers = BTreeMap<String, usize>;

/// Per event, the steps that emit it on the forward way; none for an event from outside.
fn ways(mesh: &Mesh, steps: &Numbers, events: &Numbers) -> Vec<Vec<usize>> {
    let mut ways = vec![Vec::new(); events.len()];
    for step in mesh.steps.values() {
        for event in step.forward_outputs() {
            let foreign = mesh.events.get(event).is_some_and(|e| e.owner == Owner::Foreign);
            if let Some(number) = events.get(event).filter(|_| !foreign) {
                ways[number - steps.len()].push(steps[&step.name]);
            }
        }
    }
    ways
}

/// Per step, the steps that can be its consequence.
fn after(mesh: &Mesh, numbers: &Numbers) -> Vec<Bits> {
    let followers = |step: &Step| -> Vec<usize> {
        step.forward_outputs().flat_map(|e| mesh.triggered(e)).map(|s| numbers[&s.name]).collect()
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
    (0..next.len()).map(reach).collect()
}

/// Pairs of events that are different results of the one step that emits them.
fn exclusive(mesh: &Mesh, ways: &[Vec<usize>], steps: &Numbers, events: &Numbers) -> Vec<(usize, usize)> {
    let has_one_emitter = |event: &&str| {
        events.get(*event).is_some_and(|number| {
            let emitters = &ways[number - steps.len()];
            !emitters.is_empty() && emitters.iter().all(|e| e == &emitters[0])
        })
    };
    let mut exclusive = Vec::new();
    for step in mesh.steps.values() {
        let results = results(step);
        let outputs: Vec<&str> = step.forward_outputs().filter(has_one_emitter).collect();
        for (index, one) in outputs.iter().enumerate() {
            for other in outputs[index + 1..].iter().filter(|other| *other != one) {
                if !results.iter().any(|r| r.contains(one) && r.contains(other)) {
                    exclusive.push((events[*one], events[*other]));
                }
            }
        }
    }
    exclusive
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
