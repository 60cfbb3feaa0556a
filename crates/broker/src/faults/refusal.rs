//! Answers that say no: the error that a rule asks for, in the shape of the request's answer.

use bytes::Bytes;
use kafka_protocol::messages::*;
use kafka_protocol::protocol::Decodable;

use crate::server::dispatch::{Answer, Refused, answer_to, read};

/// The answer to the request with `code` wherever it can say so. It waits for nothing.
pub(super) fn answer(frame: &Bytes, code: i16) -> Result<Answer, Refused> {
    let (request, body) = read(frame.clone())?;
    macro_rules! refuse {
        ($shape:ty, |$r:ident| $response:expr) => {{
            let $r = <$shape>::decode(&mut body.clone(), request.version)
                .map_err(|_| Refused::Malformed(request.key, request.version))?;
            answer_to(&request, &$response, 0)
        }};
    }
    match request.key {
        ApiKey::Produce => refuse!(ProduceRequest, |r| produce(&r, code)),
        ApiKey::Fetch => refuse!(FetchRequest, |r| fetch(&r, code)),
        ApiKey::ListOffsets => refuse!(ListOffsetsRequest, |r| list_offsets(&r, code)),
        ApiKey::OffsetCommit => refuse!(OffsetCommitRequest, |r| offset_commit(&r, code)),
        ApiKey::TxnOffsetCommit => refuse!(TxnOffsetCommitRequest, |r| txn_offset_commit(&r, code)),
        ApiKey::OffsetFetch => refuse!(OffsetFetchRequest, |r| offset_fetch(r, code)),
        ApiKey::FindCoordinator => refuse!(FindCoordinatorRequest, |r| find_coordinator(r, code)),
        ApiKey::AddPartitionsToTxn => refuse!(AddPartitionsToTxnRequest, |r| add_partitions(&r, code)),
        ApiKey::JoinGroup => answer_to(&request, &JoinGroupResponse::default().with_error_code(code), 0),
        ApiKey::SyncGroup => answer_to(&request, &SyncGroupResponse::default().with_error_code(code), 0),
        ApiKey::Heartbeat => answer_to(&request, &HeartbeatResponse::default().with_error_code(code), 0),
        ApiKey::LeaveGroup => answer_to(&request, &LeaveGroupResponse::default().with_error_code(code), 0),
        ApiKey::AddOffsetsToTxn => {
            answer_to(&request, &AddOffsetsToTxnResponse::default().with_error_code(code), 0)
        }
        ApiKey::EndTxn => answer_to(&request, &EndTxnResponse::default().with_error_code(code), 0),
        ApiKey::InitProducerId => {
            let response = InitProducerIdResponse::default().with_error_code(code);
            answer_to(&request, &response.with_producer_id(ProducerId(-1)).with_producer_epoch(-1), 0)
        }
        key => Err(Refused::Unsupported(key as i16, request.version)),
    }
}

fn produce(request: &ProduceRequest, code: i16) -> ProduceResponse {
    use produce_response::{PartitionProduceResponse, TopicProduceResponse};
    let topics = request.topic_data.iter().map(|topic| {
        let partitions = topic.partition_data.iter().map(|p| {
            PartitionProduceResponse::default()
                .with_index(p.index)
                .with_error_code(code)
                .with_base_offset(-1)
                .with_log_append_time_ms(-1)
                .with_log_start_offset(-1)
        });
        TopicProduceResponse::default()
            .with_name(topic.name.clone())
            .with_partition_responses(partitions.collect())
    });
    ProduceResponse::default().with_responses(topics.collect())
}

fn fetch(request: &FetchRequest, code: i16) -> FetchResponse {
    use fetch_response::{FetchableTopicResponse, PartitionData};
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|p| {
            PartitionData::default()
                .with_partition_index(p.partition)
                .with_error_code(code)
                .with_high_watermark(-1)
                .with_last_stable_offset(-1)
                .with_log_start_offset(-1)
                .with_aborted_transactions(Some(Vec::new()))
                .with_records(Some(Bytes::new()))
        });
        FetchableTopicResponse::default()
            .with_topic(topic.topic.clone())
            .with_partitions(partitions.collect())
    });
    FetchResponse::default().with_responses(topics.collect())
}

fn list_offsets(request: &ListOffsetsRequest, code: i16) -> ListOffsetsResponse {
    use list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|p| {
            ListOffsetsPartitionResponse::default()
                .with_partition_index(p.partition_index)
                .with_error_code(code)
                .with_timestamp(-1)
                .with_offset(-1)
        });
        ListOffsetsTopicResponse::default()
            .with_name(topic.name.clone())
            .with_partitions(partitions.collect())
    });
    ListOffsetsResponse::default().with_topics(topics.collect())
}

fn offset_commit(request: &OffsetCommitRequest, code: i16) -> OffsetCommitResponse {
    use offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|p| {
            OffsetCommitResponsePartition::default()
                .with_partition_index(p.partition_index)
                .with_error_code(code)
        });
        OffsetCommitResponseTopic::default()
            .with_name(topic.name.clone())
            .with_partitions(partitions.collect())
    });
    OffsetCommitResponse::default().with_topics(topics.collect())
}

fn txn_offset_commit(request: &TxnOffsetCommitRequest, code: i16) -> TxnOffsetCommitResponse {
    use txn_offset_commit_response::{TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic};
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|p| {
            TxnOffsetCommitResponsePartition::default()
                .with_partition_index(p.partition_index)
                .with_error_code(code)
        });
        TxnOffsetCommitResponseTopic::default()
            .with_name(topic.name.clone())
            .with_partitions(partitions.collect())
    });
    TxnOffsetCommitResponse::default().with_topics(topics.collect())
}

fn offset_fetch(request: OffsetFetchRequest, code: i16) -> OffsetFetchResponse {
    use offset_fetch_response::OffsetFetchResponseGroup;
    if request.groups.is_empty() {
        return OffsetFetchResponse::default().with_error_code(code);
    }
    let groups = request
        .groups
        .into_iter()
        .map(|group| OffsetFetchResponseGroup::default().with_group_id(group.group_id).with_error_code(code));
    OffsetFetchResponse::default().with_groups(groups.collect())
}

fn find_coordinator(request: FindCoordinatorRequest, code: i16) -> FindCoordinatorResponse {
    use find_coordinator_response::Coordinator;
    if request.coordinator_keys.is_empty() {
        let nobody = FindCoordinatorResponse::default().with_node_id(BrokerId(-1)).with_port(-1);
        return nobody.with_error_code(code);
    }
    let coordinators = request.coordinator_keys.into_iter().map(|key| {
        let nobody = Coordinator::default().with_node_id(BrokerId(-1)).with_port(-1);
        nobody.with_key(key).with_error_code(code)
    });
    FindCoordinatorResponse::default().with_coordinators(coordinators.collect())
}

fn add_partitions(request: &AddPartitionsToTxnRequest, code: i16) -> AddPartitionsToTxnResponse {
    use add_partitions_to_txn_response::{AddPartitionsToTxnPartitionResult, AddPartitionsToTxnTopicResult};
    let topics = request.v3_and_below_topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|index| {
            AddPartitionsToTxnPartitionResult::default()
                .with_partition_index(*index)
                .with_partition_error_code(code)
        });
        AddPartitionsToTxnTopicResult::default()
            .with_name(topic.name.clone())
            .with_results_by_partition(partitions.collect())
    });
    AddPartitionsToTxnResponse::default().with_results_by_topic_v3_and_below(topics.collect())
}
