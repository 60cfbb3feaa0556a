//! Topics and their settings.

use anyhow::{Context, Result};
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::DescribeConfigsResult;
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::*;
use kafka_protocol::protocol::StrBytes;

use crate::plan::{At, Place, Topic};
use crate::settle::{error, until};
use crate::side::Side;

const TIMEOUT_MS: i32 = 20_000;
/// DescribeConfigs: a topic.
const OF_TOPIC: i8 = 2;
/// DescribeConfigs: the topic's own setting.
const OWN: i8 = 1;
const SETTINGS: [&str; 5] =
    ["cleanup.policy", "max.message.bytes", "message.timestamp.type", "retention.ms", "segment.bytes"];

impl Side {
    pub(crate) fn create_topic(&mut self, topic: Topic, partitions: i32) -> Result<String> {
        let creatable = CreatableTopic::default()
            .with_name(self.topic(topic))
            .with_num_partitions(partitions)
            .with_replication_factor(1);
        let request = CreateTopicsRequest::default().with_topics(vec![creatable]).with_timeout_ms(TIMEOUT_MS);
        let answer: CreateTopicsResponse = self.client.ask(ApiKey::CreateTopics, 5, &request)?;
        let created = answer.topics.first().context("no topic in the answer")?;
        if created.error_code == 0 {
            self.led(topic, partitions)?;
        }
        Ok(format!("{}, {} partitions", error(created.error_code), created.num_partitions))
    }

    pub(crate) fn grow_topic(&mut self, topic: Topic, partitions: i32) -> Result<String> {
        let wanted = CreatePartitionsTopic::default()
            .with_name(self.topic(topic))
            .with_count(partitions)
            .with_assignments(None);
        let request =
            CreatePartitionsRequest::default().with_topics(vec![wanted]).with_timeout_ms(TIMEOUT_MS);
        let answer: CreatePartitionsResponse = self.client.ask(ApiKey::CreatePartitions, 2, &request)?;
        let code = answer.results.first().context("no topic in the answer")?.error_code;
        if code == 0 {
            self.led(topic, partitions)?;
        }
        Ok(error(code))
    }

    pub(crate) fn delete_topic(&mut self, topic: Topic) -> Result<String> {
        let request = DeleteTopicsRequest::default()
            .with_topic_names(vec![self.topic(topic)])
            .with_timeout_ms(TIMEOUT_MS);
        let answer: DeleteTopicsResponse = self.client.ask(ApiKey::DeleteTopics, 5, &request)?;
        let code = answer.responses.first().context("no topic in the answer")?.error_code;
        if code == 0 {
            until("the topic is gone", || Ok(self.partitions(topic)?.is_none()))?;
            // Apache Kafka forgets committed offsets of a topic a little after the topic.
            until("its offsets are gone", || self.no_offsets_of(topic))?;
        }
        Ok(error(code))
    }

    /// Waits until every partition has a leader that answers.
    fn led(&mut self, topic: Topic, partitions: i32) -> Result<()> {
        until("all partitions have leaders", || Ok(self.partitions(topic)? == Some(partitions)))?;
        for partition in 0..partitions {
            let place = Place { topic, partition };
            until("the leader answers", || Ok(self.find_offset(place, At::End, false)?.starts_with("ok")))?;
        }
        Ok(())
    }

    /// How many partitions of a topic have a leader; `None` without such a topic.
    pub(crate) fn partitions(&mut self, topic: Topic) -> Result<Option<i32>> {
        let wanted = MetadataRequestTopic::default().with_name(Some(self.topic(topic)));
        let request = MetadataRequest::default().with_topics(Some(vec![wanted]));
        let answer: MetadataResponse = self.client.ask(ApiKey::Metadata, 9, &request)?;
        let found = answer.topics.first().context("no topic in the answer")?;
        let led = found.partitions.iter().filter(|partition| partition.error_code == 0).count();
        Ok((found.error_code == 0).then_some(i32::try_from(led)?))
    }

    pub(crate) fn configure(&mut self, topic: Topic, setting: &str, value: Option<&str>) -> Result<String> {
        let text = |text: &str| StrBytes::from_string(text.to_owned());
        let change = AlterableConfig::default()
            .with_name(text(setting))
            .with_config_operation(i8::from(value.is_none()))
            .with_value(value.map(text));
        let resource = AlterConfigsResource::default()
            .with_resource_type(OF_TOPIC)
            .with_resource_name(self.topic(topic).0)
            .with_configs(vec![change]);
        let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
        let answer: IncrementalAlterConfigsResponse =
            self.client.ask(ApiKey::IncrementalAlterConfigs, 1, &request)?;
        let code = answer.responses.first().context("no topic in the answer")?.error_code;
        if code == 0 {
            until("the setting is seen", || self.has_setting(topic, setting, value))?;
        }
        Ok(error(code))
    }

    fn has_setting(&mut self, topic: Topic, setting: &str, value: Option<&str>) -> Result<bool> {
        let described = self.settings(topic)?;
        let own =
            described.configs.iter().find(|config| &*config.name == setting && config.config_source == OWN);
        Ok(own.and_then(|config| config.value.as_deref()) == value)
    }

    pub(crate) fn describe_topic(&mut self, topic: Topic) -> Result<String> {
        let mut described = self.settings(topic)?;
        described.configs.sort_by(|a, b| a.name.cmp(&b.name));
        let settings = described.configs.iter().map(|config| {
            let value = config.value.as_deref().unwrap_or("nothing");
            let (source, kind, fixed) = (config.config_source, config.config_type, config.read_only);
            format!("{}={value} (source {source}, type {kind}, read only {fixed})", &*config.name)
        });
        let settings: Vec<String> = settings.collect();
        Ok(format!("{}: {}", error(described.error_code), settings.join(", ")))
    }

    fn settings(&mut self, topic: Topic) -> Result<DescribeConfigsResult> {
        let resource = DescribeConfigsResource::default()
            .with_resource_type(OF_TOPIC)
            .with_resource_name(self.topic(topic).0)
            .with_configuration_keys(Some(SETTINGS.map(StrBytes::from_static_str).to_vec()));
        let request = DescribeConfigsRequest::default().with_resources(vec![resource]);
        let answer: DescribeConfigsResponse = self.client.ask(ApiKey::DescribeConfigs, 4, &request)?;
        answer.results.into_iter().next().context("no topic in the answer")
    }
}
