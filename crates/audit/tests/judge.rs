//! The judge, fed with honest evidence and then with each fault that it must not let pass.

mod honest;

use honest::{HONEST, dead_letter, effect, event, evidence, expectations, input, outcome};
use quadrille_audit::Expectations;
use quadrille_audit::evidence::{Action, DeadLetter, Evidence, Note, Position};
use quadrille_audit::judge::{Kind, Rules, judge};
use quadrille_audit::report::{self, Counters};

fn line(evidence: &Evidence) -> String {
    report::line(&judge(evidence, &expectations(), Rules::default()), Counters::default())
}

/// Plants a fault in honest evidence, and says what the judge must count then; all other counters stay 0.
fn planted(fault: impl FnOnce(&mut Evidence), counters: &[(Kind, u64)]) {
    let mut evidence = evidence();
    fault(&mut evidence);
    let verdict = judge(&evidence, &expectations(), Rules::default());
    for kind in Kind::ALL {
        let wanted = counters.iter().find(|(k, _)| *k == kind).map_or(0, |(_, n)| *n);
        let named = report::offenders(&verdict);
        assert_eq!(verdict.count(kind), wanted, "{}\n{named}", kind.as_str());
    }
    assert!(!verdict.is_valid());
    assert!(line(&evidence).ends_with("| INVALID"));
    let lost = verdict.count(Kind::Lost);
    assert_eq!(verdict.accepted, verdict.effect_once + verdict.dlt + lost);
}

fn at(topic: &str, offset: i64) -> Position {
    Position { topic: topic.into(), partition: 0, offset }
}

#[test]
fn honest_evidence_is_valid() {
    assert_eq!(line(&evidence()), HONEST);
}

#[test]
fn copies_of_an_input_are_accepted_once() {
    let mut evidence = evidence();
    evidence.inputs.push(input(90, Some("good")));
    evidence.inputs.push(input(91, Some("good")));
    assert_eq!(line(&evidence), HONEST);
}

#[test]
fn an_outcome_dropped() {
    let fault = |e: &mut Evidence| e.outcomes.retain(|o| o.identity != "good");
    planted(fault, &[(Kind::Lost, 1), (Kind::Unsettled, 1)]);
}

#[test]
fn an_effect_doubled() {
    let fault = |e: &mut Evidence| e.effects.push(effect(90, "payment", "good", Action::Do));
    planted(fault, &[(Kind::Lost, 1), (Kind::DupEffect, 1), (Kind::Unexplained, 1)]);
}

#[test]
fn an_effect_doubled_under_another_activation() {
    let fault = |e: &mut Evidence| {
        let mut second = effect(90, "payment", "good", Action::Do);
        second.activation = "another".into();
        e.effects.push(second);
    };
    planted(fault, &[(Kind::Lost, 1), (Kind::DupEffect, 1), (Kind::Unexplained, 1)]);
}

#[test]
fn a_compensation_doubled() {
    let fault = |e: &mut Evidence| e.effects.push(effect(90, "stock", "declined", Action::Undo));
    planted(fault, &[(Kind::Lost, 1), (Kind::DupEffect, 1), (Kind::Leaked, 1)]);
}

#[test]
fn an_undo_skipped() {
    let fault = |e: &mut Evidence| {
        e.effects.retain(|f| !(f.identity == "declined" && f.action == Action::Undo));
    };
    planted(fault, &[(Kind::Lost, 1), (Kind::Leaked, 1)]);
}

#[test]
fn a_do_after_its_undo() {
    let fault = |e: &mut Evidence| e.effects.push(effect(90, "stock", "declined", Action::Do));
    planted(fault, &[(Kind::Lost, 1), (Kind::DupEffect, 1), (Kind::Leaked, 1), (Kind::AfterUndo, 1)]);
}

#[test]
fn a_do_after_an_undo_that_found_nothing() {
    let fault = |e: &mut Evidence| {
        let mut undo = effect(90, "payment", "no-stock", Action::Undo);
        undo.applied = false;
        undo.activation = "late".into();
        let mut late = effect(91, "payment", "no-stock", Action::Do);
        late.activation = "late".into();
        e.effects.extend([undo, late]);
    };
    let counters = [Kind::Lost, Kind::DupEffect, Kind::Leaked, Kind::AfterUndo];
    // Two lines, and no event for either.
    planted(fault, &[&counters.map(|kind| (kind, 1))[..], &[(Kind::Unexplained, 2)]].concat());
}

#[test]
fn an_order_lost_with_all_its_traces() {
    let fault = |e: &mut Evidence| {
        e.outcomes.retain(|o| o.identity != "good");
        e.effects.retain(|f| f.identity != "good");
        e.events.retain(|f| f.identity != "good");
    };
    planted(fault, &[(Kind::Lost, 1), (Kind::Unsettled, 1)]);
}

#[test]
fn an_input_without_any_trace() {
    let fault = |e: &mut Evidence| e.inputs.push(input(90, Some("never-heard-of")));
    planted(fault, &[(Kind::Lost, 1), (Kind::Unsettled, 1)]);
}

#[test]
fn an_input_that_never_reached_its_topic() {
    let rules = Rules { sent: Some(6), ..Rules::default() };
    let verdict = judge(&evidence(), &expectations(), rules);
    assert_eq!(verdict.count(Kind::Unexplained), 1);
    assert!(judge(&evidence(), &expectations(), Rules { sent: Some(5), ..rules }).is_valid());
}

#[test]
fn two_equal_outcomes() {
    let fault = |e: &mut Evidence| e.outcomes.push(outcome(90, "good", "completed"));
    planted(fault, &[(Kind::DualOutcome, 1)]);
}

#[test]
fn two_contradicting_outcomes() {
    let fault = |e: &mut Evidence| e.outcomes.push(outcome(90, "good", "compensated"));
    planted(fault, &[(Kind::DualOutcome, 1), (Kind::Lost, 1), (Kind::Leaked, 3)]);
}

#[test]
fn an_undo_without_a_do_that_stands() {
    let fault = |e: &mut Evidence| {
        let mut undo = effect(90, "payment", "declined", Action::Undo);
        undo.activation = "never-done".into();
        e.effects.push(undo);
    };
    planted(fault, &[(Kind::Lost, 1), (Kind::Leaked, 1), (Kind::Unexplained, 1)]);
}

#[test]
fn a_compensation_of_another_activation_balances_nothing() {
    let fault = |e: &mut Evidence| {
        let undo = e.effects.iter_mut().find(|f| f.identity == "declined" && f.action == Action::Undo);
        undo.unwrap().activation = "another".into();
    };
    planted(fault, &[(Kind::Lost, 1), (Kind::Leaked, 2)]);
}

#[test]
fn shipped_though_compensated() {
    let fault = |e: &mut Evidence| e.effects.push(effect(90, "shipping", "declined", Action::Do));
    planted(fault, &[(Kind::Lost, 1), (Kind::Leaked, 1)]);
}

#[test]
fn shipped_and_taken_back_though_it_should_never_have_been() {
    let fault = |e: &mut Evidence| {
        e.effects.push(effect(90, "shipping", "declined", Action::Do));
        e.effects.push(effect(91, "shipping", "declined", Action::Undo));
    };
    planted(fault, &[(Kind::Lost, 1)]);
}

#[test]
fn completed_without_an_effect_that_it_demands() {
    let fault = |e: &mut Evidence| {
        e.effects.retain(|f| !(f.identity == "good" && f.participant == "shipping"));
    };
    planted(fault, &[(Kind::Lost, 1)]);
}

#[test]
fn an_effect_later_than_its_outcome() {
    let fault = |e: &mut Evidence| {
        let ship = e.effects.iter_mut().find(|f| f.identity == "good" && f.participant == "shipping");
        ship.unwrap().at_ms = honest::ENDED_AT_MS + 1;
    };
    planted(fault, &[(Kind::Unsettled, 1)]);
}

#[test]
fn a_difference_of_clocks_is_allowed_where_it_is_declared() {
    let mut evidence = evidence();
    evidence.effects[0].at_ms = honest::ENDED_AT_MS + 40;
    let rules = |clock_slack_ms| Rules { clock_slack_ms, ..Rules::default() };
    assert!(!judge(&evidence, &expectations(), rules(39)).is_valid());
    assert!(judge(&evidence, &expectations(), rules(40)).is_valid());
}

#[test]
fn an_undecodable_input_without_a_dead_letter() {
    let fault = |e: &mut Evidence| e.dead_letters.clear();
    planted(fault, &[(Kind::Lost, 2)]);
}

#[test]
fn a_record_that_a_concurrent_reader_saw_and_that_is_gone() {
    let fault = |e: &mut Evidence| {
        e.read.pop_first();
    };
    planted(fault, &[(Kind::Phantom, 1)]);
}

#[test]
fn a_record_that_is_another_one_now() {
    let fault = |e: &mut Evidence| {
        let mut note = e.read.pop_first().unwrap();
        note.content += 1;
        e.read.insert(note);
    };
    planted(fault, &[(Kind::Phantom, 1), (Kind::Unexplained, 1)]);
}

#[test]
fn a_record_that_a_concurrent_reader_read_past() {
    let fault = |e: &mut Evidence| {
        e.seen.as_mut().unwrap().notes.pop_last();
    };
    planted(fault, &[(Kind::Unexplained, 1)]);
}

#[test]
fn records_where_nobody_watched_are_no_concern_of_the_concurrent_reader() {
    let mut evidence = evidence();
    evidence.read.insert(Note { at: at("dead.ship", 0), content: 1 });
    assert_eq!(line(&evidence), HONEST);
}

#[test]
fn an_effect_and_an_outcome_that_no_input_explains() {
    let fault = |e: &mut Evidence| {
        e.effects.push(effect(90, "payment", "stranger", Action::Do));
        e.outcomes.push(outcome(90, "foreigner", "completed"));
    };
    planted(fault, &[(Kind::Unexplained, 2)]);
}

#[test]
fn an_effect_of_an_unknown_participant() {
    let fault = |e: &mut Evidence| e.effects.push(effect(90, "bank", "good", Action::Do));
    planted(fault, &[(Kind::Unexplained, 1)]);
}

#[test]
fn an_event_doubled() {
    let fault = |e: &mut Evidence| e.events.push(event(90, "Taken", "good"));
    planted(fault, &[(Kind::Unexplained, 1)]);
}

#[test]
fn an_event_dropped() {
    let fault = |e: &mut Evidence| e.events.retain(|event| event.kind != "Declined");
    planted(fault, &[(Kind::Unexplained, 1)]);
}

#[test]
fn an_event_of_an_order_that_nobody_sent() {
    let fault = |e: &mut Evidence| e.events.push(event(90, "Refunded", "stranger"));
    planted(fault, &[(Kind::Unexplained, 1)]);
}

#[test]
fn a_step_that_was_given_up_need_not_have_told_what_it_did() {
    let mut evidence = evidence();
    evidence.events.retain(|event| event.kind != "Taken");
    for (offset, identity) in [(90, "good"), (91, "no-stock")] {
        let origin = Some(("control.charge", offset));
        evidence.dead_letters.push(dead_letter("dead.charge", offset, origin, Some(identity)));
    }
    assert_eq!(line(&evidence), HONEST);
    evidence.events.extend([event(90, "Taken", "good"), event(91, "Taken", "good")]);
    let verdict = judge(&evidence, &expectations(), Rules::default());
    assert_eq!(verdict.count(Kind::Unexplained), 1, "more than it did is never excused");
}

type Fault = fn(&mut Evidence);

/// An order whose payment was given up, with the event that follows; what is expected of it.
fn given_up() -> (Evidence, Expectations) {
    let mut evidence = evidence();
    evidence.inputs.push(input(90, Some("unclear")));
    evidence.outcomes.push(outcome(90, "unclear", "compensated"));
    let letter = dead_letter("dead.charge", 90, Some(("orders", 90)), Some("unclear"));
    evidence.dead_letters.push(DeadLetter { tried: true, ..letter });
    evidence.events.push(event(90, "Unclear", "unclear"));
    let mut expectations = expectations();
    expectations.gives_up.insert("Unclear".into(), "dead.charge".into());
    (evidence, expectations)
}

#[test]
fn a_step_that_gives_up_tells_it_once() {
    let (honest, expectations) = given_up();
    let verdict = judge(&honest, &expectations, Rules::default());
    assert!(verdict.is_valid() && verdict.effect_once == 4, "{}", report::offenders(&verdict));
    let faults: [(&str, Fault); 5] = [
        ("twice", |e| e.events.push(event(91, "Unclear", "unclear"))),
        ("never", |e| e.events.retain(|event| event.kind != "Unclear")),
        ("of another order", |e| e.events.push(event(91, "Unclear", "good"))),
        ("without its letter", |e| e.dead_letters.retain(|letter| !letter.tried)),
        ("of what was never tried", |e| e.dead_letters.iter_mut().for_each(|letter| letter.tried = false)),
    ];
    for (name, fault) in faults {
        let mut evidence = honest.clone();
        fault(&mut evidence);
        let verdict = judge(&evidence, &expectations, Rules::default());
        let found = Kind::ALL.map(|kind| verdict.count(kind));
        assert_eq!((found.iter().sum::<u64>(), verdict.count(Kind::Unexplained)), (1, 1), "{name}");
    }
}

#[test]
fn a_saga_without_an_outcome_need_not_have_told_what_was_done() {
    let fault = |e: &mut Evidence| {
        e.outcomes.retain(|o| o.identity != "good");
        e.events.retain(|event| event.identity != "good");
    };
    planted(fault, &[(Kind::Lost, 1), (Kind::Unsettled, 1)]);
}

#[test]
fn a_dead_letter_doubled() {
    let again = || dead_letter("dead.charge", 90, Some(("orders", 10)), None);
    planted(|e| e.dead_letters.push(again()), &[(Kind::Unexplained, 1)]);

    let mut expectations = expectations();
    expectations.dead_letters_may_repeat.push("dead.charge".into());
    let mut evidence = evidence();
    evidence.dead_letters.push(again());
    assert!(judge(&evidence, &expectations, Rules::default()).is_valid());
}

#[test]
fn a_dead_letter_with_other_bytes_than_its_record() {
    let fault = |e: &mut Evidence| e.dead_letters[0].content += 1;
    planted(fault, &[(Kind::Unexplained, 1)]);
}

#[test]
fn a_dead_letter_of_nothing() {
    let nothing = || dead_letter("dead.charge", 90, Some(("orders", 90)), None);
    planted(|e| e.dead_letters.push(nothing()), &[(Kind::Unexplained, 1)]);

    let mut evidence = evidence();
    evidence.dead_letters.push(nothing());
    evidence.began.insert(("orders".into(), 0), 91);
    assert_eq!(line(&evidence), HONEST, "what lies before the first record that was read is not known");
}

#[test]
fn an_outcome_that_cannot_be_read() {
    let fault = |e: &mut Evidence| e.unreadable.push((at("outcomes", 90), "not an outcome".into()));
    planted(fault, &[(Kind::Unexplained, 1)]);
}

#[test]
fn an_outcome_that_is_not_declared() {
    let fault = |e: &mut Evidence| {
        e.outcomes.iter_mut().for_each(|o| {
            if o.identity == "good" {
                o.name = "killed".into();
            }
        })
    };
    planted(fault, &[(Kind::Lost, 1)]);
}

#[test]
fn no_input_at_all_proves_nothing() {
    let fault = |e: &mut Evidence| *e = Evidence::default();
    planted(fault, &[(Kind::Unexplained, 1)]);
}

#[test]
fn an_input_that_was_given_up_is_dead_lettered_and_its_saga_unsettled() {
    let mut evidence = evidence();
    evidence.inputs.push(input(90, Some("held")));
    evidence.dead_letters.push(dead_letter("dead.charge", 90, Some(("orders", 90)), Some("held")));
    let verdict = judge(&evidence, &expectations(), Rules::default());
    assert_eq!((verdict.dlt, verdict.count(Kind::Lost), verdict.stuck), (3, 0, 0));
    assert_eq!(verdict.count(Kind::Unsettled), 1);

    evidence.dead_letters.last_mut().unwrap().undo = true;
    assert_eq!(judge(&evidence, &expectations(), Rules::default()).stuck, 1);
}

#[test]
fn an_input_that_several_steps_refused_is_one_dead_letter() {
    let mut evidence = evidence();
    evidence.dead_letters.push(dead_letter("dead.reserve", 90, Some(("orders", 10)), Some("k")));
    assert_eq!(line(&evidence), HONEST);
}

#[test]
fn a_moved_copy_is_matched_by_its_bytes_as_often_as_one_topic_has_it() {
    let mut evidence = evidence();
    evidence.dead_letters.clear();
    let mut moved = |topic: &str, offset: i64| {
        let mut letter = dead_letter(topic, offset, Some(("control.reserve", offset)), None);
        letter.content = honest::BROKEN;
        evidence.dead_letters.push(letter);
    };
    moved("dead.reserve", 0);
    moved("dead.charge", 0);
    let verdict = judge(&evidence, &expectations(), Rules::default());
    assert_eq!((verdict.dlt, verdict.count(Kind::Lost)), (1, 1));

    let mut second = dead_letter("dead.charge", 1, Some(("control.charge", 1)), None);
    second.content = honest::BROKEN;
    evidence.dead_letters.push(second);
    assert_eq!(line(&evidence), HONEST);
}
