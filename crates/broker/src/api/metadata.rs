//! Metadata and DescribeCluster.

use std::collections::BTreeMap;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::describe_cluster_response::{DescribeClusterBroker, DescribeClusterResponse};
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{BrokerId, DescribeClusterRequest, MetadataRequest, MetadataResponse};
use uuid::Uuid;

use super::{Context, NO_OPERATIONS, NODE, text, topic_name};
use crate::state::Core;
use crate::state::tables::Topic;
use crate::state::topics::{NewTopic, is_legal};

pub(crate) fn handle(context: &Context<'_>, request: MetadataRequest) -> MetadataResponse {
    let may_create = context.shared.config.auto_create_topics
        && (context.version < 4 || request.allow_auto_topic_creation);
    // Version 0 has no null: an empty list means all topics there, none later.
    let all = match &request.topics {
        None => true,
        Some(topics) => topics.is_empty() && context.version == 0,
    };
    let (topics, cluster_id) = context.with(|core| {
        let topics = if all {
            core.tables.topics.values().map(describe).collect()
        } else {
            let wanted = request.topics.unwrap_or_default();
            wanted
                .into_iter()
                .map(|t| one(core, t.name.map(|n| n.to_string()), t.topic_id, may_create))
                .collect()
        };
        (topics, core.tables.cluster_id.clone())
    });
    let broker = MetadataResponseBroker::default()
        .with_node_id(BrokerId(NODE))
        .with_host(text(context.shared.config.listen.ip().to_string()))
        .with_port(i32::from(context.shared.port));
    MetadataResponse::default()
        .with_brokers(vec![broker])
        .with_cluster_id(Some(text(cluster_id)))
        .with_controller_id(BrokerId(NODE))
        .with_topics(topics)
        .with_cluster_authorized_operations(NO_OPERATIONS)
}

fn one(core: &mut Core, name: Option<String>, uuid: Uuid, may_create: bool) -> MetadataResponseTopic {
    let Some(name) = name else {
        let known = core.tables.topics.values().find(|t| t.uuid == uuid).map(describe);
        return known.unwrap_or_else(|| refused(ResponseError::UnknownTopicId, None).with_topic_id(uuid));
    };
    if core.tables.topic(&name).is_none() && may_create {
        let new = NewTopic { name: name.clone(), partitions: -1, replication: -1, configs: BTreeMap::new() };
        if let Err((error, _)) = core.create_topic(new, false) {
            return refused(error, Some(name));
        }
    }
    match core.tables.topic(&name) {
        Some(topic) => describe(topic),
        None if is_legal(&name) => refused(ResponseError::UnknownTopicOrPartition, Some(name)),
        None => refused(ResponseError::InvalidTopicException, Some(name)),
    }
}

fn refused(error: ResponseError, name: Option<String>) -> MetadataResponseTopic {
    MetadataResponseTopic::default()
        .with_error_code(error.code())
        .with_name(name.map(topic_name))
        .with_topic_authorized_operations(NO_OPERATIONS)
}

fn describe(topic: &Topic) -> MetadataResponseTopic {
    let partitions = (0..).zip(&topic.partitions).map(|(index, _)| {
        MetadataResponsePartition::default()
            .with_partition_index(index)
            .with_leader_id(BrokerId(NODE))
            .with_leader_epoch(0)
            .with_replica_nodes(vec![BrokerId(NODE)])
            .with_isr_nodes(vec![BrokerId(NODE)])
    });
    MetadataResponseTopic::default()
        .with_name(Some(topic_name(topic.name.clone())))
        .with_topic_id(topic.uuid)
        .with_partitions(partitions.collect())
        .with_topic_authorized_operations(NO_OPERATIONS)
}

/// Endpoints of brokers, in a request for a cluster's description.
const BROKERS: i8 = 1;
const CONTROLLERS: i8 = 2;

pub(crate) fn describe_cluster(
    context: &Context<'_>,
    request: &DescribeClusterRequest,
) -> DescribeClusterResponse {
    if request.endpoint_type != BROKERS {
        let error = match request.endpoint_type {
            CONTROLLERS => ResponseError::MismatchedEndpointType,
            _ => ResponseError::UnsupportedEndpointType,
        };
        return DescribeClusterResponse::default().with_error_code(error.code());
    }
    let broker = DescribeClusterBroker::default()
        .with_broker_id(BrokerId(NODE))
        .with_host(text(context.shared.config.listen.ip().to_string()))
        .with_port(i32::from(context.shared.port));
    DescribeClusterResponse::default()
        .with_cluster_id(text(context.with(|core| core.tables.cluster_id.clone())))
        .with_controller_id(BrokerId(NODE))
        .with_brokers(vec![broker])
        .with_cluster_authorized_operations(NO_OPERATIONS)
}
