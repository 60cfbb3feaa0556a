//! A client that sends what it is told.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Result, ensure};
use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use kafka_protocol::records::{Compression, Record, RecordBatchEncoder, RecordEncodeOptions, TimestampType};
use quadrille_broker::{Broker, Config, Flush};

/// No idempotent producer.
pub(crate) const NOBODY: (i64, i16) = (-1, -1);

pub(crate) struct Scene {
    pub(crate) broker: Broker,
    _data: tempfile::TempDir,
}

impl Scene {
    pub(crate) fn new(change: impl FnOnce(&mut Config)) -> Result<Self> {
        let data = tempfile::tempdir()?;
        let mut config = Config::new("127.0.0.1:0".parse()?, data.path());
        config.flush = Flush::Os;
        change(&mut config);
        Ok(Scene { broker: Broker::start(config)?, _data: data })
    }

    pub(crate) fn client(&self) -> Result<Client> {
        Self::connect(&self.broker)
    }

    pub(crate) fn connect(broker: &Broker) -> Result<Client> {
        let stream = TcpStream::connect(broker.bootstrap())?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        Ok(Client { stream, correlation: 0 })
    }
}

pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    pub(crate) correlation: i32,
}

impl Client {
    pub(crate) fn send(&mut self, key: ApiKey, version: i16, body: &[u8]) -> Result<()> {
        self.correlation += 1;
        let header = RequestHeader::default()
            .with_request_api_key(key as i16)
            .with_request_api_version(version)
            .with_correlation_id(self.correlation)
            .with_client_id(Some(StrBytes::from_static_str("raw")));
        let mut frame = BytesMut::new();
        header.encode(&mut frame, key.request_header_version(version))?;
        frame.put_slice(body);
        self.stream.write_all(&i32::try_from(frame.len())?.to_be_bytes())?;
        Ok(self.stream.write_all(&frame)?)
    }

    pub(crate) fn receive(&mut self) -> Result<Bytes> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let mut frame = vec![0; usize::try_from(i32::from_be_bytes(length))?];
        self.stream.read_exact(&mut frame)?;
        Ok(frame.into())
    }

    pub(crate) fn ask<Q: Encodable, A: Decodable>(
        &mut self,
        key: ApiKey,
        version: i16,
        request: &Q,
    ) -> Result<A> {
        let mut body = BytesMut::new();
        request.encode(&mut body, version)?;
        self.send(key, version, &body)?;
        let mut answer = self.receive()?;
        ResponseHeader::decode(&mut answer, key.response_header_version(version))?;
        let decoded = A::decode(&mut answer, version)?;
        ensure!(answer.is_empty(), "{} bytes behind the answer", answer.len());
        Ok(decoded)
    }

    pub(crate) fn create_topic(
        &mut self,
        name: &'static str,
        configs: &[(&'static str, &'static str)],
    ) -> Result<()> {
        let configs = configs.iter().map(|(name, value)| {
            create_topics_request::CreatableTopicConfig::default()
                .with_name(StrBytes::from_static_str(name))
                .with_value(Some(StrBytes::from_static_str(value)))
        });
        let topic = create_topics_request::CreatableTopic::default()
            .with_name(topic_name(name))
            .with_num_partitions(1)
            .with_replication_factor(1)
            .with_configs(configs.collect());
        let request = CreateTopicsRequest::default().with_topics(vec![topic]);
        let answer: CreateTopicsResponse = self.ask(ApiKey::CreateTopics, 7, &request)?;
        ensure!(answer.topics[0].error_code == 0, "{answer:?}");
        Ok(())
    }

    /// Produces one batch to partition 0: error code and offset.
    pub(crate) fn produce(
        &mut self,
        topic: &'static str,
        txn: Option<&'static str>,
        records: Bytes,
    ) -> Result<(i16, i64)> {
        let data = produce_request::PartitionProduceData::default().with_records(Some(records));
        let data = produce_request::TopicProduceData::default()
            .with_name(topic_name(topic))
            .with_partition_data(vec![data]);
        let request = ProduceRequest::default()
            .with_acks(-1)
            .with_timeout_ms(1_000)
            .with_transactional_id(txn.map(transactional_id))
            .with_topic_data(vec![data]);
        let answer: ProduceResponse = self.ask(ApiKey::Produce, 9, &request)?;
        let partition = &answer.responses[0].partition_responses[0];
        Ok((partition.error_code, partition.base_offset))
    }

    pub(crate) fn init(&mut self, txn: Option<&'static str>) -> Result<(i64, i16)> {
        let request = InitProducerIdRequest::default()
            .with_transactional_id(txn.map(transactional_id))
            .with_transaction_timeout_ms(60_000)
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1);
        let answer: InitProducerIdResponse = self.ask(ApiKey::InitProducerId, 4, &request)?;
        ensure!(answer.error_code == 0, "{answer:?}");
        Ok((answer.producer_id.0, answer.producer_epoch))
    }

    pub(crate) fn add_partition(
        &mut self,
        txn: &'static str,
        owner: (i64, i16),
        topic: &'static str,
    ) -> Result<i16> {
        let topic = add_partitions_to_txn_request::AddPartitionsToTxnTopic::default()
            .with_name(topic_name(topic))
            .with_partitions(vec![0]);
        let request = AddPartitionsToTxnRequest::default()
            .with_v3_and_below_transactional_id(transactional_id(txn))
            .with_v3_and_below_producer_id(ProducerId(owner.0))
            .with_v3_and_below_producer_epoch(owner.1)
            .with_v3_and_below_topics(vec![topic]);
        let answer: AddPartitionsToTxnResponse = self.ask(ApiKey::AddPartitionsToTxn, 3, &request)?;
        let topic = &answer.results_by_topic_v3_and_below[0];
        Ok(topic.results_by_partition[0].partition_error_code)
    }

    pub(crate) fn end(
        &mut self,
        txn: &'static str,
        owner: (i64, i16),
        committed: bool,
        version: i16,
    ) -> Result<i16> {
        let request = EndTxnRequest::default()
            .with_transactional_id(transactional_id(txn))
            .with_producer_id(ProducerId(owner.0))
            .with_producer_epoch(owner.1)
            .with_committed(committed);
        let answer: EndTxnResponse = self.ask(ApiKey::EndTxn, version, &request)?;
        Ok(answer.error_code)
    }

    /// Whether the broker has closed this connection (true), or it is still good for a request.
    pub(crate) fn is_closed(&mut self) -> bool {
        let mut byte = [0];
        matches!(self.stream.read(&mut byte), Ok(0)) || self.stream.take_error().ok().flatten().is_some()
    }
}

pub(crate) fn topic_name(name: &'static str) -> TopicName {
    TopicName(StrBytes::from_static_str(name))
}

pub(crate) fn transactional_id(id: &'static str) -> TransactionalId {
    TransactionalId(StrBytes::from_static_str(id))
}

pub(crate) fn batch(owner: (i64, i16), sequence: i32, values: &[&str], transactional: bool) -> Result<Bytes> {
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
