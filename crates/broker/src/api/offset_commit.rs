//! OffsetCommit and TxnOffsetCommit.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use kafka_protocol::messages::{
    OffsetCommitRequest, OffsetCommitResponse, TxnOffsetCommitRequest, TxnOffsetCommitResponse,
};
use kafka_protocol::protocol::StrBytes;

use super::{Context, topic_name};
use crate::group::Caller;
use crate::group::offsets::Committed;
use crate::journal::change::OffsetEntry;
use crate::state::Core;
use crate::state::groups::TxnOwner;

const MAX_METADATA: usize = 4096;

/// One partition of a request, and what became of it.
struct Part {
    entry: OffsetEntry,
    error: i16,
}

pub(crate) fn handle(context: &Context<'_>, request: OffsetCommitRequest) -> OffsetCommitResponse {
    let caller = Caller {
        member_id: request.member_id.to_string(),
        instance_id: request.group_instance_id.map(|i| i.to_string()),
        generation: request.generation_id_or_member_epoch,
    };
    let now_ms = context.now_ms();
    // The field is gone since version 5, and -1 there.
    let expires_ms =
        (request.retention_time_ms >= 0).then(|| now_ms.saturating_add(request.retention_time_ms));
    let names = request.topics.iter().map(|t| t.name.to_string()).collect::<Vec<_>>();
    let parts = request.topics.into_iter().flat_map(|topic| {
        let name = topic.name.to_string();
        topic.partitions.into_iter().map(move |p| {
            let mut value =
                committed(p.committed_offset, p.committed_leader_epoch, p.committed_metadata, now_ms);
            value.expires_ms = expires_ms;
            Part { entry: OffsetEntry { topic: name.clone(), partition: p.partition_index, value }, error: 0 }
        })
    });
    let parts = commit(context, request.group_id.as_str(), &caller, None, parts.collect());
    let topics = names.into_iter().map(|name| {
        let partitions = parts.iter().filter(|p| p.entry.topic == name).map(|part| {
            OffsetCommitResponsePartition::default()
                .with_partition_index(part.entry.partition)
                .with_error_code(part.error)
        });
        OffsetCommitResponseTopic::default().with_partitions(partitions.collect()).with_name(topic_name(name))
    });
    OffsetCommitResponse::default().with_topics(topics.collect())
}

pub(crate) fn handle_txn(context: &Context<'_>, request: TxnOffsetCommitRequest) -> TxnOffsetCommitResponse {
    let caller = Caller {
        member_id: request.member_id.to_string(),
        instance_id: request.group_instance_id.map(|i| i.to_string()),
        generation: if context.version >= 3 { request.generation_id } else { -1 },
    };
    let now_ms = context.now_ms();
    let id = request.transactional_id.to_string();
    let owner = TxnOwner { id: &id, owner: (request.producer_id.0, request.producer_epoch) };
    let names = request.topics.iter().map(|t| t.name.to_string()).collect::<Vec<_>>();
    let parts = request.topics.into_iter().flat_map(|topic| {
        let name = topic.name.to_string();
        topic.partitions.into_iter().map(move |p| {
            let value = committed(p.committed_offset, p.committed_leader_epoch, p.committed_metadata, now_ms);
            Part { entry: OffsetEntry { topic: name.clone(), partition: p.partition_index, value }, error: 0 }
        })
    });
    let parts = commit(context, request.group_id.as_str(), &caller, Some(owner), parts.collect());
    let topics = names.into_iter().map(|name| {
        let partitions = parts.iter().filter(|p| p.entry.topic == name).map(|part| {
            TxnOffsetCommitResponsePartition::default()
                .with_partition_index(part.entry.partition)
                .with_error_code(part.error)
        });
        TxnOffsetCommitResponseTopic::default()
            .with_partitions(partitions.collect())
            .with_name(topic_name(name))
    });
    TxnOffsetCommitResponse::default().with_topics(topics.collect())
}

fn committed(offset: i64, leader_epoch: i32, metadata: Option<StrBytes>, now_ms: i64) -> Committed {
    let metadata = metadata.map(|m| m.to_string()).unwrap_or_default();
    Committed { offset, leader_epoch, metadata, committed_ms: now_ms, order: 0, expires_ms: None }
}

fn commit(
    context: &Context<'_>,
    group: &str,
    caller: &Caller,
    owner: Option<TxnOwner<'_>>,
    mut parts: Vec<Part>,
) -> Vec<Part> {
    let now_ms = context.now_ms();
    context.with(|core| {
        parts.iter_mut().for_each(|part| part.error = check(core, &part.entry));
        let unknown = ResponseError::UnknownTopicOrPartition.code();
        if parts.iter().all(|part| part.error == unknown) {
            return;
        }
        let good: Vec<OffsetEntry> = parts.iter().filter(|p| p.error == 0).map(|p| p.entry.clone()).collect();
        let result = if group.is_empty() {
            Err(ResponseError::InvalidGroupId)
        } else {
            core.commit_offsets(now_ms, group, caller, owner, good)
        };
        if let Err(error) = result {
            parts.iter_mut().filter(|p| p.error != unknown).for_each(|part| part.error = error.code());
        }
    });
    parts
}

fn check(core: &Core, entry: &OffsetEntry) -> i16 {
    if core.tables.partition(&entry.topic, entry.partition).is_none() {
        return ResponseError::UnknownTopicOrPartition.code();
    }
    if entry.value.metadata.len() > MAX_METADATA {
        return ResponseError::OffsetMetadataTooLarge.code();
    }
    0
}
