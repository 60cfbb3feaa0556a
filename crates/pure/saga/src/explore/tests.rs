//! The reductions leave out nothing: random flows, explored with and without them.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::changelog;
use crate::definition::{Compensation, Deadline, Ending, Needs, Step, Then, Undo, When};
use crate::state::Seen;
use crate::transition::Changed;

/// Every order of everything; states are the same if their records are, but for the order of undo. `redrives`: also of
/// what was given up in a run that fails for certain.
fn explore_plainly(flow: &Flow, irrevocable: &BTreeSet<&str>, redrives: bool) -> Found {
    let states_max = 3_000;
    let shape = Shape::of(flow, irrevocable);
    let mut search = Search::new(&shape, usize::MAX);
    while let Some(at) = search.queue.pop_front() {
        let state = search.nodes[at].state.take();
        let live = state.as_ref().and_then(State::live);
        let possible = live.map_or_else(|| moves::starts(&shape), |live| moves::all(&shape, live));
        if !possible.iter().any(|one| one.must_come) {
            search.block(at, state.as_ref());
        }
        let moment = live.map(|live| shape.moment(live));
        let is_awaited = |id| moment.as_ref().is_none_or(|moment| moment.is_awaited(id));
        for one in possible.into_iter().filter(|one| redrives || one.activation.is_none_or(is_awaited)) {
            let mut after = state.clone();
            let transition = next(flow, &mut after, &one.input, DUE_MS);
            search.note_end(at, &state, &one, &transition);
            let Some(State::Live(live)) = after else { continue };
            if !search.visited.insert(records(&live)) {
                continue;
            }
            let place = search.nodes.len();
            search.nodes.push(Node { state: None, parent: at, step: Some(one.step) });
            search.note_state(place, &live);
            search.nodes[place].state = Some(State::Live(live));
            search.queue.push_back(place);
        }
        if search.visited.len() > states_max {
            search.found.cut_short = true;
            break;
        }
    }
    search.found.states = search.visited.len();
    search.found
}

fn records(live: &Live) -> Vec<u32> {
    let mut live = live.clone();
    live.head.answers = 0;
    live.head.failing = live.head.failing.map(|_| crate::state::Cause::Deadline);
    live.head.completing.sort();
    for activation in live.activations.values_mut() {
        (activation.order, activation.seen) = (0, Seen::default());
        activation.inputs.sort_by(|a, b| a.event.cmp(&b.event));
    }
    let (run, activations) = (live.run(), live.activations.keys().copied().collect());
    let state = State::Live(Box::new(live));
    let records = changelog::records(run, &state, &Changed { head: true, activations });
    records.into_iter().flat_map(|record| record.value.unwrap_or_default()).map(u32::from).collect()
}

#[derive(Clone, Debug)]
struct Sketch {
    after: (usize, Option<usize>),
    coordinated: bool,
    rejects: Option<bool>,
    second: Option<usize>,
    all: bool,
    undo: Option<Option<usize>>,
    exhausted_means: Meaning,
    foreign: bool,
}

/// What exhausted tries mean; `EmitAlike`: what a rejection emits.
#[derive(Clone, Debug)]
enum Meaning {
    Hold,
    Undo,
    EmitAlike,
    EmitLater(usize),
}

fn meaning() -> impl Strategy<Value = Meaning> {
    prop_oneof![
        5 => Just(Meaning::Hold),
        2 => Just(Meaning::Undo),
        1 => Just(Meaning::EmitAlike),
        1 => (0..5usize).prop_map(Meaning::EmitLater),
    ]
}

fn sketch() -> impl Strategy<Value = Sketch> {
    (
        (0..5usize, proptest::option::weighted(0.4, 0..5usize)),
        proptest::bool::weighted(0.4),
        proptest::option::weighted(0.7, proptest::bool::weighted(0.7)),
        proptest::option::weighted(0.3, 0..5usize),
        any::<bool>(),
        proptest::option::weighted(0.5, proptest::option::weighted(0.2, 0..5usize)),
        meaning(),
        proptest::bool::weighted(0.1),
    )
        .prop_map(|(after, coordinated, rejects, second, all, undo, exhausted_means, foreign)| Sketch {
            after,
            coordinated,
            rejects,
            second,
            all,
            undo,
            exhausted_means,
            foreign,
        })
}

/// Step `at` emits `E<at + 1>`, maybe a later event too, and follows the start or earlier steps; so there are no loops.
fn drawn(at: usize, count: usize, sketch: &Sketch, pivot: bool) -> Step {
    let mut events = vec![format!("E{}", sketch.after.0 % (at + 1))];
    events.extend(sketch.after.1.map(|other| format!("E{}", other % (at + 1))));
    events.extend(sketch.foreign.then(|| "F".to_owned()));
    events.sort();
    events.dedup();
    let coordinated = events.len() > 1 || sketch.coordinated;
    let when = if coordinated { When::All(events) } else { When::Seen(events.remove(0)) };
    let mut emits = vec![format!("E{}", at + 1)];
    emits.extend(sketch.second.map(|other| format!("E{}", at + 1 + other % (count - at))));
    emits.dedup();
    let undo = sketch.undo.map(|event| Undo {
        emits: event.map(|event| format!("E{}", at + 1 + event % (count - at))).into_iter().collect(),
        also_when_unknown: sketch.all,
    });
    Step {
        name: format!("s{at}"),
        when,
        emits,
        emits_all: sketch.all,
        rejects: sketch.rejects.map(|_| format!("No{at}")).into_iter().collect(),
        undo,
        pivot,
        exhausted: match sketch.exhausted_means {
            Meaning::Undo if !pivot => Exhausted::Undo,
            Meaning::EmitAlike if !pivot => Exhausted::Emit(format!("No{at}")),
            Meaning::EmitLater(other) if !pivot => {
                Exhausted::Emit(format!("E{}", at + 1 + other % (count - at)))
            }
            _ => Exhausted::Hold,
        },
    }
}

fn flow() -> impl Strategy<Value = Flow> {
    let pivot = proptest::option::of(0..5usize);
    (proptest::collection::vec(sketch(), 1..5), pivot, any::<bool>(), any::<bool>(), any::<bool>()).prop_map(
        |(sketches, pivot, deadline, all, foreign)| {
            let count = sketches.len();
            let steps: Vec<Step> = sketches
                .iter()
                .enumerate()
                .map(|(at, sketch)| drawn(at, count, sketch, pivot == Some(at)))
                .collect();
            let failing = sketches.iter().enumerate().filter(|(_, s)| s.rejects == Some(true));
            let mut fails: Vec<String> = failing.map(|(at, _)| format!("No{at}")).collect();
            fails.extend(foreign.then(|| "Cancelled".to_owned()));
            let ending = |events, needs, outcome: &str| Ending { events, needs, outcome: outcome.into() };
            let needs = if all { Needs::All } else { Needs::Any };
            Flow {
                keep_ms: i64::MAX,
                name: "random".into(),
                definition: quadrille_types::Definition { version: 1, hash: "c0ffee".into() },
                starts: vec!["E0".into()],
                completes: ending(vec![format!("E{count}"), "E1".into()], needs, "completed"),
                fails: ending(fails, Needs::Any, "compensated"),
                deadline: deadline.then_some(Deadline { after_ms: 1000, then: Then::Undo }),
                compensation: Compensation::Reverse,
                steps,
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_left_out_makes_no_difference(flow in flow()) {
        let without_undo = flow.steps.iter().filter(|step| step.undo.is_none() && !step.pivot);
        let irrevocable: BTreeSet<&str> = without_undo.map(|step| step.name.as_str()).collect();
        let plain = explore_plainly(&flow, &irrevocable, true);
        prop_assume!(!plain.cut_short);
        let found = explore(&flow, &irrevocable, usize::MAX);
        prop_assert_eq!(&found.outcomes, &plain.outcomes);
        prop_assert_eq!(found.completes, plain.completes);
        prop_assert_eq!(found.blocked.is_some(), plain.blocked.is_some());
        prop_assert_eq!(found.held.keys().collect::<Vec<_>>(), plain.held.keys().collect::<Vec<_>>());
        let plain = explore_plainly(&flow, &irrevocable, false);
        prop_assert_eq!(found.two_pivots.is_some(), plain.two_pivots.is_some());
        prop_assert_eq!(found.standing.keys().next(), plain.standing.keys().next());
    }
}
