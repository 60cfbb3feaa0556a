//! Versions, frames, and requests that nobody should send.

use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bytes::{Buf, BytesMut};
use kafka_protocol::error::ResponseError as E;
use kafka_protocol::messages::*;
use kafka_protocol::protocol::{Decodable, Encodable};

use crate::Context;
use crate::raw::{Raw, text, topic_name};

fn supported(raw: &mut Raw) -> Result<ApiVersionsResponse> {
    let request = ApiVersionsRequest::default()
        .with_client_software_name(text("conformance"))
        .with_client_software_version(text("1.0"));
    raw.ask(ApiKey::ApiVersions, 3, &request)
}

/// A request that no client library needs a reason for, to see whether the broker is well.
fn works(raw: &mut Raw) -> Result<()> {
    let none: MetadataResponse =
        raw.ask(ApiKey::Metadata, 4, &MetadataRequest::default().with_topics(Some(Vec::new())))?;
    ensure!(none.brokers.len() == 1, "{none:?}");
    Ok(())
}

pub(crate) fn a_newer_client_learns_what_it_may_ask(context: &Context) -> Result<()> {
    let mut raw = context.raw()?;
    raw.send(ApiKey::ApiVersions as i16, 99, 2, &[0])?;
    let mut answer = raw.frame()?;
    ensure!(answer.get_i32() == 1, "correlation ID");
    let answer = ApiVersionsResponse::decode(&mut answer, 0)?;
    ensure!(answer.error_code == E::UnsupportedVersion.code(), "{}", answer.error_code);
    let own =
        answer.api_keys.iter().find(|k| k.api_key == ApiKey::ApiVersions as i16).context("not listed")?;
    ensure!(own.min_version == 0 && own.max_version >= 3, "{own:?}");
    // The connection is as good as before.
    ensure!(supported(&mut raw)?.error_code == 0, "asked again");
    works(&mut raw)
}

pub(crate) fn a_client_has_to_have_a_proper_name(context: &Context) -> Result<()> {
    let table =
        [("name", "1.0", true), ("a-b.c", "v-1.2.3", true), ("", "1.0", false), ("a b", "1.0", false)];
    for (name, version, fine) in table {
        let mut raw = context.raw()?;
        let request = ApiVersionsRequest::default()
            .with_client_software_name(text(name))
            .with_client_software_version(text(version));
        let answer: ApiVersionsResponse = raw.ask(ApiKey::ApiVersions, 3, &request)?;
        let expected = if fine { 0 } else { E::InvalidRequest.code() };
        ensure!(answer.error_code == expected, "{name:?}: {}", answer.error_code);
    }
    Ok(())
}

pub(crate) fn listed_versions_of_harmless_requests_are_taken(context: &Context) -> Result<()> {
    let mut raw = context.raw()?;
    let listed = supported(&mut raw)?;
    let range = |key: ApiKey| {
        let found = listed.api_keys.iter().find(|k| k.api_key == key as i16);
        found.map(|k| k.min_version..=k.max_version).with_context(|| format!("{key:?} is not listed"))
    };
    macro_rules! each {
        ($($key:ident $request:ident $response:ident $newest:literal),+ $(,)?) => { $(
            for version in range(ApiKey::$key)?.filter(|v| *v <= $newest) {
                let _: $response = raw
                    .ask(ApiKey::$key, version, &$request::default())
                    .with_context(|| format!("{:?} v{version}", ApiKey::$key))?;
            }
        )+ };
    }
    // Empty requests: they ask for nothing and change nothing, but they have to be understood.
    each!(
        ListOffsets ListOffsetsRequest ListOffsetsResponse 7,
        Metadata MetadataRequest MetadataResponse 12,
        CreateTopics CreateTopicsRequest CreateTopicsResponse 7,
        DeleteRecords DeleteRecordsRequest DeleteRecordsResponse 2,
        OffsetForLeaderEpoch OffsetForLeaderEpochRequest OffsetForLeaderEpochResponse 4,
        DescribeConfigs DescribeConfigsRequest DescribeConfigsResponse 4,
        AlterConfigs AlterConfigsRequest AlterConfigsResponse 2,
        IncrementalAlterConfigs IncrementalAlterConfigsRequest IncrementalAlterConfigsResponse 1,
        CreatePartitions CreatePartitionsRequest CreatePartitionsResponse 3,
        DescribeGroups DescribeGroupsRequest DescribeGroupsResponse 6,
        ListGroups ListGroupsRequest ListGroupsResponse 5,
        DeleteGroups DeleteGroupsRequest DeleteGroupsResponse 2,
        DescribeTransactions DescribeTransactionsRequest DescribeTransactionsResponse 0,
        DescribeProducers DescribeProducersRequest DescribeProducersResponse 0,
    );
    Ok(())
}

pub(crate) fn what_clients_need_is_listed(context: &Context) -> Result<()> {
    let listed = supported(&mut context.raw()?)?;
    // Request, oldest and newest version that librdkafka 2.0 to 2.12 and its users send.
    let table = [
        (ApiKey::Produce, 3, 10),
        (ApiKey::Fetch, 4, 11),
        (ApiKey::ListOffsets, 1, 7),
        (ApiKey::Metadata, 0, 12),
        (ApiKey::OffsetCommit, 2, 8),
        (ApiKey::OffsetFetch, 1, 7),
        (ApiKey::FindCoordinator, 0, 2),
        (ApiKey::JoinGroup, 0, 5),
        (ApiKey::Heartbeat, 0, 3),
        (ApiKey::LeaveGroup, 0, 1),
        (ApiKey::SyncGroup, 0, 3),
        (ApiKey::DescribeGroups, 0, 4),
        (ApiKey::ListGroups, 0, 4),
        (ApiKey::CreateTopics, 2, 4),
        (ApiKey::DeleteTopics, 1, 1),
        (ApiKey::DeleteRecords, 0, 1),
        (ApiKey::InitProducerId, 0, 4),
        (ApiKey::OffsetForLeaderEpoch, 2, 2),
        (ApiKey::AddPartitionsToTxn, 0, 0),
        (ApiKey::AddOffsetsToTxn, 0, 0),
        (ApiKey::EndTxn, 0, 1),
        (ApiKey::TxnOffsetCommit, 0, 3),
        (ApiKey::DescribeConfigs, 1, 1),
        (ApiKey::AlterConfigs, 0, 2),
        (ApiKey::CreatePartitions, 0, 0),
        (ApiKey::DeleteGroups, 0, 1),
        (ApiKey::IncrementalAlterConfigs, 0, 1),
        (ApiKey::OffsetDelete, 0, 0),
        (ApiKey::DescribeCluster, 0, 0),
        (ApiKey::DescribeProducers, 0, 0),
        (ApiKey::DescribeTransactions, 0, 0),
        (ApiKey::ListTransactions, 0, 0),
    ];
    for (key, oldest, newest) in table {
        let found = listed.api_keys.iter().find(|k| k.api_key == key as i16);
        let found = found.with_context(|| format!("{key:?} is not listed"))?;
        ensure!(found.min_version <= oldest && found.max_version >= newest, "{key:?}: {found:?}");
    }
    Ok(())
}

pub(crate) fn a_version_that_is_not_listed_closes_the_connection(context: &Context) -> Result<()> {
    let listed = supported(&mut context.raw()?)?;
    let mut well = context.raw()?;
    for key in &listed.api_keys {
        if key.api_key == ApiKey::ApiVersions as i16 {
            continue;
        }
        let mut raw = context.raw()?;
        raw.send(key.api_key, key.max_version + 1, 2, &[0; 64])?;
        raw.expect_closed().with_context(|| format!("{key:?}"))?;
    }
    works(&mut well)
}

pub(crate) fn an_unknown_request_closes_the_connection(context: &Context) -> Result<()> {
    let mut well = context.raw()?;
    for key in [-1, 999, i16::MAX] {
        let mut raw = context.raw()?;
        raw.send(key, 0, 1, &[0; 16])?;
        raw.expect_closed().with_context(|| format!("request {key}"))?;
    }
    works(&mut well)
}

pub(crate) fn a_request_cut_short_closes_the_connection(context: &Context) -> Result<()> {
    let mut well = context.raw()?;
    let mut body = BytesMut::new();
    let wanted = metadata_request::MetadataRequestTopic::default().with_name(Some(topic_name("topic")));
    MetadataRequest::default().with_topics(Some(vec![wanted])).encode(&mut body, 8)?;
    for length in [0, 3, 8, body.len() - 1] {
        let mut raw = context.raw()?;
        raw.send(ApiKey::Metadata as i16, 8, 1, &body[..length])?;
        raw.expect_closed().with_context(|| format!("{length} of {} bytes", body.len()))?;
    }
    works(&mut well)
}

pub(crate) fn frames_that_cannot_be_close_the_connection(context: &Context) -> Result<()> {
    let mut well = context.raw()?;
    let table: [(&str, &[u8]); 6] = [
        ("a frame of 2 GiB", &i32::MAX.to_be_bytes()),
        ("a negative length", &(-5i32).to_be_bytes()),
        ("a frame just above 100 MiB", &(100 * 1024 * 1024 + 1i32).to_be_bytes()),
        ("a header cut short", &[0, 0, 0, 2, 0, 3]),
        ("HTTP", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        ("TLS", &[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]),
    ];
    for (name, bytes) in table {
        let mut raw = context.raw()?;
        raw.stream.write_all(bytes)?;
        raw.expect_closed().context(name)?;
    }
    works(&mut well)
}

pub(crate) fn tags_that_nobody_knows_are_skipped(context: &Context) -> Result<()> {
    let mut raw = context.raw()?;
    let request = MetadataRequest::default()
        .with_topics(Some(Vec::new()))
        .with_unknown_tagged_field(77, bytes::Bytes::from_static(b"later"));
    let answer: MetadataResponse = raw.ask(ApiKey::Metadata, 12, &request)?;
    ensure!(answer.brokers.len() == 1, "{answer:?}");
    Ok(())
}

pub(crate) fn requests_of_a_connection_are_answered_in_order(context: &Context) -> Result<()> {
    let topic = context.topic(1)?;
    let mut raw = context.raw()?;
    let place = fetch_request::FetchPartition::default().with_partition_max_bytes(1_000);
    let wanted =
        fetch_request::FetchTopic::default().with_topic(topic_name(&topic)).with_partitions(vec![place]);
    let fetch = FetchRequest::default()
        .with_max_wait_ms(700)
        .with_min_bytes(1)
        .with_max_bytes(1_000)
        .with_topics(vec![wanted]);
    let started = Instant::now();
    raw.put(ApiKey::Fetch, 11, &fetch)?;
    for _ in 0..50 {
        raw.put(ApiKey::Metadata, 4, &MetadataRequest::default().with_topics(Some(Vec::new())))?;
    }
    let waited: FetchResponse = raw.get_after(ApiKey::Fetch, 11, 50)?;
    ensure!(waited.error_code == 0, "{waited:?}");
    ensure!(started.elapsed() >= Duration::from_millis(600), "an empty fetch did not wait");
    for left in (0..50).rev() {
        let _: MetadataResponse = raw.get_after(ApiKey::Metadata, 4, left)?;
    }
    Ok(())
}
