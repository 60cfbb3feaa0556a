//! Consumer groups of dynamic members.

use anyhow::{Context as _, Result, ensure};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode as Code;

use crate::Context;
use crate::client::{assigned, at, committed, options, poll, unique};
use crate::wait::{SOON, block_on, until};

/// The partitions of a topic that a member has.
pub(crate) fn partitions(reader: &BaseConsumer, topic: &str) -> Result<Vec<i32>> {
    let list = reader.assignment()?;
    let mut own: Vec<i32> = list.elements_for_topic(topic).iter().map(|e| e.partition()).collect();
    own.sort_unstable();
    Ok(own)
}

/// Polls all members until they have these numbers of partitions.
pub(crate) fn settle(members: &[&BaseConsumer], counts: &[usize]) -> Result<()> {
    let mut now = Vec::new();
    let settled = until("the group to settle", || {
        now.clear();
        for member in members {
            now.push(assigned(member)?);
        }
        now.sort_unstable();
        Ok((now == counts).then_some(()))
    });
    settled.with_context(|| format!("partitions per member: {now:?}, expected {counts:?}"))
}

/// A member of the group that reads the topics.
pub(crate) fn member(
    context: &Context,
    group: &str,
    topics: &[&str],
    settings: &[(&str, &str)],
) -> Result<BaseConsumer> {
    let base = [("auto.offset.reset", "earliest"), ("partition.assignment.strategy", "range")];
    let reader = context.reader(group, &[&base, settings].concat())?;
    reader.subscribe(topics)?;
    Ok(reader)
}

pub(crate) fn two_members_share_the_partitions_of_all_topics_alike(context: &Context) -> Result<()> {
    let (left, right, group) = (context.topic(6)?, context.topic(6)?, unique("group"));
    let a = member(context, &group, &[&left, &right], &[])?;
    settle(&[&a], &[12])?;
    let b = member(context, &group, &[&left, &right], &[])?;
    settle(&[&a, &b], &[6, 6])?;
    let own = [partitions(&a, &left)?, partitions(&b, &left)?];
    ensure!(own == [partitions(&a, &right)?, partitions(&b, &right)?], "equal numbers on both topics");
    let mut all = own.concat();
    all.sort_unstable();
    ensure!(all == [0, 1, 2, 3, 4, 5], "{own:?}");
    Ok(())
}

pub(crate) fn cooperative_members_share_the_partitions(context: &Context) -> Result<()> {
    let (topic, group) = (context.topic(4)?, unique("group"));
    let cooperative = [("partition.assignment.strategy", "cooperative-sticky")];
    let a = member(context, &group, &[&topic], &cooperative)?;
    settle(&[&a], &[4])?;
    let b = member(context, &group, &[&topic], &cooperative)?;
    settle(&[&a, &b], &[2, 2])
}

pub(crate) fn round_robin_deals_the_partitions_out(context: &Context) -> Result<()> {
    let (left, right, group) = (context.topic(3)?, context.topic(3)?, unique("group"));
    let settings = [("partition.assignment.strategy", "roundrobin")];
    let a = member(context, &group, &[&left, &right], &settings)?;
    let b = member(context, &group, &[&left, &right], &settings)?;
    settle(&[&a, &b], &[3, 3])?;
    let mut shares = [partitions(&a, &left)?.len(), partitions(&b, &left)?.len()];
    shares.sort_unstable();
    ensure!(shares == [1, 2], "each member has some of each topic: {shares:?}");
    Ok(())
}

pub(crate) fn cooperative_members_keep_what_they_can(context: &Context) -> Result<()> {
    let (topic, group) = (context.topic(6)?, unique("group"));
    let cooperative = [("partition.assignment.strategy", "cooperative-sticky")];
    let a = member(context, &group, &[&topic], &cooperative)?;
    settle(&[&a], &[6])?;
    let b = member(context, &group, &[&topic], &cooperative)?;
    settle(&[&a, &b], &[3, 3])?;
    let before = [partitions(&a, &topic)?, partitions(&b, &topic)?];
    let c = member(context, &group, &[&topic], &cooperative)?;
    settle(&[&a, &b, &c], &[2, 2, 2])?;
    for (member, before) in [&a, &b].into_iter().zip(&before) {
        let now = partitions(member, &topic)?;
        ensure!(now.iter().all(|p| before.contains(p)), "it had {before:?} and has {now:?}");
    }
    drop(c);
    settle(&[&a, &b], &[3, 3])
}

/// A member that looks for news of topics all the time.
const CURIOUS: (&str, &str) = ("topic.metadata.refresh.interval.ms", "200");

pub(crate) fn new_partitions_are_shared_too(context: &Context) -> Result<()> {
    let (topic, group) = (context.topic(2)?, unique("group"));
    let a = member(context, &group, &[&topic], &[CURIOUS])?;
    let b = member(context, &group, &[&topic], &[CURIOUS])?;
    settle(&[&a, &b], &[1, 1])?;
    let grow = rdkafka::admin::NewPartitions::new(&topic, 6);
    let grown = block_on(context.admin()?.create_partitions(&[grow], &options()))?;
    ensure!(grown.iter().all(Result::is_ok), "{grown:?}");
    settle(&[&a, &b], &[3, 3])
}

pub(crate) fn a_pattern_finds_topics_that_come_later(context: &Context) -> Result<()> {
    let (prefix, group) = (unique("pattern"), unique("group"));
    let pattern = format!("^{prefix}.*");
    let a = member(context, &group, &[&pattern], &[CURIOUS])?;
    settle(&[&a], &[0])?;
    for (name, count) in [("one", 2), ("two", 5)] {
        let name = format!("{prefix}-{name}");
        let new = rdkafka::admin::NewTopic::new(&name, count, rdkafka::admin::TopicReplication::Fixed(1));
        let made = block_on(context.admin()?.create_topics(&[new], &options()))?;
        ensure!(made.iter().all(Result::is_ok), "{made:?}");
        settle(&[&a], &[if count == 2 { 2 } else { 7 }])?;
    }
    Ok(())
}

pub(crate) fn a_member_that_leaves_hands_over(context: &Context) -> Result<()> {
    let (topic, group) = (context.topic(4)?, unique("group"));
    let a = member(context, &group, &[&topic], &[])?;
    let b = member(context, &group, &[&topic], &[("session.timeout.ms", "60000")])?;
    settle(&[&a, &b], &[2, 2])?;
    b.unsubscribe(); // leaves the group as soon as its callback is served
    settle(&[&a, &b], &[0, 4])
}

pub(crate) fn a_group_is_listed_and_described(context: &Context) -> Result<()> {
    let (topic, group) = (context.topic(1)?, unique("group"));
    let a = member(context, &group, &[&topic], &[("client.id", "the-client")])?;
    settle(&[&a], &[1])?;
    let client = context.reader("", &[])?;
    until("the group to be stable", || {
        poll(&a)?;
        let list = client.fetch_group_list(Some(&group), SOON)?;
        let found = list.groups().iter().find(|g| g.name() == group).context("group missing")?;
        Ok((found.state() == "Stable").then_some(()))
    })?;
    let list = client.fetch_group_list(None, SOON)?;
    let found = list.groups().iter().find(|g| g.name() == group).context("group not listed")?;
    ensure!(found.protocol_type() == "consumer" && found.protocol() == "range", "{}", found.protocol());
    let member = found.members().first().context("no member")?;
    ensure!(member.client_id() == "the-client", "{}", member.client_id());
    ensure!(member.client_host().contains("127.0.0.1"), "{}", member.client_host());
    ensure!(member.assignment().is_some_and(|a| !a.is_empty()), "no assignment");
    Ok(())
}

fn delete(context: &Context, group: &str) -> Result<Result<(), Code>> {
    let results = block_on(context.admin()?.delete_groups(&[group], &options()))?;
    Ok(results.into_iter().next().context("no result")?.map(|_| ()).map_err(|(_, code)| code))
}

pub(crate) fn a_group_with_members_cannot_be_deleted(context: &Context) -> Result<()> {
    let (topic, group) = (context.topic(1)?, unique("group"));
    let a = member(context, &group, &[&topic], &[])?;
    settle(&[&a], &[1])?;
    let refused = delete(context, &group)?;
    ensure!(refused == Err(Code::NonEmptyGroup), "{refused:?}");
    let unknown = delete(context, &unique("unknown"))?;
    ensure!(unknown == Err(Code::GroupIdNotFound), "{unknown:?}");
    Ok(())
}

pub(crate) fn a_deleted_group_has_no_offsets(context: &Context) -> Result<()> {
    let (topic, group) = (context.topic(1)?, unique("group"));
    let reader = context.reader(&group, &[])?;
    reader.commit(&at(&topic, 0, rdkafka::Offset::Offset(7))?, rdkafka::consumer::CommitMode::Sync)?;
    ensure!(committed(context, &group, &topic, 0)? == 7, "not committed");
    let deleted = delete(context, &group)?;
    ensure!(deleted.is_ok(), "{deleted:?}");
    let left = committed(context, &group, &topic, 0)?;
    ensure!(left == -1, "offset {left} is still there");
    Ok(())
}

pub(crate) fn groups_do_not_disturb_each_other(context: &Context) -> Result<()> {
    let topic = context.topic(2)?;
    let a = member(context, &unique("group"), &[&topic], &[])?;
    let b = member(context, &unique("group"), &[&topic], &[])?;
    settle(&[&a, &b], &[2, 2])
}
