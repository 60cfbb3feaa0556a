//! The tables that the journal rebuilds: `apply` is the one way in which they change, live and in replay.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use uuid::Uuid;

use super::settings::Rules;
use crate::error::Result;
use crate::group::Group;
use crate::group::offsets::Offsets;
use crate::journal::change::Change;
use crate::log::batch::BatchHeader;
use crate::log::partition::Partition;
use crate::txn::Transaction;

/// A topic.
#[derive(Debug)]
pub(crate) struct Topic {
    pub(crate) number: u64,
    pub(crate) uuid: Uuid,
    pub(crate) name: String,
    pub(crate) configs: BTreeMap<String, String>,
    pub(crate) rules: Rules,
    pub(crate) partitions: Vec<Partition>,
    folder: PathBuf,
}

impl Topic {
    /// The partition of that index, if there is one.
    pub(crate) fn partition(&self, index: i32) -> Option<&Partition> {
        self.partitions.get(usize::try_from(index).ok()?)
    }

    pub(crate) fn partition_mut(&mut self, index: i32) -> Option<&mut Partition> {
        self.partitions.get_mut(usize::try_from(index).ok()?)
    }

    fn grow(&mut self, partitions: u32) {
        for index in self.partitions.len()..partitions as usize {
            self.partitions.push(Partition::new(&self.folder.join(index.to_string())));
        }
    }
}

/// A consumer group: its members and its offsets.
#[derive(Debug)]
pub(crate) struct GroupState {
    pub(crate) members: Group,
    pub(crate) offsets: Offsets,
}

/// Limits that replay needs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) tail_bytes: usize,
    pub(crate) max_segment_bytes: u64,
    pub(crate) initial_rebalance_delay_ms: i64,
}

/// Everything that survives the process.
#[derive(Debug)]
pub(crate) struct Tables {
    folder: PathBuf,
    limits: Limits,
    pub(crate) cluster_id: String,
    pub(crate) topics: BTreeMap<u64, Topic>,
    pub(crate) names: BTreeMap<String, u64>,
    pub(crate) next_topic: u64,
    pub(crate) next_producer_id: i64,
    pub(crate) transactions: BTreeMap<String, Transaction>,
    pub(crate) groups: BTreeMap<String, GroupState>,
    /// Order of the last offset commit.
    pub(crate) offset_order: u64,
    /// Files that the tables name no more; to be removed when no checkpoint names them either.
    pub(crate) doomed: Vec<PathBuf>,
}

impl Tables {
    pub(crate) fn new(data: &Path, limits: Limits) -> Self {
        Tables {
            folder: data.join("topics"),
            limits,
            cluster_id: String::new(),
            topics: BTreeMap::new(),
            names: BTreeMap::new(),
            next_topic: 1,
            next_producer_id: 1_000,
            transactions: BTreeMap::new(),
            groups: BTreeMap::new(),
            offset_order: 0,
            doomed: Vec::new(),
        }
    }

    /// The folder of the topics.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn topic(&self, name: &str) -> Option<&Topic> {
        self.topics.get(self.names.get(name)?)
    }

    pub(crate) fn topic_mut(&mut self, name: &str) -> Option<&mut Topic> {
        self.topics.get_mut(self.names.get(name)?)
    }

    pub(crate) fn partition(&self, topic: &str, index: i32) -> Option<&Partition> {
        self.topic(topic)?.partition(index)
    }

    pub(crate) fn partition_mut(&mut self, topic: &str, index: i32) -> Option<&mut Partition> {
        self.topic_mut(topic)?.partition_mut(index)
    }

    /// The group, created empty if unknown.
    pub(crate) fn group_mut(&mut self, group: &str) -> &mut GroupState {
        let delay_ms = self.limits.initial_rebalance_delay_ms;
        let empty = || GroupState { members: Group::new(delay_ms), offsets: Offsets::default() };
        self.groups.entry(group.to_string()).or_insert_with(empty)
    }

    /// Takes a change over. `now_ms` only sets when restored group members expire.
    pub(crate) fn apply(&mut self, change: Change, now_ms: i64) -> Result<()> {
        match change {
            Change::Cluster { id } => self.cluster_id = id,
            Change::TopicCreated { number, uuid, name, partitions, configs } => {
                self.create_topic(number, &uuid, name, partitions, configs);
            }
            Change::TopicDeleted { number } => self.delete_topic(number),
            Change::PartitionsAdded { number, partitions } => {
                self.topics.entry(number).and_modify(|t| t.grow(partitions));
            }
            Change::TopicConfigs { number, configs } => {
                if let Some(topic) = self.topics.get_mut(&number) {
                    topic.rules = Rules::of(&configs);
                    topic.configs = configs;
                }
            }
            Change::RecordsDeleted { number, partition, offset } => {
                let index = partition as usize;
                if let Some(log) = self.topics.get_mut(&number).and_then(|t| t.partitions.get_mut(index)) {
                    self.doomed.extend(log.delete_before(offset));
                }
            }
            Change::Partition { number, partition, image } => {
                let index = partition as usize;
                if let Some(log) = self.topics.get_mut(&number).and_then(|t| t.partitions.get_mut(index)) {
                    log.restore(image)?;
                }
            }
            Change::Compacted { number, partition, cleaned } => {
                let index = partition as usize;
                if let Some(log) = self.topics.get_mut(&number).and_then(|t| t.partitions.get_mut(index)) {
                    self.doomed.extend(log.take(&cleaned)?);
                }
            }
            Change::ProducerIds { next } => self.next_producer_id = next,
            Change::Transaction { id, state } => {
                self.transactions.insert(id, state);
            }
            other => self.apply_to_group(other, now_ms),
        }
        Ok(())
    }

    fn apply_to_group(&mut self, change: Change, now_ms: i64) {
        match change {
            Change::Offsets { group, producer_id, offsets } => {
                for entry in offsets {
                    self.offset_order = self.offset_order.max(entry.value.order);
                    self.group_mut(&group).offsets.put(producer_id, entry);
                }
            }
            Change::OffsetsEnded { group, producer_id, committed } => {
                // A transaction that a group joined without offsets leaves no group behind.
                if let Some(state) = self.groups.get_mut(&group) {
                    state.offsets.end(producer_id, committed);
                }
            }
            Change::OffsetsDeleted { group, partitions } => {
                let offsets = &mut self.group_mut(&group).offsets;
                partitions.iter().for_each(|place| offsets.delete(place));
            }
            Change::Group { group, image } => {
                let delay_ms = self.limits.initial_rebalance_delay_ms;
                self.group_mut(&group).members = Group::restore(&image, now_ms, delay_ms);
            }
            Change::GroupDeleted { group } => {
                self.groups.remove(&group);
            }
            _ => {}
        }
    }

    fn create_topic(
        &mut self,
        number: u64,
        uuid: &str,
        name: String,
        partitions: u32,
        configs: BTreeMap<String, String>,
    ) {
        let uuid = Uuid::parse_str(uuid).unwrap_or_default();
        let folder = self.folder.join(format!("{name}-{number}"));
        let rules = Rules::of(&configs);
        let mut topic =
            Topic { number, uuid, name: name.clone(), configs, rules, partitions: Vec::new(), folder };
        topic.grow(partitions);
        self.next_topic = self.next_topic.max(number + 1);
        self.names.insert(name, number);
        self.topics.insert(number, topic);
    }

    fn delete_topic(&mut self, number: u64) {
        let Some(mut topic) = self.topics.remove(&number) else { return };
        self.names.remove(&topic.name);
        self.groups.values_mut().for_each(|g| g.offsets.delete_topic(&topic.name));
        topic.partitions.iter_mut().for_each(Partition::wake);
        self.doomed.push(topic.folder);
    }

    /// Takes a stamped batch over; it is dropped if its topic has been deleted since (in replay).
    pub(crate) fn append(
        &mut self,
        number: u64,
        partition: u32,
        header: BatchHeader,
        batch: Bytes,
    ) -> Result<()> {
        let limits = self.limits;
        let Some(topic) = self.topics.get_mut(&number) else { return Ok(()) };
        let segment = topic.rules.segment_limits(limits.max_segment_bytes);
        let Some(log) = topic.partitions.get_mut(partition as usize) else { return Ok(()) };
        log.append(header, batch);
        if log.tail_size() >= limits.tail_bytes { log.spill(segment) } else { Ok(()) }
    }

    /// Writes every partition's tail to its segment.
    pub(crate) fn spill_all(&mut self) -> Result<()> {
        for topic in self.topics.values_mut() {
            let segment = topic.rules.segment_limits(self.limits.max_segment_bytes);
            topic.partitions.iter_mut().try_for_each(|log| log.spill(segment))?;
        }
        Ok(())
    }

    /// The tables as changes from nothing; tails must have been spilled.
    pub(crate) fn changes(&self) -> Vec<Change> {
        let mut all = vec![
            Change::Cluster { id: self.cluster_id.clone() },
            Change::ProducerIds { next: self.next_producer_id },
        ];
        for topic in self.topics.values() {
            all.push(Change::TopicCreated {
                number: topic.number,
                uuid: topic.uuid.to_string(),
                name: topic.name.clone(),
                partitions: u32::try_from(topic.partitions.len()).unwrap_or(u32::MAX),
                configs: topic.configs.clone(),
            });
            let images = topic.partitions.iter().zip(0u32..);
            all.extend(images.map(|(log, partition)| Change::Partition {
                number: topic.number,
                partition,
                image: log.image(),
            }));
        }
        let transactions = self.transactions.iter();
        all.extend(
            transactions.map(|(id, state)| Change::Transaction { id: id.clone(), state: state.clone() }),
        );
        for (group, state) in &self.groups {
            all.push(Change::Group { group: group.clone(), image: state.members.image() });
            all.extend(state.offsets.entries().into_iter().map(|(producer_id, offsets)| Change::Offsets {
                group: group.clone(),
                producer_id,
                offsets,
            }));
        }
        all
    }
}
