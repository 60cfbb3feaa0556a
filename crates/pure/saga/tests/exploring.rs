//! What exploring a flow proves, and what it refuses to prove.

mod common;

use std::collections::BTreeSet;

use common::*;
use quadrille_saga::Flow;
use quadrille_saga::definition::Exhausted;
use quadrille_saga::explore::{Blocked, Found, Path, WORK_MIN, explore as explored};
use quadrille_saga::view::For;

const WORK_MAX: usize = 10_000_000;

fn explore(flow: &Flow) -> Found {
    explored(flow, &BTreeSet::new(), WORK_MAX)
}

#[track_caller]
fn ends(found: &Found, expected: &[&str]) {
    assert!(found.ends(), "{found:?}");
    assert_eq!(found.outcomes, expected.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>());
    assert_eq!(found.completes, expected.contains(&"completed"));
}

#[track_caller]
fn blocked(flow: &Flow) -> (Vec<String>, Vec<For>) {
    let Some(Blocked { path, waits }) = explore(flow).blocked else { panic!("it is blocked") };
    (words(&path), waits)
}

fn words(path: &Path) -> Vec<String> {
    path.iter().map(ToString::to_string).collect()
}

#[test]
fn flows_with_a_deadline_end_on_every_path() {
    for flow in [order(), trip(), chain()] {
        let found = explore(&flow);
        ends(&found, &["compensated", "completed"]);
        assert!(found.states > 10, "{} has {} states", flow.name, found.states);
        assert!(found.held.is_empty(), "the deadline's clock runs");
    }
}

#[test]
fn flows_whose_every_refusal_fails_end_without_a_deadline() {
    for mut flow in [order(), trip(), chain()] {
        flow.deadline = None;
        let found = explore(&flow);
        ends(&found, &["compensated", "completed"]);
        let steps: BTreeSet<_> = flow.steps.iter().map(|step| step.name.clone()).collect();
        assert_eq!(found.held.keys().cloned().collect::<BTreeSet<_>>(), steps, "each may wait for a redrive");
        flow.steps.iter_mut().for_each(|step| step.exhausted = Exhausted::Undo);
        assert!(explore(&flow).held.is_empty());
    }
}

#[test]
fn a_refusal_that_leads_nowhere_blocks_and_the_shortest_way_there_is_told() {
    let mut flow = order();
    flow.deadline = None;
    flow.fails.events.retain(|event| event != "OutOfStock");
    let (path, waits) = blocked(&flow);
    assert_eq!(
        path,
        ["OrderPlaced starts the run", "reserve rejects with OutOfStock", "charge emits PaymentTaken"]
    );
    assert!(waits.contains(&For::Events { step: "ship".into(), missing: names(&["StockReserved"]) }));
    assert!(waits.contains(&For::Nothing));
}

#[test]
fn a_refusal_after_the_pivot_blocks_even_with_a_deadline() {
    let mut flow = order();
    flow.steps.push(step("notify", seen("OrderShipped"), &["Notified"], &["Unreachable"]));
    flow.completes.events = names(&["Notified"]);
    flow.fails.events.push("Unreachable".into());
    let (path, _) = blocked(&flow);
    assert_eq!(path.last().map(String::as_str), Some("the deadline passes"), "{path:?}");
}

#[test]
fn an_event_that_only_others_publish_need_not_come() {
    let steps = vec![step("wait", all(&["Begun", "Paid"]), &["Done"], &[])];
    let mut flow = flow("wait", "Begun", &["Done"], &[], steps);
    ends(&explore(&flow), &["compensated", "completed"]);
    flow.deadline = None;
    let (path, waits) = blocked(&flow);
    assert_eq!(path, ["Begun starts the run"]);
    assert_eq!(waits[0], For::Events { step: "wait".into(), missing: names(&["Paid"]) });
}

#[test]
fn a_step_that_may_emit_one_of_several_events_is_explored_for_each() {
    let mut steps = order().steps;
    steps[0].emits.push("StockPromised".into());
    let mut flow = flow("order", "OrderPlaced", &["OrderShipped"], &["OutOfStock", "CardDeclined"], steps);
    flow.deadline = None;
    let (path, _) = blocked(&flow);
    assert!(path.contains(&"reserve emits StockPromised".to_owned()), "{path:?}");
    flow.steps[0].emits_all = true;
    ends(&explore(&flow), &["compensated", "completed"]);
}

#[test]
fn a_loop_without_a_bound_is_not_a_proof() {
    let join = all(&["Again", "Other"]);
    let steps = vec![
        step("ask", seen("Begun"), &["Again"], &[]),
        step("again", seen("Again"), &["Again"], &[]),
        step("count", join, &["Done"], &[]),
    ];
    let mut flow = flow("loop", "Begun", &["Done"], &[], steps);
    flow.steps[1].emits = names(&["Again", "Again"]);
    flow.steps[1].emits_all = true;
    let found = explored(&flow, &BTreeSet::new(), 500 * WORK_MIN);
    assert!(found.cut_short && !found.ends(), "{found:?}");
    assert!(found.states > 10 && found.states <= 500, "{}", found.states);
}

#[test]
fn a_flow_without_a_start_is_blocked_at_once() {
    let mut flow = order();
    flow.starts.clear();
    assert_eq!(blocked(&flow), (vec![], vec![]));
}

/// `width` steps beside each other that may all refuse, and a pivot that waits for all of them.
fn wide(width: usize) -> Flow {
    let events: Vec<_> =
        (0..width).map(|at| (format!("s{at}"), format!("E{at}"), format!("No{at}"))).collect();
    let mut steps: Vec<_> =
        events.iter().map(|(name, yes, no)| step(name, seen("Begun"), &[yes], &[no]).undo()).collect();
    let good: Vec<_> = events.iter().map(|(_, yes, _)| yes.as_str()).collect();
    let bad: Vec<_> = events.iter().map(|(.., no)| no.as_str()).collect();
    steps.push(step("join", all(&good), &["Done"], &[]).pivot());
    flow("wide", "Begun", &["Done"], &bad, steps)
}

#[test]
fn parallel_steps_add_to_the_states_and_do_not_multiply_them() {
    let [five, forty] = [5, 40].map(|width| {
        let found = explore(&wide(width));
        ends(&found, &["compensated", "completed"]);
        found.states
    });
    assert!(forty < 10 * five, "{five} states with five of them, {forty} with forty");
}

#[test]
fn an_effect_that_stands_although_the_run_is_compensated_is_found() {
    let irrevocable = BTreeSet::from(["reserve"]);
    let mut flow = order();
    assert!(explored(&flow, &irrevocable, WORK_MAX).standing.contains_key("reserve"));
    flow.steps[0].undo = None;
    flow.deadline = None;
    let found = explored(&flow, &irrevocable, WORK_MAX);
    let path = words(&found.standing["reserve"]);
    assert!(path.contains(&"reserve emits StockReserved".to_owned()), "{path:?}");
    assert!(path.contains(&"charge rejects with CardDeclined".to_owned()), "{path:?}");
}

/// `last` has no undo; whether it is commanded decides whether it can run beside a failure.
#[test]
fn a_command_waits_until_nothing_beside_it_can_fail_and_a_listener_does_not() {
    let build = |when| {
        let steps = vec![
            step("first", seen("Begun"), &["One"], &["NotOne"]).undo(),
            step("last", when, &["Two"], &[]),
        ];
        let mut flow = flow("beside", "Begun", &["Two"], &["NotOne"], steps);
        flow.deadline = None;
        flow
    };
    let irrevocable = BTreeSet::from(["last"]);
    let standing = |when| explored(&build(when), &irrevocable, WORK_MAX).standing;
    assert!(standing(seen("Begun")).contains_key("last"));
    assert!(standing(all(&["Begun"])).is_empty());
}

#[test]
fn a_pivot_that_two_events_trigger_is_found_beside_itself() {
    let steps = vec![
        step("one", seen("Begun"), &["Ready"], &[]).undo(),
        step("two", seen("Begun"), &["Ready"], &[]).undo(),
        step("pay", seen("Ready"), &["Paid"], &[]).pivot(),
    ];
    let mut flow = flow("twice", "Begun", &["Paid"], &[], steps);
    let found = explore(&flow);
    assert_eq!(found.two_pivots.map(|(step, _)| step).as_deref(), Some("pay"));
    flow.steps[2].when = all(&["Ready"]);
    assert_eq!(explore(&flow).two_pivots, None, "the coordinator commands it once");
}
