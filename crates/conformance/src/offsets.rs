//! Committed offsets.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::message::Message;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::Context;
use crate::client::{at, committed, expect_offset, unique};
use crate::groups::{member, settle};
use crate::wait::{SOON, until};

pub(crate) fn a_committed_offset_is_where_the_group_goes_on(context: &Context) -> Result<()> {
    let (topic, group) = (context.topic(1)?, unique("group"));
    context.producer(&[])?.write(&topic, &["a", "b", "c"])?;
    let first = member(context, &group, &[&topic], &[])?;
    until("the first record", || {
        Ok(first.poll(Duration::from_millis(100)).and_then(Result::ok).map(|m| m.offset()))
    })?;
    first.commit(&at(&topic, 0, Offset::Offset(1))?, CommitMode::Sync)?;
    drop(first);
    let second = member(context, &group, &[&topic], &[])?;
    let next = until("the next record", || {
        Ok(second.poll(Duration::from_millis(100)).and_then(Result::ok).map(|m| m.offset()))
    })?;
    ensure!(next == 1, "went on at {next}");
    Ok(())
}

pub(crate) fn metadata_of_an_offset_is_kept(context: &Context) -> Result<()> {
    let (topic, group) = (context.topic(1)?, unique("group"));
    let reader = context.reader(&group, &[])?;
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&topic, 0, Offset::Offset(5))?;
    list.find_partition(&topic, 0).context("partition missing")?.set_metadata("käse and wine");
    reader.commit(&list, CommitMode::Sync)?;
    let mut wanted = TopicPartitionList::new();
    wanted.add_partition(&topic, 0);
    let found = context.reader(&group, &[])?.committed_offsets(wanted, SOON)?;
    let element = found.find_partition(&topic, 0).context("partition missing")?;
    ensure!(element.offset() == Offset::Offset(5), "{:?}", element.offset());
    ensure!(element.metadata() == "käse and wine", "{:?}", element.metadata());
    Ok(())
}

pub(crate) fn an_empty_group_takes_first_positions(context: &Context) -> Result<()> {
    let (topic, group) = (context.topic(3)?, unique("group"));
    let reader = context.reader(&group, &[])?;
    let mut list = TopicPartitionList::new();
    for partition in 0..3 {
        list.add_partition_offset(&topic, partition, Offset::Offset(i64::from(partition) * 10))?;
    }
    reader.commit(&list, CommitMode::Sync)?;
    for partition in 0..3 {
        let offset = committed(context, &group, &topic, partition)?;
        ensure!(offset == i64::from(partition) * 10, "partition {partition}: {offset}");
    }
    Ok(())
}

pub(crate) fn no_outsider_commits_for_a_group_with_members(context: &Context) -> Result<()> {
    let (topic, group) = (context.topic(1)?, unique("group"));
    let inside = member(context, &group, &[&topic], &[])?;
    settle(&[&inside], &[1])?;
    let outside = context.reader(&group, &[])?;
    let refused = outside.commit(&at(&topic, 0, Offset::Offset(9))?, CommitMode::Sync);
    let code = refused.err().and_then(|e| e.rdkafka_error_code());
    ensure!(code == Some(Code::UnknownMemberId), "{code:?}");
    ensure!(committed(context, &group, &topic, 0)? == -1, "the offset was taken all the same");
    Ok(())
}

pub(crate) fn an_uncommitted_partition_has_no_offset(context: &Context) -> Result<()> {
    let topic = context.topic(1)?;
    let offset = committed(context, &unique("group"), &topic, 0)?;
    ensure!(offset == -1, "{offset}");
    Ok(())
}

pub(crate) fn a_pending_offset_is_unstable_until_its_transaction_ends(context: &Context) -> Result<()> {
    let (input, output, group) = (context.topic(1)?, context.topic(1)?, unique("group"));
    let reader = context.reader(&group, &[])?;
    reader.commit(&at(&input, 0, Offset::Offset(3))?, CommitMode::Sync)?;
    let producer = context.transactional(&unique("txn"))?;
    producer.begin_with(&output, &["v"])?;
    producer.send_offset(&reader, &input, 8)?;
    ensure!(committed(context, &group, &input, 0)? == 3, "a reader that does not mind sees the old offset");
    let strict = context.reader(&group, &[("isolation.level", "read_committed")])?;
    let mut wanted = TopicPartitionList::new();
    wanted.add_partition(&input, 0);
    let early = strict.committed_offsets(wanted.clone(), Duration::from_secs(1));
    let code = early.err().and_then(|e| e.rdkafka_error_code());
    ensure!(code == Some(Code::OperationTimedOut), "a strict reader has to wait: {code:?}");
    producer.txn_commit()?;
    let found = strict.committed_offsets(wanted, SOON)?;
    let offset = found.find_partition(&input, 0).context("partition missing")?.offset();
    ensure!(offset == Offset::Offset(8), "{offset:?}");
    Ok(())
}

pub(crate) fn of_two_pending_offsets_the_one_sent_last_wins(context: &Context) -> Result<()> {
    for first_ends_last in [false, true] {
        let (input, output, group) = (context.topic(1)?, context.topic(2)?, unique("group"));
        let reader = context.reader(&group, &[])?;
        let (one, two) = (context.transactional(&unique("txn"))?, context.transactional(&unique("txn"))?);
        one.begin_with(&output, &["v"])?;
        two.begin()?;
        two.put_to(&output, 1, &["v"])?;
        two.drain()?;
        one.send_offset(&reader, &input, 60)?;
        two.send_offset(&reader, &input, 50)?;
        let ends = if first_ends_last { [&two, &one] } else { [&one, &two] };
        for producer in ends {
            producer.txn_commit()?;
            // The offsets of a group are settled in order of the markers; let this one settle first.
            context.reader(&group, &[("isolation.level", "read_uncommitted")])?;
        }
        expect_offset(context, &group, &input, 50)?;
    }
    Ok(())
}
