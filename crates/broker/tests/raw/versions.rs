//! Every version that is advertised is answered.

use anyhow::{Context, Result, ensure};
use bytes::{Buf, BytesMut};
use kafka_protocol::error::ResponseError as E;
use kafka_protocol::messages::*;
use kafka_protocol::protocol::{Encodable, StrBytes};

use crate::client::{NOBODY, Scene, batch, topic_name, transactional_id};

/// Asks at every version that the broker says it knows; each must be answered, whatever the answer.
fn at_every_version<Q: Encodable>(scene: &Scene, key: ApiKey, request: &Q) -> Result<()> {
    let mut client = scene.client()?;
    let known: ApiVersionsResponse = client.ask(ApiKey::ApiVersions, 2, &ApiVersionsRequest::default())?;
    let own = known.api_keys.iter().find(|k| k.api_key == key as i16).context("not listed")?;
    let mut asked = 0;
    for version in own.min_version..=own.max_version {
        let mut body = BytesMut::new();
        if request.encode(&mut body, version).is_err() {
            continue; // a field that this version does not know
        }
        asked += 1;
        client.send(key, version, &body)?;
        let mut answer = client.receive().with_context(|| format!("{key:?} v{version}"))?;
        ensure!(answer.get_i32() == client.correlation, "{key:?} v{version}: correlation ID");
    }
    ensure!(asked > 0, "{key:?} was never asked");
    Ok(())
}

#[test]
fn every_version_of_every_request_is_answered() -> Result<()> {
    let scene = Scene::new(|_| {})?;
    let mut client = scene.client()?;
    client.create_topic("t", &[])?;
    client.produce("t", None, batch(NOBODY, -1, &["v"], false)?)?;
    let text = StrBytes::from_static_str;
    let group = || GroupId(text("g"));
    let scene = &scene;
    let place = |timestamp| list_offsets_request::ListOffsetsPartition::default().with_timestamp(timestamp);
    let topic = list_offsets_request::ListOffsetsTopic::default().with_name(topic_name("t"));
    let topic = topic.with_partitions(vec![place(-1), place(-2), place(0), place(i64::MAX), place(-3)]);
    at_every_version(scene, ApiKey::ListOffsets, &ListOffsetsRequest::default().with_topics(vec![topic]))?;
    let fetch = fetch_request::FetchTopic::default().with_topic(topic_name("t"));
    let fetch =
        fetch.with_partitions(vec![fetch_request::FetchPartition::default().with_partition_max_bytes(1_000)]);
    let fetch = FetchRequest::default().with_max_bytes(1_000).with_topics(vec![fetch]);
    at_every_version(scene, ApiKey::Fetch, &fetch)?;
    let data = produce_request::PartitionProduceData::default().with_records(Some(batch(
        NOBODY,
        -1,
        &["v"],
        false,
    )?));
    let data = produce_request::TopicProduceData::default()
        .with_name(topic_name("t"))
        .with_partition_data(vec![data]);
    at_every_version(
        scene,
        ApiKey::Produce,
        &ProduceRequest::default().with_acks(1).with_topic_data(vec![data]),
    )?;
    for name in ["t", "unknown"] {
        let topic = metadata_request::MetadataRequestTopic::default().with_name(Some(topic_name(name)));
        at_every_version(
            scene,
            ApiKey::Metadata,
            &MetadataRequest::default().with_topics(Some(vec![topic])),
        )?;
    }
    at_every_version(scene, ApiKey::Metadata, &MetadataRequest::default())?;
    at_every_version(scene, ApiKey::DescribeCluster, &DescribeClusterRequest::default())?;
    let place = offset_commit_request::OffsetCommitRequestPartition::default().with_committed_offset(1);
    let topic = offset_commit_request::OffsetCommitRequestTopic::default().with_name(topic_name("t"));
    let commit = OffsetCommitRequest::default().with_group_id(group());
    let commit =
        commit.with_generation_id_or_member_epoch(-1).with_topics(vec![topic.with_partitions(vec![place])]);
    at_every_version(scene, ApiKey::OffsetCommit, &commit)?;
    let topic = offset_fetch_request::OffsetFetchRequestTopic::default().with_name(topic_name("t"));
    let old = OffsetFetchRequest::default().with_group_id(group());
    at_every_version(
        scene,
        ApiKey::OffsetFetch,
        &old.with_topics(Some(vec![topic.with_partition_indexes(vec![0])])),
    )?;
    let new =
        offset_fetch_request::OffsetFetchRequestGroup::default().with_group_id(group()).with_topics(None);
    at_every_version(scene, ApiKey::OffsetFetch, &OffsetFetchRequest::default().with_groups(vec![new]))?;
    at_every_version(scene, ApiKey::FindCoordinator, &FindCoordinatorRequest::default().with_key(text("g")))?;
    let keys = FindCoordinatorRequest::default().with_coordinator_keys(vec![text("g")]);
    at_every_version(scene, ApiKey::FindCoordinator, &keys)?;
    groups_at_every_version(scene)?;
    administration_at_every_version(scene)?;
    transactions_at_every_version(scene, client.init(Some("txn"))?)
}

fn groups_at_every_version(scene: &Scene) -> Result<()> {
    let text = StrBytes::from_static_str;
    let protocol = join_group_request::JoinGroupRequestProtocol::default().with_name(text("range"));
    // Below version 4 the first of these joins; a group of its own for each version would wait for nobody either.
    let join = JoinGroupRequest::default()
        .with_session_timeout_ms(6_000)
        .with_rebalance_timeout_ms(100)
        .with_protocol_type(text("consumer"))
        .with_protocols(vec![protocol]);
    for version in 0..=8 {
        let mut client = scene.client()?;
        let name = StrBytes::from_string(format!("joined-{version}"));
        let mut join = join.clone().with_group_id(GroupId(name.clone()));
        if version == 0 {
            join = join.with_rebalance_timeout_ms(-1);
        }
        if version >= 5 {
            join = join.with_group_instance_id(Some(text("instance")));
        }
        let joined: JoinGroupResponse = client.ask(ApiKey::JoinGroup, version, &join)?;
        let expected = if version == 4 { E::MemberIdRequired.code() } else { 0 };
        ensure!(joined.error_code == expected, "v{version}: {joined:?}");
        let describe = DescribeGroupsRequest::default().with_groups(vec![GroupId(name)]);
        at_every_version(scene, ApiKey::DescribeGroups, &describe)?;
    }
    let group = || GroupId(text("g"));
    let nobody = |name: &'static str| text(name);
    at_every_version(scene, ApiKey::Heartbeat, &HeartbeatRequest::default().with_group_id(group()))?;
    at_every_version(scene, ApiKey::SyncGroup, &SyncGroupRequest::default().with_group_id(group()))?;
    let leave = LeaveGroupRequest::default().with_group_id(group());
    at_every_version(scene, ApiKey::LeaveGroup, &leave.clone().with_member_id(nobody("x")))?;
    let member = leave_group_request::MemberIdentity::default().with_member_id(nobody("x"));
    at_every_version(scene, ApiKey::LeaveGroup, &leave.with_members(vec![member]))?;
    at_every_version(scene, ApiKey::ListGroups, &ListGroupsRequest::default())?;
    at_every_version(scene, ApiKey::OffsetDelete, &OffsetDeleteRequest::default().with_group_id(group()))?;
    at_every_version(
        scene,
        ApiKey::DeleteGroups,
        &DeleteGroupsRequest::default().with_groups_names(vec![group()]),
    )
}

fn administration_at_every_version(scene: &Scene) -> Result<()> {
    let text = StrBytes::from_static_str;
    for name in ["t", "new", "bad/name"] {
        let topic = create_topics_request::CreatableTopic::default().with_name(topic_name(name));
        let topic = topic.with_num_partitions(1).with_replication_factor(1);
        at_every_version(
            scene,
            ApiKey::CreateTopics,
            &CreateTopicsRequest::default().with_topics(vec![topic]),
        )?;
    }
    let delete = DeleteTopicsRequest::default().with_topic_names(vec![topic_name("new")]);
    at_every_version(scene, ApiKey::DeleteTopics, &delete)?;
    let gone = delete_topics_request::DeleteTopicState::default().with_name(Some(topic_name("new")));
    let delete = DeleteTopicsRequest::default().with_topics(vec![gone]);
    at_every_version(scene, ApiKey::DeleteTopics, &delete)?;
    for count in [1, 2] {
        let topic = create_partitions_request::CreatePartitionsTopic::default().with_name(topic_name("t"));
        let grow = CreatePartitionsRequest::default().with_topics(vec![topic.with_count(count)]);
        at_every_version(scene, ApiKey::CreatePartitions, &grow)?;
    }
    let topic = delete_records_request::DeleteRecordsTopic::default().with_name(topic_name("t"));
    let topic = topic.with_partitions(vec![delete_records_request::DeleteRecordsPartition::default()]);
    at_every_version(
        scene,
        ApiKey::DeleteRecords,
        &DeleteRecordsRequest::default().with_topics(vec![topic]),
    )?;
    for (kind, name) in [(2, "t"), (2, "unknown"), (4, "1"), (8, "nonsense")] {
        let resource =
            describe_configs_request::DescribeConfigsResource::default().with_configuration_keys(None);
        let resource = resource.with_resource_type(kind).with_resource_name(text(name));
        let describe = DescribeConfigsRequest::default().with_resources(vec![resource]);
        at_every_version(scene, ApiKey::DescribeConfigs, &describe)?;
        let resource = alter_configs_request::AlterConfigsResource::default();
        let resource = resource.with_resource_type(kind).with_resource_name(text(name));
        let alter = AlterConfigsRequest::default().with_resources(vec![resource]);
        at_every_version(scene, ApiKey::AlterConfigs, &alter)?;
        let resource = incremental_alter_configs_request::AlterConfigsResource::default();
        let resource = resource.with_resource_type(kind).with_resource_name(text(name));
        let alter = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
        at_every_version(scene, ApiKey::IncrementalAlterConfigs, &alter)?;
    }
    let topic = offset_for_leader_epoch_request::OffsetForLeaderTopic::default().with_topic(topic_name("t"));
    let topic =
        topic.with_partitions(vec![offset_for_leader_epoch_request::OffsetForLeaderPartition::default()]);
    let ask = OffsetForLeaderEpochRequest::default().with_topics(vec![topic]);
    at_every_version(scene, ApiKey::OffsetForLeaderEpoch, &ask)
}

fn transactions_at_every_version(scene: &Scene, owner: (i64, i16)) -> Result<()> {
    let describe =
        DescribeTransactionsRequest::default().with_transactional_ids(vec![transactional_id("txn")]);
    at_every_version(scene, ApiKey::DescribeTransactions, &describe)?;
    let list = ListTransactionsRequest::default().with_producer_id_filters(vec![ProducerId(owner.0)]);
    at_every_version(scene, ApiKey::ListTransactions, &list)?;
    let topic = describe_producers_request::TopicRequest::default().with_name(topic_name("t"));
    let describe =
        DescribeProducersRequest::default().with_topics(vec![topic.with_partition_indexes(vec![0, 9])]);
    at_every_version(scene, ApiKey::DescribeProducers, &describe)?;
    let text = StrBytes::from_static_str;
    let (id, producer) = (transactional_id("txn"), ProducerId(owner.0));
    let topic = add_partitions_to_txn_request::AddPartitionsToTxnTopic::default().with_name(topic_name("t"));
    let add = AddPartitionsToTxnRequest::default()
        .with_v3_and_below_transactional_id(id.clone())
        .with_v3_and_below_producer_id(producer)
        .with_v3_and_below_producer_epoch(owner.1)
        .with_v3_and_below_topics(vec![topic.with_partitions(vec![0, 77])]);
    at_every_version(scene, ApiKey::AddPartitionsToTxn, &add)?;
    let add = AddOffsetsToTxnRequest::default().with_transactional_id(id.clone()).with_producer_id(producer);
    let add = add.with_producer_epoch(owner.1).with_group_id(GroupId(text("g")));
    at_every_version(scene, ApiKey::AddOffsetsToTxn, &add)?;
    let place =
        txn_offset_commit_request::TxnOffsetCommitRequestPartition::default().with_committed_offset(3);
    let topic = txn_offset_commit_request::TxnOffsetCommitRequestTopic::default().with_name(topic_name("t"));
    let commit = TxnOffsetCommitRequest::default()
        .with_transactional_id(id.clone())
        .with_group_id(GroupId(text("g")))
        .with_producer_id(producer)
        .with_producer_epoch(owner.1)
        .with_topics(vec![topic.with_partitions(vec![place])]);
    at_every_version(scene, ApiKey::TxnOffsetCommit, &commit)?;
    let end = EndTxnRequest::default().with_transactional_id(id.clone()).with_producer_id(producer);
    at_every_version(scene, ApiKey::EndTxn, &end.with_producer_epoch(owner.1).with_committed(true))?;
    let init =
        InitProducerIdRequest::default().with_transactional_id(Some(id)).with_transaction_timeout_ms(1_000);
    at_every_version(scene, ApiKey::InitProducerId, &init)
}
