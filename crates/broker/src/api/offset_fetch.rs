//! OffsetFetch: committed offsets, of named partitions or of all.

use std::collections::BTreeMap;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{OffsetFetchRequest, OffsetFetchResponse};

use super::{Context, text, topic_name};
use crate::group::offsets::Offsets;
use crate::state::Core;

type Wanted = Option<Vec<(String, Vec<i32>)>>;

/// Offset, metadata and error of one partition; offset -1 if none is committed.
struct Known {
    partition: i32,
    offset: i64,
    leader_epoch: i32,
    metadata: String,
    error: i16,
}

pub(crate) fn handle(context: &Context<'_>, request: OffsetFetchRequest) -> OffsetFetchResponse {
    let stable = request.require_stable;
    if context.version < 8 {
        let wanted: Wanted = request
            .topics
            .map(|topics| topics.into_iter().map(|t| (t.name.to_string(), t.partition_indexes)).collect());
        let found = context.with(|core| look_up(core, request.group_id.as_str(), wanted, stable));
        return OffsetFetchResponse::default().with_topics(found.into_iter().map(old_topic).collect());
    }
    let groups = request.groups.into_iter().map(|group| {
        let wanted: Wanted = group
            .topics
            .map(|topics| topics.into_iter().map(|t| (t.name.to_string(), t.partition_indexes)).collect());
        let found = context.with(|core| look_up(core, group.group_id.as_str(), wanted, stable));
        OffsetFetchResponseGroup::default()
            .with_topics(found.into_iter().map(topic).collect())
            .with_group_id(group.group_id)
    });
    OffsetFetchResponse::default().with_groups(groups.collect())
}

fn look_up(core: &Core, group: &str, wanted: Wanted, stable: bool) -> Vec<(String, Vec<Known>)> {
    let none = Offsets::default();
    let offsets = core.tables.groups.get(group).map_or(&none, |g| &g.offsets);
    let wanted = wanted.unwrap_or_else(|| {
        let mut all: BTreeMap<String, Vec<i32>> = BTreeMap::new();
        offsets
            .places()
            .for_each(|(topic, partition)| all.entry(topic.clone()).or_default().push(*partition));
        all.into_iter().collect()
    });
    let topics = wanted.into_iter().map(|(topic, partitions)| {
        let known =
            partitions.into_iter().map(|partition| known(offsets, &(topic.clone(), partition), stable));
        let known = known.collect();
        (topic, known)
    });
    topics.collect()
}

fn known(offsets: &Offsets, place: &(String, i32), stable: bool) -> Known {
    let partition = place.1;
    let unstable = stable && offsets.is_unstable(place);
    match offsets.get(place).filter(|_| !unstable) {
        Some(c) => Known {
            partition,
            offset: c.offset,
            leader_epoch: c.leader_epoch,
            metadata: c.metadata.clone(),
            error: 0,
        },
        None => {
            let error = if unstable { ResponseError::UnstableOffsetCommit.code() } else { 0 };
            Known { partition, offset: -1, leader_epoch: -1, metadata: String::new(), error }
        }
    }
}

fn old_topic((name, partitions): (String, Vec<Known>)) -> OffsetFetchResponseTopic {
    let partitions = partitions.into_iter().map(|known| {
        OffsetFetchResponsePartition::default()
            .with_partition_index(known.partition)
            .with_committed_offset(known.offset)
            .with_committed_leader_epoch(known.leader_epoch)
            .with_metadata(Some(text(known.metadata)))
            .with_error_code(known.error)
    });
    OffsetFetchResponseTopic::default().with_partitions(partitions.collect()).with_name(topic_name(name))
}

fn topic((name, partitions): (String, Vec<Known>)) -> OffsetFetchResponseTopics {
    let partitions = partitions.into_iter().map(|known| {
        OffsetFetchResponsePartitions::default()
            .with_partition_index(known.partition)
            .with_committed_offset(known.offset)
            .with_committed_leader_epoch(known.leader_epoch)
            .with_metadata(Some(text(known.metadata)))
            .with_error_code(known.error)
    });
    OffsetFetchResponseTopics::default().with_partitions(partitions.collect()).with_name(topic_name(name))
}
