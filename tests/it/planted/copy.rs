//! Copies of what a job left behind, and the audit run on them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context as _, Result, anyhow, ensure};
use quadrille_tests::Cluster;
use quadrille_tests::clients::{self, Isolation};
use quadrille_tests::folders::program;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};

use super::job::{ORDERS, OUTCOMES, Record, SENT, TOPICS, topology};

/// The topics of a job once more, under other names on the same brokers, with the expectations for them.
pub(super) struct Copy<'a> {
    cluster: &'a Cluster,
    /// The copy of each topic.
    names: BTreeMap<&'static str, String>,
    /// What was written.
    records: Vec<Record>,
    expectations: PathBuf,
}

impl<'a> Copy<'a> {
    /// Topics without a record; their expectations lie in `folder`.
    pub(super) fn empty(cluster: &'a Cluster, folder: &Path) -> Result<Self> {
        Self::with(cluster, folder, BTreeMap::new())
    }

    /// Topics with these records.
    pub(super) fn of(cluster: &'a Cluster, folder: &Path, records: &[Record]) -> Result<Self> {
        let mut copy = Self::empty(cluster, folder)?;
        copy.write(records)?;
        Ok(copy)
    }

    /// Another copy, with these records. It shares the topics in which nothing is different.
    pub(super) fn altered(&self, folder: &Path, records: &[Record]) -> Result<Self> {
        let is_same = |topic: &str| {
            let of = |records: &[Record]| -> Vec<Record> {
                records.iter().filter(|record| record.topic == topic).cloned().collect()
            };
            of(records) == of(&self.records)
        };
        // Dead letters name the topic of the orders.
        let is_shared = |topic: &str| is_same(topic) && (!is_dead(topic) || is_same(ORDERS));
        let shared = self.names.iter().filter(|(topic, _)| is_shared(topic));
        let shared: BTreeMap<_, _> = shared.map(|(topic, name)| (*topic, name.clone())).collect();
        let (own, all): (Vec<_>, _) =
            (records.iter().filter(|r| !shared.contains_key(r.topic.as_str())).cloned().collect(), records);
        let mut copy = Self::with(self.cluster, folder, shared)?;
        copy.write_of(&own, all)?;
        Ok(copy)
    }

    /// New topics, but for those that are given.
    fn with(cluster: &'a Cluster, folder: &Path, mut names: BTreeMap<&'static str, String>) -> Result<Self> {
        let copy = cluster.unique("copy");
        let prober = clients::consumer(cluster, Isolation::ReadUncommitted, None)?;
        let mut new = Vec::new();
        for topic in TOPICS.into_iter().filter(|topic| !names.contains_key(topic)) {
            new.push((topic, format!("{copy}.{topic}"), clients::partition_count(&prober, topic)?));
        }
        let topics: Vec<_> = new.iter().map(|(_, name, partitions)| (name.as_str(), *partitions)).collect();
        clients::create_topics(cluster, &topics)?;
        names.extend(new.iter().map(|(topic, name, _)| (*topic, name.clone())));
        let expectations = folder.join(format!("{copy}.expect.yaml"));
        fs::write(&expectations, renamed(&names)?)?;
        Ok(Self { cluster, names, records: Vec::new(), expectations })
    }

    /// Appends records, each to its partition, in their order. Dead letters name the orders' new places.
    pub(super) fn write(&mut self, records: &[Record]) -> Result<()> {
        self.write_of(records, records)
    }

    fn write_of(&mut self, records: &[Record], all: &[Record]) -> Result<()> {
        let places = places(all);
        let producer = clients::producer(self.cluster, None)?;
        for record in records {
            let mut record = record.clone();
            self.move_origin(&mut record, &places)?;
            self.send(&producer, &record)?;
        }
        self.records = all.to_vec();
        clients::drain(&producer)
    }

    /// Appends a record in a transaction that is aborted.
    pub(super) fn write_and_abort(&self, record: &Record) -> Result<()> {
        let producer = clients::producer(self.cluster, Some(&self.cluster.unique("abort")))?;
        producer.begin_transaction()?;
        self.send(&producer, record)?;
        // Drained first: the record shall lie in the topic, not only in the client.
        clients::drain(&producer)?;
        Ok(producer.abort_transaction(clients::PATIENCE)?)
    }

    fn send(&self, producer: &ThreadedProducer<DefaultProducerContext>, record: &Record) -> Result<()> {
        let topic = self.topic(&record.topic);
        let mut outgoing = BaseRecord::<[u8], [u8]>::to(topic).partition(record.partition);
        (outgoing.key, outgoing.payload) = (record.key.as_deref(), record.value.as_deref());
        let headers = record.headers.iter().fold(OwnedHeaders::new(), |headers, (key, value)| {
            headers.insert(Header { key, value: value.as_deref() })
        });
        Ok(producer.send(outgoing.headers(headers)).map_err(|(error, _)| error)?)
    }

    /// The name of the copy of a topic.
    pub(super) fn topic(&self, topic: &str) -> &str {
        &self.names[topic]
    }

    /// The audit of the copy.
    pub(super) fn audit(&self, stores: &Path) -> Result<Command> {
        audit(self.cluster.bootstrap(), self.cluster.registry_url(), &self.expectations, stores)
    }

    fn move_origin(&self, record: &mut Record, places: &BTreeMap<(i32, i64), i64>) -> Result<()> {
        if record.header("kafka_dlt-original-topic") != Some(ORDERS.as_bytes()) {
            return Ok(());
        }
        let number = |name: &str| record.header(name).with_context(|| format!("no {name}"));
        let partition = i32::from_be_bytes(number("kafka_dlt-original-partition")?.try_into()?);
        let offset = i64::from_be_bytes(number("kafka_dlt-original-offset")?.try_into()?);
        let moved = places.get(&(partition, offset)).copied().unwrap_or(offset);
        record.set_header("kafka_dlt-original-topic", self.topic(ORDERS).as_bytes());
        record.set_header("kafka_dlt-original-offset", &moved.to_be_bytes());
        Ok(())
    }
}

/// The command that audits what lies on these servers.
pub(super) fn audit(bootstrap: &str, registry: &str, expectations: &Path, stores: &Path) -> Result<Command> {
    let mut command = Command::new(program("quadrille-audit")?);
    command.args(["--bootstrap-servers", bootstrap, "--schema-registry", registry, "--sent", SENT]);
    command.arg("--expect").arg(expectations).arg("--stores").arg(stores);
    Ok(command)
}

/// Copies a folder. Nobody writes to it meanwhile.
pub(super) fn folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            true => folder(&entry.path(), &to.join(entry.file_name()))?,
            false => drop(fs::copy(entry.path(), to.join(entry.file_name()))?),
        }
    }
    Ok(())
}

/// The shipped expectations, for topics of other names.
fn renamed(names: &BTreeMap<&str, String>) -> Result<String> {
    let text = fs::read_to_string(topology("order.expect.yaml"))?;
    let list =
        |topics: Vec<&str>| topics.iter().map(|topic| names[topic].as_str()).collect::<Vec<_>>().join(", ");
    let dead = list(TOPICS.into_iter().filter(|topic| is_dead(topic)).collect());
    let events = list(vec!["stock", "payments", "shipments"]);
    let changes = [
        (format!("topic: {ORDERS}\n"), format!("topic: {}\n", names[ORDERS])),
        (format!("outcomes_topic: {OUTCOMES}"), format!("outcomes_topic: {}", names[OUTCOMES])),
        ("prefix: shop.dead.".to_owned(), format!("topics: [{dead}]")),
        ("events: [stock, payments, shipments]".to_owned(), format!("events: [{events}]")),
        ("../schemas/".to_owned(), topology("../schemas/").display().to_string()),
    ];
    changes.into_iter().try_fold(text, |text, (old, new)| {
        ensure!(text.matches(&old).count() == 1, "the expectations have not one {old:?}");
        Ok(text.replace(&old, &new))
    })
}

/// Where each order lies in a copy.
fn places(records: &[Record]) -> BTreeMap<(i32, i64), i64> {
    let mut next: BTreeMap<i32, i64> = BTreeMap::new();
    let mut places = BTreeMap::new();
    for record in records.iter().filter(|record| record.topic == ORDERS) {
        let next = next.entry(record.partition).or_default();
        places.entry((record.partition, record.offset)).or_insert(*next);
        *next += 1;
    }
    places
}

fn is_dead(topic: &str) -> bool {
    topic.starts_with("shop.dead.")
}

/// The numbers in a summary line, by name.
pub(super) fn counters(line: &str) -> BTreeMap<String, i64> {
    let counter = |word: &str| {
        let (name, number) = word.split_once('=')?;
        Some((name.to_owned(), number.parse().ok()?))
    };
    line.split_whitespace().filter_map(counter).collect()
}

/// What an audit said.
#[derive(Debug)]
pub(super) struct Said {
    /// Exit code.
    pub(super) code: Option<i32>,
    /// Standard output.
    pub(super) text: String,
    /// Numbers of the summary line that decide; the metrics are not among them.
    pub(super) counters: BTreeMap<String, i64>,
}

impl Said {
    pub(super) fn of(output: Output) -> Result<Self> {
        let text = String::from_utf8(output.stdout)?;
        let line = text
            .lines()
            .last()
            .ok_or_else(|| anyhow!(String::from_utf8_lossy(&output.stderr).into_owned()))?;
        let judged = line.rsplitn(3, " | ").nth(2).with_context(|| format!("no summary line: {text}"))?;
        let counters = counters(judged);
        Ok(Self { code: output.status.code(), text, counters })
    }

    pub(super) fn word(&self) -> &str {
        self.text.rsplit(" | ").next().unwrap_or_default().trim_end()
    }

    /// It found nothing wrong.
    pub(super) fn is_valid(&self, honest: &str) -> Result<()> {
        let line = self.text.lines().last().unwrap_or_default();
        ensure!(self.code == Some(0) && line.starts_with(honest) && self.word() == "VALID", "{self:#?}");
        Ok(())
    }

    /// It says so, and names it: the kind of the fault, and whose it is.
    pub(super) fn names(&self, kind: &str, id: &str) -> bool {
        self.text.lines().any(|line| {
            line.strip_prefix(kind).is_some_and(|rest| rest.starts_with(' ') && rest.contains(id))
        })
    }
}
