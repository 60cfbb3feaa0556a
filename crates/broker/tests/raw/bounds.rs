//! Clients that do not go on: what they hold is bounded, others are served meanwhile, and in the end they are closed.

use std::io::{ErrorKind, Write};
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use bytes::BytesMut;
use kafka_protocol::messages::*;
use kafka_protocol::protocol::Encodable;

use crate::client::{Client, NOBODY, Scene, batch, topic_name};

const MIB: usize = 1024 * 1024;
/// What a connection holds without asking, and a little for what is being written.
const EACH: usize = 2 * MIB;

fn until(what: &str, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
    let started = Instant::now();
    while !holds()? {
        ensure!(started.elapsed() < Duration::from_secs(60), "in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

fn is_well(good: &mut Client) -> Result<()> {
    ensure!(good.produce("t", None, batch(NOBODY, -1, &["v"], false)?)?.0 == 0, "others are held up");
    Ok(())
}

/// Sends for as long as the broker takes it, and a while longer: the bytes that went.
fn push(client: &mut Client, piece: &[u8], most: usize) -> Result<usize> {
    client.stream.set_write_timeout(Some(Duration::from_millis(300)))?;
    let mut sent = 0;
    while sent < most {
        match client.stream.write(piece) {
            Ok(count) => sent += count,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break,
            Err(error) if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => break,
            Err(error) => bail!(error),
        }
    }
    Ok(sent)
}

fn frame(key: ApiKey, version: i16, request: &impl Encodable) -> Result<Vec<u8>> {
    let mut out = BytesMut::from(&[0; 4][..]);
    let header = RequestHeader::default()
        .with_request_api_key(key as i16)
        .with_request_api_version(version)
        .with_correlation_id(1);
    header.encode(&mut out, key.request_header_version(version))?;
    request.encode(&mut out, version)?;
    let length = i32::try_from(out.len() - 4)?;
    out[..4].copy_from_slice(&length.to_be_bytes());
    Ok(out.to_vec())
}

fn fetch_everything(wait_ms: i32) -> FetchRequest {
    let place = fetch_request::FetchPartition::default().with_partition_max_bytes(i32::MAX);
    let wanted =
        fetch_request::FetchTopic::default().with_topic(topic_name("t")).with_partitions(vec![place]);
    FetchRequest::default()
        .with_max_wait_ms(wait_ms)
        .with_min_bytes(if wait_ms > 0 { i32::MAX } else { 1 })
        .with_max_bytes(i32::MAX)
        .with_topics(vec![wanted])
}

#[test]
fn a_client_that_asks_and_never_reads_holds_little() -> Result<()> {
    let scene = Scene::new(|_| {})?;
    let mut good = scene.client()?;
    good.create_topic("t", &[])?;
    let resource = describe_configs_request::DescribeConfigsResource::default()
        .with_resource_type(2)
        .with_resource_name("t".to_string().into())
        .with_configuration_keys(None);
    let many = DescribeConfigsRequest::default().with_resources(vec![resource; 100]);
    let piece = frame(ApiKey::DescribeConfigs, 4, &many)?;
    let mut greedy = scene.client()?;
    let sent = push(&mut greedy, &piece, 64 * MIB)?;
    ensure!(sent < 64 * MIB, "the broker took {sent} bytes of requests whose answers nobody reads");
    let held = scene.broker.stats().buffered_bytes;
    ensure!(held <= 2 * EACH, "{held} bytes are held");
    ensure!(held > 0, "nothing is counted");
    is_well(&mut good)
}

#[test]
fn fetched_records_that_nobody_reads_are_bounded_over_all() -> Result<()> {
    let (budget, clients) = (2 * MIB, 4);
    let scene = Scene::new(|config| {
        config.max_buffered_bytes = budget;
        config.slow_client_ms = 6_000;
    })?;
    let mut good = scene.client()?;
    good.create_topic("t", &[("retention.ms", "-1")])?; // the records here are old
    let long = "x".repeat(900_000);
    for _ in 0..24 {
        ensure!(good.produce("t", None, batch(NOBODY, -1, &[&long], false)?)?.0 == 0, "produce");
    }
    let request = frame(ApiKey::Fetch, 11, &fetch_everything(0))?;
    let mut greedy = Vec::new();
    for _ in 0..clients {
        let mut client = scene.client()?;
        push(&mut client, &request, 500 * request.len())?; // more than what the system keeps for it
        greedy.push(client);
    }
    until("the system to have enough of it", || Ok(scene.broker.stats().buffered_bytes > MIB))?;
    let held = scene.broker.stats().buffered_bytes;
    ensure!(held <= budget + clients * EACH, "{held} bytes are held");
    is_well(&mut good)?;
    // In the end they are closed, and all is given back.
    until("the slow readers to be closed", || {
        is_well(&mut good)?;
        let stats = scene.broker.stats();
        Ok(stats.connections == 1 && stats.buffered_bytes < MIB)
    })?;
    let found: FetchResponse = good.ask(ApiKey::Fetch, 11, &fetch_everything(0))?;
    let size = found.responses[0].partitions[0].records.as_ref().map_or(0, |r| r.len());
    ensure!(size > 0, "nothing is fetched afterwards");
    Ok(())
}

#[test]
fn frames_that_are_never_finished_are_bounded_and_closed() -> Result<()> {
    let budget = 4 * MIB;
    let scene = Scene::new(|config| {
        config.max_buffered_bytes = budget;
        config.slow_client_ms = 6_000;
    })?;
    let mut good = scene.client()?;
    good.create_topic("t", &[("max.message.bytes", "4000000")])?;
    let mut halves = Vec::new();
    for _ in 0..12 {
        let mut client = scene.client()?;
        client.stream.write_all(&(50 * MIB as i32).to_be_bytes())?;
        push(&mut client, &vec![0; 64 * 1024], 8 * MIB)?;
        halves.push(client);
    }
    let held = scene.broker.stats().buffered_bytes;
    ensure!(held <= budget + 12 * EACH, "{held} bytes are held");
    is_well(&mut good)?;
    // A large request of somebody else gets its room when theirs is given back, however long they trickle.
    let long = "x".repeat(3_000_000);
    let mut large = scene.client()?;
    large.stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    until("a large request to go through", || {
        for half in &mut halves {
            let _ = half.stream.write(&[0]); // closed or not
        }
        let done = large.produce("t", None, batch(NOBODY, -1, &[&long], false)?);
        match done {
            Ok((code, _)) => Ok(code == 0),
            Err(_) => {
                large = scene.client()?; // it waited too long for its turn; it comes again
                Ok(false)
            }
        }
    })?;
    until("those who never finish to be closed", || {
        for half in &mut halves {
            let _ = half.stream.write(&[0]);
        }
        is_well(&mut good)?;
        Ok(scene.broker.stats().connections <= 2)
    })
}

#[test]
fn a_client_between_requests_may_be_silent() -> Result<()> {
    let scene = Scene::new(|config| config.slow_client_ms = 3_000)?;
    let mut good = scene.client()?;
    good.create_topic("t", &[])?;
    std::thread::sleep(Duration::from_millis(3_500));
    is_well(&mut good)
}

#[test]
fn a_client_that_goes_while_its_fetch_waits_leaves_its_place() -> Result<()> {
    let scene = Scene::new(|_| {})?;
    let mut good = scene.client()?;
    good.create_topic("t", &[])?;
    for _ in 0..10 {
        let mut waiting = scene.client()?;
        waiting.stream.write_all(&frame(ApiKey::Fetch, 11, &fetch_everything(i32::MAX))?)?;
    }
    until("their places to be free", || Ok(scene.broker.stats().connections == 1))?;
    is_well(&mut good)
}

#[test]
fn thousands_of_pipelined_requests_are_all_answered() -> Result<()> {
    let scene = Scene::new(|_| {})?;
    let mut client = scene.client()?;
    let piece = frame(ApiKey::ApiVersions, 0, &ApiVersionsRequest::default())?;
    let mut writer = client.stream.try_clone()?;
    let sender = std::thread::spawn(move || (0..5_000).try_for_each(|_| writer.write_all(&piece)));
    for _ in 0..5_000 {
        client.receive()?;
    }
    sender.join().expect("the sender is fine")?;
    Ok(())
}
