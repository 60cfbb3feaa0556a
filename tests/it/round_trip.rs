//! A consume-transform-produce loop in transactions leaves each record once and in order per key; what was committed
//! outlives a restart and a kill of the broker.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use quadrille_tests::clients::{
    Isolation, PATIENCE, Record, committed_offsets, consumer, create_topics, drain, generation, producer,
    read_to_end,
};
use quadrille_tests::{Cluster, Promise, promise};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::OwnedMessage;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::{Message, Offset, TopicPartitionList};

const PARTITIONS: i32 = 4;
const KEYS: usize = 50;
const BATCH: usize = 60;
/// The third transaction is aborted on purpose: some are committed before it and most after it.
const ABORTED_BATCH: usize = 3;

pub(crate) fn promises() -> Vec<Promise> {
    vec![
        promise!(on_broker, each_record_arrives_once_and_in_order),
        promise!(on_broker, committed_work_outlives_restart_and_kill)
            .own_broker()
            .within(Duration::from_secs(240)),
    ]
}

fn each_record_arrives_once_and_in_order(cluster: &Cluster) -> Result<()> {
    let flow = Flow::create(cluster)?;
    flow.publish(0..1000)?;
    flow.transform(1000, Some(ABORTED_BATCH))?;
    flow.check(1000)
}

fn committed_work_outlives_restart_and_kill(cluster: &Cluster) -> Result<()> {
    let flow = Flow::create(cluster)?;
    flow.publish(0..1000)?;
    flow.transform(1000, Some(ABORTED_BATCH))?;
    flow.check(1000)?;

    cluster.restart_broker()?;
    flow.check(1000)?;
    flow.publish(1000..1200)?;
    flow.transform(200, None)?;
    flow.check(1200)?;

    cluster.kill_broker()?;
    cluster.start_broker()?;
    flow.check(1200)
}

/// One step between two topics.
struct Flow<'a> {
    cluster: &'a Cluster,
    input: String,
    output: String,
    group: String,
}

impl Flow<'_> {
    fn create(cluster: &Cluster) -> Result<Flow<'_>> {
        let (input, output) = (cluster.unique("orders"), cluster.unique("checked"));
        create_topics(cluster, &[(&input, PARTITIONS), (&output, PARTITIONS)])?;
        Ok(Flow { cluster, input, output, group: cluster.unique("checker") })
    }

    /// Record i has key i modulo [`KEYS`] and value i.
    fn publish(&self, numbers: std::ops::Range<usize>) -> Result<()> {
        let producer = producer(self.cluster, None)?;
        for number in numbers {
            send(&producer, &self.input, &format!("order-{}", number % KEYS), &number.to_string())?;
        }
        producer.flush(PATIENCE)?;
        Ok(())
    }

    /// Copies `count` records in transactions of at most [`BATCH`]; one of them is aborted and then done again.
    fn transform(&self, count: usize, aborted_batch: Option<usize>) -> Result<()> {
        let consumer = consumer(self.cluster, Isolation::ReadCommitted, Some(&self.group))?;
        let producer = producer(self.cluster, Some(&format!("{}-0", self.group)))?;
        consumer.subscribe(&[&self.input])?;
        let (mut done, mut batches) = (0, 0);
        while done < count {
            let batch = next_batch(&consumer)?;
            batches += 1;
            producer.begin_transaction()?;
            if Some(batches) == aborted_batch {
                self.send_all(&producer, &batch, "aborted ")?;
                drain(&producer)?;
                producer.abort_transaction(PATIENCE)?;
                rewind(&consumer, &batch)?;
                continue;
            }
            self.send_all(&producer, &batch, "")?;
            // librdkafka would send the offsets only after a wait if records were still in flight.
            drain(&producer)?;
            generation(&consumer)?;
            let metadata = consumer.group_metadata().expect("a consumer with a generation has metadata");
            producer.send_offsets_to_transaction(&next_offsets(&batch)?, &metadata, PATIENCE)?;
            producer.commit_transaction(PATIENCE)?;
            done += batch.len();
        }
        ensure!(done == count, "{done} records were there instead of {count}");
        ensure!(
            aborted_batch.is_none_or(|aborted| batches > aborted),
            "only {batches} batches: none was aborted"
        );
        Ok(())
    }

    fn send_all(
        &self,
        producer: &ThreadedProducer<DefaultProducerContext>,
        batch: &[OwnedMessage],
        prefix: &str,
    ) -> Result<()> {
        for message in batch {
            let (Some(Ok(key)), Some(Ok(value))) = (message.key_view::<str>(), message.payload_view::<str>())
            else {
                bail!("a record at offset {} that nobody sent", message.offset());
            };
            send(producer, &self.output, key, &format!("{prefix}{value}"))?;
        }
        Ok(())
    }

    /// The output has the numbers below `count`, and the group stands at the end of the input.
    fn check(&self, count: usize) -> Result<()> {
        let committed = read_to_end(self.cluster, &self.output, Isolation::ReadCommitted)?;
        each_once_in_order(&committed, count)?;
        let all = read_to_end(self.cluster, &self.output, Isolation::ReadUncommitted)?;
        let aborted = all.iter().filter(|record| record.value.starts_with("aborted ")).count();
        ensure!(
            aborted > 0 && all.len() == count + aborted,
            "{} records, {aborted} of them aborted",
            all.len()
        );
        // The check is able to fail: it does on what a read_uncommitted reader sees.
        ensure!(each_once_in_order(&all, count).is_err(), "the check takes aborted records for good ones");
        let offsets = committed_offsets(self.cluster, &self.group, &self.input)?;
        let ends = read_to_end(self.cluster, &self.input, Isolation::ReadUncommitted)?;
        for (partition, offset) in (0..).zip(offsets) {
            let end = ends.iter().filter(|record| record.partition == partition).count() as i64;
            ensure!(offset.unwrap_or(0) == end, "partition {partition}: committed {offset:?}, end {end}");
        }
        Ok(())
    }
}

fn send(
    producer: &ThreadedProducer<DefaultProducerContext>,
    topic: &str,
    key: &str,
    value: &str,
) -> Result<()> {
    producer.send(BaseRecord::to(topic).key(key).payload(value)).map_err(|(error, _)| error)?;
    Ok(())
}

/// At least one record, at most [`BATCH`].
fn next_batch(consumer: &BaseConsumer) -> Result<Vec<OwnedMessage>> {
    let mut batch = Vec::new();
    let deadline = Instant::now() + PATIENCE;
    while batch.len() < BATCH {
        match consumer.poll(Duration::from_millis(50)) {
            Some(message) => batch.push(message?.detach()),
            None if !batch.is_empty() => break,
            None => ensure!(Instant::now() < deadline, "no record within {PATIENCE:?}"),
        }
    }
    Ok(batch)
}

fn next_offsets(batch: &[OwnedMessage]) -> Result<TopicPartitionList> {
    offsets(batch.iter().map(|message| (message, message.offset() + 1)))
}

/// Goes back to the first record of the batch in each partition.
fn rewind(consumer: &BaseConsumer, batch: &[OwnedMessage]) -> Result<()> {
    let first = offsets(batch.iter().rev().map(|message| (message, message.offset())))?;
    for element in consumer.seek_partitions(first, PATIENCE)?.elements() {
        element.error()?;
    }
    Ok(())
}

/// The last given offset of each partition.
fn offsets<'a>(given: impl Iterator<Item = (&'a OwnedMessage, i64)>) -> Result<TopicPartitionList> {
    let mut last = BTreeMap::new();
    for (message, offset) in given {
        last.insert((message.topic(), message.partition()), offset);
    }
    let mut list = TopicPartitionList::new();
    for ((topic, partition), offset) in last {
        list.add_partition_offset(topic, partition, Offset::Offset(offset))?;
    }
    Ok(list)
}

fn each_once_in_order(records: &[Record], count: usize) -> Result<()> {
    let mut numbers: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for record in records {
        let Ok(number) = record.value.parse() else { bail!("a record that was aborted: {record:?}") };
        numbers.entry(&record.key).or_default().push(number);
    }
    for key in 0..KEYS {
        let expected: Vec<usize> = (key..count).step_by(KEYS).collect();
        let found = numbers.remove(format!("order-{key}").as_str()).unwrap_or_default();
        ensure!(found == expected, "key order-{key}: {found:?} instead of {expected:?}");
    }
    ensure!(numbers.is_empty(), "keys that nobody sent: {:?}", numbers.keys());
    Ok(())
}
