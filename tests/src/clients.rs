//! Plain Kafka clients for promises, configured as a careful stranger would.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::BorrowedMessage;
use rdkafka::producer::{DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList, bindings};

use crate::Cluster;
use crate::wait::eventually;

/// How long one request to a healthy broker may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What a consumer may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// Only records of committed transactions, in order.
    ReadCommitted,
    /// Everything that was ever appended.
    ReadUncommitted,
}

/// One record as it was read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Partition.
    pub partition: i32,
    /// Offset in it.
    pub offset: i64,
    /// Key as text; a record without one is an error.
    pub key: String,
    /// Value as text.
    pub value: String,
}

/// Settings that every client of a promise starts from.
pub fn config(cluster: &Cluster) -> ClientConfig {
    let mut config = ClientConfig::new();
    // Less than [`PATIENCE`]: a broker that hangs is named by the client.
    config.set("bootstrap.servers", cluster.bootstrap()).set("socket.timeout.ms", "30000");
    config
}

/// Creates topics with so many partitions each, and waits until a client sees them.
pub fn create_topics(cluster: &Cluster, topics: &[(&str, i32)]) -> Result<()> {
    let admin: AdminClient<DefaultClientContext> = config(cluster).create()?;
    let new: Vec<NewTopic<'_>> =
        topics.iter().map(|(name, count)| NewTopic::new(name, *count, TopicReplication::Fixed(1))).collect();
    let options = AdminOptions::new().operation_timeout(Some(PATIENCE)).request_timeout(Some(PATIENCE));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for outcome in runtime.block_on(admin.create_topics(&new, &options))? {
        outcome.map_err(|(topic, code)| anyhow!("cannot create {topic}: {code}"))?;
    }
    for (name, count) in topics {
        eventually(PATIENCE, &format!("{name} has {count} partitions"), || {
            let metadata = admin.inner().fetch_metadata(Some(name), PATIENCE)?;
            let found = metadata.topics().first().map_or(0, |topic| topic.partitions().len());
            ensure!(found == *count as usize, "{found} partitions");
            Ok(())
        })?;
    }
    Ok(())
}

/// An idempotent producer; the Java client's partitioner; transactional when it has an ID (and then initialized).
pub fn producer(
    cluster: &Cluster,
    transactional_id: Option<&str>,
) -> Result<ThreadedProducer<DefaultProducerContext>> {
    let mut config = config(cluster);
    config.set("partitioner", "murmur2_random").set("enable.idempotence", "true").set("linger.ms", "0");
    let Some(id) = transactional_id else { return Ok(config.create()?) };
    // A begin right after a commit meets markers that are still being written; by default it waits 100 ms then.
    config.set("transactional.id", id).set("retry.backoff.ms", "10").set("transaction.timeout.ms", "30000");
    let producer: ThreadedProducer<DefaultProducerContext> = config.create()?;
    producer.init_transactions(PATIENCE).with_context(|| format!("init_transactions of {id}"))?;
    Ok(producer)
}

/// Waits until every record that was handed to the producer is acknowledged or refused.
pub fn drain(producer: &ThreadedProducer<DefaultProducerContext>) -> Result<()> {
    eventually(PATIENCE, "the producer is drained", || {
        let in_flight = producer.in_flight_count();
        ensure!(in_flight == 0, "{in_flight} records in flight");
        Ok(())
    })
}

/// A consumer that joins no group and commits nothing, or a static member of `group`.
pub fn consumer(cluster: &Cluster, isolation: Isolation, group: Option<&str>) -> Result<BaseConsumer> {
    let mut config = config(cluster);
    let isolation = match isolation {
        Isolation::ReadCommitted => "read_committed",
        Isolation::ReadUncommitted => "read_uncommitted",
    };
    config
        .set("isolation.level", isolation)
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest");
    match group {
        None => config.set("group.id", "nobody"),
        Some(group) => config
            .set("group.id", group)
            .set("group.instance.id", format!("{group}-0"))
            .set("session.timeout.ms", "30000")
            .set("heartbeat.interval.ms", "1000"),
    };
    Ok(config.create()?)
}

/// Generation and member of a consumer that has joined its group.
///
/// The broker does not fence an offset commit of generation -1, so nobody may send one: that is an error here.
#[allow(unsafe_code)]
pub fn generation(consumer: &BaseConsumer) -> Result<i32> {
    // SAFETY: the handle lives as long as the consumer; the metadata is ours until it is destroyed, once, below.
    let generation = unsafe {
        let metadata = bindings::rd_kafka_consumer_group_metadata(consumer.client().native_ptr());
        ensure!(!metadata.is_null(), "the consumer has no group");
        let generation = bindings::rd_kafka_consumer_group_metadata_generation_id(metadata);
        bindings::rd_kafka_consumer_group_metadata_destroy(metadata);
        generation
    };
    ensure!(generation >= 0, "the consumer is in no generation of its group");
    Ok(generation)
}

/// The partition count of a topic.
pub fn partition_count(consumer: &BaseConsumer, topic: &str) -> Result<i32> {
    let metadata = consumer.fetch_metadata(Some(topic), PATIENCE)?;
    let topic = metadata.topics().first().context("no such topic")?;
    if let Some(code) = topic.error() {
        bail!("topic {}: {code:?}", topic.name());
    }
    Ok(i32::try_from(topic.partitions().len())?)
}

/// Reads a topic from its beginning to the end that it has now: partition by partition in order of offsets.
///
/// The end is the high watermark, open transactions included: with one of those `read_committed` waits for it.
pub fn read_to_end(cluster: &Cluster, topic: &str, isolation: Isolation) -> Result<Vec<Record>> {
    let mut records = Vec::new();
    for_each_to_end(cluster, topic, isolation, |message| {
        records.push(record(message)?);
        Ok(())
    })?;
    records.sort_by_key(|record| (record.partition, record.offset));
    Ok(records)
}

/// Hands over each record of a topic up to the end that it has now: partition by partition in order of offsets. What is
/// appended meanwhile is not part of it.
pub fn for_each_to_end(
    cluster: &Cluster,
    topic: &str,
    isolation: Isolation,
    mut each: impl FnMut(&BorrowedMessage<'_>) -> Result<()>,
) -> Result<()> {
    // A read_committed handle answers with the last stable offset instead of the high watermark.
    let prober = consumer(cluster, Isolation::ReadUncommitted, None)?;
    let reader = consumer(cluster, isolation, None)?;
    let mut start = TopicPartitionList::new();
    let mut ends = Vec::new();
    for partition in 0..partition_count(&prober, topic)? {
        // A broker that has just started is ready before it leads its partitions again.
        let what = format!("partition {partition} of {topic} has a leader");
        let (_, high) =
            eventually(PATIENCE, &what, || Ok(prober.fetch_watermarks(topic, partition, PATIENCE)?))?;
        ends.push(high);
        start.add_partition_offset(topic, partition, Offset::Beginning)?;
    }
    reader.assign(&start)?;
    eventually(PATIENCE, &format!("{topic} is read to its end"), || {
        while let Some(message) = reader.poll(Duration::from_millis(100)) {
            let message = message?;
            if message.offset() < ends[message.partition() as usize] {
                each(&message)?;
            }
        }
        behind(&reader, topic, &ends)
    })
}

/// The values of a topic, from its beginning to the end that it has now, as a `read_committed` reader sees them.
pub fn read_values(cluster: &Cluster, topic: &str) -> Result<Vec<Vec<u8>>> {
    let mut values = Vec::new();
    for_each_to_end(cluster, topic, Isolation::ReadCommitted, |message| {
        values.push(message.payload().unwrap_or_default().to_vec());
        Ok(())
    })?;
    Ok(values)
}

/// Markers take offsets too, so the end is reached by position and not by the last record.
fn behind(reader: &BaseConsumer, topic: &str, ends: &[i64]) -> Result<()> {
    let position = reader.position()?;
    for (partition, end) in (0..).zip(ends) {
        let found = position.find_partition(topic, partition).map(|element| element.offset());
        let reached = matches!(found, Some(Offset::Offset(offset)) if offset >= *end);
        ensure!(*end == 0 || reached, "partition {partition} at {found:?}, end {end}");
    }
    Ok(())
}

fn record(message: &BorrowedMessage<'_>) -> Result<Record> {
    let text = |bytes: Option<&[u8]>, what: &str| -> Result<String> {
        let bytes = bytes.with_context(|| format!("a record without a {what}"))?;
        Ok(String::from_utf8(bytes.to_vec())?)
    };
    Ok(Record {
        partition: message.partition(),
        offset: message.offset(),
        key: text(message.key(), "key")?,
        value: text(message.payload(), "value")?,
    })
}

/// The offset that `group` has committed for each partition of `topic`; `None` where it has not.
pub fn committed_offsets(cluster: &Cluster, group: &str, topic: &str) -> Result<Vec<Option<i64>>> {
    // On a read_committed handle the question waits for open transactions.
    let mut config = config(cluster);
    config.set("group.id", group).set("isolation.level", "read_uncommitted");
    let asker: BaseConsumer = config.create()?;
    let mut partitions = TopicPartitionList::new();
    for partition in 0..partition_count(&asker, topic)? {
        partitions.add_partition(topic, partition);
    }
    // A broker that has just started may still be loading its groups.
    let answer = eventually(PATIENCE, &format!("{group} has a coordinator"), || {
        let answer = asker.committed_offsets(partitions.clone(), PATIENCE)?;
        answer.elements().iter().try_for_each(|element| element.error())?;
        Ok(answer)
    })?;
    let elements = answer.elements();
    Ok(elements
        .iter()
        .map(|element| match element.offset() {
            Offset::Offset(at) => Some(at),
            _ => None,
        })
        .collect())
}
