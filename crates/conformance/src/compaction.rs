//! Topics that keep the newest record of each key.

use anyhow::{Context as _, Result, ensure};
use rdkafka::consumer::Consumer;
use rdkafka::message::{Message, OwnedMessage};
use rdkafka::producer::BaseRecord;
use rdkafka::topic_partition_list::Offset;

use crate::Context;
use crate::client::{Sender, at, read_to_end, unique};
use crate::wait::{SOON, until};

/// Segments end when a record is a second younger than their first one, and are compacted at once.
const COMPACTED: [(&str, &str); 3] =
    [("cleanup.policy", "compact"), ("segment.ms", "1000"), ("min.cleanable.dirty.ratio", "0.001")];

fn now_ms() -> i64 {
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

fn compacted(context: &Context, more: &[(&str, &str)]) -> Result<String> {
    context.topic_with(1, &[&COMPACTED, more].concat())
}

/// Hands over `key=value` pairs, or a tombstone where there is no value, written `ago_ms` before now.
fn put(producer: &Sender, topic: &str, ago_ms: i64, pairs: &[&str]) -> Result<()> {
    for pair in pairs {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let record = BaseRecord::to(topic).partition(0).key(key).timestamp(now_ms() - ago_ms);
        producer.record(if value.is_empty() { record } else { record.payload(value) })?;
    }
    Ok(())
}

fn write(producer: &Sender, topic: &str, ago_ms: i64, pairs: &[&str]) -> Result<()> {
    put(producer, topic, ago_ms, pairs)?;
    producer.drain()?;
    Ok(())
}

/// A record so much younger that it ends the active segment: all before it can be compacted.
fn end_segment(context: &Context, topic: &str) -> Result<()> {
    write(&context.producer(&[])?, topic, -10_000, &["end=1"])
}

fn text(messages: &[OwnedMessage]) -> Vec<String> {
    let part = |bytes: Option<&[u8]>| bytes.map(|b| String::from_utf8_lossy(b).into_owned());
    let pair = |m: &OwnedMessage| match (part(m.key()).unwrap_or_default(), part(m.payload())) {
        (key, Some(value)) => format!("{key}={value}"),
        (key, None) => key,
    };
    messages.iter().map(pair).collect()
}

/// Waits until the partition holds exactly these.
fn expect(context: &Context, topic: &str, expected: &[&str]) -> Result<Vec<OwnedMessage>> {
    let mut seen = Vec::new();
    let waited = until("compaction", || {
        let found = context.read(topic, 0, "read_uncommitted")?;
        seen = text(&found);
        Ok((seen == expected).then_some(found))
    });
    waited.with_context(|| format!("seen {seen:?}, expected {expected:?}"))
}

pub(crate) fn the_newest_record_of_each_key_stays_at_its_offset(context: &Context) -> Result<()> {
    let topic = compacted(context, &[])?;
    let producer = context.producer(&[])?;
    write(&producer, &topic, 0, &["a=1", "b=1", "a=2", "c=1", "a=3", "c=2"])?;
    end_segment(context, &topic)?;
    let left = expect(context, &topic, &["b=1", "a=3", "c=2", "end=1"])?;
    let offsets: Vec<i64> = left.iter().map(Message::offset).collect();
    ensure!(offsets == [1, 4, 5, 6], "{offsets:?}");
    Ok(())
}

pub(crate) fn a_reader_at_a_record_that_went_gets_the_next_one(context: &Context) -> Result<()> {
    let topic = compacted(context, &[])?;
    write(&context.producer(&[])?, &topic, 0, &["a=1", "a=2", "a=3", "b=1"])?;
    end_segment(context, &topic)?;
    expect(context, &topic, &["a=3", "b=1", "end=1"])?;
    let reader = context.reader("", &[])?;
    reader.assign(&at(&topic, 0, Offset::Offset(1))?)?;
    let found = text(&read_to_end(&reader, 1)?);
    ensure!(found == ["a=3", "b=1", "end=1"], "{found:?}");
    Ok(())
}

pub(crate) fn the_active_segment_is_left_alone(context: &Context) -> Result<()> {
    let topic = compacted(context, &[])?;
    let other = compacted(context, &[])?;
    let producer = context.producer(&[])?;
    write(&producer, &topic, 0, &["a=1", "a=2"])?;
    write(&producer, &other, 0, &["a=1", "a=2"])?;
    end_segment(context, &other)?;
    expect(context, &other, &["a=2", "end=1"])?;
    let found = text(&context.read(&topic, 0, "read_committed")?);
    ensure!(found == ["a=1", "a=2"], "{found:?}");
    Ok(())
}

pub(crate) fn a_tombstone_takes_its_key_and_goes_later(context: &Context) -> Result<()> {
    let topic = compacted(context, &[("delete.retention.ms", "100")])?;
    let producer = context.producer(&[])?;
    write(&producer, &topic, 4_000, &["a=1", "b=1"])?;
    write(&producer, &topic, 2_000, &["a", "c=1"])?;
    write(&producer, &topic, 0, &["d=1"])?;
    until("the value to go", || {
        let found = text(&context.read(&topic, 0, "read_committed")?);
        Ok((!found.contains(&"a=1".to_string())).then_some(()))
    })?;
    // Compaction comes back only for new records.
    let mut ahead_ms = 0;
    until("the tombstone to go", || {
        ahead_ms += 2_000;
        write(&producer, &topic, -ahead_ms, &["e=1"])?;
        std::thread::sleep(std::time::Duration::from_millis(300));
        let found = text(&context.read(&topic, 0, "read_committed")?);
        ensure!(found.contains(&"b=1".to_string()), "{found:?}");
        Ok((!found.contains(&"a".to_string())).then_some(()))
    })
}

pub(crate) fn a_tombstone_is_seen_while_it_stays(context: &Context) -> Result<()> {
    let topic = compacted(context, &[("delete.retention.ms", "600000")])?;
    write(&context.producer(&[])?, &topic, 0, &["a=1", "a", "b=1"])?;
    end_segment(context, &topic)?;
    let left = expect(context, &topic, &["a", "b=1", "end=1"])?;
    let ago = now_ms() - left[0].timestamp().to_millis().context("no timestamp")?;
    ensure!((0..120_000).contains(&ago), "the tombstone's time has changed: {ago} ms ago");
    Ok(())
}

pub(crate) fn compressed_records_are_compacted(context: &Context) -> Result<()> {
    for codec in ["gzip", "snappy", "lz4", "zstd"] {
        let topic = compacted(context, &[])?;
        let producer = context.producer(&[("compression.type", codec), ("linger.ms", "50")])?;
        let (old, new) = (format!("a={}", "x".repeat(500)), format!("a={}", "y".repeat(500)));
        write(&producer, &topic, 0, &[&old, "b=1", &new])?;
        end_segment(context, &topic)?;
        expect(context, &topic, &["b=1", &new, "end=1"]).context(codec)?;
    }
    Ok(())
}

pub(crate) fn aborted_records_go_and_hide_nothing(context: &Context) -> Result<()> {
    let topic = compacted(context, &[])?;
    let producer = context.transactional(&unique("txn"))?;
    for (pairs, commit) in [(["a=good", "b=good"], true), (["a=bad", "c=bad"], false)] {
        producer.begin()?;
        write(&producer, &topic, 0, &pairs)?;
        if commit { producer.txn_commit()? } else { producer.abort()? }
    }
    end_segment(context, &topic)?;
    expect(context, &topic, &["a=good", "b=good", "end=1"])?;
    context.expect_committed(&topic, &["good", "good", "1"])
}

pub(crate) fn nothing_behind_an_open_transaction_is_compacted(context: &Context) -> Result<()> {
    let topic = compacted(context, &[])?;
    let other = compacted(context, &[])?;
    let (producer, plain) = (context.transactional(&unique("txn"))?, context.producer(&[])?);
    producer.begin()?;
    write(&producer, &topic, 0, &["open=1"])?;
    for topic in [&topic, &other] {
        write(&plain, topic, 0, &["a=1", "a=2"])?;
        end_segment(context, topic)?;
    }
    expect(context, &other, &["a=2", "end=1"])?;
    let found = text(&context.read(&topic, 0, "read_uncommitted")?);
    ensure!(found == ["open=1", "a=1", "a=2", "end=1"], "{found:?}");
    producer.txn_commit()?;
    end_segment(context, &topic)?;
    until("compaction after the end of the transaction", || {
        let found = text(&context.read(&topic, 0, "read_committed")?);
        Ok((!found.contains(&"a=1".to_string())).then_some(()))
    })
}

pub(crate) fn young_records_are_left_alone(context: &Context) -> Result<()> {
    let topic = compacted(context, &[("min.compaction.lag.ms", "600000")])?;
    let other = compacted(context, &[])?;
    let producer = context.producer(&[])?;
    for topic in [&topic, &other] {
        write(&producer, topic, 0, &["a=1", "a=2"])?;
        end_segment(context, topic)?;
    }
    expect(context, &other, &["a=2", "end=1"])?;
    let found = text(&context.read(&topic, 0, "read_committed")?);
    ensure!(found == ["a=1", "a=2", "end=1"], "{found:?}");
    Ok(())
}

pub(crate) fn a_topic_may_be_compacted_and_deleted_from(context: &Context) -> Result<()> {
    let settings =
        [("cleanup.policy", "compact,delete"), ("retention.ms", "3600000"), COMPACTED[1], COMPACTED[2]];
    let topic = context.topic_with(1, &settings)?;
    let producer = context.producer(&[])?;
    write(&producer, &topic, 7_200_000, &["old=1"])?;
    let reader = context.reader("", &[])?;
    until(
        "the old record to go",
        || Ok((reader.fetch_watermarks(&topic, 0, SOON)? == (1, 1)).then_some(())),
    )?;
    write(&producer, &topic, 0, &["a=1", "a=2"])?;
    end_segment(context, &topic)?;
    expect(context, &topic, &["a=2", "end=1"])?;
    Ok(())
}
