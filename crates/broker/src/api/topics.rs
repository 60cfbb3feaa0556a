//! CreateTopics, DeleteTopics and CreatePartitions.

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::create_topics_response::{CreatableTopicConfigs, CreatableTopicResult};
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreateTopicsRequest, CreateTopicsResponse,
    DeleteTopicsRequest, DeleteTopicsResponse, TopicName,
};

use uuid::Uuid;

use super::{Context, code, text, topic_name};
use crate::state::Core;
use crate::state::settings;
use crate::state::topics::{NewTopic, Refusal};

pub(crate) fn create(context: &Context<'_>, request: CreateTopicsRequest) -> CreateTopicsResponse {
    let only_check = request.validate_only;
    let mut named: BTreeMap<TopicName, usize> = BTreeMap::new();
    request.topics.iter().for_each(|t| *named.entry(t.name.clone()).or_default() += 1);
    let (once, twice): (Vec<_>, Vec<_>) = request.topics.into_iter().partition(|t| named[&t.name] == 1);
    let mut topics: Vec<_> =
        context.with(|core| once.into_iter().map(|t| create_one(core, t, only_check)).collect());
    let twice: BTreeSet<TopicName> = twice.into_iter().map(|t| t.name).collect();
    let reason = || (ResponseError::InvalidRequest, "Duplicate topic name.".to_string());
    topics.extend(
        twice.into_iter().map(|name| not_created(CreatableTopicResult::default().with_name(name), reason())),
    );
    CreateTopicsResponse::default().with_topics(topics)
}

fn create_one(core: &mut Core, topic: CreatableTopic, only_check: bool) -> CreatableTopicResult {
    let result = new_topic(&topic).and_then(|new| {
        let configs = new.configs.clone();
        core.create_topic(new, only_check).map(|made| (made, configs))
    });
    let response = CreatableTopicResult::default().with_name(topic.name);
    match result {
        Ok(((uuid, partitions), configs)) => response
            .with_topic_id(uuid)
            .with_num_partitions(partitions)
            .with_replication_factor(1)
            .with_configs(Some(shown(&configs))),
        Err(refusal) => not_created(response, refusal),
    }
}

fn not_created(response: CreatableTopicResult, (error, reason): Refusal) -> CreatableTopicResult {
    response
        .with_error_code(error.code())
        .with_error_message(Some(text(reason)))
        .with_num_partitions(-1)
        .with_replication_factor(-1)
}

fn new_topic(topic: &CreatableTopic) -> Result<NewTopic, Refusal> {
    let mut configs = BTreeMap::new();
    for config in &topic.configs {
        let Some(value) = &config.value else {
            return Err((
                ResponseError::InvalidConfig,
                format!("Null value not supported for {}", config.name),
            ));
        };
        configs.insert(config.name.to_string(), value.to_string());
    }
    let (mut partitions, mut replication) = (topic.num_partitions, topic.replication_factor);
    if !topic.assignments.is_empty() {
        let contiguous = (0..).zip(&topic.assignments).all(|(i, a)| a.partition_index == i);
        let here = topic.assignments.iter().all(|a| a.broker_ids.iter().map(|b| b.0).eq([super::NODE]));
        if partitions != -1 || replication != -1 || !contiguous || !here {
            let reason = "Partitions can be assigned to broker 1 only, in order, with no other number given.";
            return Err((ResponseError::InvalidReplicaAssignment, reason.to_string()));
        }
        (partitions, replication) = (i32::try_from(topic.assignments.len()).unwrap_or(i32::MAX), 1);
    }
    Ok(NewTopic { name: topic.name.to_string(), partitions, replication, configs })
}

fn shown(configs: &BTreeMap<String, String>) -> Vec<CreatableTopicConfigs> {
    let all = settings::TOPIC.iter().map(|setting| {
        let own = configs.get(setting.name);
        CreatableTopicConfigs::default()
            .with_name(text(setting.name))
            .with_value(Some(text(own.map_or(setting.default, String::as_str))))
            .with_config_source(super::configs::source(own.is_some()))
    });
    all.collect()
}

pub(crate) fn delete(context: &Context<'_>, request: DeleteTopicsRequest) -> DeleteTopicsResponse {
    let responses = context.with(|core| {
        let old = request.topic_names.into_iter().map(|name| (Some(name), Uuid::nil()));
        let new = request.topics.into_iter().map(|topic| (topic.name, topic.topic_id));
        old.chain(new).map(|(name, uuid)| delete_one(core, name, uuid)).collect()
    });
    DeleteTopicsResponse::default().with_responses(responses)
}

/// Deletes a topic by its name, or where there is none, by its ID.
fn delete_one(core: &mut Core, name: Option<TopicName>, uuid: Uuid) -> DeletableTopicResult {
    let response = DeletableTopicResult::default();
    let by_id = || core.tables.topics.values().find(|t| t.uuid == uuid).map(|t| topic_name(t.name.clone()));
    let Some(found) = name.clone().or_else(by_id) else {
        return response
            .with_name(None)
            .with_topic_id(uuid)
            .with_error_code(ResponseError::UnknownTopicId.code());
    };
    let uuid = core.tables.topic(found.as_str()).map_or(uuid, |t| t.uuid);
    let result = core.delete_topic(found.as_str());
    response.with_error_code(code(&result)).with_name(Some(found)).with_topic_id(uuid)
}

pub(crate) fn grow(context: &Context<'_>, request: CreatePartitionsRequest) -> CreatePartitionsResponse {
    let only_check = request.validate_only;
    let results = context.with(|core| {
        let results = request.topics.into_iter().map(|topic| {
            let result = core.grow_topic(topic.name.as_str(), topic.count, only_check);
            let response = CreatePartitionsTopicResult::default().with_name(topic.name);
            match result {
                Ok(()) => response,
                Err((error, reason)) => {
                    response.with_error_code(error.code()).with_error_message(Some(text(reason)))
                }
            }
        });
        results.collect()
    });
    CreatePartitionsResponse::default().with_results(results)
}
