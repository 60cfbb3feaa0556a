//! Records and offsets as readers see them.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use kafka_protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::list_offsets_response::ListOffsetsPartitionResponse;
use kafka_protocol::messages::*;

use crate::plan::{At, Place};
use crate::settle::error;
use crate::side::Side;

/// More than a sequence of operations writes.
const EVERYTHING: i32 = 1 << 20;
/// ListOffsets: the first offset.
const EARLIEST: i64 = -2;
const TIMEOUT_MS: i32 = 20_000;

impl Side {
    /// Fetches until a reader of that isolation level is at its end: how much one answer holds is the broker's choice.
    pub(crate) fn fetch(&mut self, place: Place, from: i64, committed: bool) -> Result<String> {
        let (mut records, mut aborted, mut next) = (Vec::new(), BTreeSet::new(), from);
        loop {
            let found = self.fetch_once(place, next, committed)?;
            for transaction in found.aborted_transactions.unwrap_or_default() {
                aborted.insert((transaction.first_offset, self.producer_id(transaction.producer_id.0)));
            }
            let (read, last) = self.shown(found.records)?;
            records.extend(read);
            if let Some(last) = last {
                next = last + 1;
                continue;
            }
            return Ok(format!(
                "{}, start {}, stable {}, end {}, aborted {aborted:?}, records [\n    {}]",
                error(found.error_code),
                found.log_start_offset,
                found.last_stable_offset,
                found.high_watermark,
                records.join("\n    ")
            ));
        }
    }

    fn fetch_once(&mut self, place: Place, from: i64, committed: bool) -> Result<PartitionData> {
        let partition = FetchPartition::default()
            .with_partition(place.partition)
            .with_current_leader_epoch(-1)
            .with_fetch_offset(from)
            .with_partition_max_bytes(EVERYTHING);
        let topic =
            FetchTopic::default().with_topic(self.topic(place.topic)).with_partitions(vec![partition]);
        let request = FetchRequest::default()
            .with_max_bytes(EVERYTHING)
            .with_isolation_level(i8::from(committed))
            .with_session_epoch(-1)
            .with_topics(vec![topic]);
        let answer: FetchResponse = self.client.ask(ApiKey::Fetch, 11, &request)?;
        let topic = answer.responses.into_iter().next().context("no topic in the answer")?;
        topic.partitions.into_iter().next().context("no partition in the answer")
    }

    pub(crate) fn find_offset(&mut self, place: Place, at: At, committed: bool) -> Result<String> {
        let timestamp = match at {
            At::Start => EARLIEST,
            At::End => -1,
            At::Newest => -3,
            At::Minute(minute) => self.began_ms + minute * 60_000,
        };
        let found = self.list_offset(place, timestamp, committed)?;
        let time = self.seconds(found.timestamp);
        Ok(format!(
            "{}, offset {}, {time}, leader epoch {}",
            error(found.error_code),
            found.offset,
            found.leader_epoch
        ))
    }

    /// The first offset of a partition.
    pub(crate) fn earliest(&mut self, place: Place) -> Result<i64> {
        Ok(self.list_offset(place, EARLIEST, false)?.offset)
    }

    fn list_offset(
        &mut self,
        place: Place,
        timestamp: i64,
        committed: bool,
    ) -> Result<ListOffsetsPartitionResponse> {
        let partition = ListOffsetsPartition::default()
            .with_partition_index(place.partition)
            .with_current_leader_epoch(-1)
            .with_timestamp(timestamp);
        let topic =
            ListOffsetsTopic::default().with_name(self.topic(place.topic)).with_partitions(vec![partition]);
        let request = ListOffsetsRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_isolation_level(i8::from(committed))
            .with_topics(vec![topic]);
        let answer: ListOffsetsResponse = self.client.ask(ApiKey::ListOffsets, 7, &request)?;
        let topic = answer.topics.into_iter().next().context("no topic in the answer")?;
        topic.partitions.into_iter().next().context("no partition in the answer")
    }

    pub(crate) fn delete_records(&mut self, place: Place, before: i64) -> Result<String> {
        let partition =
            DeleteRecordsPartition::default().with_partition_index(place.partition).with_offset(before);
        let topic =
            DeleteRecordsTopic::default().with_name(self.topic(place.topic)).with_partitions(vec![partition]);
        let request = DeleteRecordsRequest::default().with_topics(vec![topic]).with_timeout_ms(TIMEOUT_MS);
        let answer: DeleteRecordsResponse = self.client.ask(ApiKey::DeleteRecords, 2, &request)?;
        let topic = answer.topics.first().context("no topic in the answer")?;
        let done = topic.partitions.first().context("no partition in the answer")?;
        Ok(format!("{}, starts at {}", error(done.error_code), done.low_watermark))
    }
}
