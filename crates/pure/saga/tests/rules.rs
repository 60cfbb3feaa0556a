//! One table for each rule: inputs in order, and beside each what it leads to.

mod common;

use common::*;
use quadrille_saga::definition::{Flow, Step};
use quadrille_saga::state::{Phase, Status};
use quadrille_saga::{Action, State, next};
use quadrille_types::dead_letter::Reason;
use quadrille_types::fact::{Body, Fact, Outcome};
use quadrille_types::ids::Trigger;
use quadrille_types::journal::Input;

fn status(state: &Option<State>) -> Status {
    state.as_ref().and_then(State::live).expect("a live run").head.status
}

/// `input` with its step's answer changed.
fn changed(input: Input, change: impl Fn(&mut quadrille_types::fact::StepResult)) -> Input {
    match input {
        Input::Fact(Fact { body: Body::Step(mut result), lineage, .. }) => {
            change(&mut result);
            Input::Fact(Fact { lineage, ..fact(&order(), Body::Step(result)) })
        }
        other => other,
    }
}

/// An order in which a branch that can fail runs beside the join to the pivot.
fn order_with_audit(audit: Step) -> Flow {
    let mut flow = order();
    flow.steps.push(audit);
    flow
}

// A run begins with its start.

#[test]
fn the_first_start_sets_the_deadline_and_copies_are_duplicates() {
    let f = order();
    play(
        &f,
        &[
            (started(&f, "OrderPlaced", "a"), "timer 15"),
            (started(&f, "OrderPlaced", "a"), "unmatched duplicate"),
            (started(&f, "OrderPlaced", "b"), "unmatched duplicate"),
            (observed(&f, "OrderPlaced", "c"), "unmatched duplicate"),
        ],
    );
}

#[test]
fn a_step_that_was_faster_than_the_ingest_lane_starts_the_run() {
    let f = order();
    let state = play(&f, &[(ok(&f, "charge"), "timer 15"), (started(&f, "OrderPlaced", "a"), "")]);
    let live = state.as_ref().and_then(State::live).unwrap();
    assert_eq!(live.activations[&activation(&f, "reserve")].phase, Phase::Open);
    assert_eq!(status(&state), Status::Running);
}

#[test]
fn bytes_that_could_not_be_read_start_nothing() {
    let f = order();
    for reason in [Reason::Undecodable, Reason::NoKey, Reason::NoValue] {
        let state = play(&f, &[(exhausted(&f, "charge", reason), "unmatched unreadable")]);
        assert_eq!(state, None);
        let record = changed(exhausted(&f, "charge", reason), |result| {
            result.trigger = Trigger::Record("orders/2/40".into());
        });
        assert_eq!(play(&f, &[(record, "unmatched unreadable")]), None);
    }
}

#[test]
fn a_bad_copy_of_the_start_holds_and_the_good_one_goes_on() {
    let mut f = order();
    f.steps[1] = f.steps[1].clone().exhausted_means_undo();
    let bad = || exhausted(&f, "charge", Reason::Undecodable);
    let good = [(ok(&f, "charge"), ""), (ok(&f, "reserve"), "do ship(StockReserved PaymentTaken)")];
    let start = || (started(&f, "OrderPlaced", "a"), "timer 15");
    play(&f, &[vec![start(), (bad(), "held charge")], good.to_vec()].concat());
    play(&f, &[vec![start()], good.to_vec(), vec![(bad(), "unmatched unreadable")]].concat());
}

#[test]
fn facts_about_an_unknown_run_leave_no_state() {
    let f = food();
    for input in [
        observed(&f, "Cancelled", "x"),
        undone(&f, "ticket"),
        not_undone(&f, "ticket"),
        changed(ok(&f, "ticket"), |result| result.step = "nobody".into()),
    ] {
        assert_eq!(play(&f, &[(input, "unmatched unknown")]), None);
    }
    assert_eq!(play(&f, &[(deadline(&f), "")]), None);
    let mut other = f.clone();
    other.definition.version += 1;
    assert_eq!(play(&f, &[(started(&other, "OrderPlaced", "a"), "unmatched definition")]), None);
}

#[test]
fn what_follows_from_a_start_is_kept_until_the_start_is_there() {
    let f = chain();
    let state = play(&f, &[(ok(&f, "third"), "")]);
    assert_eq!(status(&state), Status::Forming);
    play(
        &f,
        &[
            (ok(&f, "third"), ""),
            (ok(&f, "second"), ""),
            (ok(&f, "first"), "timer 15, clear, end completed: Three"),
            (started(&f, "Begun", "a"), "unmatched duplicate"),
        ],
    );
}

// Joins.

#[test]
fn a_join_is_commanded_once_with_its_events_in_the_order_of_the_file() {
    let f = order();
    let table = [
        (started(&f, "OrderPlaced", "a"), "timer 15"),
        (ok(&f, "charge"), ""),
        (ok(&f, "reserve"), "do ship(StockReserved PaymentTaken)"),
        (ok(&f, "reserve"), "unmatched duplicate"),
        (ok(&f, "ship"), "clear, end completed: OrderShipped"),
    ];
    play(&f, &table);
}

#[test]
fn the_command_carries_payloads_and_the_state_drops_what_no_undo_needs() {
    let mut f = order();
    let commanded = |f: &Flow| {
        let mut state = play(f, &[(started(f, "OrderPlaced", "a"), "timer 15"), (ok(f, "charge"), "")]);
        let transition = next(f, &mut state, &ok(f, "reserve"), 0);
        let [Action::Do(command)] = &transition.actions[..] else { panic!("{transition:?}") };
        assert_eq!(command.trigger, Trigger::Join);
        assert_eq!(command.activation, activation(f, "ship"));
        assert_eq!(command.deadline_ms, Some(15 * MINUTE_MS));
        assert_eq!(command.causation_id.as_ref(), Some(&command.inputs[0].id), "the last to come");
        assert!(command.inputs.iter().all(|input| input.payload.is_some()));
        state.as_ref().and_then(State::live).unwrap().activations[&command.activation].inputs.len()
    };
    assert_eq!(commanded(&f), 0);
    f.steps[2] = step("ship", all(&["StockReserved", "PaymentTaken"]), &["OrderShipped"], &[]).undo();
    assert_eq!(commanded(&f), 2);
}

#[test]
fn a_coordinated_step_with_one_event_is_commanded_when_the_start_itself_is_there() {
    let steps = vec![
        step("quick", seen("Begun"), &["Done"], &[]).undo(),
        step("other", all(&["Begun"]), &["Othered"], &[]).undo(),
    ];
    let f = flow("two", "Begun", &["Done"], &[], steps);
    play(
        &f,
        &[
            (ok(&f, "quick"), "timer 15"),
            (started(&f, "Begun", "a"), "do other(Begun)"),
            (ok(&f, "other"), "clear, end completed: Done"),
        ],
    );
}

#[test]
fn a_pivot_waits_until_nothing_beside_it_can_fail() {
    let audit = || step("audit", seen("OrderPlaced"), &["Audited"], &["Suspicious"]);
    let mut f = order_with_audit(audit());
    f.fails.events.push("Suspicious".into());
    let first =
        [(started(&f, "OrderPlaced", "a"), "timer 15"), (ok(&f, "charge"), ""), (ok(&f, "reserve"), "")];
    let good = [(ok(&f, "audit"), "do ship(StockReserved PaymentTaken)")];
    let bad = [(no(&f, "audit"), "clear, undo reserve")];
    play(&f, &[&first[..], &good].concat());
    play(&f, &[&first[..], &bad].concat());
    let harmless = order_with_audit(audit());
    let mut now = first.to_vec();
    now[2].1 = "do ship(StockReserved PaymentTaken)";
    play(&harmless, &now);
}

#[test]
fn a_pivot_waits_for_a_step_whose_start_is_still_on_its_way() {
    let steps = vec![
        step("check", all(&["Begun"]), &["Checked"], &["Refused"]),
        step("prepare", seen("Begun"), &["Prepared"], &[]).undo(),
        step("book", all(&["Prepared"]), &["Done"], &[]).pivot(),
    ];
    let f = flow("two", "Begun", &["Done"], &["Refused"], steps);
    let table = [
        (ok(&f, "prepare"), "timer 15"),
        (started(&f, "Begun", "a"), "do check(Begun)"),
        (no(&f, "check"), "clear, undo prepare"),
    ];
    play(&f, &table);
}

#[test]
fn of_steps_that_are_ready_together_the_pivot_is_the_last() {
    let steps = vec![
        step("book", all(&["Begun"]), &["Done"], &[]).pivot(),
        step("final", all(&["Begun"]), &["Finaled"], &["NotFinal"]),
        step("undoable", all(&["Begun"]), &["Undoabled"], &["NotUndoable"]).undo(),
    ];
    let f = flow("three", "Begun", &["Done"], &["NotFinal", "NotUndoable"], steps);
    let table = [
        (started(&f, "Begun", "a"), "timer 15, do undoable(Begun)"),
        (ok(&f, "undoable"), "do final(Begun)"),
        (ok(&f, "final"), "do book(Begun)"),
        (ok(&f, "book"), "clear, end completed: Done"),
    ];
    play(&f, &table);
}

// Compensation.

#[test]
fn compensation_waits_for_what_is_under_way_and_then_undoes_the_last_first() {
    let f = trip();
    let table = [
        (started(&f, "TripBooked", "a"), "timer 15"),
        (ok(&f, "car"), ""),
        (no(&f, "hotel"), ""),
        (ok(&f, "flight"), "clear, undo flight"),
        (ok(&f, "flight"), "unmatched duplicate"),
        (undone(&f, "flight"), "undo car"),
        (undone(&f, "flight"), "unmatched duplicate"),
        (undone(&f, "car"), "end compensated: HotelFull"),
    ];
    play(&f, &table);
}

#[test]
fn compensation_waits_for_the_successors_of_what_is_under_way() {
    let mut f = chain();
    f.fails.events.push("Cancelled".into());
    let table = [
        (started(&f, "Begun", "a"), "timer 15"),
        (observed(&f, "Cancelled", "x"), ""),
        (observed(&f, "Cancelled", "x"), "unmatched duplicate"),
        (ok(&f, "first"), ""),
        (ok(&f, "second"), ""),
        (ok(&f, "third"), "clear, undo third"),
        (undone(&f, "third"), "undo second"),
        (observed(&f, "Cancelled", "x"), "unmatched late"),
        (undone(&f, "second"), "undo first"),
        (undone(&f, "first"), "end compensated: Cancelled"),
    ];
    play(&f, &table);
}

#[test]
fn an_undo_that_triggers_a_step_is_waited_for() {
    let mut f = order();
    f.steps[0].undo =
        Some(quadrille_saga::definition::Undo { emits: names(&["StockReleased"]), also_when_unknown: false });
    f.steps.push(step("restock", seen("StockReleased"), &[], &[]).undo());
    let mut state = play(
        &f,
        &[
            (started(&f, "OrderPlaced", "a"), "timer 15"),
            (ok(&f, "reserve"), ""),
            (no(&f, "charge"), "clear, undo reserve"),
            (undone(&f, "reserve"), ""),
        ],
    );
    let live = state.as_ref().and_then(State::live).unwrap();
    let restock = live.activations.values().find(|a| a.step == "restock").unwrap().clone();
    let input = changed(ok(&f, "reserve"), |result| {
        result.step = "restock".into();
        result.activation = restock.id;
        result.trigger = restock.trigger.clone();
        result.result = Outcome::Succeeded { events: vec![], inputs: vec![] };
    });
    let transition = next(&f, &mut state, &input, 0);
    assert_eq!(transition.actions.iter().map(words).collect::<Vec<_>>(), ["undo restock"]);
}

#[test]
fn the_deadline_begins_compensation_and_waits_like_any_failure() {
    let f = order();
    let table = [
        (started(&f, "OrderPlaced", "a"), "timer 15"),
        (ok(&f, "reserve"), ""),
        (deadline(&f), ""),
        (deadline(&f), ""),
        (ok(&f, "charge"), "undo charge"),
        (undone(&f, "charge"), "undo reserve"),
        (undone(&f, "reserve"), "end compensated: deadline"),
    ];
    play(&f, &table);
}

#[test]
fn a_timer_that_fires_early_is_set_again_and_one_of_another_time_is_ignored() {
    let f = order();
    let mut state = play(&f, &[(started(&f, "OrderPlaced", "a"), "timer 15")]);
    let early = next(&f, &mut state, &deadline(&f), 15 * MINUTE_MS - 1);
    assert_eq!(early.actions.iter().map(words).collect::<Vec<_>>(), ["timer 15"]);
    let Input::Timer(mut timer) = deadline(&f) else { unreachable!() };
    timer.due_ms -= 1;
    assert_eq!(next(&f, &mut state, &Input::Timer(timer), 16 * MINUTE_MS), Default::default());
}

// The outcome.

#[test]
fn no_outcome_before_everything_has_settled() {
    let steps = vec![
        step("main", seen("Begun"), &["Done"], &[]),
        step("beside", seen("Begun"), &["Noted"], &["NotNoted"]),
        step("after", seen("Done"), &[], &[]),
    ];
    let f = flow("beside", "Begun", &["Done"], &[], steps);
    let table = [
        (started(&f, "Begun", "a"), "timer 15"),
        (ok(&f, "main"), ""),
        (no(&f, "beside"), ""),
        (ok(&f, "after"), "clear, end completed: Done"),
    ];
    play(&f, &table);
}

#[test]
fn a_failure_after_the_completing_event_still_undoes_what_was_done() {
    let steps = vec![
        step("main", seen("Begun"), &["Done"], &[]).undo(),
        step("beside", seen("Begun"), &["Noted"], &["NotNoted"]),
    ];
    let f = flow("beside", "Begun", &["Done"], &["NotNoted"], steps);
    let table = [
        (started(&f, "Begun", "a"), "timer 15"),
        (ok(&f, "main"), ""),
        (no(&f, "beside"), "clear, undo main"),
        (undone(&f, "main"), "end compensated: NotNoted"),
    ];
    play(&f, &table);
}

#[test]
fn after_the_outcome_facts_change_nothing() {
    let mut f = order();
    f.fails.events.push("Cancelled".into());
    let table = [
        (ok(&f, "reserve"), "timer 15"),
        (no(&f, "charge"), "clear, undo reserve"),
        (undone(&f, "reserve"), "end compensated: CardDeclined"),
        (started(&f, "OrderPlaced", "a"), "unmatched duplicate"),
        (ok(&f, "reserve"), "unmatched duplicate"),
        (no(&f, "charge"), "unmatched late"),
        (observed(&f, "Cancelled", "x"), "unmatched late"),
        (undone(&f, "reserve"), "unmatched late"),
        (deadline(&f), ""),
    ];
    play(&f, &table);
}

#[test]
fn a_success_after_the_outcome_is_undone_once_and_recorded() {
    let f = order();
    let table = [
        (gone(&f, "reserve"), "timer 15, held reserve"),
        (no(&f, "charge"), "clear, end compensated: CardDeclined"),
        (ok(&f, "reserve"), "undo reserve, unmatched late"),
        (ok(&f, "reserve"), "unmatched duplicate"),
        (not_undone(&f, "reserve"), "stuck reserve, unmatched late"),
        (undone(&f, "reserve"), "unmatched late"),
    ];
    play(&f, &table);
}

#[test]
fn an_effect_that_may_have_come_after_the_outcome_is_undone_once() {
    let f = {
        let mut f = chain();
        f.steps[1] = step("second", seen("One"), &["Two"], &["NotTwo"]).undo_if_unknown();
        f.steps[0] = f.steps[0].clone().exhausted_means_undo();
        f
    };
    let table = [
        (started(&f, "Begun", "a"), "timer 15"),
        (gone(&f, "first"), "clear, end compensated: first exhausted"),
        (ok(&f, "first"), "undo first, unmatched late"),
        (gone(&f, "second"), "undo second, unmatched late"),
        (gone(&f, "second"), "unmatched duplicate"),
        (ok(&f, "second"), "unmatched late"),
        (undone(&f, "second"), "unmatched late"),
        (gone(&f, "third"), "unmatched late"),
    ];
    play(&f, &table);
}

#[test]
fn after_a_completed_run_a_late_success_stays() {
    let mut f = order();
    f.steps.push(step("note", seen("Noted"), &[], &[]).undo());
    let table = [
        (started(&f, "OrderPlaced", "a"), "timer 15"),
        (ok(&f, "charge"), ""),
        (ok(&f, "reserve"), "do ship(StockReserved PaymentTaken)"),
        (ok(&f, "ship"), "clear, end completed: OrderShipped"),
        (ok(&f, "note"), "unmatched late"),
        (ok(&f, "note"), "unmatched duplicate"),
        (ok(&f, "charge"), "unmatched duplicate"),
    ];
    play(&f, &table);
}

#[test]
fn inputs_are_kept_only_where_an_undo_will_need_them() {
    let f = chain();
    let kept = |f: &Flow, inputs: &[(Input, &str)]| {
        let state = play(f, inputs);
        state.as_ref().and_then(State::live).unwrap().activations[&activation(f, "first")].inputs.len()
    };
    let start = || (started(&f, "Begun", "a"), "timer 15");
    assert_eq!(kept(&f, &[start(), (ok(&f, "first"), "")]), 1);
    assert_eq!(kept(&f, &[start(), (gone(&f, "first"), "held first"), (ok(&f, "first"), "")]), 1);
    assert_eq!(kept(&f, &[start(), (ok(&f, "first"), ""), (no(&f, "second"), "clear, undo first")]), 0);
    let mut bare = chain();
    bare.steps[0].undo = None;
    assert_eq!(kept(&bare, &[start(), (ok(&bare, "first"), "")]), 0);
}

// What does not fit.

#[test]
fn an_answer_that_contradicts_an_earlier_one_is_recorded_and_the_earlier_one_counts() {
    let f = order();
    let table = [
        (started(&f, "OrderPlaced", "a"), "timer 15"),
        (ok(&f, "reserve"), ""),
        (no(&f, "reserve"), "unmatched contradictory"),
        (no(&f, "reserve"), "unmatched duplicate"),
        (undone(&f, "reserve"), "unmatched contradictory"),
        (ok(&f, "ship"), "unmatched contradictory"),
        (ok(&f, "charge"), "do ship(StockReserved PaymentTaken)"),
    ];
    play(&f, &table);
}

#[test]
fn a_success_after_a_refusal_is_recorded_and_its_effect_undone() {
    let f = order();
    let table = [
        (started(&f, "OrderPlaced", "a"), "timer 15"),
        (no(&f, "reserve"), ""),
        (ok(&f, "reserve"), "unmatched contradictory"),
        (no(&f, "charge"), "clear, undo reserve"),
        (undone(&f, "reserve"), "end compensated: OutOfStock"),
    ];
    play(&f, &table);
}

#[test]
fn an_answer_for_an_activation_that_its_step_cannot_have_is_contradictory() {
    let f = order();
    let wrong = [
        changed(ok(&f, "reserve"), |result| result.activation = activation(&f, "charge")),
        changed(ok(&f, "reserve"), |result| result.trigger = Trigger::Join),
        changed(ok(&f, "ship"), |result| result.trigger = Trigger::Start),
    ];
    for input in wrong {
        let start = (started(&f, "OrderPlaced", "a"), "timer 15");
        play(&f, &[start, (input.clone(), "unmatched contradictory")]);
        assert_eq!(play(&f, &[(input, "unmatched contradictory")]), None);
    }
}

#[test]
fn an_event_that_the_flow_does_not_know_is_unknown() {
    let f = order();
    let table = [
        (started(&f, "OrderPlaced", "a"), "timer 15"),
        (observed(&f, "Weather", "x"), "unmatched unknown"),
        (started(&f, "Weather", "x"), "unmatched unknown"),
    ];
    play(&f, &table);
}

// Nothing left to wait for.

#[test]
fn without_a_deadline_a_run_that_cannot_go_on_is_flagged() {
    let mut f = order();
    f.deadline = None;
    f.fails.events.clear();
    let table = [
        (started(&f, "OrderPlaced", "a"), ""),
        (ok(&f, "charge"), ""),
        (no(&f, "reserve"), "stalled"),
        (ok(&f, "charge"), "unmatched duplicate"),
    ];
    play(&f, &table);
    f.deadline = order().deadline;
    let table = [
        (started(&f, "OrderPlaced", "a"), "timer 15"),
        (ok(&f, "charge"), ""),
        (no(&f, "reserve"), ""),
        (deadline(&f), "undo charge"),
    ];
    play(&f, &table);
}
