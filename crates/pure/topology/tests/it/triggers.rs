//! Who triggers a step, and what the proofs accept and refuse beyond the files in `topology/invalid`.

use std::collections::BTreeSet;

use quadrille_saga::explore::{Found, explore};
use quadrille_topology::lower;
use quadrille_topology::mesh::{CoordinatorReason, Mesh, TriggeredBy};

use crate::support::{ORDER, TRIP, codes, mesh};

/// A saga whose steps listen to its start: `(name, extra fields)`, each emitting `<Name>Done`; completed by all of them.
fn beside(steps: &[(&str, &str)], saga: &str) -> String {
    let mut events = String::from("  Start: { topic: starts, schema: json, owner: foreign }\n");
    let mut texts = String::new();
    let mut ends = Vec::new();
    for (name, extra) in steps {
        events += &format!(
            "  {name}Done: {{ topic: results, schema: json }}\n  {name}No: {{ topic: results, schema: json, readers: foreign }}\n"
        );
        texts += &format!(
            "  {name}:\n    when: Start\n    handler: {{ http: 'http://h' }}\n    emits: {name}Done\n{extra}"
        );
        ends.push(format!("{name}Done"));
    }
    format!(
        "quadrille: 1\nmesh: m\ndefaults: {{ from: now }}\nevents:\n{}steps:\n{texts}sagas:\n  s:\n    starts: Start\n    completes: {{ all: [{}] }}\n{saga}",
        events
            .lines()
            .filter(|l| !l.contains("No:") || texts.contains(l.trim().split(':').next().unwrap_or_default()))
            .map(|l| format!("{l}\n"))
            .collect::<String>(),
        ends.join(", "),
    )
}

const UNDO: &str = "    undo: { handler: { http: 'http://h' } }\n";
const FAILS: &str = "    rejects: aNo\n    undo: { handler: { http: 'http://h' } }\n";

#[test]
fn a_pivot_waits_until_the_steps_beside_it_can_no_longer_fail() {
    let text = beside(
        &[("a", FAILS), ("b", UNDO), ("c", "    pivot: true\n")],
        "    fails: aNo\n    deadline: { after: 1h, then: undo }\n",
    );
    let mesh = mesh(&text);
    let expected = TriggeredBy::Coordinator(CoordinatorReason::PivotBeside(vec!["a".into()]));
    assert_eq!(mesh.steps["c"].triggered_by, expected);
    assert_eq!(mesh.steps["c"].from, None);
    assert_eq!(
        mesh.steps["c"].triggered_by.reason(),
        "it is the pivot and must not start while `a` can still fail the saga"
    );
    assert!(mesh.steps["a"].is_choreographed() && mesh.steps["b"].is_choreographed());
}

#[test]
fn a_joined_pivot_waits_for_those_beside_it_too() {
    let saga = "    fails: aNo\n    deadline: { after: 1h, then: undo }\n";
    let steps = [("a", FAILS), ("b", UNDO), ("c", UNDO), ("d", "    pivot: true\n")];
    let text =
        beside(&steps, saga).replacen("  d:\n    when: Start", "  d:\n    when: { all: [bDone, cDone] }", 1);
    let mesh = mesh(&text);
    assert_eq!(mesh.steps["d"].triggered_by.waits_for(), ["a"]);
}

#[test]
fn an_effect_without_undo_waits_too() {
    let text =
        beside(&[("a", FAILS), ("b", "")], "    fails: aNo\n    deadline: { never: \"a person decides\" }\n");
    let mesh = mesh(&text);
    let expected = TriggeredBy::Coordinator(CoordinatorReason::NoUndoBeside(vec!["a".into()]));
    assert_eq!(mesh.steps["b"].triggered_by, expected);
    assert_eq!(mesh.sagas["s"].may_wait.as_deref(), Some("a person decides"));
}

#[test]
fn a_step_without_effect_waits_for_nobody() {
    let text = beside(
        &[("a", FAILS), ("b", "    effect: none\n")],
        "    fails: aNo\n    deadline: { after: 1h, then: undo }\n",
    );
    assert!(mesh(&text).steps["b"].is_choreographed());
}

#[test]
fn a_pivot_beside_steps_that_cannot_fail_listens_itself() {
    let text =
        beside(&[("a", UNDO), ("b", "    pivot: true\n")], "    deadline: { after: 1h, then: undo }\n");
    assert!(mesh(&text).steps["b"].is_choreographed());
}

#[test]
fn steps_that_need_different_answers_are_not_beside_each_other() {
    let text = "quadrille: 1\nmesh: m\ndefaults: { from: now }\nevents:
  Start: { topic: starts, schema: json, owner: foreign }
  Small: { topic: sizes, schema: json }
  Large: { topic: sizes, schema: json }
  Done: { topic: results, schema: json }
  Refused: { topic: results, schema: json }
steps:
  size: { when: Start, handler: { http: 'http://h' }, emits: [Small, Large], effect: none }
  small: { when: Small, handler: { http: 'http://h' }, emits: Done, pivot: true }
  large: { when: Large, handler: { http: 'http://h' }, emits: Done, rejects: Refused, undo: { handler: { http: 'http://h' } } }
sagas:
  s: { starts: Start, completes: Done, fails: Refused, deadline: { after: 1h, then: undo } }
";
    assert!(mesh(text).steps["small"].is_choreographed(), "`large` never runs beside `small`");
    let both = text.replace("emits: [Small, Large]", "emits: { all: [Small, Large] }");
    assert!(!mesh(&both).steps["small"].is_choreographed(), "now both run");
}

#[test]
fn ways_that_meet_again_are_past_failing_where_they_meet() {
    let text = "quadrille: 1\nmesh: m\ndefaults: { from: now }\nevents:
  Start: { topic: starts, schema: json, owner: foreign }
  Small: { topic: sizes, schema: json }
  Large: { topic: sizes, schema: json }
  Checked: { topic: results, schema: json }
  Refused: { topic: results, schema: json }
  Done: { topic: results, schema: json }
steps:
  size: { when: Start, handler: { http: 'http://h' }, emits: [Small, Large], effect: none }
  small: { when: Small, handler: { http: 'http://h' }, emits: Checked, rejects: Refused, effect: none }
  large: { when: Large, handler: { http: 'http://h' }, emits: Checked, rejects: Refused, effect: none }
  close: { when: Checked, handler: { http: 'http://h' }, emits: Done, pivot: true }
sagas:
  s: { starts: Start, completes: Done, fails: Refused, deadline: { after: 1h, then: undo } }
";
    assert!(mesh(text).steps["close"].is_choreographed(), "whichever way was taken has ended");
    let both = mesh(&text.replace("emits: [Small, Large]", "emits: { all: [Small, Large] }"));
    let expected =
        TriggeredBy::Coordinator(CoordinatorReason::PivotBeside(vec!["large".into(), "small".into()]));
    assert_eq!(both.steps["close"].triggered_by, expected);
}

#[test]
fn a_saga_does_not_complete_while_it_can_still_fail() {
    let saga = "    fails: aNo\n    deadline: { after: 1h, then: undo }\n";
    let text = beside(&[("a", FAILS), ("b", UNDO)], saga);
    assert_eq!(codes(&text), Vec::<String>::new());
    assert_eq!(
        codes(text.replace("{ all: [aDone, bDone] }", "[aDone, bDone]")),
        ["Q0317"],
        "b does not wait for a"
    );
}

#[test]
fn without_a_deadline_a_saga_is_accepted_if_every_run_ends_by_itself() {
    let exhausted = |fields: &str| format!("{fields}    exhausted: undo\n");
    let (a, b) = (exhausted(FAILS), exhausted(UNDO));
    assert_eq!(codes(beside(&[("a", &a), ("b", &b)], "    fails: aNo\n")), Vec::<String>::new());
    assert_eq!(codes(beside(&[("a", &a), ("b", UNDO)], "    fails: aNo\n")), ["Q0308"], "b can be held");
    assert_eq!(codes(beside(&[("a", &a), ("b", &b)], "")), ["Q0307"], "a can refuse");
}

#[test]
fn removing_any_undo_or_failure_of_the_shipped_topologies_is_noticed() {
    let without_undo = |text: &str, from: &str, to: &str| {
        let (head, rest) = text.split_once(from).expect("the undo begins");
        let (_, tail) = rest.split_once(to).expect("the undo ends");
        format!("{head}{tail}")
    };
    let text = without_undo(
        ORDER,
        "    undo:\n      handler:\n        http: http://127.0.0.1:7001/release\n",
        "emits: StockReleased\n",
    );
    assert_eq!(codes(&text), ["Q0303", "Q0310"]);
    assert_eq!(codes(ORDER.replace("[OutOfStock, CardDeclined]", "OutOfStock")), ["Q0304"]);
    assert_eq!(codes(ORDER.replace("    pivot: true ", "    concurrency: 4 ")), ["Q0310"]);
    assert_eq!(
        codes(TRIP.replace("[FlightFull, HotelFull, NoCarLeft]", "[FlightFull, HotelFull]")),
        ["Q0304"]
    );
    assert_eq!(
        codes(TRIP.replace("[FlightBooked, HotelBooked, CarBooked]", "[FlightBooked, HotelBooked]")),
        ["Q0304", "Q0317"]
    );
    assert_eq!(
        codes(TRIP.replace(
            "[FlightBooked, HotelBooked, CarBooked]",
            "[FlightBooked, HotelBooked, NoCarLeft, CarBooked]"
        )),
        ["Q0306", "Q0215"]
    );
}

/// Explores saga `s`; the effect of what has no undo must not stand in a run that is compensated.
fn explored(mesh: &Mesh) -> Found {
    let irrevocable: BTreeSet<&str> =
        mesh.steps.values().filter(|s| s.effect && s.undo.is_none()).map(|s| s.name.as_str()).collect();
    let found = explore(&lower::flow(mesh, &mesh.sagas["s"]), &irrevocable, 1_000_000);
    assert!(!found.cut_short && found.completes, "{found:?}");
    found
}

#[test]
fn no_pivot_and_no_effect_without_undo_stands_beside_a_failure_because_the_coordinator_triggers_it() {
    let saga = "    fails: aNo\n    deadline: { after: 1h, then: undo }\n";
    let waits = "    fails: aNo\n    deadline: { never: \"a person decides\" }\n";
    for (text, step) in [
        (beside(&[("a", FAILS), ("b", UNDO), ("c", "    pivot: true\n")], saga), "c"),
        (beside(&[("a", FAILS), ("b", "")], waits), "b"),
    ] {
        let mut mesh = mesh(&text);
        assert!(!mesh.steps[step].is_choreographed());
        assert_eq!(explored(&mesh).standing.keys().collect::<Vec<_>>(), Vec::<&String>::new());
        mesh.steps.get_mut(step).expect("the step").triggered_by = TriggeredBy::Choreography;
        let found = explored(&mesh);
        let pivot = mesh.steps[step].pivot;
        assert_eq!(found.standing.contains_key(step), !pivot, "listening itself, it would run beside `a`");
        assert_eq!(
            found.blocked.is_some(),
            pivot,
            "the pivot would keep the saga from failing, and `a` from completing it"
        );
    }
}

#[test]
fn an_undo_beside_every_step_needs_no_pivot() {
    let saga = "    fails: aNo\n    deadline: { after: 1h, then: undo }\n";
    let found = explored(&mesh(&beside(&[("a", FAILS), ("b", UNDO), ("c", UNDO)], saga)));
    assert!(found.ends() && found.standing.is_empty(), "{found:?}");
    assert_eq!(found.outcomes.into_iter().collect::<Vec<_>>(), ["compensated", "completed"]);
}

#[test]
fn a_pivot_is_not_given_up() {
    let saga = "    deadline: { after: 1h, then: undo }\n";
    let text = |pivot: &str| beside(&[("a", UNDO), ("b", pivot)], saga);
    assert_eq!(codes(text("    pivot: true\n    exhausted: hold\n")), Vec::<String>::new());
    assert_eq!(codes(text("    pivot: true\n    exhausted: undo\n")), ["Q0318"]);
    assert_eq!(codes(text("    pivot: true\n    exhausted: { emit: bNo }\n")), ["Q0318"]);
}
