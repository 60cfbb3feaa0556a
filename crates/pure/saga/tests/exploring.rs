//! What exploring a flow proves, and what it refuses to prove.

mod common;

use std::collections::BTreeSet;

use common::*;
use quadrille_saga::explore::{Verdict, explore};
use quadrille_saga::view::For;

const STATES_MAX: usize = 100_000;

#[track_caller]
fn ends(verdict: Verdict, expected: &[&str]) -> usize {
    let Verdict::Ends { states, outcomes } = verdict else { panic!("{verdict:?}") };
    assert_eq!(outcomes, expected.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>());
    states
}

#[test]
fn flows_with_a_deadline_end_on_every_path() {
    for flow in [order(), trip(), chain()] {
        let states = ends(explore(&flow, STATES_MAX), &["compensated", "completed"]);
        assert!(states > 30, "{} has {states} states", flow.name);
    }
}

#[test]
fn flows_whose_every_refusal_fails_end_without_a_deadline() {
    for mut flow in [order(), trip(), chain()] {
        flow.deadline = None;
        ends(explore(&flow, STATES_MAX), &["compensated", "completed"]);
    }
}

#[test]
fn a_refusal_that_leads_nowhere_blocks_and_the_shortest_way_there_is_told() {
    let mut flow = order();
    flow.deadline = None;
    flow.fails.events.retain(|event| event != "OutOfStock");
    let Verdict::Blocked { path, waits } = explore(&flow, STATES_MAX) else { panic!("it is blocked") };
    assert_eq!(path.len(), 3, "{path:?}");
    assert!(path.contains(&"reserve rejects with OutOfStock".to_owned()), "{path:?}");
    assert!(waits.contains(&For::Events { step: "ship".into(), missing: names(&["StockReserved"]) }));
    assert!(waits.contains(&For::Nothing));
}

#[test]
fn a_refusal_after_the_pivot_blocks_even_with_a_deadline() {
    let mut flow = order();
    flow.steps.push(step("notify", seen("OrderShipped"), &["Notified"], &["Unreachable"]));
    flow.completes.events = names(&["Notified"]);
    flow.fails.events.push("Unreachable".into());
    let Verdict::Blocked { path, .. } = explore(&flow, STATES_MAX) else { panic!("it is blocked") };
    assert_eq!(path.last().map(String::as_str), Some("the deadline passes"), "{path:?}");
}

#[test]
fn an_event_that_only_others_publish_need_not_come() {
    let steps = vec![step("wait", all(&["Begun", "Paid"]), &["Done"], &[])];
    let mut flow = flow("wait", "Begun", &["Done"], &[], steps);
    ends(explore(&flow, STATES_MAX), &["compensated", "completed"]);
    flow.deadline = None;
    let Verdict::Blocked { path, waits } = explore(&flow, STATES_MAX) else { panic!("it is blocked") };
    assert_eq!(path, ["Begun starts the run"]);
    assert_eq!(waits[0], For::Events { step: "wait".into(), missing: names(&["Paid"]) });
}

#[test]
fn a_step_that_may_emit_one_of_several_events_is_explored_for_each() {
    let mut steps = order().steps;
    steps[0].emits.push("StockPromised".into());
    let mut flow = flow("order", "OrderPlaced", &["OrderShipped"], &["OutOfStock", "CardDeclined"], steps);
    flow.deadline = None;
    let Verdict::Blocked { path, .. } = explore(&flow, STATES_MAX) else { panic!("it is blocked") };
    assert!(path.contains(&"reserve emits StockPromised".to_owned()), "{path:?}");
}

#[test]
fn a_loop_without_a_bound_is_not_a_proof() {
    let steps = vec![
        step("ask", seen("Begun"), &["Again"], &[]),
        step("again", seen("Again"), &["Again", "Done"], &[]),
    ];
    let flow = flow("loop", "Begun", &["Done"], &[], steps);
    assert_eq!(explore(&flow, 500), Verdict::Unknown { states: 501 });
}

#[test]
fn a_flow_without_a_start_is_blocked_at_once() {
    let mut flow = order();
    flow.starts.clear();
    assert_eq!(explore(&flow, 10), Verdict::Blocked { path: vec![], waits: vec![] });
}

#[test]
fn five_parallel_steps_are_within_reach() {
    let events: Vec<_> = (0..5).map(|at| (format!("s{at}"), format!("E{at}"), format!("No{at}"))).collect();
    let mut steps: Vec<_> =
        events.iter().map(|(name, yes, no)| step(name, seen("Begun"), &[yes], &[no]).undo()).collect();
    let good: Vec<_> = events.iter().map(|(_, yes, _)| yes.as_str()).collect();
    let bad: Vec<_> = events.iter().map(|(.., no)| no.as_str()).collect();
    steps.push(step("join", all(&good), &["Done"], &[]).pivot());
    let states = ends(
        explore(&flow("wide", "Begun", &["Done"], &bad, steps), STATES_MAX),
        &["compensated", "completed"],
    );
    assert!(states > 1_000, "{states}");
}
