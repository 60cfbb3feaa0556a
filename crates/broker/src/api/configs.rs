//! DescribeConfigs, AlterConfigs and IncrementalAlterConfigs; of topics, and read-only of the broker.

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult,
};
use kafka_protocol::messages::incremental_alter_configs_request::AlterableConfig;
use kafka_protocol::messages::incremental_alter_configs_response;
use kafka_protocol::messages::{
    AlterConfigsRequest, AlterConfigsResponse, DescribeConfigsRequest, DescribeConfigsResponse,
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
};
use kafka_protocol::protocol::StrBytes;

use super::{Context, text};
use crate::config::Config;
use crate::state::Core;
use crate::state::settings::{self, Type};
use crate::state::topics::Refusal;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;

/// Where a value comes from: the topic's own setting, or the default.
pub(crate) fn source(own: bool) -> i8 {
    if own { 1 } else { 5 }
}

pub(crate) fn describe(context: &Context<'_>, request: DescribeConfigsRequest) -> DescribeConfigsResponse {
    let results = context.with(|core| {
        let results = request.resources.into_iter().map(|resource| {
            let wanted = |name: &str| {
                resource
                    .configuration_keys
                    .as_ref()
                    .is_none_or(|keys| keys.iter().any(|k| k.as_str() == name))
            };
            let found = match resource.resource_type {
                TOPIC => topic_configs(core, resource.resource_name.as_str()),
                BROKER => Ok(broker_configs(&core.config)),
                _ => Err((
                    ResponseError::InvalidRequest,
                    "only topics and the broker have settings".to_string(),
                )),
            };
            let result = DescribeConfigsResult::default().with_resource_type(resource.resource_type);
            let result = match found {
                Ok(configs) => {
                    result.with_configs(configs.into_iter().filter(|c| wanted(c.name.as_str())).collect())
                }
                Err((error, reason)) => {
                    result.with_error_code(error.code()).with_error_message(Some(text(reason)))
                }
            };
            result.with_resource_name(resource.resource_name)
        });
        results.collect()
    });
    DescribeConfigsResponse::default().with_results(results)
}

fn topic_configs(core: &Core, name: &str) -> Result<Vec<DescribeConfigsResourceResult>, Refusal> {
    let topic = core.tables.topic(name).ok_or_else(|| unknown(name))?;
    let all = settings::TOPIC.iter().map(|setting| {
        let own = topic.configs.get(setting.name);
        let value = own.map_or(setting.default, String::as_str);
        entry(setting.name, value, setting.kind, source(own.is_some())).with_read_only(false)
    });
    Ok(all.collect())
}

fn broker_configs(config: &Config) -> Vec<DescribeConfigsResourceResult> {
    let number = |value: i64| value.to_string();
    let all = [
        ("auto.create.topics.enable", config.auto_create_topics.to_string(), Type::Boolean),
        ("group.initial.rebalance.delay.ms", number(config.initial_rebalance_delay_ms), Type::Int),
        ("group.max.session.timeout.ms", number(config.max_session_timeout_ms.into()), Type::Int),
        ("group.min.session.timeout.ms", number(config.min_session_timeout_ms.into()), Type::Int),
        ("log.dirs", config.data.display().to_string(), Type::String),
        ("node.id", number(super::NODE.into()), Type::Int),
        ("num.partitions", number(config.default_partitions.into()), Type::Int),
        ("socket.request.max.bytes", config.max_frame_bytes.to_string(), Type::Int),
        ("transaction.max.timeout.ms", number(config.max_transaction_timeout_ms.into()), Type::Int),
    ];
    // Source 4: set when the broker was started.
    all.iter().map(|(name, value, kind)| entry(name, value, *kind, 4).with_read_only(true)).collect()
}

fn entry(name: &str, value: &str, kind: Type, source: i8) -> DescribeConfigsResourceResult {
    DescribeConfigsResourceResult::default()
        .with_name(text(name))
        .with_value(Some(text(value)))
        .with_config_source(source)
        .with_config_type(kind as i8)
}

fn unknown(name: &str) -> Refusal {
    (ResponseError::UnknownTopicOrPartition, format!("The topic '{name}' does not exist."))
}

fn topic_only(resource_type: i8) -> Result<(), Refusal> {
    match resource_type {
        TOPIC => Ok(()),
        _ => Err((ResponseError::InvalidRequest, "only settings of topics can be changed".to_string())),
    }
}

pub(crate) fn alter(context: &Context<'_>, request: AlterConfigsRequest) -> AlterConfigsResponse {
    let responses = context.with(|core| {
        let responses = request.resources.into_iter().map(|resource| {
            let values =
                resource.configs.into_iter().filter_map(|c| Some((c.name.to_string(), c.value?.to_string())));
            let configs: BTreeMap<_, _> = values.collect();
            let name = resource.resource_name.as_str();
            let result = topic_only(resource.resource_type)
                .and_then(|()| core.set_configs(name, configs, request.validate_only));
            let (code, reason) = outcome(result);
            AlterConfigsResourceResponse::default()
                .with_error_code(code)
                .with_error_message(reason)
                .with_resource_type(resource.resource_type)
                .with_resource_name(resource.resource_name)
        });
        responses.collect()
    });
    AlterConfigsResponse::default().with_responses(responses)
}

pub(crate) fn alter_some(
    context: &Context<'_>,
    request: IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
    let responses = context.with(|core| {
        let responses = request.resources.into_iter().map(|resource| {
            let name = resource.resource_name.as_str();
            let result = topic_only(resource.resource_type)
                .and_then(|()| changed(core, name, resource.configs))
                .and_then(|configs| core.set_configs(name, configs, request.validate_only));
            let (code, reason) = outcome(result);
            incremental_alter_configs_response::AlterConfigsResourceResponse::default()
                .with_error_code(code)
                .with_error_message(reason)
                .with_resource_type(resource.resource_type)
                .with_resource_name(resource.resource_name)
        });
        responses.collect()
    });
    IncrementalAlterConfigsResponse::default().with_responses(responses)
}

fn outcome(result: Result<(), Refusal>) -> (i16, Option<StrBytes>) {
    match result {
        Ok(()) => (0, None),
        Err((error, reason)) => (error.code(), Some(text(reason))),
    }
}

// What IncrementalAlterConfigs does to a value.
const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

/// The topic's settings after the changes; only lists are appended to and subtracted from.
fn changed(
    core: &Core,
    name: &str,
    changes: Vec<AlterableConfig>,
) -> Result<BTreeMap<String, String>, Refusal> {
    for change in &changes {
        let value = change.value.as_deref().filter(|_| change.config_operation == SET);
        if let Some(value) = value {
            settings::check(&change.name, value).map_err(|why| (ResponseError::InvalidConfig, why))?;
        }
    }
    let mut configs = core.tables.topic(name).ok_or_else(|| unknown(name))?.configs.clone();
    let mut seen = BTreeSet::new();
    for change in changes {
        let key = change.name.to_string();
        if !seen.insert(key.clone()) {
            return Err((ResponseError::InvalidRequest, format!("{key} is changed twice")));
        }
        let value = change.value.map(|v| v.to_string());
        let setting = settings::find(&key);
        let list = setting.is_some_and(settings::Setting::is_list);
        let before =
            configs.get(&key).cloned().or_else(|| setting.map(|s| s.default.to_string())).unwrap_or_default();
        let mut parts: Vec<&str> = before.split(',').filter(|p| !p.is_empty()).collect();
        match (change.config_operation, &value) {
            (SET, Some(value)) => {
                configs.insert(key, value.clone());
            }
            (DELETE, _) => {
                configs.remove(&key);
            }
            (APPEND, Some(value)) if list => {
                parts.extend(value.split(',').filter(|v| !before.split(',').any(|p| p == *v)));
                configs.insert(key, parts.join(","));
            }
            (SUBTRACT, Some(value)) if list => {
                parts.retain(|p| !value.split(',').any(|v| v == *p));
                configs.insert(key, parts.join(","));
            }
            (APPEND | SUBTRACT, Some(_)) => {
                return Err((ResponseError::InvalidConfig, format!("the value of {key} is no list")));
            }
            (SET | APPEND | SUBTRACT, None) => {
                return Err((ResponseError::InvalidRequest, format!("no value for {key}")));
            }
            _ => return Err((ResponseError::InvalidRequest, format!("this change of {key} is not known"))),
        }
    }
    Ok(configs)
}
