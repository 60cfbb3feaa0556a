//! What librdkafka makes of the faults that are about its connections.

use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use quadrille_broker::{Effect, Rule};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::{Offset, TopicPartitionList};

use crate::client::Scene;

const SOON: Duration = Duration::from_secs(60);
const RECORDS: i64 = 60;

fn config(scene: &Scene) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", scene.broker.bootstrap()).set("client.id", "victim");
    config.set("socket.timeout.ms", "2000").set("reconnect.backoff.ms", "20").set("linger.ms", "0");
    config
}

/// The offset behind the last record.
fn end_of(scene: &Scene, topic: &str) -> Result<i64> {
    let reader: BaseConsumer =
        config(scene).set("client.id", "observer").set("group.id", "observer").create()?;
    Ok(reader.fetch_watermarks(topic, 0, SOON)?.1)
}

fn send(producer: &ThreadedProducer<DefaultProducerContext>, number: i64) -> Result<()> {
    let value = number.to_string();
    producer.send(BaseRecord::to("t").key("k").payload(&value)).map_err(|(error, _)| anyhow!(error))
}

/// An idempotent producer under one fault writes each record once, in order, and needs no second look.
fn each_record_once(effect: Effect) -> Result<()> {
    let scene = Scene::new(|_| {})?;
    scene.client()?.create_topic("t", &[])?;
    let producer: ThreadedProducer<DefaultProducerContext> =
        config(&scene).set("enable.idempotence", "true").set("batch.num.messages", "1").create()?;
    let rule = Rule::new("fault", effect.clone()).on(&["Produce"]).client("victim").from(3).every(4).times(3);
    scene.broker.faults().add(rule)?;
    for number in 0..RECORDS {
        send(&producer, number)?;
    }
    producer.flush(SOON)?;
    let count = scene.broker.faults().count("fault");
    ensure!(count.happened == 3, "{effect:?}: {count:?}");
    let (found, expected) = (values(&scene, "t")?, (0..RECORDS).map(|number| number.to_string()));
    ensure!(found.iter().cloned().eq(expected), "{effect:?}: {found:?}");
    Ok(())
}

/// The values of a topic without markers, in order.
fn values(scene: &Scene, topic: &str) -> Result<Vec<String>> {
    let reader: BaseConsumer =
        config(scene).set("client.id", "observer").set("group.id", "observer").create()?;
    let mut start = TopicPartitionList::new();
    start.add_partition_offset(topic, 0, Offset::Beginning)?;
    reader.assign(&start)?;
    let (end, began, mut values) = (end_of(scene, topic)?, Instant::now(), Vec::new());
    while i64::try_from(values.len())? < end {
        ensure!(began.elapsed() < SOON, "{} of {end} records within {SOON:?}", values.len());
        if let Some(message) = reader.poll(Duration::from_millis(100)) {
            values.push(String::from_utf8_lossy(message?.payload().unwrap_or_default()).into_owned());
        }
    }
    Ok(values)
}

#[test]
fn a_lost_answer_is_asked_for_again() -> Result<()> {
    each_record_once(Effect::DropResponse)
}

#[test]
fn a_broken_connection_is_made_again() -> Result<()> {
    each_record_once(Effect::DisconnectBefore)?;
    each_record_once(Effect::DisconnectAfter)
}

#[test]
fn a_second_answer_is_nobodys() -> Result<()> {
    each_record_once(Effect::DuplicateResponse)
}

#[test]
fn answers_are_told_apart_in_any_order() -> Result<()> {
    each_record_once(Effect::ReorderResponse)
}

#[test]
fn what_was_written_and_refused_is_recognised() -> Result<()> {
    each_record_once(Effect::Error { code: 7, carried_out: true })
}

/// The hole that README.md speaks of, with a client that does nothing against it.
#[test]
fn a_client_that_goes_on_has_its_transaction_torn_by_a_late_end() -> Result<()> {
    let scene = Scene::new(|_| {})?;
    scene.client()?.create_topic("t", &[])?;
    let producer: ThreadedProducer<DefaultProducerContext> =
        config(&scene).set("transactional.id", "txn").set("retry.backoff.ms", "10").create()?;
    producer.init_transactions(SOON)?;
    scene.broker.faults().add(Rule::new("late", Effect::LateEndTxn).client("victim").times(1))?;
    producer.begin_transaction()?;
    send(&producer, 1)?;
    producer.commit_transaction(SOON)?;
    producer.begin_transaction()?;
    send(&producer, 2)?;
    let began = Instant::now();
    while scene.broker.faults().count("late").accepted == 0 {
        ensure!(began.elapsed() < SOON, "{:?}", scene.broker.faults().list());
        std::thread::sleep(Duration::from_millis(5));
    }
    let aborted = producer.abort_transaction(SOON);
    ensure!(aborted.is_err(), "the abort went well");
    // Two records with their markers, though the second was aborted.
    ensure!(end_of(&scene, "t")? == 4, "{} offsets", end_of(&scene, "t")?);
    let reader: BaseConsumer = config(&scene)
        .set("client.id", "observer")
        .set("group.id", "observer")
        .set("isolation.level", "read_committed")
        .create()?;
    let stable = reader.fetch_watermarks("t", 0, SOON)?.1;
    ensure!(stable == 4, "the last stable offset is {stable}");
    Ok(())
}
