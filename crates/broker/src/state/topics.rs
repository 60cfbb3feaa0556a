//! Topics: created, grown, configured, deleted.

use std::collections::BTreeMap;

use kafka_protocol::error::ResponseError;
use uuid::Uuid;

use super::{Core, settings};
use crate::journal::change::Change;

/// An error with a sentence for the client.
pub(crate) type Refusal = (ResponseError, String);

/// A topic to be created.
#[derive(Debug, Clone)]
pub(crate) struct NewTopic {
    pub(crate) name: String,
    /// -1 for the broker's default.
    pub(crate) partitions: i32,
    /// -1 for the broker's default, which is the only possible number, 1.
    pub(crate) replication: i16,
    pub(crate) configs: BTreeMap<String, String>,
}

const MOST_PARTITIONS: i32 = 10_000;

/// Whether a topic may have that name.
pub(crate) fn is_legal(name: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    !name.is_empty() && name != "." && name != ".." && name.len() <= 249 && name.chars().all(legal)
}

impl Core {
    /// Creates a topic, or with `only_check` says whether it could be: its ID and number of partitions.
    pub(crate) fn create_topic(&mut self, topic: NewTopic, only_check: bool) -> Result<(Uuid, i32), Refusal> {
        self.check_name(&topic.name)?;
        let partitions =
            if topic.partitions == -1 { self.config.default_partitions } else { topic.partitions };
        if !(1..=MOST_PARTITIONS).contains(&partitions) {
            let text = format!("Number of partitions must be from 1 to {MOST_PARTITIONS}.");
            return Err((ResponseError::InvalidPartitions, text));
        }
        if topic.replication != -1 && topic.replication != 1 {
            let text = "Replication factor must be 1: there is one broker.".to_string();
            return Err((ResponseError::InvalidReplicationFactor, text));
        }
        let wrong = topic.configs.iter().find_map(|(name, value)| settings::check(name, value).err());
        if let Some(text) = wrong {
            return Err((ResponseError::InvalidConfig, text));
        }
        let uuid = Uuid::new_v4();
        if !only_check {
            let (number, configs) = (self.tables.next_topic, topic.configs);
            let partitions = u32::try_from(partitions).unwrap_or(1);
            let (uuid, name) = (uuid.to_string(), topic.name);
            self.record(Change::TopicCreated { number, uuid, name, partitions, configs });
        }
        Ok((uuid, partitions))
    }

    fn check_name(&self, name: &str) -> Result<(), Refusal> {
        if !is_legal(name) {
            let text = format!("Topic name is invalid: {name:?}");
            return Err((ResponseError::InvalidTopicException, text));
        }
        if self.tables.names.contains_key(name) {
            return Err((ResponseError::TopicAlreadyExists, format!("Topic '{name}' already exists.")));
        }
        // Names that differ in '.' and '_' only would collide in metric names, so Kafka refuses them.
        let collides = |other: &&String| other.replace('.', "_") == name.replace('.', "_");
        match self.tables.names.keys().find(collides) {
            Some(other) => {
                let text = format!("Topic '{name}' collides with existing topic: {other}");
                Err((ResponseError::InvalidTopicException, text))
            }
            None => Ok(()),
        }
    }

    /// Deletes a topic with its records and every group's offsets for it.
    pub(crate) fn delete_topic(&mut self, name: &str) -> Result<(), ResponseError> {
        let number = *self.tables.names.get(name).ok_or(ResponseError::UnknownTopicOrPartition)?;
        self.record(Change::TopicDeleted { number });
        Ok(())
    }

    /// Gives a topic more partitions.
    pub(crate) fn grow_topic(
        &mut self,
        name: &str,
        partitions: i32,
        only_check: bool,
    ) -> Result<(), Refusal> {
        let Some(topic) = self.tables.topic(name) else {
            let text = format!("The topic '{name}' does not exist.");
            return Err((ResponseError::UnknownTopicOrPartition, text));
        };
        let (number, now) = (topic.number, i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX));
        if partitions <= now || partitions > MOST_PARTITIONS {
            let text = format!(
                "The topic '{name}' currently has {now} partition(s); {partitions} is not an increase."
            );
            return Err((ResponseError::InvalidPartitions, text));
        }
        if !only_check {
            let partitions = u32::try_from(partitions).unwrap_or(1);
            self.record(Change::PartitionsAdded { number, partitions });
        }
        Ok(())
    }

    /// Replaces a topic's own settings.
    pub(crate) fn set_configs(
        &mut self,
        name: &str,
        configs: BTreeMap<String, String>,
        only_check: bool,
    ) -> Result<(), Refusal> {
        let Some(topic) = self.tables.topic(name) else {
            return Err((
                ResponseError::UnknownTopicOrPartition,
                format!("The topic '{name}' does not exist."),
            ));
        };
        let number = topic.number;
        if let Some(text) = configs.iter().find_map(|(name, value)| settings::check(name, value).err()) {
            return Err((ResponseError::InvalidConfig, text));
        }
        if !only_check {
            self.record(Change::TopicConfigs { number, configs });
        }
        Ok(())
    }

    /// Deletes records below `offset` (-1: below the high watermark); the new start offset.
    pub(crate) fn delete_records(
        &mut self,
        name: &str,
        index: i32,
        offset: i64,
    ) -> Result<i64, ResponseError> {
        let unknown = ResponseError::UnknownTopicOrPartition;
        let topic = self.tables.topic(name).ok_or(unknown)?;
        let (number, log) = (topic.number, topic.partition(index).ok_or(unknown)?);
        let offset = if offset == -1 { log.high_watermark } else { offset };
        if offset < 0 || offset > log.high_watermark {
            return Err(ResponseError::OffsetOutOfRange);
        }
        let start = log.start_offset.max(offset);
        if start > log.start_offset {
            let partition = u32::try_from(index).map_err(|_| unknown)?;
            self.record(Change::RecordsDeleted { number, partition, offset: start });
        }
        Ok(start)
    }
}
