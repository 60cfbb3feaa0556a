//! What `sagas show` tells of a run at each point of its way.

mod common;

use common::*;
use quadrille_saga::definition::Flow;
use quadrille_saga::next;
use quadrille_saga::view::{For, waits};
use quadrille_types::journal::Input;

/// Applies each input a minute after the one before; returns what the run waits for then, with the minute.
fn waiting(flow: &Flow, inputs: &[Input]) -> Vec<String> {
    let mut state = None;
    for (minute, input) in (0..).zip(inputs) {
        next(flow, &mut state, input, minute * MINUTE_MS);
    }
    let state = state.expect("a known run");
    waits(flow, &state)
        .iter()
        .map(|wait| format!("{} {}", wait.since_ms / MINUTE_MS, words(&wait.what)))
        .collect()
}

fn words(what: &For) -> String {
    match what {
        For::Start => "start".into(),
        For::Answer { step, .. } => format!("answer of {step}"),
        For::Redrive { step, .. } => format!("redrive of {step}"),
        For::Undo { step, .. } => format!("undo of {step}"),
        For::UndoRedrive { step, .. } => format!("redrive of the undo of {step}"),
        For::Events { step, missing } => format!("{step} lacks [{}]", missing.join(" ")),
        For::Deadline { due_ms } => format!("deadline at {}", due_ms / MINUTE_MS),
        For::Nothing => "nothing".into(),
    }
}

#[test]
fn a_run_says_what_it_waits_for_and_since_when() {
    let f = order();
    let inputs = [
        started(&f, "OrderPlaced", "a"),
        ok(&f, "charge"),
        gone(&f, "reserve"),
        ok(&f, "reserve"),
        ok(&f, "ship"),
    ];
    let at = |count| waiting(&f, &inputs[..count]);
    assert_eq!(at(1), ["0 answer of reserve", "0 answer of charge", "0 deadline at 15"]);
    assert_eq!(at(2), ["0 answer of reserve", "1 ship lacks [StockReserved]", "0 deadline at 15"]);
    assert_eq!(at(3), ["1 ship lacks [StockReserved]", "2 redrive of reserve", "0 deadline at 15"]);
    assert_eq!(at(4), ["3 answer of ship", "0 deadline at 15"]);
    assert!(at(5).is_empty());
}

#[test]
fn a_run_that_is_undone_says_which_undo_it_waits_for() {
    let f = trip();
    let inputs = [
        started(&f, "TripBooked", "a"),
        ok(&f, "car"),
        gone(&f, "flight"),
        no(&f, "hotel"),
        not_undone(&f, "car"),
    ];
    assert_eq!(waiting(&f, &inputs[..4]), ["3 undo of car"]);
    assert_eq!(waiting(&f, &inputs), ["4 redrive of the undo of car"]);
}

#[test]
fn a_run_whose_start_is_still_to_come_and_one_that_stalled_say_so() {
    let mut f = chain();
    assert_eq!(waiting(&f, &[ok(&f, "third")]), ["0 start"]);
    f.deadline = None;
    f.fails.events.clear();
    assert_eq!(waiting(&f, &[no(&f, "first")]), ["0 nothing"]);
}

#[test]
fn a_pivot_that_waits_for_its_turn_lacks_no_event() {
    let mut f = order();
    f.steps.push(step("audit", seen("OrderPlaced"), &["Audited"], &["OutOfStock"]));
    let inputs = [started(&f, "OrderPlaced", "a"), ok(&f, "charge"), ok(&f, "reserve")];
    assert_eq!(waiting(&f, &inputs), ["0 answer of audit", "1 ship lacks []", "0 deadline at 15"]);
}
