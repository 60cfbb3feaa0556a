//! The final reading: topics to evidence.
//!
//! A topic is read from where the run began to its end, and its end is only taken when no transaction is open there: the
//! last stable offset then is the high watermark, so nothing that could still become visible is left out.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::{Duration, Instant};

use apache_avro::Schema;
use apache_avro::types::Value;
use rdkafka::error::KafkaError;
use serde::Deserialize;
use serde_json::Value as Json;

use crate::evidence::{DeadLetter, Event, Evidence, Input, Note, Outcome};
use crate::expect::{DeadLetters, Expectations};
use crate::kafka::{self, Client, Isolation};
pub use crate::kafka::{Offsets, Settings};
use crate::registry::{self, Registry};
use crate::wire::{self, Record};

/// Topics that could not be read. Nothing is known about the run then.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// librdkafka refuses its settings. Not retryable.
    #[error("librdkafka refuses its settings: {source}")]
    Settings {
        /// Why.
        source: Box<KafkaError>,
    },
    /// The broker does not answer, or answers with an error. Retryable.
    #[error("cannot read {what}: {source} ({complaint})")]
    Kafka {
        /// What was read.
        what: String,
        /// The last that the client complained of.
        complaint: String,
        /// Why.
        source: Box<KafkaError>,
    },
    /// Time ran out. Retryable.
    #[error("no time left {what} ({complaint})")]
    Late {
        /// What was still to be done.
        what: String,
        /// The last that the client complained of.
        complaint: String,
    },
    /// A topic of the expectations does not exist.
    #[error("topic {0} does not exist")]
    Missing(String),
    /// A transaction did not end in time.
    #[error("a transaction is open on {partitions}: the last stable offset stays behind the high watermark")]
    Open {
        /// Where.
        partitions: String,
    },
    /// A schema cannot be had.
    #[error(transparent)]
    Registry(#[from] registry::Error),
    /// There is no thread for the concurrent reader.
    #[error("cannot start the concurrent reader: {0}")]
    Thread(String),
    /// The thread of the concurrent reader is gone.
    #[error("the concurrent reader panicked")]
    Panicked,
}

/// Where to read from and up to where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// First offset of each partition.
    pub from: Offsets,
    /// Offset after the last of each partition.
    pub ends: Offsets,
}

/// The topics that the expectations name, those by prefix as far as they exist.
fn topics(client: &Client, expectations: &Expectations) -> Result<BTreeMap<String, i32>, Error> {
    let all = kafka::topics(client)?;
    let mut names: BTreeSet<&str> = expectations.inputs.iter().map(|input| input.topic.as_str()).collect();
    names.insert(&expectations.outcomes_topic);
    names.extend(expectations.events.iter().map(String::as_str));
    match &expectations.dead_letters {
        DeadLetters::Topics(topics) => names.extend(topics.iter().map(String::as_str)),
        DeadLetters::Prefix(prefix) => {
            names.extend(all.keys().map(String::as_str).filter(|name| name.starts_with(prefix.as_str())));
        }
    }
    let found = |name: &str| match all.get(name) {
        Some(partitions) if *partitions > 0 => Ok((name.to_owned(), *partitions)),
        _ => Err(Error::Missing(name.to_owned())),
    };
    names.into_iter().map(found).collect()
}

/// All partitions of the topics, from their first offset to the high watermark of this moment, whatever is open.
pub fn present(settings: &Settings, expectations: &Expectations) -> Result<Span, Error> {
    let client = kafka::client(settings, Isolation::Uncommitted)?;
    let mut span = Span::default();
    for (topic, partitions) in topics(&client, expectations)? {
        for partition in 0..partitions {
            let (first, end) = kafka::watermarks(&client, &topic, partition)?;
            span.from.insert((topic.clone(), partition), first);
            span.ends.insert((topic.clone(), partition), end);
        }
    }
    Ok(span)
}

/// All partitions of the topics, from their first offset to an end behind which no transaction is open. Waits for
/// open transactions until `deadline`.
pub fn settled(settings: &Settings, expectations: &Expectations, deadline: Instant) -> Result<Span, Error> {
    let committed = kafka::client(settings, Isolation::Committed)?;
    let span = present(settings, expectations)?;
    let mut open: BTreeSet<_> = span.ends.keys().cloned().collect();
    loop {
        let mut behind = BTreeSet::new();
        for at in &open {
            if kafka::watermarks(&committed, &at.0, at.1)?.1 < span.ends[at] {
                behind.insert(at.clone());
            }
        }
        if behind.is_empty() {
            return Ok(span);
        }
        if Instant::now() > deadline {
            return Err(Error::Open { partitions: kafka::list(&behind) });
        }
        open = behind;
        thread::sleep(Duration::from_millis(50));
    }
}

/// Reads `span` as a `read_committed` reader does. Effects and the notes of a concurrent reader are not in it.
pub fn read(
    settings: &Settings,
    expectations: &Expectations,
    registry: &mut Registry,
    span: &Span,
    deadline: Instant,
) -> Result<Evidence, Error> {
    let client = kafka::client(settings, Isolation::Committed)?;
    let mut collector = Collector::new(expectations, registry)?;
    collector.evidence.began = span.from.clone();
    kafka::read(&client, &span.from, &span.ends, deadline, &mut |record| collector.take(&record))?;
    Ok(collector.evidence)
}

/// Sorts records into evidence.
struct Collector<'a> {
    expectations: &'a Expectations,
    registry: &'a mut Registry,
    /// By input topic; none where values are JSON.
    schemas: BTreeMap<&'a str, Option<Schema>>,
    evidence: Evidence,
}

/// The fields of `quadrille.SagaOutcome` that matter here.
#[derive(Deserialize)]
struct SagaOutcome {
    flow: String,
    run: String,
    correlation_id: String,
    outcome: String,
    ended_at: i64,
}

impl<'a> Collector<'a> {
    fn new(expectations: &'a Expectations, registry: &'a mut Registry) -> Result<Self, Error> {
        let mut schemas = BTreeMap::new();
        for input in &expectations.inputs {
            let schema = input.schema.as_deref().map(registry::load).transpose()?;
            schemas.insert(input.topic.as_str(), schema);
        }
        Ok(Self { expectations, registry, schemas, evidence: Evidence::default() })
    }

    fn take(&mut self, record: &Record) -> Result<(), Error> {
        let content = record.content();
        self.evidence.read.insert(Note { at: record.at.clone(), content });
        let expectations = self.expectations;
        if let Some(input) = expectations.inputs.iter().find(|input| input.topic == record.at.topic) {
            let identity = match self.is_readable(record)? {
                true => record.identity(&input.identity_header).ok(),
                false => None,
            };
            self.evidence.inputs.push(Input { at: record.at.clone(), content, identity });
        }
        if record.at.topic == expectations.outcomes_topic {
            self.take_outcome(record)?;
        }
        if expectations.events.contains(&record.at.topic) {
            self.take_event(record);
        }
        if expectations.dead_letters.holds(&record.at.topic) {
            self.evidence.dead_letters.push(self.dead_letter(record, content));
        }
        Ok(())
    }

    /// Whether the value is what the topic's schema says.
    fn is_readable(&mut self, record: &Record) -> Result<bool, Error> {
        let reader = self.schemas[record.at.topic.as_str()].as_ref();
        let fits = |json: &Json| reader.is_none_or(|schema| registry::fits(json, schema));
        match record.structured() {
            Ok(Some(event)) => {
                let has = |name| event.get(name).filter(|data| !data.is_null());
                return Ok(has("data").is_some_and(fits) || has("data_base64").is_some());
            }
            Err(_) => return Ok(false),
            Ok(None) => {}
        }
        if record.is_json() {
            return Ok(record.json().is_ok_and(|json| fits(&json)));
        }
        let Some(reader) = reader else { return Ok(record.json().is_ok()) };
        let Ok((id, avro)) = record.frame() else { return Ok(false) };
        let Some(writer) = self.registry.schema(id)? else { return Ok(false) };
        Ok(registry::decode(avro, writer, Some(reader)).is_ok())
    }

    fn take_outcome(&mut self, record: &Record) -> Result<(), Error> {
        match self.outcome(record)? {
            Ok(outcome) if outcome.flow == self.expectations.flow => self.evidence.outcomes.push(Outcome {
                at: record.at.clone(),
                identity: outcome.correlation_id,
                run: outcome.run,
                name: outcome.outcome,
                ended_at_ms: outcome.ended_at,
            }),
            Ok(_) => {}
            Err(why) => self.evidence.unreadable.push((record.at.clone(), format!("not an outcome: {why}"))),
        }
        Ok(())
    }

    /// The outcome that a record tells, or why it tells none.
    fn outcome(&mut self, record: &Record) -> Result<Result<SagaOutcome, String>, Error> {
        let (id, avro) = match record.frame() {
            Ok(frame) => frame,
            Err(error) => return Ok(Err(error.to_string())),
        };
        let Some(writer) = self.registry.schema(id)? else {
            return Ok(Err(format!("schema {id} is unknown")));
        };
        let outcome = |value: Value| apache_avro::from_value(&value).map_err(|error| error.to_string());
        Ok(registry::decode(avro, writer, None).and_then(outcome))
    }

    /// Keeps an event that says what a participant did. One that cannot be read says nothing, and so is missed.
    fn take_event(&mut self, record: &Record) {
        let told =
            |kind: &str| self.expectations.publishes.values().any(|p| p.types().any(|known| known == kind));
        let known = |kind: &str| told(kind) || self.expectations.gives_up.contains_key(kind);
        if let Ok(Some(kind)) = record.kind()
            && known(&kind)
            && let Ok(identity) = record.identity(wire::CORRELATION)
        {
            self.evidence.events.push(Event { at: record.at.clone(), kind, identity });
        }
    }

    fn dead_letter(&self, record: &Record, content: u64) -> DeadLetter {
        let origin = record.origin();
        let input = |topic: &str| self.expectations.inputs.iter().find(|input| input.topic == topic);
        let header =
            origin.as_ref().and_then(|origin| input(&origin.topic)).map(|i| i.identity_header.as_str());
        DeadLetter {
            at: record.at.clone(),
            content,
            identity: record.identity(header.unwrap_or(wire::CORRELATION)).ok(),
            undo: record.header("quadrille-dead-action") == Some(b"undo"),
            tried: matches!(record.header("quadrille-dead-reason"), Some(b"exhausted" | b"terminal")),
            origin,
        }
    }
}

impl DeadLetters {
    /// Whether `topic` is one of these.
    pub fn holds(&self, topic: &str) -> bool {
        match self {
            Self::Prefix(prefix) => topic.starts_with(prefix.as_str()),
            Self::Topics(topics) => topics.iter().any(|name| name == topic),
        }
    }
}
