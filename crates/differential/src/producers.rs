//! Producers and transactions.

use anyhow::{Context, Result, bail};
use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use kafka_protocol::messages::*;

use crate::plan::{Epoch, Group, Operation, Place, Producer, Sequence};
use crate::settle::{error, settled};
use crate::side::{Owner, Sent, Side};

const TIMEOUT_MS: i32 = 20_000;
/// Long enough that no transaction of a sequence ends by itself.
const TRANSACTION_TIMEOUT_MS: i32 = 600_000;

impl Side {
    pub(crate) fn init_producer(&mut self, producer: Producer, keep: bool) -> Result<String> {
        let kept = if keep { self.owner(producer, Epoch::Own) } else { Owner::NOBODY };
        let request = InitProducerIdRequest::default()
            .with_transactional_id(self.transactional_id(producer))
            .with_transaction_timeout_ms(TRANSACTION_TIMEOUT_MS)
            .with_producer_id(ProducerId(kept.id))
            .with_producer_epoch(kept.epoch);
        let (code, given) = settled(|| {
            let answer: InitProducerIdResponse = self.client.ask(ApiKey::InitProducerId, 4, &request)?;
            Ok((answer.error_code, Owner { id: answer.producer_id.0, epoch: answer.producer_epoch }))
        })?;
        if code == 0 {
            self.owners[producer] = Some(given);
        }
        Ok(format!("{}, {} epoch {}", error(code), self.producer_id(given.id), given.epoch))
    }

    pub(crate) fn produce(&mut self, operation: &Operation) -> Result<String> {
        let Operation::Produce { producer, place, records, sequence, epoch, transactional } = *operation
        else {
            bail!("not a produce: {operation:?}");
        };
        let owner = producer.map_or(Owner::NOBODY, |producer| self.owner(producer, epoch));
        // No client marks a batch as transactional without a producer ID.
        let transactional = transactional && owner != Owner::NOBODY;
        let (first, count) = match owner {
            Owner::NOBODY => (-1, records),
            _ => continued(self.sent.get(&(owner, place)), sequence, records),
        };
        let batch = self.batch(owner, first, count, transactional)?;
        let data = PartitionProduceData::default().with_index(place.partition).with_records(Some(batch));
        let data =
            TopicProduceData::default().with_name(self.topic(place.topic)).with_partition_data(vec![data]);
        let request = ProduceRequest::default()
            .with_acks(-1)
            .with_timeout_ms(TIMEOUT_MS)
            .with_transactional_id(producer.filter(|_| transactional).and_then(|p| self.transactional_id(p)))
            .with_topic_data(vec![data]);
        let (code, offset) = settled(|| {
            let answer: ProduceResponse = self.client.ask(ApiKey::Produce, 9, &request)?;
            let topic = answer.responses.into_iter().next().context("no topic in the answer")?;
            let partition =
                topic.partition_responses.into_iter().next().context("no partition in the answer")?;
            Ok((partition.error_code, partition.base_offset))
        })?;
        if code == 0 {
            self.sent.insert((owner, place), Sent { sequence: first, records: count });
        }
        Ok(format!("{}, from offset {offset}", error(code)))
    }

    pub(crate) fn add_partition(&mut self, producer: Producer, place: Place, epoch: Epoch) -> Result<String> {
        let owner = self.owner(producer, epoch);
        let topic = AddPartitionsToTxnTopic::default()
            .with_name(self.topic(place.topic))
            .with_partitions(vec![place.partition]);
        let request = AddPartitionsToTxnRequest::default()
            .with_v3_and_below_transactional_id(self.transactional_id(producer).unwrap_or_default())
            .with_v3_and_below_producer_id(ProducerId(owner.id))
            .with_v3_and_below_producer_epoch(owner.epoch)
            .with_v3_and_below_topics(vec![topic]);
        let (code, ()) = settled(|| {
            let answer: AddPartitionsToTxnResponse =
                self.client.ask(ApiKey::AddPartitionsToTxn, 3, &request)?;
            let topic = answer.results_by_topic_v3_and_below.first().context("no topic in the answer")?;
            let partition = topic.results_by_partition.first().context("no partition in the answer")?;
            Ok((partition.partition_error_code, ()))
        })?;
        Ok(error(code))
    }

    pub(crate) fn add_offsets(&mut self, producer: Producer, group: Group, epoch: Epoch) -> Result<String> {
        let owner = self.owner(producer, epoch);
        let request = AddOffsetsToTxnRequest::default()
            .with_transactional_id(self.transactional_id(producer).unwrap_or_default())
            .with_producer_id(ProducerId(owner.id))
            .with_producer_epoch(owner.epoch)
            .with_group_id(self.group(group));
        let (code, ()) = settled(|| {
            let answer: AddOffsetsToTxnResponse = self.client.ask(ApiKey::AddOffsetsToTxn, 3, &request)?;
            Ok((answer.error_code, ()))
        })?;
        Ok(error(code))
    }

    pub(crate) fn send_offset(&mut self, operation: &Operation) -> Result<String> {
        let Operation::SendOffset { producer, group, who, place, offset, epoch } = *operation else {
            bail!("no offset is sent: {operation:?}");
        };
        let (owner, member) = (self.owner(producer, epoch), self.as_whom(group, who));
        let partition = TxnOffsetCommitRequestPartition::default()
            .with_partition_index(place.partition)
            .with_committed_offset(offset);
        let topic = TxnOffsetCommitRequestTopic::default()
            .with_name(self.topic(place.topic))
            .with_partitions(vec![partition]);
        let request = TxnOffsetCommitRequest::default()
            .with_transactional_id(self.transactional_id(producer).unwrap_or_default())
            .with_group_id(self.group(group))
            .with_producer_id(ProducerId(owner.id))
            .with_producer_epoch(owner.epoch)
            .with_generation_id(member.generation)
            .with_member_id(member.id)
            .with_topics(vec![topic]);
        let (code, ()) = settled(|| {
            let answer: TxnOffsetCommitResponse = self.client.ask(ApiKey::TxnOffsetCommit, 3, &request)?;
            let topic = answer.topics.first().context("no topic in the answer")?;
            Ok((topic.partitions.first().context("no partition in the answer")?.error_code, ()))
        })?;
        Ok(error(code))
    }

    /// Ends a transaction, and waits until its markers are written: until then, the same end again meets `CONCURRENT_TRANSACTIONS`.
    pub(crate) fn end(&mut self, producer: Producer, committed: bool, epoch: Epoch) -> Result<String> {
        let owner = self.owner(producer, epoch);
        let request = EndTxnRequest::default()
            .with_transactional_id(self.transactional_id(producer).unwrap_or_default())
            .with_producer_id(ProducerId(owner.id))
            .with_producer_epoch(owner.epoch)
            .with_committed(committed);
        let mut end = || {
            let answer: EndTxnResponse = self.client.ask(ApiKey::EndTxn, 3, &request)?;
            Ok((answer.error_code, ()))
        };
        let (code, ()) = settled(&mut end)?;
        if code != 0 {
            return Ok(error(code));
        }
        let (again, ()) = settled(&mut end)?;
        Ok(format!("ok, and again: {}", error(again)))
    }
}

/// The first sequence and the count of the next batch.
fn continued(last: Option<&Sent>, sequence: Sequence, records: u8) -> (i32, u8) {
    let next = last.map_or(0, |sent| sent.sequence + i32::from(sent.records));
    match (sequence, last) {
        (Sequence::Repeated, Some(sent)) => (sent.sequence, sent.records),
        (Sequence::Next | Sequence::Repeated, _) => (next, records),
        (Sequence::Gap, _) => (next + 5, records),
        (Sequence::Zero, _) => (0, records),
    }
}
