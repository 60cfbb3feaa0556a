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
        ApiKey::Produce => match ProduceRequest::decode(&mut body.clone(), request.version) {
            // Who wants no answer learns of a failure from the connection.
            Ok(r) if r.acks == 0 => Err(Refused::Unacknowledged),
            _ => refuse!(ProduceRequest, |r| produce(&r, code)),
        },
        ApiKey::Fetch => refuse!(FetchRequest, |r| fetch(&r, code)),
        ApiKey::ListOffsets => refuse!(ListOffsetsRequest, |r| list_offsets(&r, code)),
        ApiKey::OffsetCommit => refuse!(OffsetCommitRequest, |r| offset_commit(&r, code)),
        ApiKey::TxnOffsetCommit => refuse!(TxnOffsetCommitRequest, |r| txn_offset_commit(&r, code)),
        ApiKey::OffsetFetch => refuse!(OffsetFetchRequest, |r| offset_fetch(r, code)),
        ApiKey::FindCoordinator => {
            refuse!(FindCoordinatorRequest, |r| find_coordinator(r, request.version, code))
        }
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
    use offset_fetch_response::{
        OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponseTopic,
    };
    if request.groups.is_empty() {
        // Below version 2 only partitions have a code.
        let topics = request.topics.unwrap_or_default().into_iter().map(|topic| {
            let partitions = topic.partition_indexes.iter().map(|index| {
                OffsetFetchResponsePartition::default()
                    .with_partition_index(*index)
                    .with_committed_offset(-1)
                    .with_error_code(code)
            });
            OffsetFetchResponseTopic::default().with_name(topic.name).with_partitions(partitions.collect())
        });
        return OffsetFetchResponse::default().with_error_code(code).with_topics(topics.collect());
    }
    let groups = request
        .groups
        .into_iter()
        .map(|group| OffsetFetchResponseGroup::default().with_group_id(group.group_id).with_error_code(code));
    OffsetFetchResponse::default().with_groups(groups.collect())
}

fn find_coordinator(request: FindCoordinatorRequest, version: i16, code: i16) -> FindCoordinatorResponse {
    use find_coordinator_response::Coordinator;
    if version < 4 {
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

#[cfg(test)]
mod tests {
    use bytes::{BufMut, BytesMut};
    use kafka_protocol::protocol::{Encodable, StrBytes};

    use super::super::rule::REFUSABLE;
    use super::*;
    use crate::server::shapes;

    const CODE: i16 = 7;

    fn frame<R: Encodable>(key: ApiKey, version: i16, request: &R) -> Option<Bytes> {
        let mut frame = BytesMut::new();
        frame.put_i16(key as i16);
        frame.put_i16(version);
        frame.put_i32(5);
        frame.put_i16(-1);
        if key.request_header_version(version) >= 2 {
            frame.put_u8(0);
        }
        request.encode(&mut frame, version).ok()?;
        Some(frame.freeze())
    }

    #[test]
    fn every_request_that_is_said_to_be_refusable_is_refused_at_every_version() {
        let mut refused = Vec::new();
        macro_rules! refuse_all {
            ($($key:ident $request:ident,)*) => {
                $(
                    let shape = shapes::find(ApiKey::$key as i16).unwrap();
                    let refusable = REFUSABLE.contains(&stringify!($key));
                    for version in (shape.min..=shape.max).filter(|_| refusable) {
                        let Some(frame) = frame(ApiKey::$key, version, &$request::default()) else { continue };
                        match answer(&frame, CODE) {
                            // A default produce wants no answer, and none would be right.
                            Ok(_) | Err(Refused::Unacknowledged) => refused.push(stringify!($key)),
                            Err(error) => panic!("{} v{version}: {error}", stringify!($key)),
                        }
                    }
                )*
            };
        }
        shapes::every_request!(refuse_all);
        refused.dedup();
        assert_eq!(refused.len(), REFUSABLE.len(), "{refused:?}");
    }

    #[test]
    fn offsets_are_refused_where_their_version_says_it() {
        for version in 1..=8 {
            let topic =
                offset_fetch_request::OffsetFetchRequestTopic::default().with_partition_indexes(vec![3]);
            let group = offset_fetch_request::OffsetFetchRequestGroup::default()
                .with_group_id(GroupId(StrBytes::from_static_str("g")));
            let request = match version {
                8 => OffsetFetchRequest::default().with_groups(vec![group]),
                _ => OffsetFetchRequest::default().with_topics(Some(vec![topic])),
            };
            let frame = frame(ApiKey::OffsetFetch, version, &request).unwrap();
            let mut bytes = answer(&frame, CODE).unwrap().bytes.slice(4..);
            ResponseHeader::decode(&mut bytes, ApiKey::OffsetFetch.response_header_version(version)).unwrap();
            let said = OffsetFetchResponse::decode(&mut bytes, version).unwrap();
            let partitions = said.topics.iter().flat_map(|t| &t.partitions).map(|p| p.error_code);
            let codes: Vec<i16> = partitions.chain(said.groups.iter().map(|g| g.error_code)).collect();
            assert_eq!(codes, [CODE], "version {version}");
            assert_eq!(
                said.error_code,
                if (2..8).contains(&version) { CODE } else { 0 },
                "version {version}"
            );
        }
    }
}
