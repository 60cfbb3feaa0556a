//! Records that go by time and by size.

use anyhow::{Result, bail, ensure};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::producer::BaseRecord;
use rdkafka::topic_partition_list::Offset;

use crate::Context;
use crate::client::{at, values};
use crate::wait::{SOON, until};

/// 2001-09-09: older than any retention.
const LONG_AGO_MS: i64 = 1_000_000_000_000;

fn start(reader: &BaseConsumer, topic: &str) -> Result<i64> {
    Ok(reader.fetch_watermarks(topic, 0, SOON)?.0)
}

fn write_long_ago(context: &Context, topic: &str) -> Result<()> {
    let producer = context.producer(&[])?;
    producer.record(BaseRecord::to(topic).partition(0).key("k").payload("old").timestamp(LONG_AGO_MS))?;
    producer.drain()?;
    Ok(())
}

pub(crate) fn old_records_go_and_offsets_go_on(context: &Context) -> Result<()> {
    let topic = context.topic_with(1, &[("retention.ms", "60000")])?;
    write_long_ago(context, &topic)?;
    let reader = context.reader("", &[])?;
    until("the old record to go", || Ok((start(&reader, &topic)? == 1).then_some(())))?;
    let offsets = context.producer(&[])?.write(&topic, &["new"])?;
    ensure!(offsets == [(0, 1)], "{offsets:?}");
    let left = values(&context.read(&topic, 0, "read_committed")?);
    ensure!(left == ["new"], "{left:?}");
    Ok(())
}

pub(crate) fn a_reader_of_records_that_went_is_told(context: &Context) -> Result<()> {
    let topic = context.topic_with(1, &[("retention.ms", "60000")])?;
    write_long_ago(context, &topic)?;
    let reader = context.reader("", &[])?;
    until("the old record to go", || Ok((start(&reader, &topic)? == 1).then_some(())))?;
    reader.assign(&at(&topic, 0, Offset::Offset(0))?)?;
    until("an answer", || match reader.poll(SOON) {
        Some(Err(KafkaError::MessageConsumption(Code::AutoOffsetReset | Code::OffsetOutOfRange))) => {
            Ok(Some(()))
        }
        None => Ok(None),
        Some(other) => bail!("expected an offset out of range, got {other:?}"),
    })
}

pub(crate) fn without_retention_records_stay(context: &Context) -> Result<()> {
    let kept = context.topic_with(1, &[("retention.ms", "-1")])?;
    let passing = context.topic_with(1, &[("retention.ms", "60000")])?;
    write_long_ago(context, &kept)?;
    write_long_ago(context, &passing)?;
    let reader = context.reader("", &[])?;
    until("the other topic's record to go", || Ok((start(&reader, &passing)? == 1).then_some(())))?;
    let left = values(&context.read(&kept, 0, "read_committed")?);
    ensure!(left == ["old"], "{left:?}");
    Ok(())
}

pub(crate) fn a_log_is_kept_to_its_size(context: &Context) -> Result<()> {
    let settings = [("segment.bytes", "1048576"), ("retention.bytes", "2097152"), ("retention.ms", "-1")];
    let topic = context.topic_with(1, &settings)?;
    let producer = context.producer(&[])?;
    let value: String = (0..250_000).map(|_| fastrand::alphanumeric()).collect();
    for _ in 0..40 {
        producer.write(&topic, &[&value])?;
    }
    let reader = context.reader("", &[])?;
    until("the oldest records to go", || Ok((start(&reader, &topic)? >= 20).then_some(())))?;
    let left = context.read(&topic, 0, "read_committed")?;
    ensure!(left.len() >= 8, "{} records left: fewer than 2 MiB", left.len());
    Ok(())
}

pub(crate) fn retention_does_not_wait_for_a_transaction(context: &Context) -> Result<()> {
    let topic = context.topic_with(1, &[("retention.ms", "60000")])?;
    let producer = context.transactional(&crate::client::unique("txn"))?;
    producer.begin()?;
    producer.record(BaseRecord::to(&topic).partition(0).key("k").payload("open").timestamp(LONG_AGO_MS))?;
    producer.drain()?;
    let reader = context.reader("", &[("isolation.level", "read_uncommitted")])?;
    until("the open record to go", || Ok((start(&reader, &topic)? == 1).then_some(())))?;
    producer.write(&topic, &["in the same transaction"])?;
    producer.txn_commit()?;
    context.expect_committed(&topic, &["in the same transaction"])
}
