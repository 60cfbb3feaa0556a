//! Batches by hand: damaged, forged, repeated, with gaps.

use anyhow::{Context as _, Result, ensure};
use bytes::{Bytes, BytesMut};
use kafka_protocol::error::ResponseError as E;
use kafka_protocol::messages::*;
use kafka_protocol::records::{Compression, Record, RecordBatchEncoder, RecordEncodeOptions, TimestampType};

use crate::Context;
use crate::client::{unique, values};
use crate::raw::{Raw, text, topic_name};
use crate::wait::until;

/// No idempotent producer.
const NOBODY: (i64, i16) = (-1, -1);

/// Records of time 1,000 in one batch.
fn batch(owner: (i64, i16), sequence: i32, values: &[&str], transactional: bool) -> Result<Bytes> {
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
            timestamp: 1_000,
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

/// Gives a changed batch the checksum that goes with it.
fn seal(batch: &mut [u8]) {
    let sum = crc32c::crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&sum.to_be_bytes());
}

/// Error code and offset.
type Done = (i16, i64);

/// Sends a batch for partition 0.
fn produce(raw: &mut Raw, topic: &str, acks: i16, txn: Option<&str>, records: Bytes) -> Result<(i16, i64)> {
    let data = produce_request::PartitionProduceData::default().with_records(Some(records));
    let data = produce_request::TopicProduceData::default()
        .with_name(topic_name(topic))
        .with_partition_data(vec![data]);
    let request = ProduceRequest::default()
        .with_acks(acks)
        .with_timeout_ms(20_000)
        .with_transactional_id(txn.map(|id| TransactionalId(text(id))))
        .with_topic_data(vec![data]);
    let answer: ProduceResponse = raw.ask(ApiKey::Produce, 9, &request)?;
    let partition = &answer.responses[0].partition_responses[0];
    Ok((partition.error_code, partition.base_offset))
}

fn init(raw: &mut Raw, txn: Option<&str>) -> Result<(i64, i16)> {
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
        let answer: AddPartitionsToTxnResponse = self.raw.ask(ApiKey::AddPartitionsToTxn, 3, &request)?;
        let mut codes: Vec<_> = answer
            .results_by_topic_v3_and_below
            .iter()
            .flat_map(|t| &t.results_by_partition)
            .map(|p| (p.partition_index, p.partition_error_code))
            .collect();
        codes.sort_unstable();
        Ok(codes.into_iter().map(|(_, code)| code).collect())
    }

    pub(crate) fn write(&mut self, topic: &str, sequence: i32, values: &[&str]) -> Result<(i16, i64)> {
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

pub(crate) fn damaged_and_forged_batches_are_refused(context: &Context) -> Result<()> {
    let topic = context.topic_with(1, &[("retention.ms", "-1")])?;
    let mut raw = context.raw()?;
    let good = batch(NOBODY, -1, &["a", "b"], false)?;
    let mut flipped = good.to_vec();
    *flipped.last_mut().context("empty")? ^= 1;
    let mut control = good.to_vec();
    control[22] |= 0x20;
    seal(&mut control);
    let mut miscounted = good.to_vec();
    miscounted[60] = 9;
    seal(&mut miscounted);
    let table = [
        ("a flipped bit", flipped, E::CorruptMessage),
        ("two batches", [&good[..], &good[..]].concat(), E::InvalidRecord),
        ("a control batch", control, E::InvalidRecord),
        ("a wrong count", miscounted, E::InvalidRecord),
    ];
    for (name, records, expected) in table {
        let (code, _) = produce(&mut raw, &topic, -1, None, records.into())?;
        ensure!(code == expected.code(), "{name}: {code}, expected {expected:?}");
    }
    let kept = produce(&mut raw, &topic, -1, None, good)?;
    ensure!(kept == (0, 0), "{kept:?}");
    ensure!(values(&context.read(&topic, 0, "read_committed")?) == ["a", "b"], "what is there");
    Ok(())
}

pub(crate) fn impossible_acknowledgements_are_refused(context: &Context) -> Result<()> {
    let topic = context.topic(1)?;
    let mut raw = context.raw()?;
    for acks in [2, -2] {
        let (code, _) = produce(&mut raw, &topic, acks, None, batch(NOBODY, -1, &["v"], false)?)?;
        ensure!(code == E::InvalidRequiredAcks.code(), "{acks}: {code}");
    }
    let unknown = produce(&mut raw, &unique("topic"), -1, None, batch(NOBODY, -1, &["v"], false)?)?;
    ensure!(unknown.0 == E::UnknownTopicOrPartition.code(), "{unknown:?}");
    Ok(())
}

pub(crate) fn a_repeated_batch_has_its_old_offset_and_a_gap_is_refused(context: &Context) -> Result<()> {
    let topic = context.topic_with(1, &[("retention.ms", "-1")])?;
    let mut raw = context.raw()?;
    let owner = init(&mut raw, None)?;
    let mut send = |owner, sequence, values: &[&str]| {
        produce(&mut raw, &topic, -1, None, batch(owner, sequence, values, false)?)
    };
    let table: [(&str, i32, &[&str], Done); 5] = [
        ("the first", 0, &["a", "b"], (0, 0)),
        ("the second", 2, &["c"], (0, 2)),
        ("a repeat of the first", 0, &["a", "b"], (0, 0)),
        ("a gap", 4, &["e"], (E::OutOfOrderSequenceNumber.code(), -1)),
        ("the third", 3, &["d"], (0, 3)),
    ];
    for (name, sequence, records, expected) in table {
        let done = send(owner, sequence, records)?;
        ensure!(done == expected, "{name}: {done:?}, expected {expected:?}");
    }
    let newer = send((owner.0, owner.1 + 1), 5, &["x"])?;
    ensure!(newer.0 == E::OutOfOrderSequenceNumber.code(), "a newer epoch from its middle: {newer:?}");
    ensure!(send((owner.0, owner.1 + 1), 0, &["e"])? == (0, 4), "a newer epoch from its start");
    let older = send(owner, 4, &["x"])?;
    ensure!(older.0 == E::InvalidProducerEpoch.code(), "an older epoch: {older:?}");
    ensure!(
        values(&context.read(&topic, 0, "read_committed")?) == ["a", "b", "c", "d", "e"],
        "what is there"
    );
    Ok(())
}
