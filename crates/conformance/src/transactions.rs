//! Transactions.

use anyhow::{Context as _, Result, ensure};
use rdkafka::consumer::Consumer;
use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::message::Message;

use crate::Context;
use crate::client::{committed, expect_offset, txn_error, unique, values};
use crate::wait::{SOON, until};

pub(crate) fn a_committed_transaction_is_seen_whole(context: &Context) -> Result<()> {
    let (left, right) = (context.topic(1)?, context.topic(1)?);
    let producer = context.transactional(&unique("txn"))?;
    producer.begin_with(&left, &["a", "b"])?;
    producer.write(&right, &["c"])?;
    producer.txn_commit()?;
    context.expect_committed(&left, &["a", "b"])?;
    context.expect_committed(&right, &["c"])
}

pub(crate) fn an_open_transaction_is_hidden_and_holds_what_follows(context: &Context) -> Result<()> {
    let topic = context.topic(1)?;
    let plain = context.producer(&[])?;
    plain.write(&topic, &["before"])?;
    let producer = context.transactional(&unique("txn"))?;
    producer.begin_with(&topic, &["open"])?;
    plain.write(&topic, &["behind"])?;
    ensure!(context.committed_values(&topic)? == ["before"], "a committed reader sees more");
    let all = values(&context.read(&topic, 0, "read_uncommitted")?);
    ensure!(all == ["before", "open", "behind"], "{all:?}");
    let high =
        context.reader("", &[("isolation.level", "read_uncommitted")])?.fetch_watermarks(&topic, 0, SOON)?;
    let stable =
        context.reader("", &[("isolation.level", "read_committed")])?.fetch_watermarks(&topic, 0, SOON)?;
    ensure!((high, stable) == ((0, 3), (0, 1)), "high watermark {high:?}, last stable offset {stable:?}");
    producer.txn_commit()?;
    context.expect_committed(&topic, &["before", "open", "behind"])
}

pub(crate) fn an_aborted_transaction_is_never_seen_by_committed_readers(context: &Context) -> Result<()> {
    let topic = context.topic(1)?;
    let producer = context.transactional(&unique("txn"))?;
    producer.begin_with(&topic, &["good1"])?;
    producer.txn_commit()?;
    producer.begin_with(&topic, &["bad1", "bad2"])?;
    producer.abort()?;
    producer.begin_with(&topic, &["good2"])?;
    producer.txn_commit()?;
    context.expect_committed(&topic, &["good1", "good2"])?;
    let all = values(&context.read(&topic, 0, "read_uncommitted")?);
    ensure!(all == ["good1", "bad1", "bad2", "good2"], "{all:?}");
    Ok(())
}

pub(crate) fn markers_take_offsets(context: &Context) -> Result<()> {
    let topic = context.topic(1)?;
    let producer = context.transactional(&unique("txn"))?;
    producer.begin_with(&topic, &["a", "b"])?;
    producer.txn_commit()?;
    let reader = context.reader("", &[])?;
    until("the marker", || Ok((reader.fetch_watermarks(&topic, 0, SOON)? == (0, 3)).then_some(())))?;
    let found = context.read(&topic, 0, "read_committed")?;
    ensure!(found.last().map(Message::offset) == Some(1), "the last record");
    Ok(())
}

pub(crate) fn offsets_and_records_end_together(context: &Context) -> Result<()> {
    let (input, output, group) = (context.topic(1)?, context.topic(1)?, unique("group"));
    let reader = context.reader(&group, &[])?;
    let producer = context.transactional(&unique("txn"))?;
    for (value, offset, commit) in [("one", 1, true), ("two", 2, false), ("three", 3, true)] {
        producer.begin_with(&output, &[value])?;
        producer.send_offset(&reader, &input, offset)?;
        if commit {
            producer.txn_commit()?
        } else {
            producer.abort()?
        }
        expect_offset(context, &group, &input, if commit { offset } else { 1 })?;
    }
    context.expect_committed(&output, &["one", "three"])
}

pub(crate) fn one_transaction_commits_offsets_of_two_groups(context: &Context) -> Result<()> {
    let (input, output) = (context.topic(1)?, context.topic(1)?);
    let (left, right) = (unique("group"), unique("group"));
    let (a, b) = (context.reader(&left, &[])?, context.reader(&right, &[])?);
    let producer = context.transactional(&unique("txn"))?;
    for commit in [false, true] {
        producer.begin_with(&output, &["v"])?;
        producer.send_offset(&a, &input, 4)?;
        producer.send_offset(&b, &input, 5)?;
        if commit {
            producer.txn_commit()?;
            expect_offset(context, &left, &input, 4)?;
            expect_offset(context, &right, &input, 5)?;
        } else {
            producer.abort()?;
            let seen = (committed(context, &left, &input, 0)?, committed(context, &right, &input, 0)?);
            ensure!(seen == (-1, -1), "after the abort: {seen:?}");
        }
    }
    Ok(())
}

pub(crate) fn two_sends_of_offsets_both_count(context: &Context) -> Result<()> {
    let (input, output, group) = (context.topic(2)?, context.topic(1)?, unique("group"));
    let reader = context.reader(&group, &[])?;
    let producer = context.transactional(&unique("txn"))?;
    producer.begin_with(&output, &["v"])?;
    producer.send_offset_of(&reader, &input, 0, 4)?;
    producer.send_offset_of(&reader, &input, 1, 5)?;
    producer.txn_commit()?;
    expect_offset(context, &group, &input, 4)?;
    until("the offset of partition 1", || Ok((committed(context, &group, &input, 1)? == 5).then_some(())))
}

pub(crate) fn a_second_producer_fences_the_first(context: &Context) -> Result<()> {
    let (topic, id) = (context.topic(1)?, unique("txn"));
    let first = context.transactional(&id)?;
    first.begin_with(&topic, &["zombie1"])?;
    let second = context.transactional(&id)?;
    let _ = first.put(&topic, &["zombie2"]); // refused at once or by the broker
    let _ = first.outcomes()?;
    let error = txn_error(first.txn_commit(), Code::Fenced)?;
    ensure!(error.is_fatal(), "not fatal");
    second.begin_with(&topic, &["good"])?;
    second.txn_commit()?;
    context.expect_committed(&topic, &["good"])
}

pub(crate) fn a_crashed_producers_transaction_is_aborted_by_its_successor(context: &Context) -> Result<()> {
    let (input, topic, id) = (context.topic(1)?, context.topic(1)?, unique("txn"));
    let group = unique("group");
    let reader = context.reader(&group, &[])?;
    let first = context.transactional(&id)?;
    first.begin_with(&topic, &["lost"])?;
    first.send_offset(&reader, &input, 3)?;
    std::mem::forget(first); // as if it had crashed: no abort, no farewell
    context.producer(&[])?.write(&topic, &["behind"])?;
    let second = context.transactional(&id)?;
    context.expect_committed(&topic, &["behind"])?;
    second.begin_with(&topic, &["next"])?;
    second.send_offset(&reader, &input, 5)?;
    second.txn_commit()?;
    context.expect_committed(&topic, &["behind", "next"])?;
    expect_offset(context, &group, &input, 5)
}

pub(crate) fn a_transaction_that_takes_too_long_is_aborted_and_fenced(context: &Context) -> Result<()> {
    let topic = context.topic(1)?;
    // On a busy machine a transaction may be over before its record is there; then a longer one is tried.
    let begun = ["2000", "8000", "30000"].iter().find_map(|timeout_ms| {
        let settings = ["transaction.timeout.ms", "message.timeout.ms", "socket.timeout.ms"];
        let settings = settings.map(|name| (name, *timeout_ms));
        let producer = context.transactional_with(&unique("txn"), &settings).ok()?;
        producer.begin_with(&topic, &["late"]).ok().map(|()| producer)
    });
    let producer = begun.context("no transaction could begin")?;
    context.producer(&[])?.write(&topic, &["behind"])?;
    context.expect_committed(&topic, &["behind"])?;
    let error = txn_error(producer.txn_commit(), Code::Fenced)?;
    ensure!(error.is_fatal(), "not fatal");
    Ok(())
}

pub(crate) fn a_transaction_without_records_can_end(context: &Context) -> Result<()> {
    let topic = context.topic(1)?;
    let producer = context.transactional(&unique("txn"))?;
    producer.begin()?;
    producer.txn_commit()?;
    producer.begin()?;
    producer.abort()?;
    producer.begin_with(&topic, &["v"])?;
    producer.txn_commit()?;
    context.expect_committed(&topic, &["v"])
}

pub(crate) fn interleaved_transactions_are_told_apart(context: &Context) -> Result<()> {
    let topic = context.topic(1)?;
    let (one, two) = (context.transactional(&unique("txn"))?, context.transactional(&unique("txn"))?);
    one.begin_with(&topic, &["one-a"])?;
    two.begin_with(&topic, &["two-a"])?;
    one.write(&topic, &["one-b"])?;
    two.write(&topic, &["two-b"])?;
    two.txn_commit()?;
    ensure!(context.committed_values(&topic)?.is_empty(), "the open transaction lies before everything");
    one.abort()?;
    context.expect_committed(&topic, &["two-a", "two-b"])?;
    one.begin_with(&topic, &["one-c"])?;
    one.txn_commit()?;
    context.expect_committed(&topic, &["two-a", "two-b", "one-c"])
}

pub(crate) fn a_refused_record_leaves_the_transaction_to_be_aborted(context: &Context) -> Result<()> {
    let (topic, id) = (context.topic(1)?, unique("txn"));
    let producer = context.transactional_with(&id, &[("message.max.bytes", "10000000")])?;
    producer.begin_with(&topic, &["fine"])?;
    producer.put(&topic, &[&"x".repeat(2_000_000)])?;
    let outcomes = producer.outcomes()?;
    ensure!(outcomes == [Err(Code::MessageSizeTooLarge)], "{outcomes:?}");
    let error = producer.txn_commit();
    let Err(rdkafka::error::KafkaError::Transaction(error)) = error else {
        anyhow::bail!("commit: {error:?}")
    };
    ensure!(error.txn_requires_abort() && !error.is_fatal(), "{error}");
    producer.abort()?;
    // The refused record has left a hole in this producer's sequence, so a new one goes on.
    let next = context.transactional(&id)?;
    next.begin_with(&topic, &["next"])?;
    next.txn_commit()?;
    context.expect_committed(&topic, &["next"])
}

pub(crate) fn many_small_transactions_stay_in_order(context: &Context) -> Result<()> {
    let topic = context.topic(1)?;
    let producer = context.transactional(&unique("txn"))?;
    let mut expected = Vec::new();
    for i in 0..60 {
        let value = i.to_string();
        producer.begin_with(&topic, &[&value])?;
        if i % 3 == 2 {
            producer.abort()?;
        } else {
            producer.txn_commit()?;
            expected.push(value);
        }
    }
    context.expect_committed(&topic, &expected.iter().map(String::as_str).collect::<Vec<_>>())
}
