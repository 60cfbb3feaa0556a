//! Every request this broker understands: versions and shape.
//!
//! Letters: `b` 1 byte, `h` 2, `i` 4, `l` 8, `u` UUID, `s` string, `d` data, `[…]` array of structures, `(…)` array of plain
//! values, `{lo-hi:…}` at these versions only.

use kafka_protocol::messages::ApiKey;

/// A request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) key: ApiKey,
    pub(crate) min: i16,
    pub(crate) max: i16,
    /// First version with compact lengths and tagged fields.
    pub(crate) flexible_from: i16,
    pub(crate) fields: &'static str,
}

const fn shape(key: ApiKey, (min, max): (i16, i16), flexible_from: i16, fields: &'static str) -> Shape {
    Shape { key, min, max, flexible_from, fields }
}

/// All requests, by key.
pub(crate) const ALL: &[Shape] = &[
    shape(ApiKey::Produce, (3, 10), 9, "shi[s[id]]"),
    shape(
        ApiKey::Fetch,
        (4, 12),
        12,
        "iiiib{7-99:ii}[s[i{9-99:i}l{12-99:i}{5-99:l}i]]{7-99:[s(i)]}{11-99:s}",
    ),
    shape(ApiKey::ListOffsets, (1, 7), 6, "i{2-99:b}[s[i{4-99:i}l]]"),
    shape(ApiKey::Metadata, (0, 12), 9, "[{10-99:u}s]{4-99:b}{8-10:b}{8-99:b}"),
    shape(ApiKey::OffsetCommit, (2, 8), 8, "sis{7-99:s}{2-4:l}[s[il{6-99:i}s]]"),
    shape(ApiKey::OffsetFetch, (1, 8), 6, "{0-7:s[s(i)]}{8-99:[s[s(i)]]}{7-99:b}"),
    shape(ApiKey::FindCoordinator, (0, 4), 3, "{0-3:s}{1-99:b}{4-99:(s)}"),
    shape(ApiKey::JoinGroup, (0, 8), 6, "si{1-99:i}s{5-99:s}s[sd]{8-99:s}"),
    shape(ApiKey::Heartbeat, (0, 4), 4, "sis{3-99:s}"),
    shape(ApiKey::LeaveGroup, (0, 5), 4, "s{0-2:s}{3-99:[ss{5-99:s}]}"),
    shape(ApiKey::SyncGroup, (0, 5), 4, "sis{3-99:s}{5-99:ss}[sd]"),
    shape(ApiKey::DescribeGroups, (0, 6), 5, "(s){3-99:b}"),
    shape(ApiKey::ListGroups, (0, 5), 3, "{4-99:(s)}{5-99:(s)}"),
    shape(ApiKey::ApiVersions, (0, 4), 3, "{3-99:ss}"),
    shape(ApiKey::CreateTopics, (2, 7), 5, "[sih[i(i)][ss]]ib"),
    shape(ApiKey::DeleteTopics, (1, 6), 4, "{1-5:(s)}{6-99:[su]}i"),
    shape(ApiKey::DeleteRecords, (0, 2), 2, "[s[il]]i"),
    shape(ApiKey::InitProducerId, (0, 4), 2, "si{3-99:lh}"),
    shape(ApiKey::OffsetForLeaderEpoch, (2, 4), 4, "{3-99:i}[s[iii]]"),
    shape(ApiKey::AddPartitionsToTxn, (0, 3), 3, "slh[s(i)]"),
    shape(ApiKey::AddOffsetsToTxn, (0, 3), 3, "slhs"),
    shape(ApiKey::EndTxn, (0, 3), 3, "slhb"),
    shape(ApiKey::TxnOffsetCommit, (0, 3), 3, "sslh{3-99:iss}[s[il{2-99:i}s]]"),
    shape(ApiKey::DescribeConfigs, (1, 4), 4, "[bs(s)]b{3-99:b}"),
    shape(ApiKey::AlterConfigs, (0, 2), 2, "[bs[ss]]b"),
    shape(ApiKey::CreatePartitions, (0, 3), 2, "[si[(i)]]ib"),
    shape(ApiKey::DeleteGroups, (0, 2), 2, "(s)"),
    shape(ApiKey::IncrementalAlterConfigs, (0, 1), 1, "[bs[sbs]]b"),
    shape(ApiKey::OffsetDelete, (0, 0), 99, "s[s[i]]"),
    shape(ApiKey::DescribeCluster, (0, 1), 0, "b{1-99:b}"),
    shape(ApiKey::DescribeProducers, (0, 0), 0, "[s(i)]"),
    shape(ApiKey::DescribeTransactions, (0, 0), 0, "(s)"),
    shape(ApiKey::ListTransactions, (0, 1), 0, "(s)(l){1-99:l}"),
];

/// The request of that key.
pub(crate) fn find(key: i16) -> Option<&'static Shape> {
    ALL.iter().find(|s| s.key as i16 == key)
}

/// Hands the key and the type of every request to a macro.
#[cfg(test)]
macro_rules! every_request {
    ($do:ident) => {
        $do! {
            Produce ProduceRequest, Fetch FetchRequest, ListOffsets ListOffsetsRequest, Metadata MetadataRequest,
            OffsetCommit OffsetCommitRequest, OffsetFetch OffsetFetchRequest, FindCoordinator FindCoordinatorRequest,
            JoinGroup JoinGroupRequest, Heartbeat HeartbeatRequest, LeaveGroup LeaveGroupRequest,
            SyncGroup SyncGroupRequest, DescribeGroups DescribeGroupsRequest, ListGroups ListGroupsRequest,
            ApiVersions ApiVersionsRequest, CreateTopics CreateTopicsRequest, DeleteTopics DeleteTopicsRequest,
            DeleteRecords DeleteRecordsRequest, InitProducerId InitProducerIdRequest,
            OffsetForLeaderEpoch OffsetForLeaderEpochRequest, AddPartitionsToTxn AddPartitionsToTxnRequest,
            AddOffsetsToTxn AddOffsetsToTxnRequest, EndTxn EndTxnRequest, TxnOffsetCommit TxnOffsetCommitRequest,
            DescribeConfigs DescribeConfigsRequest, AlterConfigs AlterConfigsRequest,
            CreatePartitions CreatePartitionsRequest, DeleteGroups DeleteGroupsRequest,
            IncrementalAlterConfigs IncrementalAlterConfigsRequest, OffsetDelete OffsetDeleteRequest,
            DescribeCluster DescribeClusterRequest, DescribeProducers DescribeProducersRequest,
            DescribeTransactions DescribeTransactionsRequest, ListTransactions ListTransactionsRequest,
        }
    };
}
#[cfg(test)]
pub(crate) use every_request;

#[cfg(test)]
mod tests {
    use bytes::{Bytes, BytesMut};
    use kafka_protocol::messages::*;
    use kafka_protocol::protocol::{Encodable, StrBytes};

    use super::super::shape::fits;
    use super::*;

    fn assert_fits<R: Encodable>(key: ApiKey, request: &R) {
        let shape = find(key as i16).unwrap();
        let mut encoded = 0;
        for version in shape.min..=shape.max {
            let mut body = BytesMut::new();
            if request.encode(&mut body, version).is_err() {
                continue; // a field that this version does not know
            }
            encoded += 1;
            let flexible = version >= shape.flexible_from;
            assert_eq!(flexible, key.request_header_version(version) == 2, "{key:?} v{version}");
            assert!(fits(shape.fields, version, flexible, &body), "{key:?} v{version}: {:?}", &body[..]);
            for cut in 0..body.len() {
                assert!(
                    !fits(shape.fields, version, flexible, &body[..cut]),
                    "{key:?} v{version} cut at {cut}"
                );
            }
        }
        assert!(encoded > 0, "{key:?}");
    }

    #[test]
    fn every_request_fits_its_shape_when_empty() {
        macro_rules! check {
            ($($key:ident $request:ident,)*) => { $(assert_fits(ApiKey::$key, &$request::default());)* };
        }
        every_request!(check);
    }

    #[test]
    fn nested_requests_fit_their_shapes() {
        let name = || TopicName(StrBytes::from_static_str("topic"));
        let text = || StrBytes::from_static_str("text");
        let data =
            produce_request::PartitionProduceData::default().with_records(Some(Bytes::from_static(b"12345")));
        let topic =
            produce_request::TopicProduceData::default().with_name(name()).with_partition_data(vec![data]);
        assert_fits(ApiKey::Produce, &ProduceRequest::default().with_topic_data(vec![topic.clone(), topic]));

        let partition = fetch_request::FetchPartition::default().with_fetch_offset(9);
        let topic =
            fetch_request::FetchTopic::default().with_topic(name()).with_partitions(vec![partition; 2]);
        assert_fits(ApiKey::Fetch, &FetchRequest::default().with_topics(vec![topic]));

        let partition = list_offsets_request::ListOffsetsPartition::default();
        let topic = list_offsets_request::ListOffsetsTopic::default().with_partitions(vec![partition; 2]);
        assert_fits(ApiKey::ListOffsets, &ListOffsetsRequest::default().with_topics(vec![topic]));

        let topic = metadata_request::MetadataRequestTopic::default().with_name(Some(name()));
        assert_fits(ApiKey::Metadata, &MetadataRequest::default().with_topics(Some(vec![topic])));

        let partition = offset_commit_request::OffsetCommitRequestPartition::default()
            .with_committed_metadata(Some(text()));
        let topic =
            offset_commit_request::OffsetCommitRequestTopic::default().with_partitions(vec![partition; 2]);
        assert_fits(ApiKey::OffsetCommit, &OffsetCommitRequest::default().with_topics(vec![topic]));

        let partition = txn_offset_commit_request::TxnOffsetCommitRequestPartition::default();
        let topic = txn_offset_commit_request::TxnOffsetCommitRequestTopic::default()
            .with_partitions(vec![partition]);
        assert_fits(ApiKey::TxnOffsetCommit, &TxnOffsetCommitRequest::default().with_topics(vec![topic]));

        let protocol =
            join_group_request::JoinGroupRequestProtocol::default().with_metadata(Bytes::from_static(b"m"));
        assert_fits(ApiKey::JoinGroup, &JoinGroupRequest::default().with_protocols(vec![protocol]));

        let config = create_topics_request::CreatableTopicConfig::default().with_value(Some(text()));
        let topic = create_topics_request::CreatableTopic::default().with_configs(vec![config]);
        assert_fits(ApiKey::CreateTopics, &CreateTopicsRequest::default().with_topics(vec![topic]));

        let config = incremental_alter_configs_request::AlterableConfig::default().with_value(Some(text()));
        let resource =
            incremental_alter_configs_request::AlterConfigsResource::default().with_configs(vec![config]);
        let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
        assert_fits(ApiKey::IncrementalAlterConfigs, &request);
    }
}
