//! OffsetDelete: a group forgets offsets of partitions that it does not read.

use std::collections::BTreeSet;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::offset_delete_response::{
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use kafka_protocol::messages::{OffsetDeleteRequest, OffsetDeleteResponse};

use super::Context;
use crate::journal::change::Change;

pub(crate) fn handle(context: &Context<'_>, request: OffsetDeleteRequest) -> OffsetDeleteResponse {
    context.with(|core| {
        let group = request.group_id.to_string();
        let Some(state) = core.tables.groups.get(&group) else {
            return OffsetDeleteResponse::default().with_error_code(ResponseError::GroupIdNotFound.code());
        };
        if !state.members.members.is_empty() && !state.members.is_of_consumers() {
            // Which topics such members read stands in bytes that only they understand.
            return OffsetDeleteResponse::default().with_error_code(ResponseError::NonEmptyGroup.code());
        }
        let places = request.topics.iter();
        let places =
            places.flat_map(|t| t.partitions.iter().map(|p| (t.name.to_string(), p.partition_index)));
        let (known, unknown): (BTreeSet<_>, BTreeSet<_>) =
            places.partition(|(topic, partition)| core.tables.partition(topic, *partition).is_some());
        let (read, partitions): (Vec<_>, Vec<_>) =
            known.into_iter().partition(|(topic, _)| state.members.reads(topic));
        if !partitions.is_empty() {
            core.record(Change::OffsetsDeleted { group, partitions });
        }
        let topics = request.topics.into_iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|p| {
                let place = (topic.name.to_string(), p.partition_index);
                let error = if unknown.contains(&place) {
                    ResponseError::UnknownTopicOrPartition.code()
                } else if read.contains(&place) {
                    ResponseError::GroupSubscribedToTopic.code()
                } else {
                    0
                };
                OffsetDeleteResponsePartition::default()
                    .with_partition_index(p.partition_index)
                    .with_error_code(error)
            });
            OffsetDeleteResponseTopic::default().with_partitions(partitions.collect()).with_name(topic.name)
        });
        OffsetDeleteResponse::default().with_topics(topics.collect())
    })
}
