//! `quadrille topics`

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use quadrille_schema::{Codec, wire};
use quadrille_tests::clients::{PATIENCE, config, create_topics, producer};
use quadrille_tests::folders::run_dir;
use quadrille_tests::http::Http;
use quadrille_tests::process::Process;
use quadrille_tests::wait::eventually;
use quadrille_tests::{Cluster, Promise, promise};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};
use reqwest::Method;
use serde_json::{Value as Json, json};

use super::{quadrille, run, run_with_registry};

const SCHEMA: &str = r#"{"type": "record", "name": "Order", "fields": [{"name": "total", "type": "int"}]}"#;

/// The first record of a topic is so old; each is a second younger. A broker refuses what lies in the future, and what is
/// too old it may delete.
const AGE: Duration = Duration::from_secs(600);

pub(crate) fn promises() -> Vec<Promise> {
    vec![
        promise!(on_broker, whatever_wrote_a_value_tail_shows_what_it_says).with_registry(),
        promise!(on_broker, tail_shows_the_last_records_or_begins_where_it_is_told),
        promise!(on_broker, tail_follows_until_it_is_interrupted),
        promise!(on_broker, a_reader_that_goes_ends_tail_without_a_word),
        // It looks at the groups of all promises before it.
        promise!(on_broker, lag_begins_with_the_first_unread_record).within(Duration::from_secs(300)),
    ]
}

struct Sent<'a> {
    partition: i32,
    key: Option<&'a str>,
    value: Option<&'a [u8]>,
    headers: &'a [(&'a str, &'a [u8])],
}

fn plain(value: &[u8]) -> Sent<'_> {
    Sent { partition: 0, key: Some("k"), value: Some(value), headers: &[] }
}

/// Returns the timestamp of the first record, in ms since 1970.
fn send(cluster: &Cluster, topic: &str, records: &[Sent<'_>]) -> Result<i64> {
    let first_ms = i64::try_from((SystemTime::now() - AGE).duration_since(UNIX_EPOCH)?.as_millis())?;
    let producer = producer(cluster, None)?;
    for (index, sent) in records.iter().enumerate() {
        let mut headers = OwnedHeaders::new();
        for (name, value) in sent.headers {
            headers = headers.insert(Header { key: name, value: Some(*value) });
        }
        let mut record = BaseRecord::<str, [u8]>::to(topic).partition(sent.partition).headers(headers);
        (record.key, record.payload) = (sent.key, sent.value);
        record.timestamp = Some(first_ms + 1_000 * index as i64);
        producer.send(record).map_err(|(error, _)| error)?;
    }
    producer.flush(PATIENCE)?;
    Ok(first_ms)
}

/// The value that a Confluent serializer writes, and its schema's ID.
fn avro(cluster: &Cluster, topic: &str, total: i32) -> Result<Vec<u8>> {
    let url = format!("{}/subjects/{topic}-value/versions", cluster.registry_url());
    let (status, body) = Http::new()?.send(Method::POST, &url, Some(&json!({ "schema": SCHEMA })))?;
    ensure!(status == 200, "{status} {body}");
    let answer: Json = serde_json::from_str(&body)?;
    let id = answer["id"].as_u64().context("an ID")?;
    Ok(wire::frame(u32::try_from(id)?, &Codec::parse(SCHEMA)?.encode_json(&json!({ "total": total }))?))
}

fn whatever_wrote_a_value_tail_shows_what_it_says(cluster: &Cluster) -> Result<()> {
    let topic = cluster.unique("mixed");
    create_topics(cluster, &[(&topic, 1)])?;
    let framed = avro(cluster, &topic, 12)?;
    let dead: [(&str, &[u8]); 3] = [
        ("kafka_dlt-original-partition", &[0, 0, 0, 3]),
        ("kafka_dlt-original-offset", &[0, 0, 0, 0, 0, 0, 0, 17]),
        ("quadrille-dead-reason", b"exhausted"),
    ];
    let records = [
        Sent { headers: &dead, ..plain(&framed) },
        Sent { key: None, ..plain(b"{\"total\": 13}") },
        plain("Größe 14".as_bytes()),
        plain(b"\xff\x0f"),
        Sent { value: None, ..plain(b"") },
    ];
    let first_ms = send(cluster, &topic, &records)?;
    let said = run_with_registry(cluster, &["topics", "tail", &topic, "--json"])?.ended(0)?;
    let said = said.objects()?;
    let found: Vec<_> = said.iter().map(|o| (o["value_format"].as_str(), o["value"].clone())).collect();
    let expected = [
        (Some("avro"), json!({"total": 12})),
        (Some("json"), json!({"total": 13})),
        (Some("text"), json!("Größe 14")),
        (Some("binary"), json!("ff0f")),
        (Some("null"), Json::Null),
    ];
    ensure!(found == expected, "{found:#?}");
    let headers = json!([
        {"name": "kafka_dlt-original-partition", "value": 3},
        {"name": "kafka_dlt-original-offset", "value": 17},
        {"name": "quadrille-dead-reason", "value": "exhausted"},
    ]);
    ensure!(said[0]["headers"] == headers, "{}", said[0]);
    ensure!(said[1]["key"].is_null() && said[0]["key"] == "k", "{} {}", said[0], said[1]);
    ensure!(said[2]["timestamp_ms"] == first_ms + 2_000, "{}", said[2]);

    let without = run(cluster, &["topics", "tail", &topic])?.ended(0)?;
    ensure!(without.out.contains("--schema-registry tells what it says"), "{without:#?}");
    ensure!(without.out.contains("  kafka_dlt-original-offset: 17\n"), "{without:#?}");
    let listed = run(cluster, &["topics", "list", "--json"])?.ended(0)?.objects()?;
    let ours = json!({"topic": topic, "partitions": 1, "offsets": 5});
    ensure!(listed.contains(&ours), "{listed:?}");
    ensure!(!listed.iter().any(|topic| topic["topic"].as_str().is_some_and(|name| name.starts_with('_'))));
    Ok(())
}

fn tail_shows_the_last_records_or_begins_where_it_is_told(cluster: &Cluster) -> Result<()> {
    let topic = cluster.unique("numbers");
    create_topics(cluster, &[(&topic, 2)])?;
    let texts: Vec<String> = (0..20).map(|number| number.to_string()).collect();
    let sent = (0..).zip(&texts).map(|(n, text)| Sent { partition: n % 2, ..plain(text.as_bytes()) });
    send(cluster, &topic, &sent.collect::<Vec<_>>())?;
    let values = |args: &[&str]| -> Result<Vec<String>> {
        let all = [&["topics", "tail", &topic, "--json"], args].concat();
        let objects = run(cluster, &all)?.ended(0)?.objects()?;
        Ok(objects.iter().map(|object| object["value"].as_str().unwrap_or_default().to_owned()).collect())
    };
    ensure!(values(&["-n", "3"])? == ["17", "18", "19"], "the last by time, whatever their partitions");
    ensure!(values(&[])?.len() == 10);
    ensure!(values(&["--from", "beginning"])?.len() == 20);
    ensure!(values(&["--from", "beginning", "--partition", "1", "-n", "2"])? == ["1", "3"]);
    ensure!(values(&["--from", "8", "--partition", "0"])? == ["16", "18"]);
    ensure!(values(&["--from", "-1", "--partition", "1"])? == ["19"]);
    run(cluster, &["topics", "tail", "there-is-no-such-topic"])?.ended(1)?;
    run(cluster, &["topics", "tail", &topic, "--partition", "7"])?.ended(1)?;
    run(cluster, &["topics", "tail", &topic, "--from", "yesterday"])?.ended(2)?;
    Ok(())
}

fn tail_follows_until_it_is_interrupted(cluster: &Cluster) -> Result<()> {
    let topic = cluster.unique("followed");
    create_topics(cluster, &[(&topic, 1)])?;
    send(cluster, &topic, &[plain(b"before")])?;
    let log = run_dir()?.join(format!("{topic}.log"));
    let command = quadrille(cluster, &["topics", "tail", &topic, "--follow"])?;
    let process = Process::spawn("quadrille topics tail", command, &log)?;
    let says = |text: &str| std::fs::read_to_string(&log).unwrap_or_default().contains(text);
    process.wait_ready(PATIENCE, || says("before"))?;
    send(cluster, &topic, &[plain(b"after")])?;
    process.wait_ready(PATIENCE, || says("after"))?;
    let status = process.interrupt(PATIENCE)?;
    ensure!(status.code() == Some(0) && !says("panicked"), "{status}");
    Ok(())
}

fn a_reader_that_goes_ends_tail_without_a_word(cluster: &Cluster) -> Result<()> {
    let topic = cluster.unique("long");
    create_topics(cluster, &[(&topic, 1)])?;
    let kilobyte = "x".repeat(1_024);
    let records: Vec<_> = (0..300).map(|_| plain(kilobyte.as_bytes())).collect();
    send(cluster, &topic, &records)?;
    let mut command = quadrille(cluster, &["topics", "tail", &topic, "--from", "beginning"])?;
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let mut first = String::new();
    BufReader::new(child.stdout.take().context("piped")?).read_line(&mut first)?;
    ensure!(first.starts_with(&format!("{topic}/0/0  ")), "{first}");
    let output = child.wait_with_output()?;
    ensure!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    Ok(())
}

fn lag_begins_with_the_first_unread_record(cluster: &Cluster) -> Result<()> {
    let (topic, group) = (cluster.unique("read"), cluster.unique("reader"));
    create_topics(cluster, &[(&topic, 2)])?;
    let other = |value| Sent { partition: 1, ..plain(value) };
    let first_ms = send(cluster, &topic, &[plain(b"a"), plain(b"b"), plain(b"c"), other(b"d")])?;
    // Behind the record of a transaction lies a marker, which nobody commits.
    let transactional = producer(cluster, Some(&cluster.unique("marker")))?;
    transactional.begin_transaction()?;
    let record = BaseRecord::<str, str>::to(&topic).partition(1).key("k").payload("e");
    transactional.send(record).map_err(|(error, _)| error)?;
    transactional.commit_transaction(PATIENCE)?;

    let reader: BaseConsumer = config(cluster).set("group.id", &group).create()?;
    let mut positions = TopicPartitionList::new();
    positions.add_partition_offset(&topic, 0, Offset::Offset(1))?;
    positions.add_partition_offset(&topic, 1, Offset::Offset(2))?;
    reader.commit(&positions, CommitMode::Sync)?;
    let expected = json!([
        {"group": group, "topic": topic, "partition": 0, "committed": 1, "end": 3, "high_watermark": 3,
         "lag": 2, "oldest_ms": first_ms + 1_000, "lost": false},
        {"group": group, "topic": topic, "partition": 1, "committed": 2, "end": 3, "high_watermark": 3,
         "lag": 0, "oldest_ms": null, "lost": false},
    ]);
    // A marker may come a moment after the commit.
    eventually(PATIENCE, "the lag of the group", || {
        let said = run(cluster, &["topics", "lag", "--group", &group, "--json"])?.ended(0)?.objects()?;
        ensure!(Json::from(said.clone()) == expected, "{said:#?}");
        Ok(())
    })?;
    let all = run(cluster, &["topics", "lag"])?.ended(0)?;
    ensure!(all.out.lines().filter(|line| line.starts_with(&group)).count() == 2, "{all:#?}");
    run(cluster, &["topics", "lag", "--group", "there-is-no-such-group"])?.ended(1)?;
    Ok(())
}
