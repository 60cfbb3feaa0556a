//! Every order in which the facts of a small flow can arrive, each once or twice, leads to the same end.

mod common;

use std::collections::BTreeSet;

use common::world::{Manner, World};
use common::{bookings, chain, order, trip};
use quadrille_saga::Flow;

use Manner::{Exhausts, Redriven, Rejects};

type Result = (Vec<String>, Vec<String>);

/// Visits every order of deliveries; returns outcomes and undone steps (sorted) of each that differs.
fn results(world: World<'_>, visited: &mut BTreeSet<Vec<u8>>, results: &mut BTreeSet<Result>) {
    if !visited.insert(world.moment()) {
        return;
    }
    if world.mail.is_empty() {
        world.assert_final();
        let mut undos = world.undos.clone();
        undos.sort();
        results.insert((world.ends.clone(), undos));
        return;
    }
    for at in world.next() {
        let mut after = world.clone();
        after.deliver(at);
        self::results(after, visited, results);
    }
}

#[track_caller]
fn assert_always(flow: &Flow, manners: &[(&str, Manner)], outcome: &[&str], undos: &[&str]) {
    for copies in [1, 2] {
        let mut found = BTreeSet::new();
        let mut visited = BTreeSet::new();
        results(World::new(flow, manners, copies), &mut visited, &mut found);
        assert!(visited.len() >= 8, "the test visits orders");
        let expected = (common::names(outcome), common::names(undos));
        assert_eq!(
            found,
            BTreeSet::from([expected]),
            "{manners:?}, {copies} copies, {} moments",
            visited.len()
        );
    }
}

#[test]
fn an_order_whose_steps_succeed_completes() {
    assert_always(&order(), &[], &["completed"], &[]);
}

#[test]
fn a_declined_card_releases_the_stock() {
    assert_always(&order(), &[("charge", Rejects)], &["compensated"], &["reserve"]);
}

#[test]
fn missing_stock_refunds_the_charge() {
    assert_always(&order(), &[("reserve", Rejects)], &["compensated"], &["charge"]);
}

#[test]
fn two_refusals_undo_nothing() {
    assert_always(&order(), &[("reserve", Rejects), ("charge", Rejects)], &["compensated"], &[]);
}

#[test]
fn a_charge_that_nobody_knows_of_is_refunded_too() {
    assert_always(&order(), &[("reserve", Rejects), ("charge", Exhausts)], &["compensated"], &["charge"]);
}

#[test]
fn a_reservation_that_nobody_knows_of_holds_an_order_that_does_not_fail() {
    assert_always(&order(), &[("reserve", Exhausts)], &[], &[]);
}

#[test]
fn a_redriven_reservation_lets_the_order_complete() {
    assert_always(&order(), &[("reserve", Redriven)], &["completed"], &[]);
}

#[test]
fn a_redriven_pivot_lets_the_order_complete() {
    assert_always(&order(), &[("ship", Redriven)], &["completed"], &[]);
}

#[test]
fn a_redriven_reservation_is_undone_whether_it_comes_before_or_after_the_outcome() {
    let manners = [("reserve", Redriven), ("charge", Rejects)];
    assert_always(&order(), &manners, &["compensated"], &["reserve"]);
}

#[test]
fn a_full_hotel_cancels_flight_and_car() {
    assert_always(&trip(), &[("hotel", Rejects)], &["compensated"], &["car", "flight"]);
}

#[test]
fn a_trip_that_is_booked_completes() {
    assert_always(&trip(), &[], &["completed"], &[]);
}

#[test]
fn bookings_complete_with_the_last_of_them() {
    assert_always(&bookings(), &[], &["completed"], &[]);
    assert_always(&bookings(), &[("car", Rejects)], &["compensated"], &["flight", "hotel"]);
}

#[test]
fn a_chain_completes_whichever_of_its_facts_is_first() {
    assert_always(&chain(), &[], &["completed"], &[]);
}

#[test]
fn a_chain_that_breaks_at_its_end_undoes_all_of_it() {
    assert_always(&chain(), &[("third", Rejects)], &["compensated"], &["first", "second"]);
}

#[test]
fn a_chain_that_breaks_in_the_middle_never_reaches_its_end() {
    assert_always(&chain(), &[("second", Rejects)], &["compensated"], &["first"]);
}
