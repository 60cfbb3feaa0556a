//! Fetching, and finding offsets.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::Message;
use rdkafka::producer::BaseRecord;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::Context;
use crate::client::{at, options, read_to_end, values};
use crate::wait::{SOON, block_on, until};

fn expect_reset(reader: &BaseConsumer) -> Result<()> {
    until("an offset reset", || match reader.poll(Duration::from_millis(100)) {
        Some(Err(KafkaError::MessageConsumption(Code::AutoOffsetReset))) => Ok(Some(())),
        Some(Ok(message)) => bail!("a record at {}", message.offset()),
        Some(Err(other)) => bail!("{other}"),
        None => Ok(None),
    })
}

pub(crate) fn an_offset_above_the_end_is_out_of_range(context: &Context) -> Result<()> {
    let topic = context.topic(1)?;
    context.producer(&[])?.write(&topic, &["a", "b"])?;
    let reader = context.reader("", &[])?;
    reader.assign(&at(&topic, 0, Offset::Offset(50))?)?;
    expect_reset(&reader)
}

pub(crate) fn an_empty_partition_has_an_end(context: &Context) -> Result<()> {
    let topic = context.topic(3)?;
    let reader = context.reader("", &[])?;
    let mut list = TopicPartitionList::new();
    for partition in 0..3 {
        list.add_partition_offset(&topic, partition, Offset::Beginning)?;
    }
    reader.assign(&list)?;
    ensure!(read_to_end(&reader, 3)?.is_empty(), "records in an empty topic");
    Ok(())
}

pub(crate) fn a_waiting_fetch_is_woken_by_an_append(context: &Context) -> Result<()> {
    let topic = context.topic(1)?;
    let producer = context.producer(&[])?;
    producer.write(&topic, &["warm"])?;
    // Nobody waits here for as long as the fetch would: without being woken it comes too late.
    let reader = context.reader("", &[("fetch.wait.max.ms", "200000"), ("socket.timeout.ms", "250000")])?;
    reader.assign(&at(&topic, 0, Offset::Beginning)?)?;
    let a_record = || {
        until("a record", || match reader.poll(Duration::from_millis(100)) {
            Some(Ok(_)) => Ok(Some(())),
            Some(Err(KafkaError::PartitionEOF(_))) | None => Ok(None),
            Some(Err(other)) => bail!("{other}"),
        })
    };
    a_record()?;
    // The next fetch is on its way; one that came after the record would show nothing, and fail nothing.
    std::thread::sleep(Duration::from_secs(1));
    producer.write(&topic, &["wakes"])?;
    a_record()
}

pub(crate) fn small_fetches_get_everything_in_order(context: &Context) -> Result<()> {
    let topic = context.topic(1)?;
    let producer = context.producer(&[])?;
    let long = "x".repeat(200_000);
    let mut sent: Vec<String> = (0..200).map(|i| format!("{i}-{}", "y".repeat(500))).collect();
    sent.insert(100, long);
    for part in sent.chunks(10) {
        producer.write(&topic, &part.iter().map(String::as_str).collect::<Vec<_>>())?;
    }
    let reader = context.reader("", &[("fetch.message.max.bytes", "1000")])?;
    reader.assign(&at(&topic, 0, Offset::Beginning)?)?;
    ensure!(values(&read_to_end(&reader, 1)?) == sent, "records are missing or out of order");
    let reader = context.reader("", &[])?;
    reader.assign(&at(&topic, 0, Offset::Offset(57))?)?;
    ensure!(values(&read_to_end(&reader, 1)?) == sent[57..], "from the middle");
    Ok(())
}

pub(crate) fn many_partitions_are_fetched_together(context: &Context) -> Result<()> {
    let topic = context.topic(20)?;
    let producer = context.producer(&[])?;
    for partition in 0..20 {
        producer.put_to(&topic, partition, &["a", "b"])?;
    }
    producer.drain()?;
    let reader = context.reader("", &[])?;
    let mut list = TopicPartitionList::new();
    for partition in 0..20 {
        list.add_partition_offset(&topic, partition, Offset::Beginning)?;
    }
    reader.assign(&list)?;
    let mut found: Vec<_> = read_to_end(&reader, 20)?.iter().map(|m| (m.partition(), m.offset())).collect();
    found.sort_unstable();
    let expected: Vec<_> = (0..20).flat_map(|p| [(p, 0), (p, 1)]).collect();
    ensure!(found == expected, "{found:?}");
    Ok(())
}

pub(crate) fn watermarks_enclose_the_records(context: &Context) -> Result<()> {
    let topic = context.topic(2)?;
    context.producer(&[])?.write(&topic, &["a", "b", "c"])?;
    let reader = context.reader("", &[])?;
    ensure!(reader.fetch_watermarks(&topic, 0, SOON)? == (0, 3), "partition with records");
    ensure!(reader.fetch_watermarks(&topic, 1, SOON)? == (0, 0), "empty partition");
    Ok(())
}

pub(crate) fn offsets_are_found_by_time(context: &Context) -> Result<()> {
    let topic = context.topic_with(1, &[("retention.ms", "-1")])?;
    let producer = context.producer(&[("linger.ms", "100")])?;
    for (i, at) in [1_000, 2_000, 2_500, 3_000].into_iter().enumerate() {
        let value = i.to_string();
        producer
            .record(BaseRecord::to(&topic).partition(0).key("k").payload(value.as_str()).timestamp(at))?;
        if i == 1 {
            producer.drain()?; // records 2 and 3 come in a batch of their own
        }
    }
    producer.drain()?;
    let reader = context.reader("", &[])?;
    let table = [
        (0, Offset::Offset(0)),
        (1_000, Offset::Offset(0)),
        (1_001, Offset::Offset(1)),
        (2_400, Offset::Offset(2)),
        (2_600, Offset::Offset(3)),
        (3_001, Offset::End),
    ];
    for (ms, expected) in table {
        let found = reader.offsets_for_times(at(&topic, 0, Offset::Offset(ms))?, SOON)?;
        let offset = found.elements()[0].offset();
        ensure!(offset == expected, "at {ms}: {offset:?}, expected {expected:?}");
    }
    Ok(())
}

pub(crate) fn deleted_records_are_gone_and_the_rest_stays(context: &Context) -> Result<()> {
    let topic = context.topic(1)?;
    let producer = context.producer(&[])?;
    for value in ["a", "b", "c", "d", "e"] {
        producer.write(&topic, &[value])?;
    }
    let admin = context.admin()?;
    let deleted = block_on(admin.delete_records(&at(&topic, 0, Offset::Offset(3))?, &options()))?;
    ensure!(deleted.elements()[0].offset() == Offset::Offset(3), "{deleted:?}");
    let reader = context.reader("", &[])?;
    ensure!(reader.fetch_watermarks(&topic, 0, SOON)? == (3, 5), "watermarks");
    ensure!(values(&context.read(&topic, 0, "read_uncommitted")?) == ["d", "e"], "what is left");
    reader.assign(&at(&topic, 0, Offset::Offset(1))?)?;
    expect_reset(&reader)?;
    let beyond = block_on(admin.delete_records(&at(&topic, 0, Offset::Offset(99))?, &options()))?;
    let error = beyond.elements()[0].error();
    ensure!(matches!(&error, Err(e) if e.rdkafka_error_code() == Some(Code::OffsetOutOfRange)), "{error:?}");
    Ok(())
}
