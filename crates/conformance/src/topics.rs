//! Topics and their settings.

use anyhow::{Context as _, Result, ensure};
use rdkafka::admin::{AlterConfig, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::consumer::Consumer;
use rdkafka::error::RDKafkaErrorCode as Code;

use crate::Context;
use crate::client::{options, unique};
use crate::wait::{SOON, block_on, until};

fn create(context: &Context, topic: NewTopic<'_>) -> Result<Result<(), Code>> {
    let created = block_on(context.admin()?.create_topics(&[topic], &options()))?;
    Ok(created.into_iter().next().context("no result")?.map(|_| ()).map_err(|(_, code)| code))
}

fn new(name: &str, partitions: i32, replication: i32) -> NewTopic<'_> {
    NewTopic::new(name, partitions, TopicReplication::Fixed(replication))
}

pub(crate) fn a_created_topic_is_listed_with_its_partitions(context: &Context) -> Result<()> {
    let name = context.topic(5)?;
    let metadata = context.reader("", &[])?.fetch_metadata(None, SOON)?;
    let topic = metadata.topics().iter().find(|t| t.name() == name).context("not listed")?;
    let mut ids: Vec<_> = topic.partitions().iter().map(|p| p.id()).collect();
    ids.sort_unstable();
    ensure!(ids == [0, 1, 2, 3, 4], "partitions {ids:?}");
    Ok(())
}

pub(crate) fn a_topic_is_created_once(context: &Context) -> Result<()> {
    let name = context.topic(1)?;
    let again = create(context, new(&name, 1, 1))?;
    ensure!(again == Err(Code::TopicAlreadyExists), "{again:?}");
    Ok(())
}

pub(crate) fn an_unknown_topic_is_reported(context: &Context) -> Result<()> {
    let name = unique("unknown");
    let client = context.reader("", &[])?;
    for _ in 0..2 {
        let metadata = client.fetch_metadata(Some(&name), SOON)?;
        let topic = metadata.topics().first().context("no answer for the topic")?;
        let code = topic.error().map(Code::from);
        ensure!(code == Some(Code::UnknownTopicOrPartition), "{code:?}: was it created on the side?");
    }
    Ok(())
}

pub(crate) fn impossible_topics_are_refused(context: &Context) -> Result<()> {
    let long = "x".repeat(250);
    let dotted = format!("{}.a", context.topic(1)?);
    create(context, new(&dotted, 1, 1))?.map_err(|c| anyhow::anyhow!("{c}"))?;
    let collides = dotted.replace(".a", "_a");
    let fresh = unique("topic");
    let table = [
        (new("not/a/name", 1, 1), Code::InvalidTopic),
        (new("..", 1, 1), Code::InvalidTopic),
        (new(&long, 1, 1), Code::InvalidTopic),
        (new(&collides, 1, 1), Code::InvalidTopic),
        (new(&fresh, 1, 3), Code::InvalidReplicationFactor),
        (new(&fresh, 1, 1).set("no.such.setting", "1"), Code::InvalidConfig),
        (new(&fresh, 1, 1).set("retention.ms", "soon"), Code::InvalidConfig),
    ];
    for (topic, expected) in table {
        let text = format!("{topic:?}");
        let result = create(context, topic)?;
        ensure!(result == Err(expected), "{text}: {result:?}, expected {expected:?}");
    }
    Ok(())
}

fn setting(context: &Context, topic: &str, name: &str) -> Result<(Option<String>, bool)> {
    let described =
        block_on(context.admin()?.describe_configs(&[ResourceSpecifier::Topic(topic)], &options()))?;
    let resource = described.into_iter().next().context("no result")?.map_err(|c| anyhow::anyhow!("{c}"))?;
    let entry = resource.get(name).with_context(|| format!("{name} missing"))?;
    Ok((entry.value.clone(), entry.is_default))
}

pub(crate) fn settings_are_described_with_defaults(context: &Context) -> Result<()> {
    let name = context.topic_with(1, &[("retention.ms", "12345")])?;
    let set = setting(context, &name, "retention.ms")?;
    ensure!(set == (Some("12345".into()), false), "{set:?}");
    let default = setting(context, &name, "max.message.bytes")?;
    ensure!(default == (Some("1048588".into()), true), "{default:?}");
    let missing = unique("unknown");
    let described =
        block_on(context.admin()?.describe_configs(&[ResourceSpecifier::Topic(&missing)], &options()))?;
    // This client drops the error of a resource; what remains is that nothing is described.
    let nothing = described.iter().all(|r| r.as_ref().map_or(true, |r| r.entries.is_empty()));
    ensure!(nothing, "an unknown topic is described: {described:?}");
    Ok(())
}

pub(crate) fn settings_can_be_changed(context: &Context) -> Result<()> {
    let name = context.topic_with(1, &[("retention.ms", "12345")])?;
    let change = AlterConfig::new(ResourceSpecifier::Topic(&name)).set("max.message.bytes", "2000");
    let results = block_on(context.admin()?.alter_configs([&change], &options()))?;
    ensure!(results.iter().all(Result::is_ok), "{results:?}");
    until("the changed setting", || {
        Ok((setting(context, &name, "max.message.bytes")?.0.as_deref() == Some("2000")).then_some(()))
    })?;
    // This call replaces all settings, so the other one is back at its default.
    let other = setting(context, &name, "retention.ms")?;
    ensure!(other.1, "{other:?}");
    let producer = context.producer(&[("message.max.bytes", "1000000")])?;
    let long = "x".repeat(5_000);
    until("the limit in force", || {
        producer.put(&name, &[&long])?;
        Ok(producer.outcomes()?.contains(&Err(Code::MessageSizeTooLarge)).then_some(()))
    })
}

pub(crate) fn partitions_can_be_added_but_not_taken_away(context: &Context) -> Result<()> {
    let name = context.topic(2)?;
    let admin = context.admin()?;
    let grow = |count| -> Result<Result<(), Code>> {
        let results = block_on(admin.create_partitions(&[NewPartitions::new(&name, count)], &options()))?;
        Ok(results.into_iter().next().context("no result")?.map(|_| ()).map_err(|(_, code)| code))
    };
    let grown = grow(5)?;
    ensure!(grown.is_ok(), "{grown:?}");
    context.wait_for_topic(&name, 5)?;
    for count in [5, 3] {
        let refused = grow(count)?;
        ensure!(refused == Err(Code::InvalidPartitions), "to {count}: {refused:?}");
    }
    let producer = context.producer(&[])?;
    producer.put_to(&name, 4, &["new"])?;
    ensure!(producer.drain()? == [(4, 0)], "the new partition takes records");
    Ok(())
}

pub(crate) fn a_deleted_topic_comes_back_empty(context: &Context) -> Result<()> {
    let name = context.topic(1)?;
    context.producer(&[])?.write(&name, &["old"])?;
    let admin = context.admin()?;
    let deleted = block_on(admin.delete_topics(&[&name], &options()))?;
    ensure!(deleted.iter().all(Result::is_ok), "{deleted:?}");
    let client = context.reader("", &[])?;
    until("the topic to be gone", || {
        let metadata = client.fetch_metadata(Some(&name), SOON)?;
        Ok(metadata.topics().iter().all(|t| t.error().is_some()).then_some(()))
    })?;
    let again = block_on(admin.delete_topics(&[&name], &options()))?;
    ensure!(
        matches!(again.first(), Some(Err((_, Code::UnknownTopicOrPartition | Code::UnknownTopic)))),
        "deleting twice: {again:?}"
    );
    until("the topic to be created again", || Ok(create(context, new(&name, 1, 1))?.ok()))?;
    context.wait_for_topic(&name, 1)?;
    let found = context.read(&name, 0, "read_uncommitted")?;
    ensure!(found.is_empty(), "{} old records", found.len());
    Ok(())
}
