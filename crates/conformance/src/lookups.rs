//! Offsets, epochs and fetches, request by request.

use anyhow::{Context as _, Result, ensure};
use kafka_protocol::error::ResponseError as E;
use kafka_protocol::messages::*;
use rdkafka::producer::BaseRecord;

use crate::Context;
use crate::client::unique;
use crate::raw::{Raw, topic_name};
use crate::wait::until;

/// Error code, offset and timestamp.
type Found = (i16, i64, i64);

fn list(raw: &mut Raw, topic: &str, version: i16, (isolation, epoch, ms): (i8, i32, i64)) -> Result<Found> {
    let mut place = list_offsets_request::ListOffsetsPartition::default().with_timestamp(ms);
    if version >= 4 {
        place.current_leader_epoch = epoch;
    }
    let wanted = list_offsets_request::ListOffsetsTopic::default()
        .with_name(topic_name(topic))
        .with_partitions(vec![place]);
    let mut request = ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(vec![wanted]);
    if version >= 2 {
        request.isolation_level = isolation;
    }
    let answer: ListOffsetsResponse = raw.ask(ApiKey::ListOffsets, version, &request)?;
    let found = &answer.topics[0].partitions[0];
    Ok((found.error_code, found.offset, found.timestamp))
}

pub(crate) fn special_times_name_ends_and_the_newest_record(context: &Context) -> Result<()> {
    let topic = context.topic_with(1, &[("retention.ms", "-1")])?;
    let mut raw = context.raw()?;
    let (latest, earliest, newest) = (-1, -2, -3);
    let empty = list(&mut raw, &topic, 7, (0, -1, newest))?;
    ensure!(empty == (0, -1, -1), "the newest of nothing: {empty:?}");
    let producer = context.producer(&[])?;
    for ms in [1_000, 9_000, 2_000] {
        producer.record(BaseRecord::to(&topic).partition(0).key("k").payload("v").timestamp(ms))?;
        producer.drain()?;
    }
    for version in [1, 5, 7] {
        let ends = (
            list(&mut raw, &topic, version, (0, -1, latest))?,
            list(&mut raw, &topic, version, (0, -1, earliest))?,
        );
        ensure!(ends == ((0, 3, -1), (0, 0, -1)), "v{version}: {ends:?}");
    }
    let found = list(&mut raw, &topic, 7, (0, -1, newest))?;
    ensure!(found == (0, 1, 9_000), "the newest: {found:?}");
    let later = list(&mut raw, &topic, 7, (0, -1, 1_500))?;
    ensure!(later == (0, 1, 9_000), "the first that is not older: {later:?}");
    let none = list(&mut raw, &topic, 7, (0, -1, 9_001))?;
    ensure!(none == (0, -1, -1), "none is so new: {none:?}");
    Ok(())
}

pub(crate) fn times_that_the_version_does_not_know_are_refused(context: &Context) -> Result<()> {
    let topic = context.topic(1)?;
    let mut raw = context.raw()?;
    for (version, ms) in [(1, -3), (6, -3), (7, -4), (7, -9)] {
        let found = list(&mut raw, &topic, version, (0, -1, ms))?;
        ensure!(found.0 == E::UnsupportedVersion.code(), "v{version} of {ms}: {found:?}");
    }
    let unknown = list(&mut raw, &unique("topic"), 7, (0, -1, -1))?;
    ensure!(unknown.0 == E::UnknownTopicOrPartition.code(), "{unknown:?}");
    Ok(())
}

pub(crate) fn the_end_is_another_for_committed_readers(context: &Context) -> Result<()> {
    let topic = context.topic(1)?;
    let producer = context.transactional(&unique("txn"))?;
    context.producer(&[])?.write(&topic, &["before"])?;
    producer.begin_with(&topic, &["open", "open"])?;
    let mut raw = context.raw()?;
    let ends = (list(&mut raw, &topic, 5, (0, -1, -1))?.1, list(&mut raw, &topic, 5, (1, -1, -1))?.1);
    ensure!(ends == (3, 1), "{ends:?}");
    producer.abort()?;
    until("the end behind the marker", || Ok((list(&mut raw, &topic, 5, (1, -1, -1))?.1 == 4).then_some(())))
}

pub(crate) fn who_knows_a_later_leader_is_told_to_wait(context: &Context) -> Result<()> {
    let topic = context.topic(1)?;
    let mut raw = context.raw()?;
    context.producer(&[])?.write(&topic, &["a"])?;
    for (epoch, expected) in [(-1, 0), (0, 0), (5, E::UnknownLeaderEpoch.code())] {
        let found = list(&mut raw, &topic, 5, (0, epoch, -1))?;
        ensure!(found.0 == expected, "offsets at epoch {epoch}: {found:?}");
        let found = fetch(&mut raw, &topic, Asked { epoch, ..Asked::default() })?;
        ensure!(found.error_code == expected, "records at epoch {epoch}: {found:?}");
        let found = end_of_epoch(&mut raw, &topic, (epoch, 0))?;
        ensure!(found.error_code == expected, "ends at epoch {epoch}: {found:?}");
    }
    Ok(())
}

fn end_of_epoch(
    raw: &mut Raw,
    topic: &str,
    (current, wanted): (i32, i32),
) -> Result<offset_for_leader_epoch_response::EpochEndOffset> {
    let place = offset_for_leader_epoch_request::OffsetForLeaderPartition::default()
        .with_current_leader_epoch(current)
        .with_leader_epoch(wanted);
    let asked = offset_for_leader_epoch_request::OffsetForLeaderTopic::default()
        .with_topic(topic_name(topic))
        .with_partitions(vec![place]);
    let request =
        OffsetForLeaderEpochRequest::default().with_replica_id(BrokerId(-1)).with_topics(vec![asked]);
    let answer: OffsetForLeaderEpochResponse = raw.ask(ApiKey::OffsetForLeaderEpoch, 4, &request)?;
    answer.topics.into_iter().next().and_then(|t| t.partitions.into_iter().next()).context("no answer")
}

pub(crate) fn the_running_epoch_ends_at_the_end(context: &Context) -> Result<()> {
    let topic = context.topic(1)?;
    let mut raw = context.raw()?;
    context.producer(&[])?.write(&topic, &["a", "b"])?;
    let running = end_of_epoch(&mut raw, &topic, (-1, 0))?;
    ensure!((running.error_code, running.leader_epoch, running.end_offset) == (0, 0, 2), "{running:?}");
    let later = end_of_epoch(&mut raw, &topic, (-1, 5))?;
    ensure!((later.error_code, later.leader_epoch, later.end_offset) == (0, -1, -1), "{later:?}");
    let unknown = end_of_epoch(&mut raw, &unique("topic"), (-1, 0))?;
    ensure!(unknown.error_code == E::UnknownTopicOrPartition.code(), "{unknown:?}");
    Ok(())
}

struct Asked {
    offset: i64,
    epoch: i32,
    isolation: i8,
    wait_ms: i32,
    max_bytes: i32,
    session: (i32, i32),
}

impl Default for Asked {
    fn default() -> Self {
        Asked { offset: 0, epoch: -1, isolation: 0, wait_ms: 0, max_bytes: 1 << 20, session: (0, -1) }
    }
}

fn fetch_all(raw: &mut Raw, topic: &str, asked: Asked) -> Result<FetchResponse> {
    let place = fetch_request::FetchPartition::default()
        .with_current_leader_epoch(asked.epoch)
        .with_fetch_offset(asked.offset)
        .with_partition_max_bytes(asked.max_bytes);
    let wanted =
        fetch_request::FetchTopic::default().with_topic(topic_name(topic)).with_partitions(vec![place]);
    let request = FetchRequest::default()
        .with_max_wait_ms(asked.wait_ms)
        .with_min_bytes(1)
        .with_max_bytes(asked.max_bytes)
        .with_isolation_level(asked.isolation)
        .with_session_id(asked.session.0)
        .with_session_epoch(asked.session.1)
        .with_topics(vec![wanted]);
    raw.ask(ApiKey::Fetch, 11, &request)
}

fn fetch(raw: &mut Raw, topic: &str, asked: Asked) -> Result<fetch_response::PartitionData> {
    let answer = fetch_all(raw, topic, asked)?;
    ensure!(answer.error_code == 0, "{answer:?}");
    answer.responses.into_iter().next().and_then(|t| t.partitions.into_iter().next()).context("no answer")
}

pub(crate) fn a_fetch_says_where_the_log_stands(context: &Context) -> Result<()> {
    let topic = context.topic(1)?;
    let producer = context.transactional(&unique("txn"))?;
    let mut raw = context.raw()?;
    producer.begin_with(&topic, &["a"])?;
    producer.abort()?;
    context.expect_committed(&topic, &[])?;
    producer.begin_with(&topic, &["b"])?;
    let committed = |offset| Asked { isolation: 1, offset, ..Asked::default() };
    let found = fetch(&mut raw, &topic, committed(0))?;
    ensure!(
        (found.high_watermark, found.last_stable_offset, found.log_start_offset) == (3, 2, 0),
        "{found:?}"
    );
    let aborted = found.aborted_transactions.as_deref().unwrap_or_default();
    ensure!(aborted.len() == 1 && aborted[0].first_offset == 0, "{found:?}");
    let nothing = fetch(&mut raw, &topic, committed(2))?;
    ensure!(nothing.error_code == 0, "{nothing:?}");
    ensure!(nothing.records.as_ref().is_some_and(|r| r.is_empty()), "what is open: {nothing:?}");
    let all = fetch(&mut raw, &topic, Asked::default())?;
    ensure!(all.records.as_ref().is_some_and(|r| !r.is_empty()), "{all:?}");
    ensure!(
        all.aborted_transactions.as_ref().is_none_or(Vec::is_empty),
        "who reads all is not told: {all:?}"
    );
    producer.abort()?;
    Ok(())
}

pub(crate) fn an_error_does_not_wait(context: &Context) -> Result<()> {
    let topic = context.topic(1)?;
    let mut raw = context.raw()?;
    // Longer than this client waits for an answer.
    let patient = || Asked { wait_ms: 300_000, ..Asked::default() };
    let unknown = fetch(&mut raw, &unique("topic"), patient())?;
    ensure!(unknown.error_code == E::UnknownTopicOrPartition.code(), "{unknown:?}");
    let beyond = fetch(&mut raw, &topic, Asked { offset: 9, ..patient() })?;
    ensure!(beyond.error_code == E::OffsetOutOfRange.code(), "{beyond:?}");
    Ok(())
}

pub(crate) fn a_batch_larger_than_the_fetch_comes_whole(context: &Context) -> Result<()> {
    let topic = context.topic(1)?;
    let long = "x".repeat(5_000);
    let producer = context.producer(&[])?;
    producer.write(&topic, &[&long])?;
    producer.write(&topic, &[&long])?;
    let found = fetch(&mut context.raw()?, &topic, Asked { max_bytes: 100, ..Asked::default() })?;
    let size = found.records.map_or(0, |r| r.len());
    ensure!((5_000..6_000).contains(&size), "{size} bytes");
    Ok(())
}

pub(crate) fn an_unknown_fetch_session_is_refused(context: &Context) -> Result<()> {
    let topic = context.topic(1)?;
    let answer = fetch_all(&mut context.raw()?, &topic, Asked { session: (4711, 3), ..Asked::default() })?;
    ensure!(answer.error_code == E::FetchSessionIdNotFound.code(), "{answer:?}");
    Ok(())
}
