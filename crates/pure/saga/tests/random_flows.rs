//! Random flows, random behaviour of their steps, random orders of facts: the invariants of `common::world` hold after each
//! delivery, and these at the end.

mod common;

use common::world::{Manner, World};
use common::{With, all, names, seen, step};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use quadrille_saga::after_end::{STRAY_MS_MIN, is_spent};
use quadrille_saga::definition::{Exhausted, Flow, Step};
use quadrille_saga::state::{End, Phase};
use quadrille_saga::{Action, State, next, view};
use quadrille_types::dead_letter::Reason;
use quadrille_types::fact::{Body, EventRef, Fact, Outcome, StepResult};
use quadrille_types::ids::Trigger;
use quadrille_types::journal::{Entry, Input};

#[derive(Clone, Debug)]
struct Sketch {
    /// Steps or the start (0) that a step follows; two of them make a join.
    after: (usize, Option<usize>),
    coordinated: bool,
    rejects: bool,
    fails: bool,
    undo: Option<bool>,
    exhausted_means: Meaning,
    manner: Manner,
}

/// What exhausted tries mean.
#[derive(Clone, Debug)]
enum Meaning {
    Hold,
    Undo,
    EmitNo,
    EmitNext,
}

fn meaning() -> impl Strategy<Value = Meaning> {
    prop_oneof![
        6 => Just(Meaning::Hold),
        2 => Just(Meaning::Undo),
        1 => Just(Meaning::EmitNo),
        1 => Just(Meaning::EmitNext),
    ]
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
    (after, any::<bool>(), any::<bool>(), any::<bool>(), undo, meaning(), manner).prop_map(
        |(after, coordinated, rejects, fails, undo, exhausted_means, manner)| Sketch {
            after,
            coordinated,
            rejects,
            fails,
            undo,
            exhausted_means,
            manner,
        },
    )
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
    step = match sketch.exhausted_means {
        _ if pivot => step,
        Meaning::Hold => step,
        Meaning::Undo => step.exhausted_means_undo(),
        Meaning::EmitNo => step.exhausted_emits(&format!("No{at}")),
        Meaning::EmitNext => step.exhausted_emits(&format!("E{}", at + 1)),
    };
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
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

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

/// What comes of a run after it was forgotten: its start, and for each step that the start sets off that it is known, or,
/// where the step has forgotten it too, an answer.
fn stragglers(flow: &Flow, forgetful: &[bool]) -> Vec<Input> {
    let starters: Vec<_> = flow.steps.iter().filter(|step| step.when == seen("E0")).collect();
    let mut inputs = vec![common::started(flow, "E0", "copy"), common::deadline(flow)];
    for (at, step) in starters.iter().enumerate() {
        inputs.push(match forgetful[at % forgetful.len()] && at > 0 {
            true if step.rejects.is_empty() => common::ok(flow, &step.name),
            true => common::no(flow, &step.name),
            false => common::known(flow, &step.name),
        });
    }
    if starters.is_empty() { Vec::new() } else { [inputs.clone(), inputs].concat() }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_copy_that_comes_when_its_run_is_forgotten_leads_to_nothing(
        case in case(true),
        forgetful in proptest::collection::vec(any::<bool>(), 6),
        picks in proptest::collection::vec(0..100usize, 20)
    ) {
        let mut inputs = stragglers(&case.flow, &forgetful);
        prop_assume!(!inputs.is_empty());
        let (mut state, now_ms) = (None, 15 * common::MINUTE_MS);
        for pick in picks.into_iter().chain(std::iter::repeat(0)) {
            if inputs.is_empty() {
                break;
            }
            let input = inputs.swap_remove(pick % inputs.len());
            for action in next(&case.flow, &mut state, &input, now_ms).actions {
                prop_assert!(!matches!(action, Action::Undo(_) | Action::End(_)), "{action:?}");
            }
        }
        let state = state.expect("something is left");
        prop_assert_eq!(state.ended().map(|ended| ended.end), Some(End::Forgotten));
        prop_assert!(!is_spent(&state, 0, now_ms + STRAY_MS_MIN - 1));
        prop_assert!(is_spent(&state, 0, now_ms + STRAY_MS_MIN));
    }
}

fn gives_up(step: &Step) -> Option<EventRef> {
    match &step.exhausted {
        Exhausted::Emit(name) => Some(common::event(name, name)),
        Exhausted::Hold | Exhausted::Undo => None,
    }
}

/// Any answer of any step, whether it makes sense or not.
fn nonsense() -> impl Strategy<Value = (usize, usize, usize, bool)> {
    (0..6usize, 0..5usize, 0..5usize, any::<bool>())
}

fn nonsense_input(flow: &Flow, (step, kind, trigger, fire): (usize, usize, usize, bool)) -> Input {
    if fire && kind == 0 {
        return common::deadline(flow);
    }
    if fire && kind == 1 {
        return common::observed(flow, &format!("E{step}"), "x");
    }
    let step = &flow.steps[step % flow.steps.len()];
    let event = |name: &String| common::event(name, name);
    let reason = if fire { Reason::Undecodable } else { Reason::Exhausted };
    let result = match kind {
        0 => Outcome::Succeeded { events: step.emits.iter().map(event).collect(), inputs: vec![] },
        1 => Outcome::Rejected { events: step.rejects.iter().map(event).collect() },
        2 => Outcome::Exhausted { reason, message: String::new(), inputs: vec![], event: gives_up(step) },
        3 => Outcome::Undone { events: vec![] },
        _ => Outcome::UndoExhausted { reason, message: String::new() },
    };
    let trigger = match trigger {
        0 => Trigger::Start,
        1 => Trigger::Record("orders/2/40".into()),
        2 => Trigger::Join,
        at => Trigger::Event(format!("E{at}")),
    };
    let activation = common::lineage(flow).run.activation(&step.name, &trigger);
    let result = StepResult { step: step.name.clone(), activation, trigger, result, attempts: 1 };
    Input::Fact(common::fact(flow, Body::Step(result)))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_comes_is_applied_or_answered(
        case in case(true), inputs in proptest::collection::vec(nonsense(), 0..40), start in 0..10usize
    ) {
        let mut state = None;
        let (mut ends, mut undone) = (0, false);
        for (at, input) in inputs.into_iter().enumerate() {
            let input = if at == start { common::started(&case.flow, "E0", "a") } else { nonsense_input(&case.flow, input) };
            let before = state.clone();
            let transition = next(&case.flow, &mut state, &input, 15 * common::MINUTE_MS);
            prop_assert!(!transition.changed.is_empty() || before == state);
            let silent = transition.changed.is_empty() && transition.actions.is_empty();
            prop_assert!(!silent || matches!(input, Input::Timer(_)), "no trace of {:?}", input);
            for action in &transition.actions {
                undone |= matches!(action, Action::Undo(_));
                prop_assert!(!undone || !matches!(action, Action::Do(_)));
                ends += usize::from(matches!(action, Action::End(_)));
            }
        }
        prop_assert!(ends <= 1);
    }
}

/// A suite whose runs never fail, never hold and never come late proves nothing.
#[test]
fn random_flows_come_to_every_kind_of_end() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut seen = std::collections::BTreeMap::new();
    for round in 0..1_000 {
        let case = case(false).new_tree(&mut runner).expect("a case").current();
        let mut world = case.world(1);
        drain(&mut world, &mut (round..).map(|pick: usize| pick.wrapping_mul(31)));
        let live = world.state.as_ref().and_then(State::live);
        let kind = match (live, world.ends.first().map(String::as_str), world.undos.len()) {
            (None, Some("completed"), _) if pivot_succeeded(&world) => "completed past a pivot",
            (None, Some("completed"), _) => "completed",
            (None, _, 0) => "compensated, nothing to undo",
            (None, _, 1) => "compensated",
            (None, ..) => "compensated, several undone",
            (Some(live), ..) if live.head.stalled => "stalled",
            (Some(_), ..) => "held",
        };
        *seen.entry(kind).or_insert(0) += 1;
    }
    assert_eq!(seen.len(), 7, "{seen:?}");
    assert!(seen.values().all(|count| *count >= 10), "{seen:?}");
}
