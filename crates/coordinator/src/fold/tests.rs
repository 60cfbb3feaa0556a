//! What the fold writes, without a broker.

use quadrille_kafka::Settings;
use quadrille_saga::after_end::STRAY_MS_MIN;
use quadrille_saga::state::{End, Ended};
use quadrille_schema::Codec;
use quadrille_types::envelope::Position;
use quadrille_types::fact::{Body, EventRef, Known, Outcome, StepResult};
use quadrille_types::ids::Trigger;
use quadrille_types::outcome::SCHEMA;

use super::*;

const FILE: &str = "
quadrille: 1
mesh: m
version: 1
defaults: { from: earliest }
events:
  Asked: { topic: asked, schema: json, owner: foreign }
  Noted: { topic: noted, schema: json }
steps:
  note: { service: notes, when: Asked, handler: { rust: note }, emits: Noted, effect: none }
sagas:
  talk: { starts: Asked, completes: Noted, deadline: { after: 1m, then: undo } }
";

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// A fold that owns partition 0, where nothing is known, and remembers what ended for a day.
fn fold(version: u32) -> Fold {
    let file = FILE.replace("version: 1", &format!("version: {version}"));
    let checked = quadrille_topology::topology(file.as_bytes(), &|path: &str| Err(path.to_owned()));
    let mesh = checked.mesh.unwrap_or_else(|| panic!("{:#?}", checked.diagnostics));
    let spec = CoordinatorSpec::of(&mesh).keeping_ended(Duration::from_millis(DAY_MS as u64));
    let settings = Settings::new("127.0.0.1:1", []).unwrap();
    let outcomes = Encoder::new(1, Arc::new(Codec::parse(SCHEMA).unwrap()));
    let mut fold = Fold::new(Arc::new(spec), Restorer::new(&settings, "test").unwrap(), outcomes);
    fold.restored(0, Restoring::default());
    fold
}

fn run() -> RunId {
    RunId::of("m", "talk", "k")
}

fn record(fold: &Fold, body: Body, source_time_ms: i64) -> Record {
    let definition = fold.spec.definition.clone();
    let (flow, correlation_id) = ("talk".to_owned(), "k".to_owned());
    let source = Position { topic: "asked".into(), partition: 0, offset: 7 };
    let fact = Fact {
        lineage: Lineage { flow, run: run(), correlation_id, definition },
        source,
        source_time_ms,
        body,
        traceparent: None,
        tracestate: None,
    };
    Record {
        position: Position { topic: "m.facts.notes".into(), partition: 0, offset: 0 },
        time_ms: 0,
        key: Some(run().to_string().into_bytes()),
        value: Some(format::encode(&fact)),
        headers: Vec::new(),
    }
}

fn started() -> Body {
    Body::Started(EventRef { event: "Asked".into(), id: "1".into(), payload: None })
}

fn noted() -> Body {
    let events = vec![EventRef { event: "Noted".into(), id: "2".into(), payload: None }];
    let (step, trigger) = ("note".to_owned(), Trigger::Start);
    let activation = run().activation(&step, &trigger);
    let result = Outcome::Succeeded { events, inputs: Vec::new() };
    Body::Step(StepResult { step, activation, trigger, result, attempts: 1 })
}

fn known() -> Body {
    let (step, trigger) = ("note".to_owned(), Trigger::Start);
    Body::Known(Known { activation: run().activation(&step, &trigger), step, trigger })
}

/// What was written: topics, with the reason of what is kept as unmatched, and `-` before what is deleted.
fn written(fold: &mut Fold) -> Vec<String> {
    let mut topics: Vec<String> = fold.collect().records.iter().map(word).collect();
    topics.sort();
    topics
}

fn word(record: &OutRecord) -> String {
    let deleted = if record.value.is_none() { "-" } else { "" };
    let reason = record.headers.iter().find(|(name, _)| name == UNMATCHED_REASON);
    let reason = reason.and_then(|(_, value)| value.as_deref()).map(String::from_utf8_lossy);
    let reason = reason.map(|reason| format!(" {reason}")).unwrap_or_default();
    format!("{deleted}{}{reason}", record.topic.trim_start_matches("m.sagas."))
}

fn process(fold: &mut Fold, body: Body, source_time_ms: i64, now_ms: i64) {
    let record = record(fold, body, source_time_ms);
    fold.process(record, now_ms).unwrap();
}

#[test]
fn an_answer_to_a_forgotten_run_is_forgotten_too_and_its_record_kept() {
    let mut fold = fold(1);
    let now_ms = 3 * DAY_MS;
    process(&mut fold, noted(), 0, now_ms);
    assert_eq!(written(&mut fold), ["journal", "state", "state", "unmatched late"]);
    fold.tick(now_ms + DAY_MS - 1);
    assert!(written(&mut fold).is_empty());
    assert_eq!(fold.partitions[&0].live(), 1);
    fold.tick(now_ms + DAY_MS);
    assert_eq!(written(&mut fold), ["-state", "-state", "journal", "unmatched never-started"]);
    assert_eq!(fold.partitions[&0].known(), 0);
}

#[test]
fn what_ended_leaves_nothing_but_that_it_was_forgotten() {
    let mut fold = fold(1);
    process(&mut fold, started(), 0, 1);
    process(&mut fold, noted(), 0, 2);
    fold.collect();
    fold.tick(DAY_MS + 2);
    let output = fold.collect();
    let entry = output.records.iter().find(|record| record.topic == "m.sagas.journal").unwrap();
    let forgotten = Entry { now_ms: DAY_MS + 2, input: Input::Forgotten(run()) };
    assert_eq!(format::decode(entry.value.as_deref().unwrap()), Ok(forgotten));
    assert_eq!(output.records.iter().map(word).collect::<Vec<_>>(), ["journal", "-state"]);
    assert_eq!(output.touched, BTreeSet::from([0]), "its position fences it");
}

#[test]
fn a_run_that_began_again_leaves_no_outcome() {
    let mut fold = fold(1);
    process(&mut fold, started(), 5, 6);
    assert_eq!(written(&mut fold), ["journal", "state", "state"]);
    process(&mut fold, known(), 5, 7);
    assert_eq!(written(&mut fold), ["-state", "journal", "state", "unmatched forgotten"]);
    let state = fold.partitions.get_mut(&0).unwrap().take(run());
    assert!(matches!(state, Some(State::Ended(Ended { end: End::Forgotten, at_ms: 7, .. }))), "{state:?}");
    put_back(fold.partitions.get_mut(&0).unwrap(), run(), state);
    fold.tick(7 + DAY_MS.max(STRAY_MS_MIN));
    assert_eq!(written(&mut fold), ["-state", "journal"]);
}

#[test]
fn the_deadline_of_an_abandoned_run_leads_to_nothing() {
    let mut old = fold(1);
    process(&mut old, started(), 0, 1);
    let records = old.collect().records.into_iter().filter(|record| record.topic == "m.sagas.state");
    let mut restoring = Restoring::default();
    for record in records {
        let position = Position { topic: record.topic, partition: 0, offset: 0 };
        let (key, value, headers) = (record.key, record.value, record.headers);
        restoring.take(Record { position, time_ms: 0, key, value, headers }).unwrap();
    }
    let mut new = fold(2);
    new.restored(0, restoring);
    new.tick(10 * DAY_MS);
    assert!(written(&mut new).is_empty());
    let started_again = record(&new, started(), 0);
    new.process(started_again, 10 * DAY_MS).unwrap();
    assert_eq!(written(&mut new), ["unmatched abandoned"]);
    new.tick(10 * DAY_MS);
    assert!(written(&mut new).is_empty());
    assert_eq!((new.partitions[&0].live(), new.partitions[&0].abandoned()), (0, 1));
}
