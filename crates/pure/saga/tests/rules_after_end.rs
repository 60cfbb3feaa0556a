//! One table for each rule about runs that are over: forgotten, begun again by a copy, or abandoned.

mod common;

use common::*;
use quadrille_saga::after_end::{STRAY_MS_MIN, is_spent};
use quadrille_saga::state::{End, Status};
use quadrille_saga::transition::Unmatched;
use quadrille_saga::{Action, State, next};
use quadrille_types::fact::{Body, Fact, Known};
use quadrille_types::ids::Trigger;
use quadrille_types::journal::Input;

// After a run is forgotten.

#[test]
fn an_ended_run_is_spent_after_its_time() {
    let f = order();
    let table = [
        (started(&f, "OrderPlaced", "a"), "timer 15"),
        (ok(&f, "charge"), ""),
        (ok(&f, "reserve"), "do ship(StockReserved PaymentTaken)"),
        (ok(&f, "ship"), "clear, end completed: OrderShipped"),
    ];
    let state = play(&f, &table).unwrap();
    assert_eq!(state.ended().unwrap().at_ms, MINUTE_MS);
    for (keep_ms, after_ms, spent) in [(10, 9, false), (10, 10, true), (0, 0, true), (i64::MAX, 1, false)] {
        assert_eq!(is_spent(&state, keep_ms, MINUTE_MS + after_ms), spent, "{keep_ms} {after_ms}");
    }
}

#[test]
fn an_answer_older_than_what_is_remembered_proves_no_start() {
    let mut f = order();
    // The record that brought it about is of time 0, the answer comes after a minute.
    f.keep_ms = MINUTE_MS - 1;
    let late = [(ok(&f, "charge"), "unmatched late"), (ok(&f, "charge"), "unmatched duplicate")];
    let state = play(&f, &late).unwrap();
    assert_eq!(state.live().unwrap().head.started_at_ms, None);
    let [first, second] = late;
    let start = (started(&f, "OrderPlaced", "a"), "timer 15");
    let (reserved, shipped) = (ok(&f, "reserve"), "do ship(StockReserved PaymentTaken)");
    play(&f, &[first, second, start, (reserved, shipped)]);
    f.keep_ms = MINUTE_MS;
    play(&f, &[(ok(&f, "charge"), "timer 15")]);
}

#[test]
fn a_copy_after_the_run_was_forgotten_ends_as_forgotten() {
    let f = order();
    let state = play(
        &f,
        &[
            (started(&f, "OrderPlaced", "a"), "timer 15"),
            (ok(&f, "charge"), ""),
            (no(&f, "reserve"), "clear, undo charge"),
            (undone(&f, "charge"), "end compensated: OutOfStock"),
            (forgotten(&f), ""),
            (started(&f, "OrderPlaced", "b"), "timer 15"),
            (known(&f, "charge"), "clear, unmatched forgotten"),
            (known(&f, "reserve"), "unmatched duplicate"),
            (started(&f, "OrderPlaced", "c"), "unmatched duplicate"),
            (deadline(&f), ""),
            // A step that has forgotten it too runs again: one effect too many, but nobody knows which end it had.
            (ok(&f, "reserve"), "unmatched late"),
            (ok(&f, "reserve"), "unmatched duplicate"),
        ],
    );
    let ended = state.as_ref().and_then(State::ended).unwrap();
    assert_eq!((ended.end, ended.at_ms, ended.definition_version), (End::Forgotten, MINUTE_MS, 7));
}

#[test]
fn what_is_known_before_its_start_is_here_leaves_a_stub() {
    let f = order();
    let known_first = [
        (known(&f, "charge"), "unmatched forgotten"),
        (started(&f, "OrderPlaced", "b"), "unmatched duplicate"),
        (known(&f, "reserve"), "unmatched duplicate"),
    ];
    let state = play(&f, &known_first).unwrap();
    assert_eq!(state.ended().unwrap().end, End::Forgotten);
    // The same after a late answer that waits for its start.
    let mut f = order();
    f.keep_ms = MINUTE_MS - 1;
    let late = [(ok(&f, "charge"), "unmatched late"), (known(&f, "reserve"), "unmatched forgotten")];
    assert_eq!(play(&f, &late).unwrap().ended().unwrap().end, End::Forgotten);
}

#[test]
fn what_is_known_changes_nothing_where_the_answer_is_here() {
    let f = order();
    let state = play(
        &f,
        &[
            // The copies of a start whose first delivery is still in work say nothing: there is no line for them.
            (started(&f, "OrderPlaced", "a"), "timer 15"),
            (gone(&f, "charge"), "held charge"),
            (known(&f, "charge"), "unmatched duplicate"),
            (ok(&f, "charge"), ""),
            (known(&f, "charge"), "unmatched duplicate"),
            (no(&f, "reserve"), "clear, undo charge"),
            (known(&f, "reserve"), "unmatched duplicate"),
            (known(&f, "charge"), "unmatched duplicate"),
            (undone(&f, "charge"), "end compensated: OutOfStock"),
            (known(&f, "charge"), "unmatched duplicate"),
        ],
    );
    assert_eq!(state.unwrap().ended().unwrap().end, End::Compensated);
}

#[test]
fn only_a_step_that_the_start_sets_off_can_know_a_copy() {
    let f = order();
    let with = |change: &dyn Fn(&mut Known)| match known(&f, "charge") {
        Input::Fact(Fact { body: Body::Known(mut known), .. }) => {
            change(&mut known);
            Input::Fact(fact(&f, Body::Known(known)))
        }
        other => other,
    };
    let other = |known: &mut Known| known.activation = activation(&f, "reserve");
    let event = |known: &mut Known| {
        known.trigger = Trigger::Event("e".into());
        known.activation = lineage(&f).run.activation("charge", &known.trigger);
    };
    let odd = || {
        [
            (with(&|known| known.step = "pack".into()), "unmatched unknown"),
            (with(&other), "unmatched contradictory"),
            (with(&event), "unmatched contradictory"),
            (known(&f, "ship"), "unmatched contradictory"),
        ]
    };
    assert_eq!(play(&f, &odd()), None);
    let start = [(started(&f, "OrderPlaced", "a"), "timer 15")];
    let state = play(&f, &start.into_iter().chain(odd()).collect::<Vec<_>>());
    let live = state.as_ref().and_then(State::live).expect("a live run");
    assert_eq!(live.head.status, Status::Running);
}

#[test]
fn a_run_without_its_start_is_spent_after_its_time_and_no_other_live_one() {
    let mut f = order();
    f.keep_ms = MINUTE_MS - 1;
    let spent = |state: &State, keep_ms, after_ms| is_spent(state, keep_ms, MINUTE_MS + after_ms);
    let forming = play(&f, &[(ok(&f, "charge"), "unmatched late")]).unwrap();
    let stub = play(&f, &[(known(&f, "charge"), "unmatched forgotten")]).unwrap();
    for state in [&forming, &stub] {
        assert!(!spent(state, 0, STRAY_MS_MIN - 1) && spent(state, 0, STRAY_MS_MIN));
        assert!(
            !spent(state, 2 * STRAY_MS_MIN, STRAY_MS_MIN) && spent(state, 2 * STRAY_MS_MIN, 2 * STRAY_MS_MIN)
        );
    }
    let running = play(&f, &[(started(&f, "OrderPlaced", "a"), "timer 15")]).unwrap();
    assert!(!spent(&running, 0, i64::MAX / 2));
}

// After its definition was replaced.

#[test]
fn a_run_that_was_abandoned_with_its_definition_stays_as_it_is() {
    let f = order();
    let mut state = play(
        &f,
        &[
            (started(&f, "OrderPlaced", "a"), "timer 15"),
            (ok(&f, "reserve"), ""),
            (gone(&f, "charge"), "held charge"),
        ],
    );
    let mut next_one = order();
    next_one.definition.version += 1;
    let before = state.clone();
    let inputs = [
        (deadline(&f), ""),
        (no(&f, "charge"), "unmatched abandoned"),
        (no(&next_one, "charge"), "unmatched abandoned"),
        (started(&next_one, "OrderPlaced", "b"), "unmatched abandoned"),
        (known(&next_one, "reserve"), "unmatched duplicate"),
    ];
    for (input, expected) in inputs {
        let transition = next(&next_one, &mut state, &input, 15 * MINUTE_MS);
        let actions: Vec<_> = transition.actions.iter().map(words).collect();
        assert_eq!((actions.join(", ").as_str(), &state), (expected, &before));
        assert!(transition.changed.is_empty());
    }
    let mut ended = play(
        &f,
        &[
            (started(&f, "OrderPlaced", "a"), "timer 15"),
            (no(&f, "reserve"), ""),
            (no(&f, "charge"), "clear, end compensated: OutOfStock"),
        ],
    );
    let late = next(&next_one, &mut ended, &ok(&f, "charge"), MINUTE_MS);
    assert_eq!(late.actions, [Action::Unmatched(Unmatched::Definition)], "no undo by another definition");
}
