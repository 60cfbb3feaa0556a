//! Random flows, random behaviour of their steps, random orders of facts: the invariants of `common::world` hold after each
//! delivery, and these at the end.

mod common;

use common::world::{Manner, World};
use common::{With, all, names, seen, step};
use proptest::prelude::*;
use quadrille_saga::definition::{Flow, Step};
use quadrille_saga::state::{End, Phase};
use quadrille_saga::{State, view};

#[derive(Clone, Debug)]
struct Sketch {
    /// Steps or the start (0) that a step follows; two of them make a join.
    after: (usize, Option<usize>),
    coordinated: bool,
    rejects: bool,
    fails: bool,
    undo: Option<bool>,
    exhausted_means_undo: bool,
    manner: Manner,
}

fn sketch() -> impl Strategy<Value = Sketch> {
    let manner = prop_oneof![
        5 => Just(Manner::Succeeds),
        2 => Just(Manner::Rejects),
        1 => Just(Manner::Exhausts),
        1 => Just(Manner::Redriven),
    ];
    let undo = prop_oneof![Just(None), Just(Some(false)), Just(Some(true))];
    let after = (0..6usize, proptest::option::weighted(0.4, 0..6usize));
    (after, any::<bool>(), any::<bool>(), any::<bool>(), undo, proptest::bool::weighted(0.2), manner)
        .prop_map(|(after, coordinated, rejects, fails, undo, exhausted_means_undo, manner)| Sketch {
            after,
            coordinated,
            rejects,
            fails,
            undo,
            exhausted_means_undo,
            manner,
        })
}

#[derive(Clone, Debug)]
struct Case {
    flow: Flow,
    manners: Vec<(String, Manner)>,
}

/// At most one pivot, and that one coordinated and never given up.
fn case(deadline: bool) -> impl Strategy<Value = Case> {
    let pivot = proptest::option::of(0..6usize);
    (proptest::collection::vec(sketch(), 1..6), pivot, any::<bool>()).prop_map(
        move |(sketches, pivot, early)| {
            let steps: Vec<_> = sketches
                .iter()
                .enumerate()
                .map(|(at, sketch)| drawn(at, sketch, pivot == Some(at)))
                .collect();
            let fails: Vec<_> = sketches
                .iter()
                .enumerate()
                .filter(|(_, s)| s.fails)
                .map(|(at, _)| format!("No{at}"))
                .collect();
            let last = format!("E{}", steps.len());
            let completes = if early { vec![last.as_str(), "E1"] } else { vec![last.as_str()] };
            let mut flow = common::flow("random", "E0", &completes, &[], steps);
            flow.fails.events = fails;
            if !deadline {
                flow.deadline = None;
            }
            let manners = sketches.iter().enumerate().map(|(at, s)| (format!("s{at}"), s.manner)).collect();
            Case { flow, manners }
        },
    )
}

/// Step `at` emits `E<at + 1>` and follows the start or earlier steps.
fn drawn(at: usize, sketch: &Sketch, pivot: bool) -> Step {
    let mut events = vec![format!("E{}", sketch.after.0 % (at + 1))];
    events.extend(sketch.after.1.map(|other| format!("E{}", other % (at + 1))));
    events.sort();
    events.dedup();
    let events: Vec<_> = events.iter().map(String::as_str).collect();
    let when = if events.len() > 1 || sketch.coordinated || pivot { all(&events) } else { seen(events[0]) };
    let mut step = step(&format!("s{at}"), when, &[], &[]);
    step.emits = names(&[&format!("E{}", at + 1)]);
    if sketch.rejects {
        step.rejects = names(&[&format!("No{at}")]);
    }
    step = match sketch.undo {
        None => step,
        Some(false) => step.undo(),
        Some(true) => step.undo_if_unknown(),
    };
    if sketch.exhausted_means_undo && !pivot {
        step = step.exhausted_means_undo();
    }
    if pivot { step.pivot() } else { step }
}

impl Case {
    fn world(&self, copies: u8) -> World<'_> {
        let manners: Vec<_> = self.manners.iter().map(|(step, manner)| (step.as_str(), *manner)).collect();
        World::new(&self.flow, &manners, copies)
    }
}

/// Delivers one fact, the one that the next pick points at.
fn deliver(world: &mut World<'_>, picks: &mut impl Iterator<Item = usize>) -> bool {
    let next = world.next();
    if !next.is_empty() {
        world.deliver(next[picks.next().unwrap_or(0) % next.len()]);
    }
    !next.is_empty()
}

/// Delivers everything, each time the fact that `picks` points at.
fn drain(world: &mut World<'_>, picks: &mut impl Iterator<Item = usize>) {
    while deliver(world, picks) {}
}

fn pivot_succeeded(world: &World<'_>) -> bool {
    use quadrille_types::fact::{Body, Fact, Outcome};
    use quadrille_types::journal::{Entry, Input};
    world.journal.iter().any(|Entry { input, .. }| match input {
        Input::Fact(Fact { body: Body::Step(result), .. }) => {
            world.flow.step(&result.step).is_some_and(|step| step.pivot)
                && matches!(result.result, Outcome::Succeeded { .. })
        }
        _ => false,
    })
}

fn check_end(world: &World<'_>) {
    world.assert_final();
    match world.state.as_ref().expect("the start was delivered") {
        State::Ended(ended) => {
            assert_eq!(world.ends.len(), 1);
            assert!(ended.end == End::Completed || !pivot_succeeded(world));
            assert_eq!(world.timer, None);
        }
        state @ State::Live(live) => {
            assert!(world.ends.is_empty());
            assert!(live.any(Phase::Exhausted) || live.head.stalled || world.timer.is_some(), "{live:?}");
            assert!(!view::waits(world.flow, state).is_empty());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_run_without_a_deadline_ends_alike_in_every_order(
        case in case(false), copies in 1..3u8, picks in proptest::collection::vec(0..100usize, 40)
    ) {
        let mut world = case.world(copies);
        drain(&mut world, &mut picks.into_iter());
        check_end(&world);
        let mut plain = case.world(1);
        drain(&mut plain, &mut std::iter::repeat(0));
        check_end(&plain);
        prop_assert_eq!(world.ends, plain.ends);
    }

    #[test]
    fn a_deadline_at_any_moment_breaks_no_invariant(
        case in case(true), copies in 1..3u8, picks in proptest::collection::vec(0..100usize, 40), at in 0..20usize
    ) {
        let mut world = case.world(copies);
        let mut picks = picks.into_iter();
        for _ in 0..at {
            deliver(&mut world, &mut picks);
        }
        world.fire();
        drain(&mut world, &mut picks);
        world.fire();
        drain(&mut world, &mut picks);
        check_end(&world);
    }
}
