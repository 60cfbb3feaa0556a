//! Batches as they are sent, and records as they are compared.

use anyhow::{Context, Result};
use bytes::{Buf, Bytes, BytesMut};
use kafka_protocol::records::{
    Compression, Record, RecordBatchDecoder, RecordBatchEncoder, RecordEncodeOptions, TimestampType,
};

use crate::side::{Owner, Side};

impl Side {
    /// One batch, its records named by their number on this side.
    pub(crate) fn batch(
        &mut self,
        owner: Owner,
        sequence: i32,
        count: u8,
        transactional: bool,
    ) -> Result<Bytes> {
        let mut records = Vec::new();
        for at in 0..i32::from(count) {
            let timestamp = self.next_time_ms();
            let number = self.records;
            records.push(Record {
                transactional,
                control: false,
                delete_horizon: false,
                partition_leader_epoch: 0,
                producer_id: owner.id,
                producer_epoch: owner.epoch,
                timestamp_type: TimestampType::Creation,
                offset: i64::from(at),
                sequence: sequence + at,
                timestamp,
                key: Some(Bytes::from(format!("key-{}", number % 5))),
                value: Some(Bytes::from(format!("value-{number}"))),
                headers: Default::default(),
            });
        }
        let mut batch = BytesMut::new();
        let options = RecordEncodeOptions { version: 2, compression: Compression::None };
        RecordBatchEncoder::encode(&mut batch, &records, &options)?;
        Ok(batch.freeze())
    }

    /// Every record of fetched bytes, control records too, and the last one's offset.
    pub(crate) fn shown(&mut self, fetched: Option<Bytes>) -> Result<(Vec<String>, Option<i64>)> {
        // librdkafka cannot read an answer without a record set, even an empty one.
        let mut fetched = fetched.context("null instead of no records")?;
        let sets = RecordBatchDecoder::decode_all(&mut fetched)?;
        let records: Vec<Record> = sets.into_iter().flat_map(|set| set.records).collect();
        let last = records.last().map(|record| record.offset);
        Ok((records.into_iter().map(|record| self.show(record)).collect(), last))
    }

    fn show(&mut self, record: Record) -> String {
        let owner = format!("{} epoch {}", self.producer_id(record.producer_id), record.producer_epoch);
        if record.control {
            return format!("{}: {owner}, {}", record.offset, marker(record.key));
        }
        let text = |bytes: Option<Bytes>| bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let (key, value) = (text(record.key), text(record.value));
        let (sequence, transactional, time) =
            (record.sequence, record.transactional, self.seconds(record.timestamp));
        format!(
            "{}: {owner}, sequence {sequence}, transactional {transactional}, {time}, {key:?} {value:?}",
            record.offset
        )
    }
}

/// A control record's key: version, then kind.
fn marker(key: Option<Bytes>) -> String {
    let kind = key.filter(|key| key.len() >= 4).map(|mut key| key.split_off(2).get_i16());
    match kind {
        Some(0) => "abort".to_owned(),
        Some(1) => "commit".to_owned(),
        other => format!("marker {other:?}"),
    }
}
