//! Every order of facts of a flow, breadth first: does each path end?
//!
//! From the start event on, each state is continued with every answer that an outstanding activation may give (each of its
//! events alone, all that it emits together, each rejection, exhausted tries), with every event that only others
//! publish, and with the deadline. What must come by itself is an answer, a redrive of what is exhausted or stuck, and
//! a running timer; an event that others publish may come, and never must. A state without an outcome for which nothing
//! must come is where a run could wait for ever.
//!
//! Facts that overtake one another need no exploring: they lead to the same state.

use std::collections::{BTreeSet, VecDeque};

use quadrille_types::dead_letter::Reason;
use quadrille_types::envelope::Position;
use quadrille_types::fact::{Body, EventRef, Fact, Outcome, StepResult};
use quadrille_types::ids::Action as Effect;
use quadrille_types::journal::{Input, Timer, TimerKind};
use quadrille_types::{Lineage, RunId};

use crate::changelog;
use crate::definition::{Flow, Step, When};
use crate::state::{Activation, Cause, Live, Phase, Seen, State};
use crate::transition::{Action, Changed, next};
use crate::view::{self, For};

/// What exploring found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every path ends.
    Ends {
        /// States visited.
        states: usize,
        /// Outcomes that were reached.
        outcomes: BTreeSet<String>,
    },
    /// A run can wait for ever.
    Blocked {
        /// A shortest way there, one sentence for each fact.
        path: Vec<String>,
        /// What the run waits for at its end.
        waits: Vec<For>,
    },
    /// There are more states than allowed: nothing is proved. A loop without a bound is one cause.
    Unknown {
        /// States visited.
        states: usize,
    },
}

struct Node {
    state: Option<State>,
    parent: usize,
    label: String,
}

/// An input that may come next.
struct Possible {
    input: Input,
    label: String,
    must_come: bool,
}

/// Explores `flow`, at most `states_max` states.
pub fn explore(flow: &Flow, states_max: usize) -> Verdict {
    let mut nodes = vec![Node { state: None, parent: 0, label: String::new() }];
    let mut queue = VecDeque::from([0]);
    let mut visited = BTreeSet::new();
    let mut outcomes = BTreeSet::new();
    while let Some(at) = queue.pop_front() {
        let state = nodes[at].state.take();
        let steps = state.as_ref().map_or_else(|| starts(flow), |state| continued(flow, state));
        if !steps.iter().any(|step| step.must_come) {
            let waits =
                state.iter().flat_map(|state| view::waits(flow, state)).map(|wait| wait.what).collect();
            return Verdict::Blocked { path: path(&nodes, at), waits };
        }
        for step in steps {
            let mut after = state.clone();
            let transition = next(flow, &mut after, &step.input, DUE_MS);
            outcomes.extend(transition.actions.iter().filter_map(outcome));
            let Some(live) = after.as_ref().and_then(State::live) else { continue };
            if !visited.insert(essence(live)) {
                continue;
            }
            if visited.len() > states_max {
                return Verdict::Unknown { states: visited.len() };
            }
            queue.push_back(nodes.len());
            nodes.push(Node { state: after, parent: at, label: step.label });
        }
    }
    Verdict::Ends { states: visited.len(), outcomes }
}

/// Start events are at 0 and everything is applied when any deadline is due, so timers fire whenever they are given.
const DUE_MS: i64 = i64::MAX;

fn outcome(action: &Action) -> Option<String> {
    match action {
        Action::End(outcome) => Some(outcome.outcome.clone()),
        _ => None,
    }
}

/// What tells states apart. Left out is what decides no more than the order of undo, of inputs, or the words of a cause.
fn essence(live: &Live) -> Vec<u8> {
    let mut live = live.clone();
    live.head.answers = 0;
    live.head.failing = live.head.failing.map(|_| Cause::Deadline);
    for cause in &mut live.head.completing {
        if let Cause::Event { id, .. } = cause {
            id.clear();
        }
    }
    live.head.completing.sort();
    for activation in live.activations.values_mut() {
        (activation.order, activation.seen) = (0, Seen::default());
        activation.inputs.sort_by(|a, b| a.event.cmp(&b.event));
    }
    let (run, activations) = (live.run(), live.activations.keys().copied().collect());
    let state = State::Live(Box::new(live));
    let records = changelog::records(run, &state, &Changed { head: true, activations });
    records.into_iter().flat_map(|record| record.value.unwrap_or_default()).collect()
}

fn path(nodes: &[Node], mut at: usize) -> Vec<String> {
    let mut path = Vec::new();
    while at != 0 {
        path.push(nodes[at].label.clone());
        at = nodes[at].parent;
    }
    path.reverse();
    path
}

fn lineage(flow: &Flow) -> Lineage {
    Lineage {
        flow: flow.name.clone(),
        run: RunId::of("explore", &flow.name, "1"),
        correlation_id: "1".into(),
        definition: flow.definition.clone(),
    }
}

fn fact(flow: &Flow, body: Body, label: String, must_come: bool) -> Possible {
    let source = Position { topic: String::new(), partition: 0, offset: 0 };
    let input = Input::Fact(Fact {
        lineage: lineage(flow),
        source,
        source_time_ms: 0,
        body,
        traceparent: None,
        tracestate: None,
    });
    Possible { input, label, must_come }
}

fn event(name: &str, id: String) -> EventRef {
    EventRef { event: name.to_owned(), id, payload: None }
}

fn starts(flow: &Flow) -> Vec<Possible> {
    let start = |name: &String| {
        fact(flow, Body::Started(event(name, name.clone())), format!("{name} starts the run"), true)
    };
    flow.starts.iter().map(start).collect()
}

/// Everything that may come next.
fn continued(flow: &Flow, state: &State) -> Vec<Possible> {
    let Some(live) = state.live() else { return Vec::new() };
    let mut steps: Vec<_> = live
        .activations
        .values()
        .filter_map(|activation| Some((activation, flow.step(&activation.step)?)))
        .flat_map(|(activation, step)| answers(flow, activation, step))
        .collect();
    if let Some(due_ms) = live.head.deadline_ms.filter(|_| live.head.timer_set) {
        let timer = Timer { run: live.run(), kind: TimerKind::Deadline, due_ms };
        let label = "the deadline passes".to_owned();
        steps.push(Possible { input: Input::Timer(timer), label, must_come: true });
    }
    steps.extend(foreign(flow).into_iter().map(|name| {
        fact(flow, Body::Observed(event(&name, name.clone())), format!("{name} is observed"), false)
    }));
    steps
}

/// Events that the flow uses and that only others publish.
fn foreign(flow: &Flow) -> BTreeSet<String> {
    let mut names: BTreeSet<String> =
        [&flow.completes, &flow.fails].into_iter().flat_map(|e| e.events.clone()).collect();
    for step in &flow.steps {
        match &step.when {
            When::Seen(name) => names.extend([name.clone()]),
            When::All(all) => names.extend(all.iter().cloned()),
        }
    }
    names.retain(|name| !flow.is_start(name) && !flow.is_emitted(name));
    names
}

/// Every answer that an activation may still give.
fn answers(flow: &Flow, activation: &Activation, step: &Step) -> Vec<Possible> {
    let results = match activation.phase {
        Phase::Open => {
            [successes(activation, step), rejections(activation, step), vec![exhausted()]].concat()
        }
        Phase::Exhausted => [successes(activation, step), rejections(activation, step)].concat(),
        Phase::Undoing => vec![undone(activation, step), undo_exhausted()],
        Phase::UndoFailed => vec![undone(activation, step)],
        Phase::Gathering | Phase::Succeeded | Phase::Rejected | Phase::Undone => Vec::new(),
    };
    results
        .into_iter()
        .map(|(result, what)| {
            let result = StepResult {
                step: step.name.clone(),
                activation: activation.id,
                trigger: activation.trigger.clone(),
                result,
                attempts: 1,
            };
            fact(flow, Body::Step(result), format!("{} {what}", step.name), true)
        })
        .collect()
}

/// Each event alone, and all of them together.
fn successes(activation: &Activation, step: &Step) -> Vec<(Outcome, String)> {
    let all: Vec<usize> = (0..step.emits.len()).collect();
    let mut choices = vec![all.clone()];
    if all.len() > 1 {
        choices.extend(all.iter().map(|index| vec![*index]));
    }
    let success = |choice: Vec<usize>| {
        let names: Vec<_> = choice.iter().map(|index| step.emits[*index].as_str()).collect();
        let what =
            if names.is_empty() { "succeeds".into() } else { format!("emits {}", names.join(" and ")) };
        let events = emitted(activation, Effect::Do, &names);
        (Outcome::Succeeded { events, inputs: Vec::new() }, what)
    };
    choices.into_iter().map(success).collect()
}

fn rejections(activation: &Activation, step: &Step) -> Vec<(Outcome, String)> {
    let reject = |name: &String| {
        let events = emitted(activation, Effect::Do, &[name.as_str()]);
        (Outcome::Rejected { events }, format!("rejects with {name}"))
    };
    step.rejects.iter().map(reject).collect()
}

fn exhausted() -> (Outcome, String) {
    let reason = Reason::Exhausted;
    let outcome = Outcome::Exhausted { reason, message: String::new(), inputs: Vec::new() };
    (outcome, "exhausts its tries".into())
}

fn undone(activation: &Activation, step: &Step) -> (Outcome, String) {
    let names: Vec<_> = step.undo.iter().flat_map(|undo| &undo.emits).map(String::as_str).collect();
    (Outcome::Undone { events: emitted(activation, Effect::Undo, &names) }, "is undone".into())
}

fn undo_exhausted() -> (Outcome, String) {
    let reason = Reason::Exhausted;
    (Outcome::UndoExhausted { reason, message: String::new() }, "cannot be undone at first".into())
}

fn emitted(activation: &Activation, action: Effect, names: &[&str]) -> Vec<EventRef> {
    let id = |index| activation.id.event(action, index).to_string();
    names.iter().enumerate().map(|(index, name)| event(name, id(index))).collect()
}
