//! One operation on one broker, and its answer as a text that must be the same on both.

use anyhow::Result;

use crate::plan::Operation;
use crate::side::Side;

impl Side {
    pub(crate) fn operate(&mut self, operation: &Operation) -> Result<String> {
        use Operation as O;
        match *operation {
            O::CreateTopic { topic, partitions } => self.create_topic(topic, partitions),
            O::GrowTopic { topic, partitions } => self.grow_topic(topic, partitions),
            O::DeleteTopic { topic } => self.delete_topic(topic),
            O::Configure { topic, setting, value } => self.configure(topic, setting, value),
            O::DescribeTopic { topic } => self.describe_topic(topic),
            O::InitProducer { producer, keep } => self.init_producer(producer, keep),
            O::Produce { .. } => self.produce(operation),
            O::AddPartition { producer, place, epoch } => self.add_partition(producer, place, epoch),
            O::AddOffsets { producer, group, epoch } => self.add_offsets(producer, group, epoch),
            O::SendOffset { .. } => self.send_offset(operation),
            O::End { producer, committed, epoch } => self.end(producer, committed, epoch),
            O::Join { group } => self.join(group),
            O::Heartbeat { group, who } => self.heartbeat(group, who),
            O::Leave { group } => self.leave(group),
            O::CommitOffset { group, who, place, offset } => self.commit_offset(group, who, place, offset),
            O::FetchOffset { group, place, stable } => self.fetch_offset(group, place, stable),
            O::DeleteOffset { group, place } => self.delete_offset(group, place),
            O::DeleteGroup { group } => self.delete_group(group),
            O::DescribeGroup { group } => self.describe_group(group),
            O::Fetch { place, from, committed } => self.fetch(place, from, committed),
            O::FindOffset { place, at, committed } => self.find_offset(place, at, committed),
            O::DeleteRecords { place, before } => self.delete_records(place, before),
        }
    }
}
