//! Offsets that are deleted or expire, and offset commits that librdkafka never sends.

use anyhow::{Context as _, Result, ensure};
use kafka_protocol::error::ResponseError as E;
use kafka_protocol::messages::*;

use crate::Context;
use crate::client::{committed, unique};
use crate::members::{Ask, subscription};
use crate::raw::{Raw, group_id, text, topic_name};
use crate::wait::until;

/// An offset for partition 0, or another, of a topic; version 4 says how long it is to be kept.
fn commit_request(group: &str, topic: &str, partition: i32, offset: i64) -> OffsetCommitRequest {
    let place = offset_commit_request::OffsetCommitRequestPartition::default()
        .with_partition_index(partition)
        .with_committed_offset(offset)
        .with_committed_metadata(Some(text("")));
    let topic = offset_commit_request::OffsetCommitRequestTopic::default()
        .with_name(topic_name(topic))
        .with_partitions(vec![place]);
    OffsetCommitRequest::default()
        .with_group_id(group_id(group))
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![topic])
}

fn commit(raw: &mut Raw, version: i16, request: &OffsetCommitRequest) -> Result<i16> {
    let answer: OffsetCommitResponse = raw.ask(ApiKey::OffsetCommit, version, request)?;
    Ok(answer.topics.first().and_then(|t| t.partitions.first()).context("no answer")?.error_code)
}

fn delete(raw: &mut Raw, group: &str, topics: &[&str]) -> Result<(i16, Vec<i16>)> {
    let topics = topics.iter().map(|topic| {
        offset_delete_request::OffsetDeleteRequestTopic::default()
            .with_name(topic_name(topic))
            .with_partitions(vec![Default::default()])
    });
    let request = OffsetDeleteRequest::default().with_group_id(group_id(group)).with_topics(topics.collect());
    let answer: OffsetDeleteResponse = raw.ask(ApiKey::OffsetDelete, 0, &request)?;
    let partitions = answer.topics.iter().flat_map(|t| &t.partitions).map(|p| p.error_code);
    Ok((answer.error_code, partitions.collect()))
}

pub(crate) fn an_offset_is_kept_as_long_as_its_commit_says(context: &Context) -> Result<()> {
    let (topic, group) = (context.topic(2)?, unique("group"));
    let mut raw = context.raw()?;
    let kept = commit_request(&group, &topic, 0, 7).with_retention_time_ms(-1);
    ensure!(commit(&mut raw, 4, &kept)? == 0, "for as long as the broker keeps offsets");
    let passing = commit_request(&group, &topic, 1, 8).with_retention_time_ms(1);
    ensure!(commit(&mut raw, 4, &passing)? == 0, "for a millisecond");
    until("the offset to go", || Ok((committed(context, &group, &topic, 1)? == -1).then_some(())))?;
    ensure!(committed(context, &group, &topic, 0)? == 7, "the other one went too");
    Ok(())
}

pub(crate) fn an_empty_group_goes_with_its_last_offset(context: &Context) -> Result<()> {
    let (topic, group) = (context.topic(1)?, unique("group"));
    let mut raw = context.raw()?;
    let request = commit_request(&group, &topic, 0, 7).with_retention_time_ms(1);
    ensure!(commit(&mut raw, 4, &request)? == 0, "committing");
    until("the group to go", || {
        let list: ListGroupsResponse = raw.ask(ApiKey::ListGroups, 4, &ListGroupsRequest::default())?;
        Ok((!list.groups.iter().any(|g| *g.group_id.0 == *group)).then_some(()))
    })
}

pub(crate) fn offsets_are_deleted_topic_by_topic(context: &Context) -> Result<()> {
    let (one, two, group) = (context.topic(1)?, context.topic(1)?, unique("group"));
    let mut raw = context.raw()?;
    for topic in [&one, &two] {
        ensure!(commit(&mut raw, 7, &commit_request(&group, topic, 0, 7))? == 0, "committing");
    }
    let done = delete(&mut raw, &group, &[&one])?;
    ensure!(done == (0, vec![0]), "{done:?}");
    ensure!(committed(context, &group, &one, 0)? == -1, "still there");
    ensure!(committed(context, &group, &two, 0)? == 7, "gone with the other");
    let unknown = delete(&mut raw, &unique("group"), &[&one])?;
    ensure!(unknown.0 == E::GroupIdNotFound.code(), "{unknown:?}");
    Ok(())
}

pub(crate) fn offsets_of_topics_that_are_read_stay(context: &Context) -> Result<()> {
    let (own, other, group) = (context.topic(1)?, context.topic(1)?, unique("group"));
    let (mut raw, mut member) = (context.raw()?, context.raw()?);
    for topic in [&own, &other] {
        ensure!(commit(&mut raw, 7, &commit_request(&group, topic, 0, 7))? == 0, "committing");
    }
    let mut ask = Ask { protocols: vec![("range", subscription(&[&own]))], ..Ask::to(&group) };
    ask.join(&mut member)?;
    let done = delete(&mut raw, &group, &[&own, &other])?;
    ensure!(done == (0, vec![E::GroupSubscribedToTopic.code(), 0]), "{done:?}");
    ensure!(committed(context, &group, &own, 0)? == 7, "of a topic that is read");
    ensure!(committed(context, &group, &other, 0)? == -1, "of one that is not");
    Ok(())
}

pub(crate) fn impossible_commits_are_refused(context: &Context) -> Result<()> {
    let (topic, group) = (context.topic(2)?, unique("group"));
    let mut raw = context.raw()?;
    let unknown = commit(&mut raw, 7, &commit_request(&group, &unique("topic"), 0, 1))?;
    ensure!(unknown == E::UnknownTopicOrPartition.code(), "an unknown topic: {unknown}");
    let beyond = commit(&mut raw, 7, &commit_request(&group, &topic, 2, 1))?;
    ensure!(beyond == E::UnknownTopicOrPartition.code(), "an unknown partition: {beyond}");
    let mut long = commit_request(&group, &topic, 0, 1);
    long.topics[0].partitions[0].committed_metadata = Some(text(&"x".repeat(4_097)));
    let long = commit(&mut raw, 7, &long)?;
    ensure!(long == E::OffsetMetadataTooLarge.code(), "long metadata: {long}");
    let stale = |group: &str| {
        commit_request(group, &topic, 0, 1)
            .with_generation_id_or_member_epoch(3)
            .with_member_id(text("somebody"))
    };
    let nowhere = commit(&mut raw, 7, &stale(&unique("group")))?;
    ensure!(nowhere == E::IllegalGeneration.code(), "a generation of an unknown group: {nowhere}");
    ensure!(commit(&mut raw, 7, &commit_request(&group, &topic, 1, 1))? == 0, "a good one");
    let nobody = commit(&mut raw, 7, &stale(&group))?;
    ensure!(nobody == E::UnknownMemberId.code(), "a generation of a group without members: {nobody}");
    ensure!(committed(context, &group, &topic, 0)? == -1, "taken all the same");
    Ok(())
}

pub(crate) fn all_offsets_of_several_groups_are_fetched_at_once(context: &Context) -> Result<()> {
    let topic = context.topic(3)?;
    let groups = [unique("group"), unique("group"), unique("group")];
    let mut raw = context.raw()?;
    for (group, partition) in [(&groups[0], 0), (&groups[0], 2), (&groups[1], 1)] {
        let request = commit_request(group, &topic, partition, 10 + i64::from(partition));
        ensure!(commit(&mut raw, 7, &request)? == 0, "committing");
    }
    let asked = groups.iter().map(|g| {
        offset_fetch_request::OffsetFetchRequestGroup::default().with_group_id(group_id(g)).with_topics(None)
    });
    let request = OffsetFetchRequest::default().with_groups(asked.collect());
    let answer: OffsetFetchResponse = raw.ask(ApiKey::OffsetFetch, 8, &request)?;
    let found = |group: &str| {
        let group = answer.groups.iter().find(|g| *g.group_id.0 == *group);
        let partitions = group.into_iter().flat_map(|g| g.topics.iter().flat_map(|t| &t.partitions));
        let mut all: Vec<_> =
            partitions.map(|p| (p.partition_index, p.committed_offset, p.error_code)).collect();
        all.sort_unstable();
        all
    };
    ensure!(answer.groups.iter().all(|g| g.error_code == 0), "{answer:?}");
    ensure!(found(&groups[0]) == [(0, 10, 0), (2, 12, 0)], "{answer:?}");
    ensure!(found(&groups[1]) == [(1, 11, 0)] && found(&groups[2]).is_empty(), "{answer:?}");
    Ok(())
}
