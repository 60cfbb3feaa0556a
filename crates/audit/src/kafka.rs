//! Consumers that read positions of their own and join no group.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Message, Offset, TopicPartitionList};

use crate::evidence::Position;
use crate::read::Error;
use crate::wire::Record;

/// An offset for each partition.
pub type Offsets = BTreeMap<(String, i32), i64>;

/// Settings for librdkafka.
pub type Settings = [(String, String)];

pub(crate) type Client = BaseConsumer<Context>;

/// Longest wait for one answer of the broker.
pub(crate) const ANSWER: Duration = Duration::from_secs(5);

/// Pause before a question is asked again.
const AGAIN: Duration = Duration::from_millis(50);

/// Keeps the client's last complaint: the calls themselves only say that time ran out.
#[derive(Debug, Default)]
pub(crate) struct Context {
    complaint: Mutex<Option<String>>,
}

impl ClientContext for Context {
    fn error(&self, error: KafkaError, reason: &str) {
        let mut complaint = self.complaint.lock().unwrap_or_else(PoisonError::into_inner);
        // That all brokers are down says less than why the last of them is.
        if complaint.is_none() || error.rdkafka_error_code() != Some(RDKafkaErrorCode::AllBrokersDown) {
            *complaint = Some(format!("{error}: {reason}"));
        }
    }
}

impl ConsumerContext for Context {}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Isolation {
    Committed,
    Uncommitted,
}

/// A consumer with `settings`, except for those that the audit rests on.
pub(crate) fn client(settings: &Settings, isolation: Isolation) -> Result<Client, Error> {
    let mut config = ClientConfig::new();
    config.set("group.id", "quadrille-audit").extend(settings.iter().cloned());
    config
        .set(
            "isolation.level",
            match isolation {
                Isolation::Committed => "read_committed",
                Isolation::Uncommitted => "read_uncommitted",
            },
        )
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "error")
        .set("allow.auto.create.topics", "false")
        .set("enable.partition.eof", "true");
    config.create_with_context(Context::default()).map_err(|source| Error::Settings { source: source.into() })
}

/// The last that `client` complained of. It complains in its events, which wait until they are polled.
pub(crate) fn complaint(client: &Client) -> String {
    let give_up = Instant::now() + Duration::from_millis(300);
    let mut polled = None;
    while Instant::now() < give_up {
        match client.poll(Duration::from_millis(50)) {
            Some(Err(error)) if !matches!(error, KafkaError::PartitionEOF(_)) => {
                polled = Some(error.to_string())
            }
            _ => {}
        }
    }
    let told = client.context().complaint.lock().unwrap_or_else(PoisonError::into_inner).clone();
    told.or(polled).unwrap_or_else(|| "no complaint of the client".to_owned())
}

/// All topics with their number of partitions.
pub(crate) fn topics(client: &Client) -> Result<BTreeMap<String, i32>, Error> {
    let metadata = client.fetch_metadata(None, ANSWER).map_err(|source| Error::Kafka {
        what: "the list of topics".to_owned(),
        complaint: complaint(client),
        source: source.into(),
    })?;
    let count = |partitions: usize| i32::try_from(partitions).unwrap_or(i32::MAX);
    Ok(metadata
        .topics()
        .iter()
        .map(|topic| (topic.name().to_owned(), count(topic.partitions().len())))
        .collect())
}

/// First and next offset of a partition, as this client may read it. Waits for a leader: a new topic has none yet.
pub(crate) fn watermarks(client: &Client, topic: &str, partition: i32) -> Result<(i64, i64), Error> {
    let give_up = Instant::now() + ANSWER;
    loop {
        match client.fetch_watermarks(topic, partition, ANSWER) {
            Err(error) if is_leaderless(&error) && Instant::now() < give_up => thread::sleep(AGAIN),
            Err(source) => {
                return Err(Error::Kafka {
                    what: format!("the ends of {topic}/{partition}"),
                    complaint: complaint(client),
                    source: source.into(),
                });
            }
            Ok(watermarks) => return Ok(watermarks),
        }
    }
}

fn is_leaderless(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        error.rdkafka_error_code(),
        Some(Code::NotLeaderForPartition | Code::LeaderNotAvailable | Code::UnknownTopicOrPartition)
    )
}

/// Reads each partition from where `from` says up to the offset in `ends`, and calls `each` for its records.
pub(crate) fn read(
    client: &Client,
    from: &Offsets,
    ends: &Offsets,
    deadline: Instant,
    each: &mut dyn FnMut(Record) -> Result<(), Error>,
) -> Result<(), Error> {
    assign(client, from)?;
    let mut open = unread(client, from, ends)?;
    while !open.is_empty() {
        match client.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => {
                let record = record(&message);
                let end = ends.get(&(record.at.topic.clone(), record.at.partition)).copied();
                if end.is_some_and(|end| record.at.offset < end) {
                    each(record)?;
                    continue;
                }
            }
            Some(Err(source)) if is_final(&source) => return Err(failed(client, &open, source)),
            Some(Err(_)) | None => {}
        }
        open = unread(client, from, ends)?;
        if Instant::now() > deadline {
            return Err(late(client, &open));
        }
    }
    Ok(())
}

/// Partitions whose end is not reached. Markers of transactions take offsets too: the client's position passes them,
/// where the offset of the last record does not.
pub(crate) fn unread(
    client: &Client,
    from: &Offsets,
    ends: &Offsets,
) -> Result<BTreeSet<(String, i32)>, Error> {
    let positions = positions(client)?;
    let reached = |at: &(String, i32)| positions.get(at).or_else(|| from.get(at)).copied();
    Ok(ends
        .iter()
        .filter(|(at, end)| reached(at).is_some_and(|at| at < **end))
        .map(|(at, _)| at.clone())
        .collect())
}

/// Takes up all partitions at the offsets that are given.
pub(crate) fn assign(client: &Client, from: &Offsets) -> Result<(), Error> {
    let mut list = TopicPartitionList::new();
    let failed = |source: KafkaError| Error::Kafka {
        what: "the assignment".to_owned(),
        complaint: String::new(),
        source: source.into(),
    };
    for ((topic, partition), offset) in from {
        list.add_partition_offset(topic, *partition, Offset::Offset(*offset)).map_err(failed)?;
    }
    client.assign(&list).map_err(failed)
}

/// How far the client has come in each partition; those where it has read nothing yet are absent.
pub(crate) fn positions(client: &Client) -> Result<Offsets, Error> {
    let failed = |source: KafkaError| Error::Kafka {
        what: "the positions".to_owned(),
        complaint: String::new(),
        source: source.into(),
    };
    let positions = client.position().map_err(failed)?;
    let known = positions.elements();
    Ok(known
        .iter()
        .filter_map(|element| match element.offset() {
            Offset::Offset(offset) => Some(((element.topic().to_owned(), element.partition()), offset)),
            _ => None,
        })
        .collect())
}

/// Whether the client will not get on after this error. All else passes, or the deadline ends it.
pub(crate) fn is_final(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    let code = error.rdkafka_error_code();
    matches!(error, KafkaError::MessageConsumptionFatal(_))
        || matches!(
            code,
            Some(
                Code::Authentication
                    | Code::AutoOffsetReset
                    | Code::ClusterAuthorizationFailed
                    | Code::GroupAuthorizationFailed
                    | Code::TopicAuthorizationFailed
            )
        )
}

pub(crate) fn failed(client: &Client, open: &BTreeSet<(String, i32)>, source: KafkaError) -> Error {
    Error::Kafka { what: list(open), complaint: complaint(client), source: source.into() }
}

pub(crate) fn late(client: &Client, open: &BTreeSet<(String, i32)>) -> Error {
    Error::Late { what: format!("to read {}", list(open)), complaint: complaint(client) }
}

/// Names of partitions, the first few of them.
pub(crate) fn list(partitions: &BTreeSet<(String, i32)>) -> String {
    let names: Vec<_> =
        partitions.iter().take(5).map(|(topic, partition)| format!("{topic}/{partition}")).collect();
    let more = partitions.len().saturating_sub(names.len());
    if more == 0 { names.join(", ") } else { format!("{} and {more} more", names.join(", ")) }
}

pub(crate) fn record(message: &BorrowedMessage<'_>) -> Record {
    let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
    Record {
        at: Position {
            topic: message.topic().to_owned(),
            partition: message.partition(),
            offset: message.offset(),
        },
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        headers: headers.map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec))).collect(),
    }
}
