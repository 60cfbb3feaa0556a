//! What no well-behaved client does: raw frames, garbage, and requests that librdkafka would never send.

mod bounds;
mod client;
mod versions;

use std::io::Write;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::{Buf, BytesMut};
use kafka_protocol::error::ResponseError as E;
use kafka_protocol::messages::*;
use kafka_protocol::protocol::{Decodable, Encodable};
use quadrille_broker::{Effect, Flush, Rule};

use crate::client::{Client, NOBODY, Scene, batch, topic_name};

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
    for _ in 0..12_000 {
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
    let _: ApiVersionsResponse = client.ask(ApiKey::ApiVersions, 2, &ApiVersionsRequest::default())?;
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
    // However fast the device is, answers wait for it together.
    scene.broker.faults().add(Rule::new("slow", Effect::SlowFlush { ms: 50 }))?;
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
    ensure!((1..50).contains(&flushes), "{flushes} flushes for 200 answers");
    Ok(())
}

#[test]
fn a_start_takes_little_time() -> Result<()> {
    let mut least = Duration::MAX;
    // A start that waits for something always does; one that the machine holds up does not.
    for _ in 0..50 {
        let started = std::time::Instant::now();
        let scene = Scene::new(|_| {})?;
        scene.client()?;
        least = least.min(started.elapsed());
        if least < Duration::from_millis(500) {
            return Ok(());
        }
    }
    anyhow::bail!("of 50 starts the shortest took {least:?}")
}
