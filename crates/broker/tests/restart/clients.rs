//! Clients for crash tests: they live through the death of their broker.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{Message, OwnedMessage};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

pub(crate) const SOON: Duration = Duration::from_secs(30);

pub(crate) type Sender = ThreadedProducer<DefaultProducerContext>;

pub(crate) fn config(bootstrap: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap);
    config.set("reconnect.backoff.ms", "20").set("reconnect.backoff.max.ms", "100");
    config
}

pub(crate) fn create_topic(bootstrap: &str, name: &str, partitions: i32) -> Result<()> {
    create_topic_with(bootstrap, name, partitions, &[])
}

pub(crate) fn create_topic_with(
    bootstrap: &str,
    name: &str,
    partitions: i32,
    settings: &[(&str, &str)],
) -> Result<()> {
    let admin: AdminClient<DefaultClientContext> = config(bootstrap).create()?;
    let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
    let topic = settings.iter().fold(topic, |topic, (name, value)| topic.set(name, value));
    let options = AdminOptions::new().request_timeout(Some(SOON));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let created = runtime.block_on(admin.create_topics(&[topic], &options))?;
    created.into_iter().next().context("no result")?.map_err(|(name, code)| anyhow!("{name}: {code}"))?;
    Ok(())
}

pub(crate) fn transactional(bootstrap: &str, id: &str) -> Result<Sender> {
    let mut config = config(bootstrap);
    config.set("transactional.id", id).set("linger.ms", "0").set("retry.backoff.ms", "10");
    let producer: Sender = config.create()?;
    producer.init_transactions(SOON)?;
    Ok(producer)
}

pub(crate) fn reader(bootstrap: &str, group: &str, isolation: &str) -> Result<BaseConsumer> {
    let mut config = config(bootstrap);
    config.set("group.id", group).set("enable.auto.commit", "false").set("isolation.level", isolation);
    config
        .set("enable.partition.eof", "true")
        .set("auto.offset.reset", "error")
        .set("fetch.wait.max.ms", "50");
    Ok(config.create()?)
}

pub(crate) fn put(producer: &Sender, topic: &str, partition: i32, value: &str) -> Result<(), KafkaError> {
    producer
        .send(BaseRecord::<str, str>::to(topic).partition(partition).payload(value))
        .map_err(|(error, _)| error)
}

pub(crate) fn put_keyed(producer: &Sender, topic: &str, key: &str, value: &str) -> Result<(), KafkaError> {
    producer.send(BaseRecord::to(topic).partition(0).key(key).payload(value)).map_err(|(error, _)| error)
}

/// Waits until nothing is in flight.
pub(crate) fn drain(producer: &Sender) -> Result<()> {
    let deadline = Instant::now() + SOON;
    while producer.in_flight_count() > 0 {
        ensure!(Instant::now() < deadline, "records stay in flight");
        std::thread::sleep(Duration::from_micros(200));
    }
    Ok(())
}

pub(crate) fn send_offset(
    producer: &Sender,
    group: &BaseConsumer,
    topic: &str,
    offset: i64,
) -> Result<(), KafkaError> {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, 0, Offset::Offset(offset))?;
    let metadata = group.group_metadata().expect("the consumer has a group");
    producer.send_offsets_to_transaction(&list, &metadata, SOON)
}

/// Everything in a partition, as a reader of that isolation level sees it now.
pub(crate) fn read(
    bootstrap: &str,
    topic: &str,
    partition: i32,
    isolation: &str,
) -> Result<Vec<OwnedMessage>> {
    let reader = reader(bootstrap, "reading", isolation)?;
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, Offset::Beginning)?;
    reader.assign(&list)?;
    let (deadline, mut found) = (Instant::now() + SOON, Vec::new());
    while Instant::now() < deadline {
        match reader.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => found.push(message.detach()),
            Some(Err(KafkaError::PartitionEOF(_))) => return Ok(found),
            Some(Err(error)) => bail!("while reading: {error}"),
            None => {}
        }
    }
    bail!("the end of {topic}-{partition} was not reached");
}

pub(crate) fn values(messages: &[OwnedMessage]) -> Vec<String> {
    messages.iter().map(|m| String::from_utf8_lossy(m.payload().unwrap_or_default()).into_owned()).collect()
}

/// The group's committed offset of partition 0, once no transaction holds it; -1 if there is none.
pub(crate) fn committed(bootstrap: &str, group: &str, topic: &str) -> Result<i64> {
    let mut wanted = TopicPartitionList::new();
    wanted.add_partition(topic, 0);
    let found = reader(bootstrap, group, "read_committed")?.committed_offsets(wanted, SOON)?;
    match found.find_partition(topic, 0).context("partition missing")?.offset() {
        Offset::Offset(offset) => Ok(offset),
        _ => Ok(-1),
    }
}
