//! Who may commit offsets in a transaction, by the member and generation that come with them.

use anyhow::{Context as _, Result, ensure};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::producer::Producer;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::Context;
use crate::client::{Sender, at, expect_offset, txn_error, unique};
use crate::groups::{member, partitions, settle};
use crate::wait::SOON;

struct Scene {
    input: String,
    output: String,
    group: String,
    producer: Sender,
}

fn scene(context: &Context, partitions: i32) -> Result<Scene> {
    let (input, output) = (context.topic(partitions)?, context.topic(1)?);
    Ok(Scene { input, output, group: unique("group"), producer: context.transactional(&unique("txn"))? })
}

impl Scene {
    /// A transaction that commits the offset of partition 0 for the consumer's group and must succeed.
    fn accepted(&self, context: &Context, consumer: &BaseConsumer, offset: i64) -> Result<()> {
        self.producer.begin_with(&self.output, &["v"])?;
        self.producer.send_offset(consumer, &self.input, offset)?;
        self.producer.txn_commit()?;
        expect_offset(context, &self.group, &self.input, offset)
    }

    /// A transaction whose offset commit must be refused, abortable; and that the producer goes on afterwards.
    fn refused(&self, context: &Context, consumer: &BaseConsumer, code: Code) -> Result<()> {
        self.producer.begin_with(&self.output, &["refused"])?;
        let error = txn_error(self.producer.send_offset(consumer, &self.input, 99), code)?;
        ensure!(error.txn_requires_abort() && !error.is_fatal(), "{error}");
        self.producer.abort()?;
        self.producer.begin_with(&self.output, &["after"])?;
        self.producer.txn_commit()?;
        context.expect_committed(&self.output, &["after"])
    }
}

pub(crate) fn metadata_of_nobody_is_not_fenced(context: &Context) -> Result<()> {
    let scene = scene(context, 1)?;
    let inside = member(context, &scene.group, &[&scene.input], &[])?;
    settle(&[&inside], &[1])?;
    let outside = context.reader(&scene.group, &[])?; // has never joined: generation -1, no member ID
    scene.accepted(context, &outside, 7)
}

pub(crate) fn metadata_of_nobody_is_accepted_by_an_empty_group(context: &Context) -> Result<()> {
    let scene = scene(context, 1)?;
    let outside = context.reader(&scene.group, &[])?;
    scene.accepted(context, &outside, 7)
}

pub(crate) fn an_instance_that_is_not_in_the_group_is_fenced(context: &Context) -> Result<()> {
    let scene = scene(context, 1)?;
    let inside = member(context, &scene.group, &[&scene.input], &[])?;
    settle(&[&inside], &[1])?;
    let outside = context.reader(&scene.group, &[("group.instance.id", "not-in-it")])?;
    scene.refused(context, &outside, Code::UnknownMemberId)
}

pub(crate) fn a_stale_generation_is_fenced(context: &Context) -> Result<()> {
    let scene = scene(context, 2)?;
    let first = member(context, &scene.group, &[&scene.input], &[])?;
    settle(&[&first], &[2])?;
    let stale = first.group_metadata().context("no metadata")?;
    let second = member(context, &scene.group, &[&scene.input], &[])?;
    settle(&[&first, &second], &[1, 1])?;
    scene.producer.begin_with(&scene.output, &["refused"])?;
    let list = at(&scene.input, 0, Offset::Offset(9))?;
    let sent = scene.producer.inner.send_offsets_to_transaction(&list, &stale, SOON);
    let error = txn_error(sent, Code::IllegalGeneration)?;
    ensure!(error.txn_requires_abort() && !error.is_fatal(), "{error}");
    scene.producer.abort()?;
    scene.accepted(context, &first, 4)
}

pub(crate) fn a_member_that_left_is_fenced(context: &Context) -> Result<()> {
    let scene = scene(context, 2)?;
    let (stays, leaves) = (
        member(context, &scene.group, &[&scene.input], &[])?,
        member(context, &scene.group, &[&scene.input], &[])?,
    );
    settle(&[&stays, &leaves], &[1, 1])?;
    let stale = leaves.group_metadata().context("no metadata")?;
    drop(leaves);
    settle(&[&stays], &[2])?;
    scene.producer.begin_with(&scene.output, &["refused"])?;
    let list = at(&scene.input, 0, Offset::Offset(9))?;
    let sent = scene.producer.inner.send_offsets_to_transaction(&list, &stale, SOON);
    txn_error(sent, Code::UnknownMemberId)?;
    scene.producer.abort()?;
    scene.accepted(context, &stays, 4)
}

pub(crate) fn a_member_may_commit_what_another_owns(context: &Context) -> Result<()> {
    let scene = scene(context, 2)?;
    let (a, b) = (
        member(context, &scene.group, &[&scene.input], &[])?,
        member(context, &scene.group, &[&scene.input], &[])?,
    );
    settle(&[&a, &b], &[1, 1])?;
    let other = if partitions(&a, &scene.input)? == [0] { &b } else { &a };
    scene.accepted(context, other, 6)
}

pub(crate) fn one_stale_group_spoils_the_whole_transaction(context: &Context) -> Result<()> {
    let scene = scene(context, 1)?;
    let good_group = unique("group");
    let good = context.reader(&good_group, &[])?;
    let inside = member(context, &scene.group, &[&scene.input], &[])?;
    settle(&[&inside], &[1])?;
    let stale = context.reader(&scene.group, &[("group.instance.id", "not-in-it")])?;
    scene.producer.begin_with(&scene.output, &["spoilt"])?;
    scene.producer.send_offset(&good, &scene.input, 5)?;
    txn_error(scene.producer.send_offset(&stale, &scene.input, 5), Code::UnknownMemberId)?;
    ensure!(scene.producer.txn_commit().is_err(), "the commit went through");
    scene.producer.abort()?;
    expect_offset(context, &good_group, &scene.input, -1)?;
    scene.producer.begin_with(&scene.output, &["next"])?;
    scene.producer.send_offset(&good, &scene.input, 6)?;
    scene.producer.txn_commit()?;
    expect_offset(context, &good_group, &scene.input, 6)?;
    context.expect_committed(&scene.output, &["next"])
}

pub(crate) fn a_rebalance_between_offsets_and_commit_does_not_stop_the_commit(
    context: &Context,
) -> Result<()> {
    let scene = scene(context, 2)?;
    let first = member(context, &scene.group, &[&scene.input], &[])?;
    settle(&[&first], &[2])?;
    scene.producer.begin_with(&scene.output, &["v"])?;
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&scene.input, 0, Offset::Offset(4))?;
    let metadata = first.group_metadata().context("no metadata")?;
    scene.producer.inner.send_offsets_to_transaction(&list, &metadata, SOON)?;
    // The group shrinks and grows while the transaction is open.
    first.unsubscribe();
    let second = context.reader(&scene.group, &[("auto.offset.reset", "earliest")])?;
    second.subscribe(&[&scene.input])?;
    settle(&[&first, &second], &[0, 2])?;
    scene.producer.txn_commit()?;
    expect_offset(context, &scene.group, &scene.input, 4)?;
    context.expect_committed(&scene.output, &["v"])
}
