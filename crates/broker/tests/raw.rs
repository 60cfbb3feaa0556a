//! What no well-behaved client does: raw frames, garbage, and requests that librdkafka would never send.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::error::ResponseError as E;
use kafka_protocol::messages::*;
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use kafka_protocol::records::{Compression, Record, RecordBatchEncoder, RecordEncodeOptions, TimestampType};
use quadrille_broker::{Broker, Config, Flush};

struct Scene {
    broker: Broker,
    _data: tempfile::TempDir,
}

impl Scene {
    fn new(change: impl FnOnce(&mut Config)) -> Result<Self> {
        let data = tempfile::tempdir()?;
        let mut config = Config::new("127.0.0.1:0".parse()?, data.path());
        config.flush = Flush::Os;
        change(&mut config);
        Ok(Scene { broker: Broker::start(config)?, _data: data })
    }

    fn client(&self) -> Result<Client> {
        let stream = TcpStream::connect(self.broker.bootstrap())?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        Ok(Client { stream, correlation: 0 })
    }
}

struct Client {
    stream: TcpStream,
    correlation: i32,
}

impl Client {
    fn send(&mut self, key: ApiKey, version: i16, body: &[u8]) -> Result<()> {
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

    fn receive(&mut self) -> Result<Bytes> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let mut frame = vec![0; usize::try_from(i32::from_be_bytes(length))?];
        self.stream.read_exact(&mut frame)?;
        Ok(frame.into())
    }

    fn ask<Q: Encodable, A: Decodable>(&mut self, key: ApiKey, version: i16, request: &Q) -> Result<A> {
        let mut body = BytesMut::new();
        request.encode(&mut body, version)?;
        self.send(key, version, &body)?;
        let mut answer = self.receive()?;
        ResponseHeader::decode(&mut answer, key.response_header_version(version))?;
        let decoded = A::decode(&mut answer, version)?;
        ensure!(answer.is_empty(), "{} bytes behind the answer", answer.len());
        Ok(decoded)
    }

    fn create_topic(&mut self, name: &'static str, configs: &[(&'static str, &'static str)]) -> Result<()> {
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
    fn produce(
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

    fn init(&mut self, txn: Option<&'static str>) -> Result<(i64, i16)> {
        let request = InitProducerIdRequest::default()
            .with_transactional_id(txn.map(transactional_id))
            .with_transaction_timeout_ms(60_000)
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1);
        let answer: InitProducerIdResponse = self.ask(ApiKey::InitProducerId, 4, &request)?;
        ensure!(answer.error_code == 0, "{answer:?}");
        Ok((answer.producer_id.0, answer.producer_epoch))
    }

    fn add_partition(&mut self, txn: &'static str, owner: (i64, i16), topic: &'static str) -> Result<i16> {
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

    fn end(&mut self, txn: &'static str, owner: (i64, i16), committed: bool, version: i16) -> Result<i16> {
        let request = EndTxnRequest::default()
            .with_transactional_id(transactional_id(txn))
            .with_producer_id(ProducerId(owner.0))
            .with_producer_epoch(owner.1)
            .with_committed(committed);
        let answer: EndTxnResponse = self.ask(ApiKey::EndTxn, version, &request)?;
        Ok(answer.error_code)
    }

    /// Whether the broker has closed this connection (true), or it is still good for a request.
    fn is_closed(mut self) -> bool {
        let mut byte = [0];
        matches!(self.stream.read(&mut byte), Ok(0)) || self.stream.take_error().ok().flatten().is_some()
    }
}

fn topic_name(name: &'static str) -> TopicName {
    TopicName(StrBytes::from_static_str(name))
}

fn transactional_id(id: &'static str) -> TransactionalId {
    TransactionalId(StrBytes::from_static_str(id))
}

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

const NOBODY: (i64, i16) = (-1, -1);

#[test]
fn garbage_closes_its_own_connection_only() -> Result<()> {
    let scene = Scene::new(|_| {})?;
    let mut good = scene.client()?;
    good.create_topic("t", &[])?;
    let huge_array = [&[0, 3, 0, 1, 0, 0, 0, 1, 255, 255][..], &i32::MAX.to_be_bytes()].concat();
    let garbage: [&[u8]; 7] = [
        &i32::MAX.to_be_bytes(),                           // a 2 GiB frame
        &(-5i32).to_be_bytes(),                            // a negative length
        &[0, 0, 0, 2, 0, 3],                               // too short for a header
        &[0, 0, 0, 10, 0, 99, 0, 0, 0, 0, 0, 1, 255, 255], // an unknown request
        &[0, 0, 0, 10, 0, 3, 0, 99, 0, 0, 0, 1, 255, 255], // an unknown version
        b"GET / HTTP/1.1\r\n\r\n",
        &[&(huge_array.len() as i32).to_be_bytes()[..], &huge_array].concat(),
    ];
    for bytes in garbage {
        let mut bad = scene.client()?;
        bad.stream.write_all(bytes)?;
        ensure!(bad.is_closed(), "{bytes:?} was taken");
        ensure!(
            good.produce("t", None, batch(NOBODY, -1, &["v"], false)?)?.0 == 0,
            "others suffer from {bytes:?}"
        );
    }
    Ok(())
}

#[test]
fn random_bodies_of_every_request_do_no_harm() -> Result<()> {
    let scene = Scene::new(|_| {})?;
    let mut good = scene.client()?;
    good.create_topic("t", &[])?;
    let mut random = fastrand::Rng::with_seed(4711);
    for _ in 0..1_500 {
        let mut bad = scene.client()?;
        bad.stream.set_read_timeout(Some(Duration::from_millis(2)))?;
        let key = ApiKey::try_from(random.i16(0..69)).unwrap_or(ApiKey::Metadata);
        let body: Vec<u8> =
            (0..random.usize(0..60)).map(|_| random.u8(..) & random.u8(..) & random.u8(..)).collect();
        bad.send(key, random.i16(0..13), &body)?;
        let _ = bad.receive(); // an answer, a closed connection or a wait: all fine
    }
    ensure!(good.produce("t", None, batch(NOBODY, -1, &["v"], false)?)?.0 == 0, "the broker is gone");
    Ok(())
}

#[test]
fn half_a_frame_holds_nobody_up() -> Result<()> {
    let scene = Scene::new(|_| {})?;
    let mut half = scene.client()?;
    half.stream.write_all(&[0, 0, 1, 0, 0, 3])?;
    let mut good = scene.client()?;
    good.create_topic("t", &[])?;
    ensure!(good.produce("t", None, batch(NOBODY, -1, &["v"], false)?)?.0 == 0, "held up");
    Ok(())
}

#[test]
fn connections_above_the_cap_are_closed() -> Result<()> {
    let scene = Scene::new(|config| config.max_connections = 3)?;
    let mut kept = Vec::new();
    for _ in 0..3 {
        let mut client = scene.client()?;
        let _: ApiVersionsResponse = client.ask(ApiKey::ApiVersions, 0, &ApiVersionsRequest::default())?;
        kept.push(client);
    }
    ensure!(scene.client()?.is_closed(), "a fourth connection");
    kept.pop();
    for _ in 0..500 {
        let again: Result<ApiVersionsResponse> =
            scene.client()?.ask(ApiKey::ApiVersions, 0, &ApiVersionsRequest::default());
        if again.is_ok() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    anyhow::bail!("no place was given back")
}

#[test]
fn a_newer_client_learns_what_it_may_ask() -> Result<()> {
    let scene = Scene::new(|_| {})?;
    let mut client = scene.client()?;
    client.send(ApiKey::ApiVersions, 99, &[])?;
    let mut answer = client.receive()?;
    ensure!(answer.get_i32() == client.correlation, "correlation ID");
    let answer = ApiVersionsResponse::decode(&mut answer, 0)?;
    ensure!(answer.error_code == E::UnsupportedVersion.code(), "{}", answer.error_code);
    let own =
        answer.api_keys.iter().find(|k| k.api_key == ApiKey::ApiVersions as i16).context("not listed")?;
    ensure!(own.max_version >= 3, "{own:?}");
    let _: ApiVersionsResponse = client.ask(ApiKey::ApiVersions, 3, &ApiVersionsRequest::default())?;
    Ok(())
}

#[test]
fn damaged_and_forged_batches_are_refused() -> Result<()> {
    let scene = Scene::new(|_| {})?;
    let mut client = scene.client()?;
    client.create_topic("t", &[])?;
    let good = batch(NOBODY, -1, &["a", "b"], false)?;
    let mut flipped = good.to_vec();
    *flipped.last_mut().context("empty")? ^= 1;
    let twice = [&good[..], &good[..]].concat();
    let mut control = good.to_vec();
    control[22] |= 0x20;
    seal(&mut control);
    let mut miscounted = good.to_vec();
    miscounted[60] = 9;
    seal(&mut miscounted);
    let mut old = good.to_vec();
    old[16] = 1;
    let table = [
        ("a flipped bit", flipped, E::CorruptMessage),
        ("a cut batch", good[..good.len() - 1].to_vec(), E::CorruptMessage),
        ("two batches", twice, E::InvalidRecord),
        ("a control batch", control, E::InvalidRecord),
        ("a wrong count", miscounted, E::InvalidRecord),
        ("an old format", old, E::UnsupportedForMessageFormat),
        ("nothing", Vec::new(), E::InvalidRecord),
    ];
    for (name, records, expected) in table {
        let (code, _) = client.produce("t", None, records.into())?;
        ensure!(code == expected.code(), "{name}: {code}, expected {expected:?}");
    }
    ensure!(client.produce("t", None, good)? == (0, 0), "the good one comes first");
    Ok(())
}

fn seal(batch: &mut [u8]) {
    let sum = crc32c::crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&sum.to_be_bytes());
}

#[test]
fn sequences_decide_what_is_new() -> Result<()> {
    let scene = Scene::new(|_| {})?;
    let mut client = scene.client()?;
    client.create_topic("t", &[])?;
    let owner = client.init(None)?;
    let mut send =
        |sequence, values: &[&str]| client.produce("t", None, batch(owner, sequence, values, false)?);
    ensure!(send(0, &["a", "b"])? == (0, 0), "first");
    ensure!(send(2, &["c"])? == (0, 2), "second");
    ensure!(send(0, &["a", "b"])? == (0, 0), "a repeat has the offset of the first time");
    ensure!(send(4, &["e"])?.0 == E::OutOfOrderSequenceNumber.code(), "a gap");
    ensure!(send(3, &["d"])? == (0, 3), "no offset was lost");
    let stale = (owner.0, owner.1 - 1);
    ensure!(client.produce("t", None, batch(stale, 0, &["x"], false)?)?.0 != 0, "an older epoch");
    Ok(())
}

#[test]
fn only_partitions_of_the_transaction_take_its_records() -> Result<()> {
    let scene = Scene::new(|_| {})?;
    let mut client = scene.client()?;
    client.create_topic("in", &[])?;
    client.create_topic("out", &[])?;
    let owner = client.init(Some("txn"))?;
    let write = |client: &mut Client, topic, sequence| {
        client.produce(topic, Some("txn"), batch(owner, sequence, &["v"], true)?)
    };
    ensure!(write(&mut client, "in", 0)?.0 == E::InvalidTxnState.code(), "before any partition was added");
    ensure!(client.add_partition("txn", owner, "in")? == 0, "adding");
    ensure!(write(&mut client, "in", 0)? == (0, 0), "the added one");
    ensure!(write(&mut client, "out", 0)?.0 == E::InvalidTxnState.code(), "one that was not added");
    let forged = client.produce("in", Some("other"), batch(owner, 1, &["v"], true)?)?;
    ensure!(forged.0 == E::InvalidProducerIdMapping.code(), "another ID: {forged:?}");
    ensure!(client.end("txn", owner, true, 1)? == 0, "commit");
    ensure!(write(&mut client, "in", 1)?.0 == E::InvalidTxnState.code(), "after the end");
    Ok(())
}

#[test]
fn an_end_is_answered_again_but_not_turned_round() -> Result<()> {
    let scene = Scene::new(|_| {})?;
    let mut client = scene.client()?;
    client.create_topic("t", &[])?;
    let owner = client.init(Some("txn"))?;
    ensure!(client.end("txn", owner, true, 1)? == E::InvalidTxnState.code(), "nothing was begun");
    client.add_partition("txn", owner, "t")?;
    ensure!(client.end("txn", owner, true, 1)? == 0, "commit");
    ensure!(client.end("txn", owner, true, 1)? == 0, "commit again");
    ensure!(client.end("txn", owner, false, 1)? == E::InvalidTxnState.code(), "abort after commit");
    let next = client.init(Some("txn"))?;
    ensure!(next == (owner.0, owner.1 + 1), "epoch {next:?} after {owner:?}: EndTxn below v5 bumps none");
    ensure!(
        client.end("txn", owner, true, 1)? == E::InvalidProducerEpoch.code(),
        "the fenced one, by its old name"
    );
    ensure!(client.end("txn", owner, true, 2)? == E::ProducerFenced.code(), "and by its new name");
    Ok(())
}

#[test]
fn a_late_end_frame_ends_the_transaction_that_is_open_then() -> Result<()> {
    // As on the real broker: below v5 an EndTxn does not say which transaction it means.
    let scene = Scene::new(|_| {})?;
    let (mut client, mut late) = (scene.client()?, scene.client()?);
    client.create_topic("t", &[])?;
    let owner = client.init(Some("txn"))?;
    client.add_partition("txn", owner, "t")?;
    ensure!(client.produce("t", Some("txn"), batch(owner, 0, &["a"], true)?)?.0 == 0, "a");
    ensure!(client.end("txn", owner, true, 1)? == 0, "commit of a");
    client.add_partition("txn", owner, "t")?;
    ensure!(client.produce("t", Some("txn"), batch(owner, 1, &["b"], true)?)?.0 == 0, "b");
    ensure!(late.end("txn", owner, true, 1)? == 0, "the late frame");
    ensure!(client.end("txn", owner, false, 1)? == E::InvalidTxnState.code(), "abort of b");
    // A producer built anew is safe from it.
    let anew = client.init(Some("txn"))?;
    client.add_partition("txn", anew, "t")?;
    ensure!(late.end("txn", owner, true, 1)? == E::InvalidProducerEpoch.code(), "the late frame is refused");
    Ok(())
}

#[test]
fn one_flush_serves_many_answers() -> Result<()> {
    let scene = Scene::new(|config| config.flush = Flush::Commit)?;
    let mut client = scene.client()?;
    client.create_topic("t", &[])?;
    let before = scene.broker.stats().device_flushes;
    let data = produce_request::PartitionProduceData::default().with_records(Some(batch(
        NOBODY,
        -1,
        &["v"],
        false,
    )?));
    let data = produce_request::TopicProduceData::default()
        .with_name(topic_name("t"))
        .with_partition_data(vec![data]);
    let request = ProduceRequest::default().with_acks(-1).with_topic_data(vec![data]);
    let mut body = BytesMut::new();
    request.encode(&mut body, 9)?;
    for _ in 0..200 {
        client.send(ApiKey::Produce, 9, &body)?;
    }
    for _ in 0..200 {
        client.receive()?;
    }
    let flushes = scene.broker.stats().device_flushes - before;
    ensure!((1..100).contains(&flushes), "{flushes} flushes for 200 answers");
    Ok(())
}

/// Asks at every version that the broker says it knows; each must be answered, whatever the answer.
fn at_every_version<Q: Encodable>(scene: &Scene, key: ApiKey, request: &Q) -> Result<()> {
    let mut client = scene.client()?;
    let known: ApiVersionsResponse = client.ask(ApiKey::ApiVersions, 3, &ApiVersionsRequest::default())?;
    let own = known.api_keys.iter().find(|k| k.api_key == key as i16).context("not listed")?;
    let mut asked = 0;
    for version in own.min_version..=own.max_version {
        let mut body = BytesMut::new();
        if request.encode(&mut body, version).is_err() {
            continue; // a field that this version does not know
        }
        asked += 1;
        client.send(key, version, &body)?;
        let mut answer = client.receive().with_context(|| format!("{key:?} v{version}"))?;
        ensure!(answer.get_i32() == client.correlation, "{key:?} v{version}: correlation ID");
    }
    ensure!(asked > 0, "{key:?} was never asked");
    Ok(())
}

#[test]
fn every_version_of_every_request_is_answered() -> Result<()> {
    let scene = Scene::new(|_| {})?;
    let mut client = scene.client()?;
    client.create_topic("t", &[])?;
    client.produce("t", None, batch(NOBODY, -1, &["v"], false)?)?;
    let text = StrBytes::from_static_str;
    let group = || GroupId(text("g"));
    let scene = &scene;
    let place = |timestamp| list_offsets_request::ListOffsetsPartition::default().with_timestamp(timestamp);
    let topic = list_offsets_request::ListOffsetsTopic::default().with_name(topic_name("t"));
    let topic = topic.with_partitions(vec![place(-1), place(-2), place(0), place(i64::MAX), place(-3)]);
    at_every_version(scene, ApiKey::ListOffsets, &ListOffsetsRequest::default().with_topics(vec![topic]))?;
    let fetch = fetch_request::FetchTopic::default().with_topic(topic_name("t"));
    let fetch =
        fetch.with_partitions(vec![fetch_request::FetchPartition::default().with_partition_max_bytes(1_000)]);
    let fetch = FetchRequest::default().with_max_bytes(1_000).with_topics(vec![fetch]);
    at_every_version(scene, ApiKey::Fetch, &fetch)?;
    let data = produce_request::PartitionProduceData::default().with_records(Some(batch(
        NOBODY,
        -1,
        &["v"],
        false,
    )?));
    let data = produce_request::TopicProduceData::default()
        .with_name(topic_name("t"))
        .with_partition_data(vec![data]);
    at_every_version(
        scene,
        ApiKey::Produce,
        &ProduceRequest::default().with_acks(1).with_topic_data(vec![data]),
    )?;
    for name in ["t", "unknown"] {
        let topic = metadata_request::MetadataRequestTopic::default().with_name(Some(topic_name(name)));
        at_every_version(
            scene,
            ApiKey::Metadata,
            &MetadataRequest::default().with_topics(Some(vec![topic])),
        )?;
    }
    at_every_version(scene, ApiKey::Metadata, &MetadataRequest::default())?;
    at_every_version(scene, ApiKey::DescribeCluster, &DescribeClusterRequest::default())?;
    let place = offset_commit_request::OffsetCommitRequestPartition::default().with_committed_offset(1);
    let topic = offset_commit_request::OffsetCommitRequestTopic::default().with_name(topic_name("t"));
    let commit = OffsetCommitRequest::default().with_group_id(group());
    let commit =
        commit.with_generation_id_or_member_epoch(-1).with_topics(vec![topic.with_partitions(vec![place])]);
    at_every_version(scene, ApiKey::OffsetCommit, &commit)?;
    let topic = offset_fetch_request::OffsetFetchRequestTopic::default().with_name(topic_name("t"));
    let old = OffsetFetchRequest::default().with_group_id(group());
    at_every_version(
        scene,
        ApiKey::OffsetFetch,
        &old.with_topics(Some(vec![topic.with_partition_indexes(vec![0])])),
    )?;
    let new =
        offset_fetch_request::OffsetFetchRequestGroup::default().with_group_id(group()).with_topics(None);
    at_every_version(scene, ApiKey::OffsetFetch, &OffsetFetchRequest::default().with_groups(vec![new]))?;
    at_every_version(scene, ApiKey::FindCoordinator, &FindCoordinatorRequest::default().with_key(text("g")))?;
    let keys = FindCoordinatorRequest::default().with_coordinator_keys(vec![text("g")]);
    at_every_version(scene, ApiKey::FindCoordinator, &keys)?;
    groups_at_every_version(scene)?;
    administration_at_every_version(scene)?;
    transactions_at_every_version(scene, client.init(Some("txn"))?)
}

fn groups_at_every_version(scene: &Scene) -> Result<()> {
    let text = StrBytes::from_static_str;
    let protocol = join_group_request::JoinGroupRequestProtocol::default().with_name(text("range"));
    // Below version 4 the first of these joins; a group of its own for each version would wait for nobody either.
    let join = JoinGroupRequest::default()
        .with_session_timeout_ms(6_000)
        .with_rebalance_timeout_ms(100)
        .with_protocol_type(text("consumer"))
        .with_protocols(vec![protocol]);
    for version in 0..=8 {
        let mut client = scene.client()?;
        let name = StrBytes::from_string(format!("joined-{version}"));
        let mut join = join.clone().with_group_id(GroupId(name.clone()));
        if version == 0 {
            join = join.with_rebalance_timeout_ms(-1);
        }
        if version >= 5 {
            join = join.with_group_instance_id(Some(text("instance")));
        }
        let joined: JoinGroupResponse = client.ask(ApiKey::JoinGroup, version, &join)?;
        let expected = if version == 4 { E::MemberIdRequired.code() } else { 0 };
        ensure!(joined.error_code == expected, "v{version}: {joined:?}");
        let describe = DescribeGroupsRequest::default().with_groups(vec![GroupId(name)]);
        at_every_version(scene, ApiKey::DescribeGroups, &describe)?;
    }
    let group = || GroupId(text("g"));
    let nobody = |name: &'static str| text(name);
    at_every_version(scene, ApiKey::Heartbeat, &HeartbeatRequest::default().with_group_id(group()))?;
    at_every_version(scene, ApiKey::SyncGroup, &SyncGroupRequest::default().with_group_id(group()))?;
    let leave = LeaveGroupRequest::default().with_group_id(group());
    at_every_version(scene, ApiKey::LeaveGroup, &leave.clone().with_member_id(nobody("x")))?;
    let member = leave_group_request::MemberIdentity::default().with_member_id(nobody("x"));
    at_every_version(scene, ApiKey::LeaveGroup, &leave.with_members(vec![member]))?;
    at_every_version(scene, ApiKey::ListGroups, &ListGroupsRequest::default())?;
    at_every_version(scene, ApiKey::OffsetDelete, &OffsetDeleteRequest::default().with_group_id(group()))?;
    at_every_version(
        scene,
        ApiKey::DeleteGroups,
        &DeleteGroupsRequest::default().with_groups_names(vec![group()]),
    )
}

fn administration_at_every_version(scene: &Scene) -> Result<()> {
    let text = StrBytes::from_static_str;
    for name in ["t", "new", "bad/name"] {
        let topic = create_topics_request::CreatableTopic::default().with_name(topic_name(name));
        let topic = topic.with_num_partitions(1).with_replication_factor(1);
        at_every_version(
            scene,
            ApiKey::CreateTopics,
            &CreateTopicsRequest::default().with_topics(vec![topic]),
        )?;
    }
    let delete = DeleteTopicsRequest::default().with_topic_names(vec![topic_name("new")]);
    at_every_version(scene, ApiKey::DeleteTopics, &delete)?;
    for count in [1, 2] {
        let topic = create_partitions_request::CreatePartitionsTopic::default().with_name(topic_name("t"));
        let grow = CreatePartitionsRequest::default().with_topics(vec![topic.with_count(count)]);
        at_every_version(scene, ApiKey::CreatePartitions, &grow)?;
    }
    let topic = delete_records_request::DeleteRecordsTopic::default().with_name(topic_name("t"));
    let topic = topic.with_partitions(vec![delete_records_request::DeleteRecordsPartition::default()]);
    at_every_version(
        scene,
        ApiKey::DeleteRecords,
        &DeleteRecordsRequest::default().with_topics(vec![topic]),
    )?;
    for (kind, name) in [(2, "t"), (2, "unknown"), (4, "1"), (8, "nonsense")] {
        let resource =
            describe_configs_request::DescribeConfigsResource::default().with_configuration_keys(None);
        let resource = resource.with_resource_type(kind).with_resource_name(text(name));
        let describe = DescribeConfigsRequest::default().with_resources(vec![resource]);
        at_every_version(scene, ApiKey::DescribeConfigs, &describe)?;
        let resource = alter_configs_request::AlterConfigsResource::default();
        let resource = resource.with_resource_type(kind).with_resource_name(text(name));
        let alter = AlterConfigsRequest::default().with_resources(vec![resource]);
        at_every_version(scene, ApiKey::AlterConfigs, &alter)?;
        let resource = incremental_alter_configs_request::AlterConfigsResource::default();
        let resource = resource.with_resource_type(kind).with_resource_name(text(name));
        let alter = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
        at_every_version(scene, ApiKey::IncrementalAlterConfigs, &alter)?;
    }
    let topic = offset_for_leader_epoch_request::OffsetForLeaderTopic::default().with_topic(topic_name("t"));
    let topic =
        topic.with_partitions(vec![offset_for_leader_epoch_request::OffsetForLeaderPartition::default()]);
    let ask = OffsetForLeaderEpochRequest::default().with_topics(vec![topic]);
    at_every_version(scene, ApiKey::OffsetForLeaderEpoch, &ask)
}

fn transactions_at_every_version(scene: &Scene, owner: (i64, i16)) -> Result<()> {
    let text = StrBytes::from_static_str;
    let (id, producer) = (transactional_id("txn"), ProducerId(owner.0));
    let topic = add_partitions_to_txn_request::AddPartitionsToTxnTopic::default().with_name(topic_name("t"));
    let add = AddPartitionsToTxnRequest::default()
        .with_v3_and_below_transactional_id(id.clone())
        .with_v3_and_below_producer_id(producer)
        .with_v3_and_below_producer_epoch(owner.1)
        .with_v3_and_below_topics(vec![topic.with_partitions(vec![0, 77])]);
    at_every_version(scene, ApiKey::AddPartitionsToTxn, &add)?;
    let add = AddOffsetsToTxnRequest::default().with_transactional_id(id.clone()).with_producer_id(producer);
    let add = add.with_producer_epoch(owner.1).with_group_id(GroupId(text("g")));
    at_every_version(scene, ApiKey::AddOffsetsToTxn, &add)?;
    let place =
        txn_offset_commit_request::TxnOffsetCommitRequestPartition::default().with_committed_offset(3);
    let topic = txn_offset_commit_request::TxnOffsetCommitRequestTopic::default().with_name(topic_name("t"));
    let commit = TxnOffsetCommitRequest::default()
        .with_transactional_id(id.clone())
        .with_group_id(GroupId(text("g")))
        .with_producer_id(producer)
        .with_producer_epoch(owner.1)
        .with_topics(vec![topic.with_partitions(vec![place])]);
    at_every_version(scene, ApiKey::TxnOffsetCommit, &commit)?;
    let end = EndTxnRequest::default().with_transactional_id(id.clone()).with_producer_id(producer);
    at_every_version(scene, ApiKey::EndTxn, &end.with_producer_epoch(owner.1).with_committed(true))?;
    let init =
        InitProducerIdRequest::default().with_transactional_id(Some(id)).with_transaction_timeout_ms(1_000);
    at_every_version(scene, ApiKey::InitProducerId, &init)
}

#[test]
fn a_start_takes_little_time() -> Result<()> {
    let started = std::time::Instant::now();
    let scene = Scene::new(|_| {})?;
    scene.client()?;
    let took = started.elapsed();
    ensure!(took < Duration::from_millis(500), "{took:?}");
    eprintln!("start: {took:?}");
    Ok(())
}
