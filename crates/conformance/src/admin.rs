//! Administration beyond what librdkafka's client in Rust offers.

use anyhow::{Context as _, Result, ensure};
use kafka_protocol::error::ResponseError as E;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::*;
use rdkafka::admin::ResourceSpecifier;

use crate::Context;
use crate::client::{options, unique};
use crate::raw::{Raw, text, topic_name};
use crate::wait::{block_on, until};

const TOPIC: i8 = 2;

/// A setting's name, what to do with it (0 set, 1 delete, 2 append, 3 subtract), and a value.
type Change<'a> = (&'a str, i8, Option<&'a str>);

fn metadata_of(raw: &mut Raw, names: &[&str]) -> Result<MetadataResponse> {
    let topics = names
        .iter()
        .map(|n| metadata_request::MetadataRequestTopic::default().with_name(Some(topic_name(n))))
        .collect();
    raw.ask(ApiKey::Metadata, 12, &MetadataRequest::default().with_topics(Some(topics)))
}

pub(crate) fn the_cluster_is_described_as_in_metadata(context: &Context) -> Result<()> {
    let mut raw = context.raw()?;
    let metadata = metadata_of(&mut raw, &[])?;
    let of = |kind| DescribeClusterRequest::default().with_endpoint_type(kind);
    let cluster: DescribeClusterResponse = raw.ask(ApiKey::DescribeCluster, 1, &of(1))?;
    ensure!(cluster.error_code == 0, "{cluster:?}");
    ensure!(Some(&cluster.cluster_id) == metadata.cluster_id.as_ref(), "{cluster:?}, {metadata:?}");
    let (one, other) = (cluster.brokers.first().context("no broker")?, &metadata.brokers[0]);
    ensure!(cluster.brokers.len() == 1 && metadata.brokers.len() == 1, "{cluster:?}, {metadata:?}");
    ensure!(
        one.broker_id == other.node_id && one.port == other.port && one.host == other.host,
        "{cluster:?}"
    );
    ensure!(context.bootstrap == format!("{}:{}", one.host, one.port), "{one:?}");
    // Brokers do not speak for controllers.
    let refused: DescribeClusterResponse = raw.ask(ApiKey::DescribeCluster, 1, &of(2))?;
    ensure!(refused.error_code == E::MismatchedEndpointType.code(), "{refused:?}");
    let refused: DescribeClusterResponse = raw.ask(ApiKey::DescribeCluster, 1, &of(7))?;
    ensure!(refused.error_code == E::UnsupportedEndpointType.code(), "{refused:?}");
    Ok(())
}

pub(crate) fn coordinators_are_found_together(context: &Context) -> Result<()> {
    let mut raw = context.raw()?;
    let keys = || vec![text("one"), text("two")];
    for kind in [0, 1] {
        let request = FindCoordinatorRequest::default().with_key_type(kind).with_coordinator_keys(keys());
        let found = until("the coordinators", || {
            let answer: FindCoordinatorResponse = raw.ask(ApiKey::FindCoordinator, 4, &request)?;
            let found = answer.coordinators.iter().filter(|c| c.error_code == 0).count() == 2;
            Ok(found.then_some(answer))
        })?;
        let keys: Vec<_> = found.coordinators.iter().map(|c| c.key.as_str()).collect();
        ensure!(keys == ["one", "two"], "{found:?}");
        ensure!(
            found.coordinators.iter().all(|c| format!("{}:{}", c.host, c.port) == context.bootstrap),
            "{found:?}"
        );
    }
    let request = FindCoordinatorRequest::default().with_key_type(9).with_coordinator_keys(keys());
    let refused: FindCoordinatorResponse = raw.ask(ApiKey::FindCoordinator, 4, &request)?;
    ensure!(refused.coordinators.iter().all(|c| c.error_code == E::InvalidRequest.code()), "{refused:?}");
    Ok(())
}

pub(crate) fn metadata_tells_all_from_none(context: &Context) -> Result<()> {
    let topic = context.topic(1)?;
    let mut raw = context.raw()?;
    for version in [1, 4, 9, 12] {
        let all: MetadataResponse =
            raw.ask(ApiKey::Metadata, version, &MetadataRequest::default().with_topics(None))?;
        let listed = all.topics.iter().any(|t| t.name.as_ref().is_some_and(|n| *n.0 == *topic));
        ensure!(listed, "v{version}: not all");
        let none = MetadataRequest::default().with_topics(Some(Vec::new()));
        let none: MetadataResponse = raw.ask(ApiKey::Metadata, version, &none)?;
        ensure!(none.topics.is_empty(), "v{version}: not none");
    }
    let old: MetadataResponse =
        raw.ask(ApiKey::Metadata, 0, &MetadataRequest::default().with_topics(Some(Vec::new())))?;
    ensure!(!old.topics.is_empty(), "none means all in version 0");
    Ok(())
}

pub(crate) fn a_topic_is_known_by_its_id(context: &Context) -> Result<()> {
    let topic = context.topic(2)?;
    let mut raw = context.raw()?;
    let id = metadata_of(&mut raw, &[&topic])?.topics[0].topic_id;
    ensure!(!id.is_nil(), "no ID");
    let by_id = |raw: &mut Raw, id| -> Result<metadata_response::MetadataResponseTopic> {
        let wanted = metadata_request::MetadataRequestTopic::default().with_name(None).with_topic_id(id);
        let request = MetadataRequest::default().with_topics(Some(vec![wanted]));
        let answer: MetadataResponse = raw.ask(ApiKey::Metadata, 12, &request)?;
        answer.topics.into_iter().next().context("no answer")
    };
    let found = by_id(&mut raw, id)?;
    ensure!(found.name.as_ref().is_some_and(|n| *n.0 == *topic) && found.partitions.len() == 2, "{found:?}");
    let mut other = *id.as_bytes();
    other[15] ^= 1;
    let unknown = by_id(&mut raw, uuid::Uuid::from_bytes(other))?;
    ensure!(unknown.error_code == E::UnknownTopicId.code(), "{unknown:?}");
    let wanted = delete_topics_request::DeleteTopicState::default().with_topic_id(id);
    let request = DeleteTopicsRequest::default().with_topics(vec![wanted]).with_timeout_ms(20_000);
    let deleted: DeleteTopicsResponse = raw.ask(ApiKey::DeleteTopics, 6, &request)?;
    ensure!(deleted.responses[0].error_code == 0, "{deleted:?}");
    ensure!(deleted.responses[0].name.as_ref().is_some_and(|n| *n.0 == *topic), "{deleted:?}");
    let again: DeleteTopicsResponse = raw.ask(ApiKey::DeleteTopics, 6, &request)?;
    ensure!(again.responses[0].error_code == E::UnknownTopicId.code(), "{again:?}");
    Ok(())
}

pub(crate) fn names_that_cannot_be_are_no_topics(context: &Context) -> Result<()> {
    let mut raw = context.raw()?;
    for name in ["not/a/name", "..", ""] {
        let answer = metadata_of(&mut raw, &[name])?;
        ensure!(answer.topics[0].error_code == E::InvalidTopicException.code(), "{name:?}: {answer:?}");
    }
    Ok(())
}

fn new_topic(name: &str, partitions: i32) -> CreatableTopic {
    CreatableTopic::default()
        .with_name(topic_name(name))
        .with_num_partitions(partitions)
        .with_replication_factor(-1)
}

fn create(raw: &mut Raw, topics: Vec<CreatableTopic>, only_check: bool) -> Result<CreateTopicsResponse> {
    let request = CreateTopicsRequest::default()
        .with_topics(topics)
        .with_timeout_ms(20_000)
        .with_validate_only(only_check);
    raw.ask(ApiKey::CreateTopics, 7, &request)
}

pub(crate) fn a_created_topic_is_told_what_it_got(context: &Context) -> Result<()> {
    let name = unique("topic");
    let mut raw = context.raw()?;
    let config =
        CreatableTopicConfig::default().with_name(text("retention.ms")).with_value(Some(text("4711")));
    let made = create(&mut raw, vec![new_topic(&name, -1).with_configs(vec![config])], false)?;
    let made = &made.topics[0];
    ensure!(made.error_code == 0 && made.replication_factor == 1 && made.num_partitions > 0, "{made:?}");
    let configs = made.configs.as_ref().context("no settings")?;
    let of = |name: &str| configs.iter().find(|c| c.name.as_str() == name).and_then(|c| c.value.as_deref());
    ensure!(of("retention.ms") == Some("4711") && of("cleanup.policy") == Some("delete"), "{configs:?}");
    context.wait_for_topic(&name, made.num_partitions)?;
    let known = metadata_of(&mut raw, &[&name])?;
    ensure!(known.topics[0].topic_id == made.topic_id, "{known:?}");
    Ok(())
}

pub(crate) fn a_topic_named_twice_is_not_created(context: &Context) -> Result<()> {
    let (twice, once) = (unique("topic"), unique("topic"));
    let mut raw = context.raw()?;
    let topics = vec![new_topic(&twice, 1), new_topic(&once, 1), new_topic(&twice, 2)];
    let answer = create(&mut raw, topics, false)?;
    for topic in &answer.topics {
        let expected = if *topic.name.0 == *once { 0 } else { E::InvalidRequest.code() };
        ensure!(topic.error_code == expected, "{answer:?}");
    }
    context.wait_for_topic(&once, 1)?;
    let known = metadata_of(&mut raw, &[&twice])?;
    ensure!(known.topics[0].error_code == E::UnknownTopicOrPartition.code(), "{known:?}");
    Ok(())
}

pub(crate) fn asking_whether_it_could_be_changes_nothing(context: &Context) -> Result<()> {
    let (topic, name) = (context.topic(1)?, unique("topic"));
    let mut raw = context.raw()?;
    let could = create(&mut raw, vec![new_topic(&name, 3)], true)?;
    ensure!(could.topics[0].error_code == 0, "{could:?}");
    let taken = create(&mut raw, vec![new_topic(&topic, 3)], true)?;
    ensure!(taken.topics[0].error_code == E::TopicAlreadyExists.code(), "{taken:?}");
    let grow = create_partitions_request::CreatePartitionsTopic::default()
        .with_name(topic_name(&topic))
        .with_count(5)
        .with_assignments(None);
    let grow = CreatePartitionsRequest::default()
        .with_topics(vec![grow])
        .with_timeout_ms(20_000)
        .with_validate_only(true);
    let grown: CreatePartitionsResponse = raw.ask(ApiKey::CreatePartitions, 2, &grow)?;
    ensure!(grown.results[0].error_code == 0, "{grown:?}");
    let alter = incremental(&topic, &[("retention.ms", 0, Some("1"))]).with_validate_only(true);
    let altered: IncrementalAlterConfigsResponse = raw.ask(ApiKey::IncrementalAlterConfigs, 1, &alter)?;
    ensure!(altered.responses[0].error_code == 0, "{altered:?}");
    // What follows is done in order, so nothing of the above is still on its way.
    let marker = create(&mut raw, vec![new_topic(&unique("topic"), 1)], false)?;
    ensure!(marker.topics[0].error_code == 0, "{marker:?}");
    context.wait_for_topic(&marker.topics[0].name, 1)?;
    let known = metadata_of(&mut raw, &[&name, &topic])?;
    let find = |n: &str| known.topics.iter().find(|t| t.name.as_ref().is_some_and(|x| *x.0 == *n));
    ensure!(find(&name).is_some_and(|t| t.error_code == E::UnknownTopicOrPartition.code()), "created");
    ensure!(find(&topic).is_some_and(|t| t.partitions.len() == 1), "grown");
    ensure!(own_setting(context, &topic, "retention.ms")?.is_none(), "changed");
    Ok(())
}

fn incremental(topic: &str, changes: &[Change<'_>]) -> IncrementalAlterConfigsRequest {
    let configs = changes.iter().map(|(name, operation, value)| {
        AlterableConfig::default()
            .with_name(text(name))
            .with_config_operation(*operation)
            .with_value(value.map(text))
    });
    let resource = AlterConfigsResource::default()
        .with_resource_type(TOPIC)
        .with_resource_name(text(topic))
        .with_configs(configs.collect());
    IncrementalAlterConfigsRequest::default().with_resources(vec![resource])
}

fn alter(raw: &mut Raw, topic: &str, changes: &[Change<'_>]) -> Result<i16> {
    let answer: IncrementalAlterConfigsResponse =
        raw.ask(ApiKey::IncrementalAlterConfigs, 1, &incremental(topic, changes))?;
    Ok(answer.responses.first().context("no answer")?.error_code)
}

/// A setting that the topic has itself.
fn own_setting(context: &Context, topic: &str, name: &str) -> Result<Option<String>> {
    let described =
        block_on(context.admin()?.describe_configs(&[ResourceSpecifier::Topic(topic)], &options()))?;
    let resource = described.into_iter().next().context("no result")?.map_err(|c| anyhow::anyhow!("{c}"))?;
    let entry = resource.get(name).with_context(|| format!("{name} missing"))?;
    Ok(entry.value.clone().filter(|_| !entry.is_default))
}

pub(crate) fn settings_change_one_by_one(context: &Context) -> Result<()> {
    let topic = context.topic_with(1, &[("retention.ms", "12345"), ("cleanup.policy", "compact")])?;
    let mut raw = context.raw()?;
    let expect = |name: &str, value: Option<&str>| {
        until(name, || Ok((own_setting(context, &topic, name)?.as_deref() == value).then_some(())))
    };
    let (set, delete, append, subtract) = (0, 1, 2, 3);
    ensure!(alter(&mut raw, &topic, &[("max.message.bytes", set, Some("2000"))])? == 0, "set");
    expect("max.message.bytes", Some("2000"))?;
    expect("retention.ms", Some("12345"))?;
    ensure!(alter(&mut raw, &topic, &[("cleanup.policy", append, Some("delete"))])? == 0, "append");
    expect("cleanup.policy", Some("compact,delete"))?;
    ensure!(alter(&mut raw, &topic, &[("cleanup.policy", subtract, Some("compact"))])? == 0, "subtract");
    expect("cleanup.policy", Some("delete"))?;
    ensure!(alter(&mut raw, &topic, &[("retention.ms", delete, None)])? == 0, "delete");
    expect("retention.ms", None)?;
    Ok(())
}

pub(crate) fn impossible_changes_of_settings_are_refused(context: &Context) -> Result<()> {
    let topic = context.topic(1)?;
    let mut raw = context.raw()?;
    let table: [(&str, &[Change<'_>], E); 5] = [
        ("no such setting", &[("no.such.setting", 0, Some("1"))], E::InvalidConfig),
        ("no such value", &[("retention.ms", 0, Some("soon"))], E::InvalidConfig),
        ("no value", &[("retention.ms", 0, None)], E::InvalidRequest),
        ("append to what is no list", &[("retention.ms", 2, Some("1"))], E::InvalidConfig),
        (
            "one setting twice",
            &[("retention.ms", 0, Some("1")), ("retention.ms", 0, Some("2"))],
            E::InvalidRequest,
        ),
    ];
    for (name, changes, expected) in table {
        let code = alter(&mut raw, &topic, changes)?;
        ensure!(code == expected.code(), "{name}: {code}, expected {expected:?}");
    }
    let unknown = alter(&mut raw, &unique("topic"), &[("retention.ms", 0, Some("1"))])?;
    ensure!(unknown == E::UnknownTopicOrPartition.code(), "an unknown topic: {unknown}");
    ensure!(own_setting(context, &topic, "retention.ms")?.is_none(), "changed all the same");
    Ok(())
}

pub(crate) fn settings_are_described_by_name(context: &Context) -> Result<()> {
    let topic = context.topic(1)?;
    let mut raw = context.raw()?;
    let keys = || Some(vec![text("retention.ms"), text("no.such.setting")]);
    let resource = |kind, name: &str| {
        describe_configs_request::DescribeConfigsResource::default()
            .with_resource_type(kind)
            .with_resource_name(text(name))
    };
    let asked = vec![
        resource(TOPIC, &topic).with_configuration_keys(keys()),
        resource(TOPIC, &unique("topic")).with_configuration_keys(keys()),
        resource(4, "1").with_configuration_keys(Some(vec![text("node.id")])),
    ];
    let request = DescribeConfigsRequest::default().with_resources(asked);
    let answer: DescribeConfigsResponse = raw.ask(ApiKey::DescribeConfigs, 4, &request)?;
    let of = |at: usize| -> Vec<(&str, Option<&str>)> {
        answer.results[at].configs.iter().map(|c| (c.name.as_str(), c.value.as_deref())).collect()
    };
    ensure!(of(0) == [("retention.ms", Some("604800000"))], "{answer:?}");
    ensure!(answer.results[1].error_code == E::UnknownTopicOrPartition.code(), "{answer:?}");
    ensure!(of(2) == [("node.id", Some("1"))], "{answer:?}");
    Ok(())
}

pub(crate) fn records_are_deleted_up_to_the_end(context: &Context) -> Result<()> {
    let topic = context.topic(1)?;
    context.producer(&[])?.write(&topic, &["a", "b", "c"])?;
    let mut raw = context.raw()?;
    let mut delete = |partition, offset| -> Result<(i16, i64)> {
        let place = delete_records_request::DeleteRecordsPartition::default()
            .with_partition_index(partition)
            .with_offset(offset);
        let wanted = delete_records_request::DeleteRecordsTopic::default()
            .with_name(topic_name(&topic))
            .with_partitions(vec![place]);
        let request = DeleteRecordsRequest::default().with_topics(vec![wanted]).with_timeout_ms(20_000);
        let answer: DeleteRecordsResponse = raw.ask(ApiKey::DeleteRecords, 2, &request)?;
        let done = &answer.topics[0].partitions[0];
        Ok((done.error_code, done.low_watermark))
    };
    ensure!(delete(0, -1)? == (0, 3), "-1 is the end");
    ensure!(delete(0, 1)? == (0, 3), "what is gone stays gone");
    ensure!(delete(0, -2)?.0 == E::OffsetOutOfRange.code(), "-2 is nothing");
    ensure!(delete(7, 0)?.0 == E::UnknownTopicOrPartition.code(), "an unknown partition");
    let offsets = context.producer(&[])?.write(&topic, &["d"])?;
    ensure!(offsets == [(0, 3)], "{offsets:?}");
    Ok(())
}
