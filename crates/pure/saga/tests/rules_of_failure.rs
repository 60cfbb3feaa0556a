//! One table for each rule about exhausted tries, pivots and compensations that fail.

mod common;

use common::*;
use quadrille_saga::State;

// Exhausted tries.

#[test]
fn an_exhausted_step_holds_the_run_until_it_is_redriven() {
    let f = order();
    let table = [
        (started(&f, "OrderPlaced", "a"), "timer 15"),
        (gone(&f, "charge"), "held charge"),
        (gone(&f, "charge"), "unmatched duplicate"),
        (ok(&f, "reserve"), ""),
        (ok(&f, "charge"), "do ship(StockReserved PaymentTaken)"),
        (gone(&f, "charge"), "unmatched duplicate"),
        (ok(&f, "ship"), "clear, end completed: OrderShipped"),
    ];
    play(&f, &table);
}

#[test]
fn an_exhausted_step_can_be_refused_on_its_redrive() {
    let f = order();
    let table = [
        (started(&f, "OrderPlaced", "a"), "timer 15"),
        (ok(&f, "reserve"), ""),
        (gone(&f, "charge"), "held charge"),
        (no(&f, "charge"), "clear, undo reserve"),
        (undone(&f, "reserve"), "end compensated: CardDeclined"),
    ];
    play(&f, &table);
}

#[test]
fn an_exhausted_step_that_means_undo_begins_compensation() {
    let mut f = order();
    f.steps[0] = f.steps[0].clone().exhausted_means_undo();
    let table = [
        (started(&f, "OrderPlaced", "a"), "timer 15"),
        (ok(&f, "charge"), ""),
        (gone(&f, "reserve"), "clear, undo charge"),
        (undone(&f, "charge"), "end compensated: reserve exhausted"),
    ];
    play(&f, &table);
}

#[test]
fn an_exhausted_step_that_emits_an_event_has_settled() {
    let mut f = order();
    f.steps[1] = f.steps[1].clone().exhausted_emits("PaymentUnclear");
    f.steps.push(step("ask", seen("PaymentUnclear"), &["PaymentTaken"], &["CardDeclined"]));
    let table = [
        (started(&f, "OrderPlaced", "a"), "timer 15"),
        (ok(&f, "reserve"), ""),
        (gave_up(&f, "charge"), ""),
        (gave_up(&f, "charge"), "unmatched duplicate"),
        (gone(&f, "charge"), "unmatched duplicate"),
        (ok(&f, "ask"), "do ship(StockReserved PaymentTaken)"),
        (ok(&f, "ship"), "clear, end completed: OrderShipped"),
    ];
    play(&f, &table);
}

#[test]
fn an_event_after_exhausted_tries_can_fail_the_run_which_undoes_what_is_unknown() {
    let mut f = order();
    f.steps[0] = f.steps[0].clone().exhausted_emits("OutOfStock");
    f.steps[1] = f.steps[1].clone().exhausted_emits("CardDeclined");
    let table = [
        (started(&f, "OrderPlaced", "a"), "timer 15"),
        (gave_up(&f, "reserve"), ""),
        (gave_up(&f, "charge"), "clear, undo charge"),
        (undone(&f, "charge"), "end compensated: OutOfStock"),
        (gave_up(&f, "charge"), "unmatched duplicate"),
        (gave_up(&f, "reserve"), "unmatched late"),
    ];
    play(&f, &table);
}

#[test]
fn an_activation_that_was_held_can_still_give_up() {
    let mut f = order();
    f.steps[1] = f.steps[1].clone().exhausted_emits("CardDeclined");
    let table = [
        (started(&f, "OrderPlaced", "a"), "timer 15"),
        (ok(&f, "reserve"), ""),
        (gone(&f, "charge"), "held charge"),
        (gave_up(&f, "charge"), "clear, undo charge"),
        (undone(&f, "charge"), "undo reserve"),
        (undone(&f, "reserve"), "end compensated: CardDeclined"),
    ];
    play(&f, &table);
}

#[test]
fn a_success_after_the_event_contradicts_and_is_undone_all_the_same() {
    let mut f = order();
    f.steps[0] = f.steps[0].clone().exhausted_emits("OutOfStock");
    let table = [
        (started(&f, "OrderPlaced", "a"), "timer 15"),
        (gave_up(&f, "reserve"), ""),
        (ok(&f, "reserve"), "unmatched contradictory"),
        (ok(&f, "charge"), "clear, undo charge"),
        (undone(&f, "charge"), "undo reserve"),
        (undone(&f, "reserve"), "end compensated: OutOfStock"),
    ];
    play(&f, &table);
}

#[test]
fn when_the_effect_is_unknown_only_a_step_that_says_so_is_undone() {
    let f = order();
    let table = [
        (started(&f, "OrderPlaced", "a"), "timer 15"),
        (gone(&f, "reserve"), "held reserve"),
        (gone(&f, "charge"), "held charge"),
        (deadline(&f), "undo charge"),
        (ok(&f, "charge"), "unmatched late"),
        (undone(&f, "charge"), "end compensated: deadline"),
    ];
    play(&f, &table);
}

#[test]
fn a_redriven_success_during_compensation_is_late_and_undone_in_its_turn() {
    let f = order();
    let table = [
        (started(&f, "OrderPlaced", "a"), "timer 15"),
        (gone(&f, "reserve"), "held reserve"),
        (ok(&f, "charge"), ""),
        (deadline(&f), "undo charge"),
        (ok(&f, "reserve"), "unmatched late"),
        (undone(&f, "charge"), "undo reserve"),
        (undone(&f, "reserve"), "end compensated: deadline"),
    ];
    play(&f, &table);
}

// Pivots.

#[test]
fn after_the_command_of_a_pivot_a_failure_changes_nothing() {
    let mut f = order();
    f.fails.events.push("Cancelled".into());
    let table = [
        (started(&f, "OrderPlaced", "a"), "timer 15"),
        (ok(&f, "reserve"), ""),
        (ok(&f, "charge"), "do ship(StockReserved PaymentTaken)"),
        (observed(&f, "Cancelled", "x"), "unmatched after-pivot"),
        (deadline(&f), "overdue"),
        (ok(&f, "ship"), "end completed: OrderShipped"),
    ];
    play(&f, &table);
}

#[test]
fn a_pivot_that_refuses_is_no_point_of_no_return() {
    let f = food();
    let table = [
        (started(&f, "OrderPlaced", "a"), "timer 15"),
        (ok(&f, "ticket"), ""),
        (no(&f, "authorize"), "clear, undo ticket"),
        (undone(&f, "ticket"), "end compensated: Declined"),
    ];
    play(&f, &table);
}

#[test]
fn a_failure_that_came_while_the_pivot_was_out_counts_if_the_pivot_refuses() {
    let mut f = food();
    f.fails.events.retain(|event| event != "Declined");
    let table = [
        (started(&f, "OrderPlaced", "a"), "timer 15"),
        (ok(&f, "ticket"), ""),
        (deadline(&f), "overdue"),
        (no(&f, "authorize"), "undo ticket"),
        (undone(&f, "ticket"), "end compensated: deadline"),
    ];
    play(&f, &table);
}

#[test]
fn a_pivot_that_succeeds_while_a_failed_run_settles_takes_it_forward() {
    let f = food();
    let table = [
        (started(&f, "OrderPlaced", "a"), "timer 15"),
        (deadline(&f), ""),
        (ok(&f, "ticket"), ""),
        (ok(&f, "authorize"), ""),
        (ok(&f, "approve"), "end completed: Approved"),
    ];
    play(&f, &table);
}

#[test]
fn after_a_pivot_a_refusal_only_stalls_the_run_once_its_deadline_has_passed() {
    let f = food();
    let table = [
        (started(&f, "OrderPlaced", "a"), "timer 15"),
        (ok(&f, "ticket"), ""),
        (ok(&f, "authorize"), ""),
        (no(&f, "approve"), "unmatched after-pivot"),
        (deadline(&f), "overdue, stalled"),
    ];
    let state = play(&f, &table);
    assert!(state.as_ref().and_then(State::live).unwrap().head.stalled);
}

#[test]
fn an_exhausted_pivot_holds_the_run_through_its_deadline() {
    let f = food();
    let table = [
        (started(&f, "OrderPlaced", "a"), "timer 15"),
        (ok(&f, "ticket"), ""),
        (gone(&f, "authorize"), "held authorize"),
        (deadline(&f), "overdue"),
        (ok(&f, "authorize"), ""),
        (ok(&f, "approve"), "end completed: Approved"),
    ];
    play(&f, &table);
}

#[test]
fn an_exhausted_pivot_that_means_undo_is_given_up() {
    let mut f = food();
    f.steps[1] = f.steps[1].clone().exhausted_means_undo();
    let table = [
        (started(&f, "OrderPlaced", "a"), "timer 15"),
        (ok(&f, "ticket"), ""),
        (gone(&f, "authorize"), "clear, undo ticket"),
        (undone(&f, "ticket"), "end compensated: authorize exhausted"),
    ];
    play(&f, &table);
}

#[test]
fn after_the_success_of_a_pivot_a_failure_is_recorded_and_a_redrive_is_not_late() {
    let f = food();
    let table = [
        (started(&f, "OrderPlaced", "a"), "timer 15"),
        (ok(&f, "ticket"), ""),
        (ok(&f, "authorize"), ""),
        (gone(&f, "approve"), "held approve"),
        (observed(&f, "Cancelled", "x"), "unmatched after-pivot"),
        (observed(&f, "Cancelled", "x"), "unmatched after-pivot"),
        (deadline(&f), "overdue"),
        (ok(&f, "approve"), "end completed: Approved"),
    ];
    play(&f, &table);
}

// Stuck.

#[test]
fn a_compensation_that_fails_for_good_is_stuck_until_it_is_redriven() {
    let f = trip();
    let to_stuck = [
        (started(&f, "TripBooked", "a"), "timer 15"),
        (ok(&f, "car"), ""),
        (ok(&f, "flight"), ""),
        (no(&f, "hotel"), "clear, undo flight"),
        (not_undone(&f, "flight"), "stuck flight"),
        (not_undone(&f, "flight"), "unmatched duplicate"),
    ];
    assert!(play(&f, &to_stuck).as_ref().and_then(State::live).unwrap().is_stuck());
    let redriven = [
        (undone(&f, "flight"), "undo car"),
        (not_undone(&f, "flight"), "unmatched duplicate"),
        (undone(&f, "car"), "end compensated: HotelFull"),
    ];
    play(&f, &[&to_stuck[..], &redriven].concat());
}
