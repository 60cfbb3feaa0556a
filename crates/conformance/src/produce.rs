//! Producing.

use anyhow::{Result, ensure};
use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::message::{Header, Headers, Message, OwnedHeaders, Timestamp};
use rdkafka::producer::BaseRecord;

use crate::Context;
use crate::client::values;
use crate::wait::until;

fn now_ms() -> Result<i64> {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    Ok(i64::try_from(since.as_millis())?)
}

pub(crate) fn keys_values_headers_and_times_arrive_unchanged(context: &Context) -> Result<()> {
    let topic = context.topic(1)?;
    let producer = context.producer(&[])?;
    let headers = OwnedHeaders::new()
        .insert(Header { key: "a", value: Some("1") })
        .insert(Header { key: "a", value: Some("") })
        .insert(Header { key: "none", value: None::<&str> });
    producer.record(BaseRecord::to(&topic).key("k").payload("v").timestamp(1_234_567).headers(headers))?;
    producer.record(BaseRecord::to(&topic).payload("no key"))?;
    producer.record(BaseRecord::to(&topic).key("no value"))?;
    producer.record(BaseRecord::to(&topic).key("").payload(""))?;
    producer.drain()?;
    let found = context.read(&topic, 0, "read_uncommitted")?;
    let plain: Vec<_> = found.iter().map(|m| (m.key(), m.payload())).collect();
    type Pair<'a> = (Option<&'a [u8]>, Option<&'a [u8]>);
    let expected: [Pair<'_>; 4] = [
        (Some(b"k"), Some(b"v")),
        (None, Some(b"no key")),
        (Some(b"no value"), None),
        (Some(b""), Some(b"")),
    ];
    ensure!(plain == expected, "{plain:?}");
    ensure!(found[0].timestamp() == Timestamp::CreateTime(1_234_567), "{:?}", found[0].timestamp());
    let headers: Vec<_> =
        found[0].headers().into_iter().flat_map(|h| h.iter()).map(|h| (h.key, h.value)).collect();
    let expected: [(&str, Option<&[u8]>); 3] = [("a", Some(b"1")), ("a", Some(b"")), ("none", None)];
    ensure!(headers == expected, "{headers:?}");
    Ok(())
}

pub(crate) fn append_time_replaces_the_producers_time(context: &Context) -> Result<()> {
    let topic = context.topic_with(1, &[("message.timestamp.type", "LogAppendTime")])?;
    let producer = context.producer(&[])?;
    let before = now_ms()?;
    producer.record(BaseRecord::to(&topic).key("k").payload("v").timestamp(1_000))?;
    producer.drain()?;
    let found = context.read(&topic, 0, "read_uncommitted")?;
    match found.first().map(Message::timestamp) {
        Some(Timestamp::LogAppendTime(at)) => {
            ensure!((before - 1..=now_ms()? + 1).contains(&at), "{at}, began {before}")
        }
        other => anyhow::bail!("{other:?}"),
    }
    Ok(())
}

pub(crate) fn every_codec_arrives(context: &Context) -> Result<()> {
    let topic = context.topic(1)?;
    let mut expected = Vec::new();
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let settings = [("compression.type", codec), ("linger.ms", "50"), ("enable.idempotence", "true")];
        let producer = context.producer(&settings)?;
        let sent: Vec<String> = (0..50).map(|i| format!("{codec}-{i}-{}", "x".repeat(100))).collect();
        producer.put(&topic, &sent.iter().map(String::as_str).collect::<Vec<_>>())?;
        producer.drain()?;
        expected.extend(sent);
    }
    ensure!(values(&context.read(&topic, 0, "read_uncommitted")?) == expected, "codecs change what arrives");
    Ok(())
}

pub(crate) fn a_record_too_large_is_refused(context: &Context) -> Result<()> {
    let topic = context.topic(1)?;
    let producer = context.producer(&[("message.max.bytes", "10000000")])?;
    let long = "x".repeat(5_000_000);
    producer.put(&topic, &[&long])?;
    let outcomes = producer.outcomes()?;
    ensure!(outcomes == [Err(Code::MessageSizeTooLarge)], "{outcomes:?}");
    ensure!(producer.write(&topic, &["short"])? == [(0, 0)], "the refused one takes no offset");
    Ok(())
}

pub(crate) fn a_record_from_the_future_is_refused(context: &Context) -> Result<()> {
    let topic = context.topic(1)?;
    let producer = context.producer(&[])?;
    for (minutes, fine) in [(59, true), (120, false)] {
        let at = now_ms()? + minutes * 60_000;
        producer.record(BaseRecord::to(&topic).key("k").payload("v").timestamp(at))?;
        let outcomes = producer.outcomes()?;
        let as_expected = if fine { outcomes[0].is_ok() } else { outcomes == [Err(Code::InvalidTimestamp)] };
        ensure!(as_expected, "{minutes} minutes ahead: {outcomes:?}");
    }
    Ok(())
}

pub(crate) fn an_old_record_is_accepted(context: &Context) -> Result<()> {
    // Retention must not take it away while the check looks.
    let topic = context.topic_with(1, &[("retention.ms", "-1")])?;
    let producer = context.producer(&[])?;
    let at = now_ms()? - 10 * 365 * 24 * 3_600_000;
    producer.record(BaseRecord::to(&topic).key("k").payload("v").timestamp(at))?;
    producer.drain()?;
    let found = context.read(&topic, 0, "read_uncommitted")?;
    ensure!(found[0].timestamp() == Timestamp::CreateTime(at), "{:?}", found[0].timestamp());
    Ok(())
}

pub(crate) fn an_idempotent_producer_keeps_order_without_gaps(context: &Context) -> Result<()> {
    let topic = context.topic(1)?;
    let producer = context.producer(&[("enable.idempotence", "true"), ("batch.num.messages", "7")])?;
    let sent: Vec<String> = (0..1_000).map(|i| i.to_string()).collect();
    producer.put(&topic, &sent.iter().map(String::as_str).collect::<Vec<_>>())?;
    let offsets: Vec<i64> = producer.drain()?.into_iter().map(|(_, offset)| offset).collect();
    ensure!(offsets == (0..1_000).collect::<Vec<_>>(), "offsets have gaps or repeats");
    ensure!(values(&context.read(&topic, 0, "read_uncommitted")?) == sent, "order changed");
    Ok(())
}

pub(crate) fn every_level_of_acknowledgement_works(context: &Context) -> Result<()> {
    let topic = context.topic(1)?;
    for acks in ["0", "1", "all"] {
        context.producer(&[("acks", acks)])?.write(&topic, &[acks])?;
        until("the record", || {
            Ok(values(&context.read(&topic, 0, "read_uncommitted")?)
                .contains(&acks.to_string())
                .then_some(()))
        })?;
    }
    Ok(())
}

pub(crate) fn an_unknown_partition_is_refused(context: &Context) -> Result<()> {
    let topic = context.topic(2)?;
    let producer = context.producer(&[("message.timeout.ms", "30000")])?;
    producer.write(&topic, &["fine"])?;
    let outcomes = match producer.put_to(&topic, 2, &["nowhere"]) {
        Ok(()) => producer.outcomes()?,
        Err(error) => {
            ensure!(error.to_string().contains("UnknownPartition"), "{error}");
            return Ok(());
        }
    };
    ensure!(outcomes == [Err(Code::UnknownPartition)], "{outcomes:?}");
    Ok(())
}

pub(crate) fn a_compacted_topic_wants_keys(context: &Context) -> Result<()> {
    let topic = context.topic_with(1, &[("cleanup.policy", "compact")])?;
    let producer = context.producer(&[])?;
    producer.record(BaseRecord::to(&topic).payload("no key"))?;
    let outcomes = producer.outcomes()?;
    ensure!(outcomes == [Err(Code::InvalidRecord)], "{outcomes:?}");
    producer.record(BaseRecord::to(&topic).key("k"))?;
    ensure!(producer.drain()? == [(0, 0)], "a tombstone is fine");
    Ok(())
}
