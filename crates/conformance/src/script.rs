//! A producer by hand: no retries, no state but its ID and epoch, and any request at any time.
//!
//! The versions are those that librdkafka 2.12 speaks to any broker, so that a check is about what the mesh meets.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Result, ensure};
use bytes::{Bytes, BytesMut};
use kafka_protocol::error::ResponseError as E;
use kafka_protocol::messages::*;
use kafka_protocol::records::{Compression, Record, RecordBatchEncoder, RecordEncodeOptions, TimestampType};

use crate::Context;
use crate::client::unique;
use crate::raw::{Raw, text, topic_name};
use crate::wait::until;

/// No idempotent producer.
pub(crate) const NOBODY: (i64, i16) = (-1, -1);

/// Records of now in one batch.
pub(crate) fn batch(owner: (i64, i16), sequence: i32, values: &[&str], transactional: bool) -> Result<Bytes> {
    let now_ms = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?;
    let records: Vec<Record> = (0..)
        .zip(values)
        .map(|(i, value)| Record {
            transactional,
            control: false,
            delete_horizon: false,
            partition_leader_epoch: 0,
            producer_id: owner.0,
            producer_epoch: owner.1,
            timestamp_type: TimestampType::Creation,
            offset: i64::from(i),
            sequence: sequence + i,
            timestamp: now_ms,
            key: Some(Bytes::from_static(b"k")),
            value: Some(Bytes::from(value.to_string())),
            headers: Default::default(),
        })
        .collect();
    let mut out = BytesMut::new();
    let options = RecordEncodeOptions { version: 2, compression: Compression::None };
    RecordBatchEncoder::encode(&mut out, &records, &options)?;
    Ok(out.freeze())
}

/// Error code and offset.
pub(crate) type Done = (i16, i64);

/// Sends a batch for partition 0.
pub(crate) fn produce(
    raw: &mut Raw,
    topic: &str,
    acks: i16,
    txn: Option<&str>,
    records: Bytes,
) -> Result<Done> {
    let data = produce_request::PartitionProduceData::default().with_records(Some(records));
    let data = produce_request::TopicProduceData::default()
        .with_name(topic_name(topic))
        .with_partition_data(vec![data]);
    let request = ProduceRequest::default()
        .with_acks(acks)
        .with_timeout_ms(20_000)
        .with_transactional_id(txn.map(|id| TransactionalId(text(id))))
        .with_topic_data(vec![data]);
    let answer: ProduceResponse = raw.ask(ApiKey::Produce, 10, &request)?;
    let partition = &answer.responses[0].partition_responses[0];
    Ok((partition.error_code, partition.base_offset))
}

/// A producer ID and its epoch.
pub(crate) fn init(raw: &mut Raw, txn: Option<&str>) -> Result<(i64, i16)> {
    let request = InitProducerIdRequest::default()
        .with_transactional_id(txn.map(|id| TransactionalId(text(id))))
        .with_transaction_timeout_ms(60_000)
        .with_producer_id(ProducerId(-1))
        .with_producer_epoch(-1);
    until("a producer ID", || {
        let answer: InitProducerIdResponse = raw.ask(ApiKey::InitProducerId, 4, &request)?;
        Ok((answer.error_code == 0).then_some((answer.producer_id.0, answer.producer_epoch)))
    })
}

/// A transactional producer that does what it is told.
pub(crate) struct Script {
    raw: Raw,
    id: String,
    pub(crate) owner: (i64, i16),
}

impl Script {
    pub(crate) fn begin(context: &Context) -> Result<Script> {
        let (mut raw, id) = (context.raw()?, unique("txn"));
        let owner = init(&mut raw, Some(&id))?;
        Ok(Script { raw, id, owner })
    }

    /// Another producer that takes the transactional ID over.
    pub(crate) fn successor(&self, context: &Context) -> Result<Script> {
        let mut raw = context.raw()?;
        let owner = init(&mut raw, Some(&self.id))?;
        Ok(Script { raw, id: self.id.clone(), owner })
    }

    /// The same producer over a connection of its own, on which requests come late.
    pub(crate) fn elsewhere(&self, context: &Context) -> Result<Script> {
        Ok(Script { raw: context.raw()?, id: self.id.clone(), owner: self.owner })
    }

    /// Puts partition 0 of a topic into the transaction, once the one before has ended: until then it is
    /// `CONCURRENT_TRANSACTIONS`, and nothing else.
    pub(crate) fn enter(&mut self, topic: &str) -> Result<()> {
        until("the partition to be in the transaction", || {
            let codes = self.add(&[(topic, 0)])?;
            ensure!(codes == [0] || codes == [E::ConcurrentTransactions.code()], "{codes:?}");
            Ok((codes == [0]).then_some(()))
        })
    }

    /// The answer to EndTxn once nothing is under way any more.
    pub(crate) fn end_settled(&mut self, committed: bool) -> Result<i16> {
        until("the transaction before to be over", || {
            let code = self.end(committed, 1)?;
            Ok((code != E::ConcurrentTransactions.code()).then_some(code))
        })
    }

    /// Adds partitions, in order of their topics.
    pub(crate) fn add(&mut self, places: &[(&str, i32)]) -> Result<Vec<i16>> {
        let mut topics: Vec<add_partitions_to_txn_request::AddPartitionsToTxnTopic> = Vec::new();
        for (topic, partition) in places {
            match topics.iter_mut().find(|t| *t.name.0 == **topic) {
                Some(known) => known.partitions.push(*partition),
                None => topics.push(
                    add_partitions_to_txn_request::AddPartitionsToTxnTopic::default()
                        .with_name(topic_name(topic))
                        .with_partitions(vec![*partition]),
                ),
            }
        }
        let request = AddPartitionsToTxnRequest::default()
            .with_v3_and_below_transactional_id(TransactionalId(text(&self.id)))
            .with_v3_and_below_producer_id(ProducerId(self.owner.0))
            .with_v3_and_below_producer_epoch(self.owner.1)
            .with_v3_and_below_topics(topics);
        let answer: AddPartitionsToTxnResponse = self.raw.ask(ApiKey::AddPartitionsToTxn, 0, &request)?;
        let mut codes: Vec<_> = answer
            .results_by_topic_v3_and_below
            .iter()
            .flat_map(|t| &t.results_by_partition)
            .map(|p| (p.partition_index, p.partition_error_code))
            .collect();
        codes.sort_unstable();
        Ok(codes.into_iter().map(|(_, code)| code).collect())
    }

    pub(crate) fn write(&mut self, topic: &str, sequence: i32, values: &[&str]) -> Result<Done> {
        let records = batch(self.owner, sequence, values, true)?;
        produce(&mut self.raw, topic, -1, Some(&self.id), records)
    }

    pub(crate) fn end(&mut self, committed: bool, version: i16) -> Result<i16> {
        let request = EndTxnRequest::default()
            .with_transactional_id(TransactionalId(text(&self.id)))
            .with_producer_id(ProducerId(self.owner.0))
            .with_producer_epoch(self.owner.1)
            .with_committed(committed);
        Ok(self.raw.ask::<_, EndTxnResponse>(ApiKey::EndTxn, version, &request)?.error_code)
    }
}
