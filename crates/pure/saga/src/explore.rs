//! Every run of a flow, breadth first, by the one transition: does each end, and how?
//!
//! From the start event on, each state is continued with every answer that an outstanding activation may give (each success,
//! each rejection, exhausted tries), with every event that only others publish, and with the deadline. What must come
//! by itself is an answer, a redrive of what is exhausted or stuck, and a running timer; an event that others publish
//! may come, and never must. A state without an outcome for which nothing must come is where a run could wait for ever.
//!
//! Facts that overtake one another need no exploring: they lead to the same state. Nor does every order of answers:
//!
//! - Where no order of one activation's answer and whatever else may happen makes a difference, its answers come first
//!   ([`order`]). An order matters where one thing fails the run and the other gives a command.
//! - What has settled and decides no more than what is undone is forgotten ([`reduce`]): states that differ in that alone are
//!   one. Of the effects to undo the last is kept, so that an undo is a part of what is explored.

mod moves;
mod order;
mod reduce;
mod shape;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::definition::{Exhausted, Flow};
use crate::state::{End, Live, Phase, State, Status};
use crate::transition::{Action, Transition, next};
use crate::view::{self, For};

use moves::Possible;
pub use moves::{Answer, Move};
use shape::Shape;

/// How a run came to where it is: each fact and timer since before its start.
pub type Path = Vec<Move>;

/// What exploring found. All paths are shortest ones among those explored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// States visited.
    pub states: usize,
    /// What it took, in the units of `work_max`.
    pub work: usize,
    /// It would take more than allowed: nothing is proved, but what was found is true. A loop without a bound is one
    /// cause.
    pub cut_short: bool,
    /// Outcomes that were reached.
    pub outcomes: BTreeSet<String>,
    /// Some run comes to the good end.
    pub completes: bool,
    /// A run that can wait for ever.
    pub blocked: Option<Blocked>,
    /// Steps that a run without a timer can be held for: nothing but a redrive makes it go on.
    pub held: BTreeMap<String, Path>,
    /// Irrevocable steps whose effect stands although the run is compensated. The late success of a step that was given up
    /// does not count, nor what follows from it.
    pub standing: BTreeMap<String, Path>,
    /// A run in which two activations of pivots stand beside each other: the step of the second, and the way there.
    pub two_pivots: Option<(String, Path)>,
}

/// A run that can wait for ever.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// The way there.
    pub path: Path,
    /// What the run waits for at its end.
    pub waits: Vec<For>,
}

impl Found {
    /// Whether it is proved that every path ends.
    pub fn ends(&self) -> bool {
        !self.cut_short && self.blocked.is_none()
    }
}

/// Explores `flow` with at most `work_max` of work: [`WORK_MIN`] for each step that is taken, and more for large flows.
/// `irrevocable` names the steps whose effect must not stand when a run is compensated, though they have no undo.
pub fn explore(flow: &Flow, irrevocable: &BTreeSet<&str>, work_max: usize) -> Found {
    let shape = Shape::of(flow, irrevocable);
    let mut search = Search::new(&shape, work_max);
    while let Some(at) = search.queue.pop_front() {
        search.expand(at);
        if search.found.cut_short {
            break;
        }
    }
    search.found.states = search.visited.len();
    search.found
}

/// Work of one step in a small flow; it takes a few microseconds.
pub const WORK_MIN: usize = 20;

struct Node {
    state: Option<State>,
    parent: usize,
    step: Option<Move>,
}

struct Search<'s, 'f> {
    shape: &'s Shape<'f>,
    work_max: usize,
    nodes: Vec<Node>,
    queue: VecDeque<usize>,
    visited: BTreeSet<Vec<u32>>,
    found: Found,
}

/// Start events are at 0 and everything is applied when any deadline is due, so timers fire whenever they are given.
const DUE_MS: i64 = i64::MAX;

impl<'s, 'f> Search<'s, 'f> {
    fn new(shape: &'s Shape<'f>, work_max: usize) -> Self {
        let root = Node { state: None, parent: 0, step: None };
        Self {
            shape,
            work_max,
            nodes: vec![root],
            queue: VecDeque::from([0]),
            visited: BTreeSet::new(),
            found: Found::default(),
        }
    }

    /// Continues a state in every way that may make a difference.
    fn expand(&mut self, at: usize) {
        let state = self.nodes[at].state.take();
        let live = state.as_ref().and_then(State::live);
        let possible = live.map_or_else(|| moves::starts(self.shape), |live| moves::all(self.shape, live));
        if !possible.iter().any(|one| one.must_come) {
            self.block(at, state.as_ref());
        }
        let moment = live.map(|live| self.shape.moment(live));
        let first =
            live.zip(moment.as_ref()).and_then(|(live, moment)| order::first(self.shape, live, moment));
        let decided = |id| moment.as_ref().is_some_and(|moment| !moment.is_awaited(id));
        for one in possible {
            let comes = one.activation.is_none_or(|id| first.is_none_or(|first| first == id) && !decided(id));
            if comes && !self.follow(at, &state, one) {
                return;
            }
        }
    }

    /// Takes one step; `false` if that is too much.
    fn follow(&mut self, at: usize, state: &Option<State>, one: Possible) -> bool {
        let activations = state.as_ref().and_then(State::live).map_or(0, |live| live.activations.len());
        self.found.work += WORK_MIN + activations * self.shape.flow.steps.len() / 16;
        if self.found.work > self.work_max {
            self.found.cut_short = true;
            return false;
        }
        let mut after = state.clone();
        let transition = next(self.shape.flow, &mut after, &one.input, DUE_MS);
        self.note_end(at, state, &one, &transition);
        let Some(State::Live(mut live)) = after else { return true };
        let key = reduce::reduce(self.shape, &mut live);
        if !self.visited.insert(key) {
            return true;
        }
        let place = self.nodes.len();
        self.nodes.push(Node { state: None, parent: at, step: Some(one.step) });
        self.note_state(place, &live);
        self.nodes[place].state = Some(State::Live(live));
        self.queue.push_back(place);
        true
    }

    fn note_end(&mut self, at: usize, before: &Option<State>, one: &Possible, transition: &Transition) {
        for action in &transition.actions {
            let Action::End(end) = action else { continue };
            self.found.outcomes.insert(end.outcome.clone());
            self.found.completes |= end.end == End::Completed;
            if end.end == End::Compensated {
                let before = before.as_ref().and_then(State::live);
                let stood = before.iter().flat_map(|live| stands(self.shape, live));
                for step in stood.chain(before.and_then(|live| succeeded(self.shape, live, one))) {
                    let path = || path(&self.nodes, at, Some(&one.step));
                    self.found.standing.entry(step.to_owned()).or_insert_with(path);
                }
            }
        }
    }

    fn note_state(&mut self, at: usize, live: &Live) {
        let nodes = &self.nodes;
        if live.head.status == Status::Undoing {
            for step in stands(self.shape, live) {
                self.found.standing.entry(step.to_owned()).or_insert_with(|| path(nodes, at, None));
            }
        }
        if live.head.failing.is_none() && live.head.deadline_ms.is_none() {
            for step in held(self.shape, live) {
                self.found.held.entry(step.to_owned()).or_insert_with(|| path(nodes, at, None));
            }
        }
        if self.found.two_pivots.is_none()
            && let Some(step) = self.shape.second_pivot(live)
        {
            self.found.two_pivots = Some((step, path(nodes, at, None)));
        }
    }

    fn block(&mut self, at: usize, state: Option<&State>) {
        if self.found.blocked.is_none() {
            let flow = self.shape.flow;
            let waits =
                state.iter().flat_map(|state| view::waits(flow, state)).map(|wait| wait.what).collect();
            self.found.blocked = Some(Blocked { path: path(&self.nodes, at, None), waits });
        }
    }
}

/// Irrevocable steps that have succeeded.
fn stands<'l>(shape: &Shape<'_>, live: &'l Live) -> impl Iterator<Item = &'l str> {
    live.activations.values().filter(|a| shape.stands(a)).map(|a| a.step.as_str())
}

/// Steps whose exhausted tries the run waits for.
fn held<'l>(shape: &Shape<'_>, live: &'l Live) -> impl Iterator<Item = &'l str> {
    let given_up = live.activations.values().filter(|a| a.phase == Phase::Exhausted);
    let holds = |step: &&str| shape.step(step).is_some_and(|step| step.exhausted == Exhausted::Hold);
    given_up.map(|a| a.step.as_str()).filter(holds)
}

/// The irrevocable step that has succeeded with `one`.
fn succeeded<'l>(shape: &Shape<'_>, live: &'l Live, one: &Possible) -> Option<&'l str> {
    let activation = live.activations.get(&one.activation?)?;
    let success = matches!(one.step, Move::Answers { answer: Answer::Success { .. }, .. });
    (success && activation.phase == Phase::Open && shape.is_irrevocable(&activation.step))
        .then_some(activation.step.as_str())
}

fn path(nodes: &[Node], mut at: usize, last: Option<&Move>) -> Path {
    let mut path: Path = last.cloned().into_iter().collect();
    while at != 0 {
        path.extend(nodes[at].step.clone());
        at = nodes[at].parent;
    }
    path.reverse();
    path
}
