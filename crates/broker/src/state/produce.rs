//! Appending client batches: the rules of the topic, of idempotence and of transactions.

use kafka_protocol::error::ResponseError;

use super::Core;
use super::settings::Rules;
use crate::log::batch::{self, BatchHeader};
use crate::log::producer::Verdict;
use crate::log::record::Contents;
use crate::txn;

/// A checked batch on its way into a partition.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ToAppend<'a> {
    pub(crate) topic: &'a str,
    pub(crate) partition: i32,
    pub(crate) transactional_id: Option<&'a str>,
    pub(crate) header: BatchHeader,
    pub(crate) contents: Contents,
    pub(crate) bytes: &'a [u8],
}

/// Where a batch lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Produced {
    pub(crate) base_offset: i64,
    /// The append time, where the topic asks for it; else -1.
    pub(crate) append_time_ms: i64,
    pub(crate) start_offset: i64,
}

impl Core {
    /// Appends a batch, or finds it appended before.
    pub(crate) fn produce(&mut self, batch: ToAppend<'_>, now_ms: i64) -> Result<Produced, ResponseError> {
        let unknown = ResponseError::UnknownTopicOrPartition;
        let topic = self.tables.topic(batch.topic).ok_or(unknown)?;
        let (number, rules) = (topic.number, topic.rules);
        let log = topic.partition(batch.partition).ok_or(unknown)?;
        check_rules(&rules, &batch, now_ms)?;
        let in_transaction = log.open_since(batch.header.producer_id).is_some();
        if batch.header.is_transactional() && !in_transaction {
            let log = self.tables.partition_mut(batch.topic, batch.partition);
            log.ok_or(unknown)?.attempt(&batch.header)?;
        }
        // As in Apache Kafka, a batch from outside of a transaction is refused even if it repeats one from inside.
        self.check_transaction(&batch, in_transaction)?;
        let log = self.tables.partition(batch.topic, batch.partition).ok_or(unknown)?;
        let (verdict, start_offset) = (log.judge(&batch.header)?, log.start_offset);
        if let Verdict::Repeat(seen) = verdict {
            let append_time_ms = if rules.append_time { seen.timestamp } else { -1 };
            return Ok(Produced { base_offset: seen.base_offset, append_time_ms, start_offset });
        }
        let base_offset = log.end_offset;
        let append_time = rules.append_time.then_some(now_ms);
        let bytes = batch::stamped(batch.bytes, base_offset, append_time);
        let header = BatchHeader {
            base_offset,
            max_timestamp: append_time.unwrap_or(batch.header.max_timestamp),
            attributes: batch.header.attributes | if append_time.is_some() { 0x08 } else { 0 },
            ..batch.header
        };
        let partition = u32::try_from(batch.partition).map_err(|_| unknown)?;
        self.record_batch(number, partition, header, bytes);
        Ok(Produced { base_offset, append_time_ms: append_time.unwrap_or(-1), start_offset })
    }

    fn check_transaction(&self, batch: &ToAppend<'_>, in_transaction: bool) -> Result<(), ResponseError> {
        if !batch.header.is_transactional() {
            return if in_transaction { Err(ResponseError::InvalidTxnState) } else { Ok(()) };
        }
        let id = batch.transactional_id.ok_or(ResponseError::InvalidProducerIdMapping)?;
        let owner = (batch.header.producer_id, batch.header.producer_epoch);
        let place = (batch.topic.to_string(), batch.partition);
        txn::verify(self.tables.transactions.get(id), owner, &place)
    }
}

fn check_rules(rules: &Rules, batch: &ToAppend<'_>, now_ms: i64) -> Result<(), ResponseError> {
    let header = &batch.header;
    if header.size > rules.max_message_bytes {
        return Err(ResponseError::MessageTooLarge);
    }
    let fields_agree = header.records > 0
        && header.last_offset_delta == header.records - 1
        && !header.is_control()
        && (header.producer_id < 0 || (header.base_sequence >= 0 && header.producer_epoch >= 0))
        && (header.producer_id >= 0 || !header.is_transactional());
    let contents = batch.contents;
    if !fields_agree || !contents.consistent || (rules.compacted && contents.keyless) {
        return Err(ResponseError::InvalidRecord);
    }
    let too_late = header.max_timestamp.saturating_sub(now_ms) > rules.after_max_ms;
    let too_early = now_ms.saturating_sub(header.base_timestamp) > rules.before_max_ms;
    if !rules.append_time && (too_late || too_early) {
        return Err(ResponseError::InvalidTimestamp);
    }
    Ok(())
}
