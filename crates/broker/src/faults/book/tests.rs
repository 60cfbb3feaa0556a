use super::*;

fn request(key: ApiKey) -> Request {
    Request { key, client_id: "me".into(), transactional_id: Some("shop.a".into()), group: None }
}

fn book(rules: impl IntoIterator<Item = Rule>) -> Book {
    let mut book = Book::default();
    rules.into_iter().for_each(|rule| book.add(rule).unwrap());
    book
}

/// At which of so many EndTxn requests the only rule strikes, from 1.
fn struck(rule: Rule, requests: u64) -> Vec<u64> {
    let mut book = book([rule]);
    (1..=requests).filter(|_| book.on_request(&request(ApiKey::EndTxn), 0).is_some()).collect()
}

#[test]
fn a_rule_strikes_at_the_occurrences_that_it_names() {
    let rule = || Rule::new("r", Effect::DropResponse);
    assert_eq!(struck(rule(), 3), [1, 2, 3]);
    assert_eq!(struck(rule().from(2), 3), [2, 3]);
    assert_eq!(struck(rule().from(2).every(3), 9), [2, 5, 8]);
    assert_eq!(struck(rule().from(2).every(3).times(2), 9), [2, 5]);
    assert_eq!(struck(rule().chance(0, 7), 50), []);
    assert_eq!(struck(rule().chance(1_000, 7), 3), [1, 2, 3]);
}

#[test]
fn a_rule_is_asked_only_about_what_it_is_for() {
    let rule = || Rule::new("r", Effect::DropResponse);
    let (asked, not) = (1, 0);
    let table = [
        (rule().on(&["EndTxn"]), asked),
        (rule().on(&["Produce", "Fetch"]), not),
        (rule().client("me"), asked),
        (rule().client("you"), not),
        (rule().transactional("shop.*"), asked),
        (rule().transactional("shop"), not),
        (rule().group("*"), not),
    ];
    for (rule, matched) in table {
        let mut book = book([rule.clone()]);
        book.on_request(&request(ApiKey::EndTxn), 0);
        assert_eq!(book.list()[0].1, Count { matched, happened: matched, accepted: 0 }, "{rule:?}");
    }
}

#[test]
fn the_same_seed_decides_the_same_and_another_one_does_not() {
    let at = |seed| struck(Rule::new("r", Effect::DropResponse).chance(100, seed), 1_000);
    assert_eq!(at(1), at(1));
    assert_ne!(at(1), at(2));
    assert!((50..200).contains(&at(1).len()), "{} of 1000 at one in ten", at(1).len());
    let of = |seed| {
        let mut book = book(super::super::chaos(seed));
        let keys = [ApiKey::Produce, ApiKey::EndTxn, ApiKey::Fetch, ApiKey::Heartbeat];
        (0..2_000).map(|i| book.on_request(&request(keys[i % 4]), i as i64)).collect::<Vec<_>>()
    };
    assert_eq!(of(3), of(3));
    assert_ne!(of(3), of(4));
    assert!(of(3).iter().flatten().count() > 20);
}

#[test]
fn the_first_rule_that_strikes_decides() {
    let rules = [
        Rule::new("never", Effect::DropRequest).times(0),
        Rule::new("once", Effect::DropResponse).times(1),
        Rule::new("rest", Effect::DisconnectBefore),
    ];
    let mut book = book(rules);
    let names: Vec<_> =
        (0..2).filter_map(|_| book.on_request(&request(ApiKey::EndTxn), 0)).map(|f| f.rule).collect();
    assert_eq!(names, ["once", "rest"]);
    let counts: Vec<_> = book.list().into_iter().map(|(_, c)| (c.matched, c.happened)).collect();
    assert_eq!(counts, [(2, 0), (2, 1), (1, 1)]);
}

#[test]
fn a_moved_coordinator_is_refused_until_it_was_looked_for_and_found() {
    let mut book = book([Rule::new("moved", Effect::CoordinatorMoved { away_ms: 50 }).times(1)]);
    let mut code = |key, now_ms| match book.on_request(&request(key), now_ms) {
        Some(Fired { effect: Effect::Error { code, carried_out: false }, .. }) => code,
        None => 0,
        other => panic!("{other:?}"),
    };
    let steps = [
        (ApiKey::Produce, 0, 0),
        (ApiKey::EndTxn, 0, 16),
        (ApiKey::EndTxn, 60, 16),
        (ApiKey::FindCoordinator, 20, 15),
        (ApiKey::FindCoordinator, 50, 0),
        (ApiKey::EndTxn, 61, 0),
        (ApiKey::FindCoordinator, 62, 0),
    ];
    for (key, now_ms, expected) in steps {
        assert_eq!(code(key, now_ms), expected, "{key:?} at {now_ms}");
    }
    assert_eq!(book.list()[0].1.happened, 2);
}

#[test]
fn an_end_on_its_way_arrives_behind_the_next_write_and_its_repeat_passes() {
    let mut book = book([Rule::new("late", Effect::LateEndTxn)]);
    let (end, produce) = (request(ApiKey::EndTxn), request(ApiKey::Produce));
    assert_eq!(book.arrives(&produce), None);
    let fired = book.on_request(&end, 0).unwrap();
    book.keep(&fired.rule, "shop.a", Bytes::from_static(b"end"));
    assert_eq!(book.on_request(&end, 0), None, "the client's repeat");
    assert_eq!(book.arrives(&end), None);
    assert_eq!(book.list()[0].1.happened, 0, "not before it has arrived");
    assert_eq!(book.arrives(&produce), Some(("late".to_owned(), Bytes::from_static(b"end"))));
    book.has_happened("late", true);
    assert_eq!(book.list()[0].1, Count { matched: 1, happened: 1, accepted: 1 });
    assert!(book.on_request(&end, 0).is_some(), "the next transaction's");
}

#[test]
fn markers_are_withheld_as_long_as_the_rule_is_there() {
    let mut book = book([Rule::new("hang", Effect::HangingTransaction).transactional("shop.*").times(1)]);
    assert!(!book.withhold("other"));
    assert!(book.withhold("shop.a") && book.withholds("shop.a"));
    assert!(!book.withhold("shop.b") && !book.withholds("shop.b"));
    assert!(book.remove("hang") && !book.remove("hang"));
    assert!(!book.withholds("shop.a"));
}

#[test]
fn the_journal_has_faults_of_its_own() {
    let slow = Effect::SlowFlush { ms: 5 };
    let mut book = book([Rule::new("slow", slow.clone()), Rule::new("full", Effect::FullDisk).from(2)]);
    assert_eq!(book.on_write(false), None, "what is not flushed is not slow");
    assert_eq!(book.on_write(true), Some(slow));
    assert_eq!(book.on_write(false), Some(Effect::FullDisk));
    assert_eq!(book.on_request(&request(ApiKey::EndTxn), 0), None);
}

#[test]
fn rules_that_cannot_be_are_refused() {
    let drop = || Rule::new("r", Effect::DropResponse);
    let error = Effect::Error { code: 1, carried_out: false };
    let useless = |effect, api: &str| BadRule::Useless { effect, api: api.into() };
    let table = [
        (drop().on(&["EndTx"]), BadRule::Api("EndTx".into())),
        (Rule::new("r", error.clone()).on(&["Metadata"]), useless(error, "Metadata")),
        (Rule::new("r", Effect::LateEndTxn).on(&["Produce"]), useless(Effect::LateEndTxn, "Produce")),
        (Rule::new("r", Effect::FullDisk).client("me"), BadRule::Filter(Effect::FullDisk, "client_id")),
        (drop().from(0), BadRule::Number("`from` and `every` begin at 1")),
        (drop().chance(1_001, 0), BadRule::Number("`per_mille` is at most 1000")),
    ];
    for (rule, expected) in table {
        assert_eq!(Book::default().add(rule), Err(expected));
    }
    let mut book = book([drop()]);
    assert_eq!(book.add(drop()), Err(BadRule::Known("r".into())));
}
