//! What a lane holds and gives out, driven by hand.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use quadrille_step::conclude::{Answer, Emitted};
use quadrille_step::lane::{Batch, Counts, Lane, LedgerId, Task};
use quadrille_step::retry::Policy;
use quadrille_step::spec::{Emits, EventSpec, Guarantee, Limits, Owner, ServiceSpec, StepSpec};
use quadrille_types::dead_letter::Reason;
use quadrille_types::envelope::Position;
use quadrille_types::fact::{Body, Fact};
use quadrille_types::format;
use quadrille_types::ids::Trigger;
use quadrille_types::topics::Names;
use quadrille_types::{Definition, Partition, Record};

const LEDGER: LedgerId = LedgerId { step: 0, partition: 0 };

fn spec() -> ServiceSpec {
    let event = |topic: &str, owner, starts: Option<&str>| EventSpec {
        topic: topic.into(),
        partitions: 1,
        owner,
        by_key: false,
        starts: starts.map(Into::into),
        flow: Some("order".into()),
    };
    ServiceSpec {
        names: Names::new("shop"),
        service: "payment".into(),
        guarantee: Guarantee::ExactlyOnce,
        definition: Definition { version: 1, hash: "c0ffee".into() },
        saga_partitions: 1,
        limits: Limits { event: 1_000_000, own: 7_900_000, kept: 1_000_000, found: BTreeMap::new() },
        events: BTreeMap::from([
            ("OrderPlaced".into(), event("orders", Owner::Foreign, Some("order"))),
            ("PaymentTaken".into(), event("payments", Owner::Mesh, None)),
        ]),
        steps: vec![StepSpec {
            name: "charge".into(),
            listens_to: Some("OrderPlaced".into()),
            partitions: 1,
            emits: Emits::one_of(["PaymentTaken"]),
            gives_up: None,
            rejects: Emits::one_of::<String>([]),
            undo_emits: None,
            retry: Policy { tries: 1, wait_min_ms: 1, wait_max_ms: 1 },
            timeout_ms: 1_000,
            concurrency: 10,
            carries: BTreeSet::new(),
            keeps_ledger: true,
        }],
    }
}

fn lane() -> Lane {
    let mut lane = Lane::new(Arc::new(spec()), 100);
    lane.assign([Partition::new("orders", 0), Partition::new("shop.control.charge", 0)]);
    assert_eq!(lane.missing_ledgers(), &BTreeSet::from([LEDGER]));
    lane.restore_ledger(LEDGER, []);
    lane
}

fn order(offset: i64, key: &str) -> Record {
    Record {
        position: Position { topic: "orders".into(), partition: 0, offset },
        time_ms: 1,
        key: Some(key.into()),
        value: Some(b"order".to_vec()),
        headers: vec![],
    }
}

fn paid() -> Answer {
    Answer::Succeeded(vec![Emitted { event: "PaymentTaken".into(), content_type: None, value: vec![] }])
}

fn garbage() -> Answer {
    Answer::Failed { reason: Reason::Undecodable, message: "no order".into() }
}

fn started(lane: &mut Lane) -> Vec<Task> {
    std::iter::from_fn(|| lane.start()).collect()
}

fn written(lane: &mut Lane) -> (Vec<String>, Option<i64>) {
    let batch = lane.collect(100, 1_000_000);
    let offset = batch.offsets.get(&Partition::new("orders", 0)).copied();
    (batch.out.into_iter().map(|record| record.topic).collect(), offset)
}

#[test]
fn a_copy_of_a_known_activation_leaves_nothing_but_its_offset() {
    let mut lane = lane();
    for offset in 0..3 {
        lane.take(order(offset, "4711"), 5);
    }
    let first = started(&mut lane);
    assert_eq!(first.len(), 1, "copies wait behind the first");
    lane.finish(&first[0], paid(), 1, 6);
    assert!(started(&mut lane).is_empty());
    let (topics, offset) = written(&mut lane);
    assert_eq!(topics, ["payments", "shop.facts.payment", "shop.ledger.charge"]);
    assert_eq!(offset, Some(3));
    assert_eq!(lane.counts(), Counts { duplicates: 2, ..Counts::default() });
}

#[test]
fn garbage_does_not_use_up_the_activation_of_a_good_copy() {
    let mut lane = lane();
    lane.take(order(0, "4711"), 5);
    lane.take(order(1, "4711"), 5);
    let bad = started(&mut lane);
    lane.finish(&bad[0], garbage(), 1, 6);
    let good = started(&mut lane);
    assert_eq!(good.len(), 1, "the good copy runs");
    lane.finish(&good[0], paid(), 1, 7);
    let (topics, offset) = written(&mut lane);
    assert_eq!(
        topics,
        ["shop.dead.charge", "shop.facts.payment", "payments", "shop.facts.payment", "shop.ledger.charge"]
    );
    assert_eq!(offset, Some(2));
}

#[test]
fn what_is_read_again_after_a_failed_transaction_runs_again() {
    let mut lane = lane();
    lane.take(order(0, "4711"), 5);
    let first = started(&mut lane);
    lane.finish(&first[0], paid(), 1, 6);
    assert_eq!(written(&mut lane).1, Some(1));
    lane.restart();
    assert_eq!(lane.missing_ledgers(), &BTreeSet::from([LEDGER]), "what it knew was not committed");
    lane.restore_ledger(LEDGER, []);
    lane.take(order(0, "4711"), 7);
    assert_eq!(started(&mut lane).len(), 1);
}

#[test]
fn an_answer_from_before_a_revocation_is_ignored_and_its_key_waits_for_it() {
    let mut lane = lane();
    lane.take(order(0, "4711"), 5);
    let old = started(&mut lane);
    lane.restart();
    lane.restore_ledger(LEDGER, []);
    lane.take(order(0, "4711"), 6);
    assert!(started(&mut lane).is_empty(), "the old call still runs for this key");
    lane.finish(&old[0], paid(), 1, 7);
    assert!(!lane.is_ready());
    let new = started(&mut lane);
    lane.finish(&new[0], paid(), 1, 8);
    assert_eq!(written(&mut lane).1, Some(1));
}

#[test]
fn a_restored_ledger_drops_what_an_earlier_owner_did() {
    let mut first = lane();
    first.take(order(0, "4711"), 5);
    let activation = started(&mut first)[0].work.activation;
    let mut lane = Lane::new(Arc::new(spec()), 100);
    lane.assign([Partition::new("orders", 0), Partition::new("shop.control.charge", 0)]);
    lane.restore_ledger(LEDGER, [activation]);
    lane.take(order(7, "4711"), 5);
    assert!(started(&mut lane).is_empty());
    assert_eq!(written(&mut lane), (vec!["shop.facts.payment".into()], Some(8)), "it says that it knows it");
}

/// A copy that was moved from another partition.
fn moved(offset: i64, key: &str) -> Record {
    let hop = ("quadrille-hop".to_owned(), Some(format!("orders/1/{offset}/1").into_bytes()));
    let position = Position { topic: "shop.control.charge".into(), partition: 0, offset };
    Record { position, headers: vec![hop], ..order(offset, key) }
}

fn facts(batch: &Batch) -> Vec<Fact> {
    let facts = batch.out.iter().filter(|record| record.topic == "shop.facts.payment");
    facts.map(|record| format::decode(record.value.as_deref().unwrap()).unwrap()).collect()
}

#[test]
fn a_copy_says_that_it_is_known_once_the_answer_is_on_its_way_before_it() {
    let mut lane = lane();
    lane.take(order(0, "slow"), 5);
    lane.take(order(1, "4711"), 5);
    let both = started(&mut lane);
    lane.finish(&both[1], paid(), 1, 6);
    lane.take(moved(0, "4711"), 7);
    assert!(started(&mut lane).is_empty(), "it is known");
    let batch = lane.collect(100, 1_000_000);
    assert!(batch.out.is_empty() && batch.offsets.len() == 1, "its answer waits for the slow one: {batch:?}");
    lane.take(moved(1, "4711"), 7);
    assert!(started(&mut lane).is_empty());
    lane.finish(&both[0], paid(), 1, 8);
    let batch = lane.collect(100, 1_000_000);
    let answers = |fact: &Fact| matches!(fact.body, Body::Step(_));
    assert!(facts(&batch).len() == 2 && facts(&batch).iter().all(answers), "{batch:?}");
    lane.take(moved(2, "4711"), 9);
    assert!(started(&mut lane).is_empty());
    let batch = lane.collect(100, 1_000_000);
    let found = facts(&batch);
    let [Fact { body: Body::Known(known), lineage, source, .. }] = found.as_slice() else {
        panic!("{batch:?}")
    };
    assert_eq!(batch.out.len(), 1);
    assert_eq!((known.step.as_str(), &known.trigger), ("charge", &Trigger::Start));
    assert_eq!(known.activation, both[1].work.activation);
    assert_eq!((lineage.correlation_id.as_str(), source.to_string().as_str()), ("4711", "orders/1/2"));
}

#[test]
fn after_a_failed_transaction_only_what_was_committed_is_known() {
    let mut lane = lane();
    lane.take(order(0, "4711"), 5);
    let first = started(&mut lane);
    lane.finish(&first[0], paid(), 1, 6);
    lane.collect(100, 1_000_000);
    lane.restart();
    lane.restore_ledger(LEDGER, []);
    lane.take(order(0, "4711"), 5);
    let again = started(&mut lane);
    lane.take(order(1, "4711"), 5);
    lane.finish(&again[0], paid(), 1, 6);
    assert!(started(&mut lane).is_empty());
    let batch = lane.collect(100, 1_000_000);
    assert_eq!((facts(&batch).len(), batch.out.len()), (1, 3), "the answer, and nothing of its copy");
}

#[test]
fn a_copy_that_begins_no_run_says_nothing() {
    for (starts, flow) in [(None, Some("order".to_owned())), (None, None)] {
        let mut spec = spec();
        let event = spec.events.get_mut("OrderPlaced").unwrap();
        (event.starts, event.flow) = (starts, flow);
        let mut lane = Lane::new(Arc::new(spec), 100);
        lane.assign([Partition::new("orders", 0), Partition::new("shop.control.charge", 0)]);
        lane.restore_ledger(LEDGER, []);
        let same = |offset| Record {
            headers: vec![("ce_id".to_owned(), Some(b"a".to_vec()))],
            ..order(offset, "4711")
        };
        lane.take(same(0), 5);
        let first = started(&mut lane);
        lane.finish(&first[0], paid(), 1, 6);
        assert!(!lane.collect(100, 1_000_000).out.is_empty());
        lane.take(same(1), 7);
        assert!(started(&mut lane).is_empty());
        assert_eq!(written(&mut lane), (vec![], Some(2)));
    }
}

#[test]
fn a_partition_that_is_gone_takes_nothing() {
    let mut lane = lane();
    lane.revoke(&[Partition::new("orders", 0)]);
    lane.take(order(0, "4711"), 5);
    assert_eq!((lane.load(), started(&mut lane).len()), (0, 0));
}
