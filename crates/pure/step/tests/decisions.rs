//! What a step service does with a record, from its bytes to the records that it leaves.

use std::collections::{BTreeMap, BTreeSet};

use quadrille_step::conclude::{Answer, Concluded, Emitted, conclude};
use quadrille_step::plan::{Planned, Work, plan};
use quadrille_step::retry::Policy;
use quadrille_step::spec::{Emits, EventSpec, Guarantee, Limits, Owner, ServiceSpec, StepSpec};

use quadrille_types::command::Command;
use quadrille_types::dead_letter::Reason;
use quadrille_types::envelope::{Definition, Envelope, Lineage, Position};
use quadrille_types::fact::{Body, Fact, Outcome};
use quadrille_types::ids::{Action, RunId, Trigger};
use quadrille_types::topics::Names;
use quadrille_types::{OutRecord, Record};
use quadrille_types::{format, partition};

const PARTITIONS: u32 = 4;

fn event(topic: &str, owner: Owner, starts: Option<&str>) -> EventSpec {
    EventSpec {
        topic: topic.into(),
        partitions: PARTITIONS,
        owner,
        by_key: false,
        starts: starts.map(Into::into),
        flow: starts.is_none().then(|| "order".into()),
    }
}

fn names(list: &[&str]) -> BTreeSet<String> {
    list.iter().map(|name| (*name).to_owned()).collect()
}

fn charge() -> StepSpec {
    StepSpec {
        name: "charge".into(),
        listens_to: Some("OrderPlaced".into()),
        partitions: PARTITIONS,
        emits: Emits::one_of(["PaymentTaken"]),
        gives_up: None,
        rejects: Emits::one_of(["CardDeclined"]),
        undo_emits: Some(Emits::one_of(["PaymentRefunded"])),
        retry: Policy { tries: 3, wait_min_ms: 10, wait_max_ms: 20 },
        timeout_ms: 1_000,
        concurrency: 8,
        carries: names(&["PaymentTaken"]),
        keeps_ledger: true,
    }
}

fn spec() -> ServiceSpec {
    let pack = StepSpec {
        name: "pack".into(),
        listens_to: Some("PaymentTaken".into()),
        keeps_ledger: false,
        undo_emits: None,
        ..charge()
    };
    ServiceSpec {
        names: Names::new("shop"),
        service: "payment".into(),
        guarantee: Guarantee::ExactlyOnce,
        definition: Definition { version: 7, hash: "c0ffee".into() },
        saga_partitions: 8,
        limits: Limits { event: 1_000, own: 2_500, kept: 300, found: BTreeMap::new() },
        events: BTreeMap::from([
            ("OrderPlaced".into(), event("orders", Owner::Foreign, Some("order"))),
            ("PaymentTaken".into(), event("payments", Owner::Mesh, None)),
            ("CardDeclined".into(), event("payments", Owner::Mesh, None)),
            ("PaymentRefunded".into(), event("payments", Owner::Mesh, None)),
        ]),
        steps: vec![charge(), pack],
    }
}

fn home(key: &str) -> i32 {
    partition::of_key(key.as_bytes(), PARTITIONS) as i32
}

fn record(topic: &str, partition: i32, key: Option<&str>, headers: &[(&str, &str)]) -> Record {
    Record {
        position: Position { topic: topic.into(), partition, offset: 40 },
        time_ms: 1_000,
        key: key.map(|key| key.as_bytes().to_vec()),
        value: Some(b"order".to_vec()),
        headers: headers.iter().map(|(n, v)| ((*n).to_owned(), Some(v.as_bytes().to_vec()))).collect(),
    }
}

fn order(key: &str, id: &str) -> Record {
    record("orders", home(key), Some(key), &[("ce_id", id), ("ce_type", "OrderPlaced")])
}

#[track_caller]
fn run(record: &Record) -> Work {
    match plan(&spec(), record).as_slice() {
        [Planned::Run(work)] => (**work).clone(),
        other => panic!("one call was expected, got {other:?}"),
    }
}

#[track_caller]
fn dead(record: &Record) -> (Work, Reason) {
    match plan(&spec(), record).as_slice() {
        [Planned::Dead { work, reason, .. }] => ((**work).clone(), *reason),
        other => panic!("a dead letter was expected, got {other:?}"),
    }
}

fn answered(record: &Record, answer: Answer) -> Vec<OutRecord> {
    let work = run(record);
    conclude(&spec(), Concluded { record, work: &work, answer, attempts: 1, now_ms: 2_000 })
}

fn emitted(event: &str) -> Vec<Emitted> {
    vec![Emitted { event: event.into(), content_type: None, value: b"paid".to_vec() }]
}

fn topics(out: &[OutRecord]) -> Vec<&str> {
    out.iter().map(|record| record.topic.as_str()).collect()
}

fn fact_in(out: &[OutRecord]) -> Outcome {
    let record = out.iter().find(|record| record.topic == "shop.facts.payment").expect("a fact");
    let fact: Fact = format::decode(record.value.as_deref().unwrap()).unwrap();
    assert_eq!(record.partition, partition::of_key(fact.lineage.run.to_string().as_bytes(), 8) as i32);
    match fact.body {
        Body::Step(result) => result.result,
        other => panic!("a step's answer was expected, got {other:?}"),
    }
}

#[test]
fn copies_of_a_start_event_are_one_activation() {
    let (first, copy) = (run(&order("4711", "a")), run(&order("4711", "b")));
    assert_eq!(first.activation, copy.activation);
    assert_eq!(first.trigger, Trigger::Start);
    assert_eq!(first.lineage.unwrap().run, RunId::of("shop", "order", "4711"));
    assert_ne!(first.activation, run(&order("4712", "a")).activation);
}

#[test]
fn reserved_headers_of_a_foreign_event_are_ignored() {
    let forged = RunId::of("shop", "order", "other").to_string();
    let mut record = order("4711", "a");
    record.headers.push(("quadrille-run".into(), Some(forged.into_bytes())));
    assert_eq!(run(&record).lineage.unwrap().run, RunId::of("shop", "order", "4711"));
}

#[test]
fn the_correlation_header_wins_over_the_key() {
    let record = record("orders", home("4711"), Some("customer-1"), &[("ce_correlationid", "4711")]);
    assert_eq!(run(&record).correlation_id, "4711");
}

#[test]
fn a_record_on_a_foreign_partition_hops_to_its_saga_and_is_the_same_activation() {
    let mut stray = order("4711", "a");
    stray.position.partition = (home("4711") + 1) % PARTITIONS as i32;
    let planned = plan(&spec(), &stray);
    let [Planned::Hop(out)] = planned.as_slice() else { panic!("a hop was expected, got {planned:?}") };
    assert_eq!((out.topic.as_str(), out.partition), ("shop.control.charge", home("4711")));
    let arrived = Record {
        position: Position { topic: out.topic.clone(), partition: out.partition, offset: 0 },
        time_ms: 9_999,
        key: out.key.clone(),
        value: out.value.clone(),
        headers: out.headers.clone(),
    };
    let work = run(&arrived);
    assert_eq!(work.activation, run(&order("4711", "b")).activation);
    assert_eq!((work.origin, work.origin_time_ms), (stray.position, 1_000));
}

#[test]
fn records_that_no_step_listens_to_are_passed_over() {
    assert_eq!(plan(&spec(), &record("orders", 0, Some("1"), &[("ce_type", "OrderViewed")])), []);
    assert_eq!(plan(&spec(), &record("payments", 0, Some("1"), &[])), [], "several events lie in this topic");
}

#[test]
fn what_cannot_be_read_is_dead_and_settles_nobody_elses_activation() {
    let good = run(&order("4711", "a")).activation;
    let mut bad_header = order("4711", "a");
    bad_header.headers.push(("ce_type".into(), Some(vec![0xff])));
    let mut no_value = order("4711", "a");
    no_value.value = None;
    for (record, expected) in [
        (bad_header, Reason::Undecodable),
        (record("orders", 0, None, &[]), Reason::NoKey),
        (record("orders", 0, Some(""), &[]), Reason::NoKey),
        (no_value, Reason::NoValue),
        (record("shop.control.charge", 0, Some("4711"), &[]), Reason::Undecodable),
    ] {
        let (work, reason) = dead(&record);
        assert_eq!(reason, expected);
        assert_ne!(work.activation, good);
        let answer = Answer::Failed { reason, message: "why".into() };
        let out =
            conclude(&spec(), Concluded { record: &record, work: &work, answer, attempts: 0, now_ms: 2_000 });
        assert_eq!(out[0].topic, "shop.dead.charge");
        assert_eq!((&out[0].key, &out[0].value), (&record.key, &record.value));
        assert_eq!(out[0].headers[..record.headers.len()], record.headers[..]);
    }
}

#[test]
fn an_event_of_the_mesh_carries_its_run_on() {
    let out = answered(&order("4711", "a"), Answer::Succeeded(emitted("PaymentTaken")));
    let event = &out[0];
    let next = Record {
        position: Position { topic: event.topic.clone(), partition: event.partition, offset: 7 },
        time_ms: 2_000,
        key: event.key.clone(),
        value: event.value.clone(),
        headers: event.headers.clone(),
    };
    let work = run(&next);
    let charged = run(&order("4711", "a"));
    assert_eq!(work.lineage, charged.lineage);
    let id = charged.activation.event(Action::Do, 0).to_string();
    assert_eq!((work.causation_id, work.trigger), (Some(id.clone()), Trigger::Event(id)));
    let envelope = Envelope::read(next.headers(), &next.position).unwrap();
    assert_eq!(envelope.causation_id.as_deref(), Some("a"));
    assert_eq!(envelope.source, "/shop/charge");
}

#[test]
fn an_event_of_another_definition_is_dead() {
    let out = answered(&order("4711", "a"), Answer::Succeeded(emitted("PaymentTaken")));
    let mut headers = out[0].headers.clone();
    headers.push(("quadrille-definition".into(), Some(b"6/old".to_vec())));
    let record = Record { headers, ..record("payments", home("4711"), Some("4711"), &[]) };
    assert_eq!(dead(&record).1, Reason::UnknownDefinition);
}

#[test]
fn success_leaves_event_fact_and_ledger() {
    let out = answered(&order("4711", "a"), Answer::Succeeded(emitted("PaymentTaken")));
    assert_eq!(topics(&out), ["payments", "shop.facts.payment", "shop.ledger.charge"]);
    let Outcome::Succeeded { events, inputs } = fact_in(&out) else { panic!("success was expected") };
    assert!(events[0].payload.is_some(), "a join needs it");
    assert_eq!(inputs[0].event, "OrderPlaced", "the compensation needs it");
}

#[test]
fn rejection_and_exhaustion_are_facts() {
    let rejected = answered(&order("4711", "a"), Answer::Rejected(emitted("CardDeclined")));
    assert!(matches!(fact_in(&rejected), Outcome::Rejected { .. }));
    let failed = Answer::Failed { reason: Reason::Exhausted, message: "x".repeat(5_000) };
    let exhausted = answered(&order("4711", "a"), failed);
    assert_eq!(topics(&exhausted), ["shop.dead.charge", "shop.facts.payment", "shop.ledger.charge"]);
    let Outcome::Exhausted { message, .. } = fact_in(&exhausted) else { panic!("exhausted was expected") };
    assert_eq!(message.len(), 1_024);
}

#[test]
fn an_event_after_exhausted_tries_is_there_with_the_dead_letter_and_the_fact() {
    let gave_up = |bytes| Answer::GaveUp {
        reason: Reason::Exhausted,
        message: "down".into(),
        emitted: Emitted { event: "PaymentTaken".into(), content_type: None, value: vec![0; bytes] },
    };
    let out = answered(&order("4711", "a"), gave_up(10));
    assert_eq!(topics(&out), ["payments", "shop.dead.charge", "shop.facts.payment", "shop.ledger.charge"]);
    let Outcome::Exhausted { inputs, event: Some(event), .. } = fact_in(&out) else { panic!("it gave up") };
    assert_eq!((inputs.len(), event.payload.is_some()), (1, true), "an undo and a join need them");
    let work = run(&order("4711", "a"));
    assert_eq!(event.id, work.activation.event(Action::Do, 0).to_string());
    let written = Record { headers: out[0].headers.clone(), ..record("payments", 0, None, &[]) };
    let envelope = Envelope::read(written.headers(), &written.position).unwrap();
    assert_eq!(
        (envelope.id, envelope.event, envelope.causation_id),
        (event.id, Some("PaymentTaken".into()), Some("a".into()))
    );
    let too_large = answered(&order("4711", "a"), gave_up(301));
    assert_eq!(topics(&too_large), ["shop.dead.charge", "shop.facts.payment", "shop.ledger.charge"]);
    let Outcome::Exhausted { reason, message, event: None, .. } = fact_in(&too_large) else {
        panic!("it is held")
    };
    assert!(reason == Reason::Exhausted && message.starts_with("down; PaymentTaken has 301"), "{message}");
}

#[test]
fn what_the_file_does_not_declare_and_what_is_too_large_is_dead() {
    let undeclared = answered(&order("4711", "a"), Answer::Succeeded(emitted("CardDeclined")));
    assert!(matches!(fact_in(&undeclared), Outcome::Exhausted { reason: Reason::Undeclared, .. }));
    let large = vec![Emitted { event: "PaymentTaken".into(), content_type: None, value: vec![0; 1_000] }];
    let oversized = answered(&order("4711", "a"), Answer::Succeeded(large));
    assert!(matches!(fact_in(&oversized), Outcome::Exhausted { reason: Reason::Oversized, .. }));
    assert_eq!(topics(&oversized)[0], "shop.dead.charge", "no event is written");
}

fn paid(bytes: usize) -> Answer {
    let value = vec![0; bytes];
    Answer::Succeeded(vec![Emitted { event: "PaymentTaken".into(), content_type: None, value }])
}

#[test]
fn an_event_that_no_command_could_carry_is_refused_where_it_enters() {
    let emitted = answered(&order("4711", "a"), paid(301));
    assert!(matches!(fact_in(&emitted), Outcome::Exhausted { reason: Reason::Oversized, .. }));
    assert!(matches!(fact_in(&answered(&order("4711", "a"), paid(300))), Outcome::Succeeded { .. }));
    let mut spec = spec();
    spec.steps[0].carries = names(&["OrderPlaced"]);
    let record = Record { value: Some(vec![0; 301]), ..order("4711", "a") };
    let planned = plan(&spec, &record);
    let [Planned::Dead { work, reason: Reason::Oversized, .. }] = planned.as_slice() else {
        panic!("{planned:?}")
    };
    assert!(matches!(work.trigger, Trigger::Record(_)), "nothing begins with it");
}

#[test]
fn what_a_topic_was_found_to_refuse_is_not_written_again() {
    let record = Record { value: Some(vec![0; 300]), ..order("4711", "a") };
    let work = run(&record);
    let left = |limits: &Limits| {
        let (spec, answer) = (ServiceSpec { limits: limits.clone(), ..spec() }, paid(300));
        let concluded = Concluded { record: &record, work: &work, answer, attempts: 1, now_ms: 2_000 };
        conclude(&spec, concluded)
    };
    for refused in ["payments", "shop.facts.payment"] {
        let mut limits = spec().limits;
        let (mut sizes, mut out) = (Vec::new(), left(&limits));
        for topic in [refused, "shop.dead.charge", "shop.facts.payment"] {
            let large = out.iter().find(|record| record.topic == topic).unwrap().size();
            sizes.push(large);
            limits.refused(topic, large);
            out = left(&limits);
            assert!(out.iter().all(|record| record.topic != topic || record.size() < large), "{topic}");
            assert!(matches!(fact_in(&out), Outcome::Exhausted { reason: Reason::Oversized, .. }));
        }
        assert_eq!(topics(&out), ["shop.dead.charge", "shop.facts.payment", "shop.ledger.charge"]);
        assert_eq!(out[0].value, None, "the dead letter only says where the record lies");
    }
}

#[test]
fn a_record_that_cannot_be_moved_to_its_saga_is_given_up_as_what_it_is() {
    let elsewhere = (home("4711") + 1) % PARTITIONS as i32;
    let mut record = record("orders", elsewhere, Some("4711"), &[("ce_id", "a"), ("ce_type", "OrderPlaced")]);
    assert!(matches!(plan(&spec(), &record).as_slice(), [Planned::Hop(_)]));
    record.value = Some(vec![0; 2_400]);
    let (work, reason) = dead(&record);
    assert_eq!((reason, &work.trigger), (Reason::Oversized, &Trigger::Start));
}

#[test]
fn a_key_that_is_too_long_for_an_identity_names_no_saga() {
    let key = "k".repeat(5_000);
    let (work, reason) = dead(&record("orders", home(&key), Some(&key), &[("ce_type", "OrderPlaced")]));
    assert_eq!((reason, work.correlation_id.as_str(), work.lineage), (Reason::Oversized, "", None));
}

#[test]
fn a_command_is_obeyed_and_answered() {
    let charged = run(&order("4711", "a"));
    let lineage: Lineage = charged.lineage.clone().unwrap();
    let command = Command {
        lineage,
        step: "charge".into(),
        activation: charged.activation,
        trigger: Trigger::Start,
        action: Action::Undo,
        inputs: charged.inputs.clone(),
        causation_id: Some("e9".into()),
        deadline_ms: None,
        traceparent: None,
        tracestate: Some("a=b".into()),
    };
    let record = Record {
        value: Some(format::encode(&command)),
        ..record("shop.control.charge", home("4711"), Some("4711"), &[])
    };
    let work = run(&record);
    assert_eq!((work.action, work.activation), (Action::Undo, charged.activation));
    assert_eq!(work.tracestate.as_deref(), Some("a=b"));
    assert_eq!((work.source, work.caused_by.as_deref()), (None, Some("e9")));
    let out = answered(&record, Answer::Succeeded(emitted("PaymentRefunded")));
    assert_eq!(topics(&out), ["payments", "shop.facts.payment"], "an undo is not in the ledger");
    assert!(matches!(fact_in(&out), Outcome::Undone { .. }));
    let refused = answered(&record, Answer::Rejected(Vec::new()));
    assert!(matches!(fact_in(&refused), Outcome::UndoExhausted { reason: Reason::Undeclared, .. }));
}

#[test]
fn an_answer_has_the_events_that_the_topology_says() {
    let one = Emits::one_of(["A", "B"]);
    let each = Emits::Each(names(&["A", "B"]));
    let none = Emits::one_of::<String>([]);
    let cases: [(&Emits, &[&str], bool); 9] = [
        (&one, &["A"], true),
        (&one, &["A", "B"], false),
        (&one, &[], false),
        (&one, &["C"], false),
        (&each, &["B", "A"], true),
        (&each, &["A"], false),
        (&each, &["A", "A"], false),
        (&none, &[], true),
        (&none, &["A"], false),
    ];
    for (emits, answer, right) in cases {
        assert_eq!(emits.are(answer), right, "{answer:?} for {emits}");
    }
}

#[test]
fn where_the_topology_says_so_the_key_wins_over_the_correlation_header() {
    let mut spec = spec();
    spec.events.get_mut("OrderPlaced").unwrap().by_key = true;
    let record = record("orders", home("4711"), Some("4711"), &[("ce_correlationid", "other")]);
    match plan(&spec, &record).as_slice() {
        [Planned::Run(work)] => assert_eq!(work.correlation_id, "4711"),
        other => panic!("one call was expected, got {other:?}"),
    }
}
