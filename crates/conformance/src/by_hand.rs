//! A client that sends just the requests that it is told to: for what librdkafka would never do, or does by itself.
//!
//! The versions are those that librdkafka 2.12 speaks to any broker, so that a check is about what the mesh meets.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail, ensure};
use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::*;
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use kafka_protocol::records::{Compression, Record, RecordBatchEncoder, RecordEncodeOptions, TimestampType};

use crate::Context;
use crate::wait::{SOON, until};

const NOT_YET: [ResponseError; 4] = [
    ResponseError::ConcurrentTransactions,
    ResponseError::CoordinatorNotAvailable,
    ResponseError::CoordinatorLoadInProgress,
    ResponseError::NotCoordinator,
];

/// One connection.
pub(crate) struct Raw {
    stream: TcpStream,
    correlation_id: i32,
}

/// A transactional producer by hand: no retries, no state but this.
pub(crate) struct Owner {
    pub(crate) id: String,
    pub(crate) producer: (i64, i16),
}

impl Raw {
    /// Connects to the broker under test, which has one node.
    pub(crate) fn connect(context: &Context) -> Result<Raw> {
        let first = context.bootstrap.split(',').next().context("no address")?;
        let stream = TcpStream::connect(first)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SOON))?;
        Ok(Raw { stream, correlation_id: 0 })
    }

    fn ask<Q: Encodable, A: Decodable>(&mut self, key: ApiKey, version: i16, request: &Q) -> Result<A> {
        self.correlation_id += 1;
        let header = RequestHeader::default()
            .with_request_api_key(key as i16)
            .with_request_api_version(version)
            .with_correlation_id(self.correlation_id)
            .with_client_id(Some(StrBytes::from_static_str("conformance")));
        let mut frame = BytesMut::new();
        frame.put_i32(0);
        header.encode(&mut frame, key.request_header_version(version))?;
        request.encode(&mut frame, version)?;
        let length = i32::try_from(frame.len() - 4)?;
        (&mut frame[..4]).put_i32(length);
        self.stream.write_all(&frame)?;
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let mut answer = vec![0; usize::try_from(i32::from_be_bytes(length))?];
        self.stream.read_exact(&mut answer)?;
        let mut answer = Bytes::from(answer);
        let header = ResponseHeader::decode(&mut answer, key.response_header_version(version))?;
        ensure!(header.correlation_id == self.correlation_id, "an answer to something else");
        A::decode(&mut answer, version)
    }

    /// Takes a transactional ID over.
    pub(crate) fn init(&mut self, id: &str) -> Result<Owner> {
        let request = InitProducerIdRequest::default()
            .with_transactional_id(Some(TransactionalId(text(id))))
            .with_transaction_timeout_ms(60_000)
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1);
        let key = FindCoordinatorRequest::default().with_key(text(id)).with_key_type(1);
        until("the transactional ID has a producer", || {
            let found: FindCoordinatorResponse = self.ask(ApiKey::FindCoordinator, 2, &key)?;
            if !settled(found.error_code)? {
                return Ok(None);
            }
            let answer: InitProducerIdResponse = self.ask(ApiKey::InitProducerId, 4, &request)?;
            let producer = (answer.producer_id.0, answer.producer_epoch);
            Ok(settled(answer.error_code)?.then(|| Owner { id: id.to_owned(), producer }))
        })
    }

    /// Puts partition 0 of a topic into the transaction, once the one before has ended.
    pub(crate) fn add(&mut self, owner: &Owner, topic: &str) -> Result<()> {
        until("the partition is in the transaction", || {
            settled(self.try_add(owner, topic)?).map(|yes| yes.then_some(()))
        })
    }

    /// The answer to AddPartitionsToTxn.
    pub(crate) fn try_add(&mut self, owner: &Owner, topic: &str) -> Result<i16> {
        let topic = add_partitions_to_txn_request::AddPartitionsToTxnTopic::default()
            .with_name(TopicName(text(topic)))
            .with_partitions(vec![0]);
        let request = AddPartitionsToTxnRequest::default()
            .with_v3_and_below_transactional_id(TransactionalId(text(&owner.id)))
            .with_v3_and_below_producer_id(ProducerId(owner.producer.0))
            .with_v3_and_below_producer_epoch(owner.producer.1)
            .with_v3_and_below_topics(vec![topic]);
        let answer: AddPartitionsToTxnResponse = self.ask(ApiKey::AddPartitionsToTxn, 0, &request)?;
        let topic = answer.results_by_topic_v3_and_below.first().context("no topic")?;
        Ok(topic.results_by_partition.first().context("no partition")?.partition_error_code)
    }

    /// The answer to one transactional record in partition 0.
    pub(crate) fn produce(&mut self, owner: &Owner, topic: &str, sequence: i32, value: &str) -> Result<i16> {
        let data = produce_request::PartitionProduceData::default()
            .with_records(Some(batch(owner, sequence, value)?));
        let data = produce_request::TopicProduceData::default()
            .with_name(TopicName(text(topic)))
            .with_partition_data(vec![data]);
        let request = ProduceRequest::default()
            .with_acks(-1)
            .with_timeout_ms(10_000)
            .with_transactional_id(Some(TransactionalId(text(&owner.id))))
            .with_topic_data(vec![data]);
        let answer: ProduceResponse = self.ask(ApiKey::Produce, 10, &request)?;
        let topic = answer.responses.first().context("no topic")?;
        Ok(topic.partition_responses.first().context("no partition")?.error_code)
    }

    /// The answer to EndTxn.
    pub(crate) fn end(&mut self, owner: &Owner, committed: bool) -> Result<i16> {
        let request = EndTxnRequest::default()
            .with_transactional_id(TransactionalId(text(&owner.id)))
            .with_producer_id(ProducerId(owner.producer.0))
            .with_producer_epoch(owner.producer.1)
            .with_committed(committed);
        let answer: EndTxnResponse = self.ask(ApiKey::EndTxn, 1, &request)?;
        Ok(answer.error_code)
    }

    /// The answer to EndTxn once nothing is under way any more.
    pub(crate) fn end_settled(&mut self, owner: &Owner, committed: bool) -> Result<i16> {
        until("the transaction before is over", || {
            let code = self.end(owner, committed)?;
            Ok((code != ResponseError::ConcurrentTransactions.code()).then_some(code))
        })
    }
}

/// Whether it went well; false where it has to be asked again.
fn settled(code: i16) -> Result<bool> {
    match ResponseError::try_from_code(code) {
        None => Ok(true),
        Some(error) if NOT_YET.contains(&error) => Ok(false),
        Some(error) => bail!("{error:?}"),
    }
}

fn text(value: &str) -> StrBytes {
    StrBytes::from_string(value.to_owned())
}

fn batch(owner: &Owner, sequence: i32, value: &str) -> Result<Bytes> {
    let record = Record {
        transactional: true,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: -1,
        producer_id: owner.producer.0,
        producer_epoch: owner.producer.1,
        timestamp_type: TimestampType::Creation,
        offset: 0,
        sequence,
        timestamp: i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?,
        key: Some(Bytes::from_static(b"k")),
        value: Some(Bytes::from(value.to_owned())),
        headers: Default::default(),
    };
    let mut out = BytesMut::new();
    let options = RecordEncodeOptions { version: 2, compression: Compression::None };
    RecordBatchEncoder::encode(&mut out, &[record], &options)?;
    Ok(out.freeze())
}
