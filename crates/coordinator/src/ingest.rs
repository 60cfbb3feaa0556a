//! Ingest: events of others become facts.
//!
//! Whatever partition an event lies on, its fact goes to the partition of its saga. The value is read here, at the
//! edge, once: what is no event of its schema starts nothing and is dead-lettered. An event that nothing waits for
//! is passed over.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use quadrille_events::{by_schema, is_json};
use quadrille_kafka::{Error, Partition};
use quadrille_runtime::processor::{Output, Processor};
use quadrille_schema::{Codec, Decoder, Schemas};
use quadrille_topology::lower;
use quadrille_types::dead_letter::{DeadLetter, Reason};
use quadrille_types::envelope::{Envelope, Lineage, VALUE_BYTES_MAX};
use quadrille_types::fact::{Body, EventRef, Fact, Payload};
use quadrille_types::ids::Action;
use quadrille_types::topics::INGEST;
use quadrille_types::{OutRecord, Record, RunId, format, partition, structured};

use crate::spec::{CoordinatorSpec, Foreign};

/// How long a registry may be away before the member gives its partitions up and begins again.
const PATIENCE: Duration = Duration::from_secs(120);

/// Reads the values of an event that has a schema.
struct Reader {
    codec: Arc<Codec>,
    decoder: Decoder,
}

/// Turns events into facts.
pub struct Ingest {
    spec: Arc<CoordinatorSpec>,
    readers: BTreeMap<String, Reader>,
    tokio: tokio::runtime::Handle,
    out: Vec<OutRecord>,
}

impl Ingest {
    /// An ingest that reads values with the schemas of the topology. `tokio` runs the registry's client.
    pub fn new(
        spec: Arc<CoordinatorSpec>,
        schemas: &Schemas,
        tokio: tokio::runtime::Handle,
    ) -> Result<Self, Error> {
        let mut readers = BTreeMap::new();
        for foreign in spec.foreign.values().flatten() {
            if let Some(text) = &foreign.schema {
                let codec = Codec::parse(text)
                    .map_err(|e| Error::Setting(format!("schema of event {}: {e}", foreign.event)))?;
                let codec = Arc::new(codec);
                let decoder = schemas.decoder_as(Arc::clone(&codec));
                readers.insert(foreign.event.clone(), Reader { codec, decoder });
            }
        }
        Ok(Self { spec, readers, tokio, out: Vec::new() })
    }

    fn event(&mut self, record: &Record) -> Result<(), Error> {
        let spec = Arc::clone(&self.spec);
        let here = spec.foreign.get(&record.position.topic).map(Vec::as_slice).unwrap_or_default();
        let (envelope, value) = match read(record) {
            Ok(read) => read,
            Err(message) => return self.dead(record, Reason::Undecodable, message),
        };
        let only = spec.events_in.get(&record.position.topic) == Some(&1);
        let named = here.iter().filter(|foreign| match &envelope.event {
            Some(name) => foreign.event == *name,
            None => only,
        });
        for foreign in named {
            self.fact(record, foreign, &envelope, value.as_deref())?;
        }
        Ok(())
    }

    fn fact(
        &mut self,
        record: &Record,
        foreign: &Foreign,
        envelope: &Envelope,
        value: Option<&[u8]>,
    ) -> Result<(), Error> {
        let Some(value) = value else {
            return self.dead(record, Reason::NoValue, "the record has no value".to_owned());
        };
        let correlation_id = match correlation(record, foreign, envelope) {
            Ok(id) => id,
            Err((reason, message)) => return self.dead(record, reason, message),
        };
        let limit = self.spec.kept_bytes_max;
        if foreign.carried && value.len() > limit {
            let (event, bytes) = (&foreign.event, value.len());
            let message =
                format!("{event} has {bytes} bytes, more than the {limit} that a later command can carry");
            return self.dead(record, Reason::Oversized, message);
        }
        if let Some(message) = self.unreadable(foreign, envelope, value)? {
            return self.dead(record, Reason::Undecodable, message);
        }
        let content_type = envelope.content_type.clone();
        let payload = foreign.carried.then(|| Payload { content_type, value: value.to_vec() });
        let event = EventRef { event: foreign.event.clone(), id: envelope.id.clone(), payload };
        let run = RunId::of(self.spec.names.mesh(), &foreign.flow, &correlation_id);
        let fact = Fact {
            lineage: Lineage {
                flow: foreign.flow.clone(),
                run,
                correlation_id,
                definition: self.spec.definition.clone(),
            },
            source: record.position.clone(),
            source_time_ms: record.time_ms,
            body: if foreign.starts { Body::Started(event) } else { Body::Observed(event) },
            traceparent: envelope.traceparent.clone(),
            tracestate: envelope.tracestate.clone(),
        };
        let key = run.to_string().into_bytes();
        self.out.push(OutRecord {
            topic: self.spec.names.facts(INGEST),
            partition: partition::of_key(&key, self.spec.saga_partitions) as i32,
            key: Some(key),
            value: Some(format::encode(&fact)),
            headers: vec![("content-type".to_owned(), Some(format::CONTENT_TYPE.as_bytes().to_vec()))],
        });
        Ok(())
    }

    /// What is wrong with the value, if anything. A step that cannot read a start event leaves no answer to its saga, so
    /// whatever begins one here must be what the steps can read: they have the value and its content type, no more.
    /// While the registry is away nothing is known, so it waits.
    fn unreadable(
        &self,
        foreign: &Foreign,
        envelope: &Envelope,
        value: &[u8],
    ) -> Result<Option<String>, Error> {
        let json = envelope.content_type.as_deref().is_some_and(is_json);
        let decoder = match self.readers.get(&foreign.event) {
            Some(reader) if !json => &reader.decoder,
            reader => return Ok(not_json(value, reader.map(|reader| &*reader.codec))),
        };
        let began = Instant::now();
        loop {
            let known = self.tokio.block_on(decoder.prepare(None, value));
            let error = match known.and_then(|()| decoder.decode_json(None, value)) {
                Ok(_) => return Ok(None),
                Err(error) => error,
            };
            if !error.is_retryable() {
                return Ok(Some(error.to_string()));
            }
            if began.elapsed() > PATIENCE {
                return Err(Error::Setting(format!("the schema registry is away: {error}")));
            }
            tracing::warn!(target: "quadrille::ingest", %error, "waiting for the schema registry");
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    fn dead(&mut self, record: &Record, reason: Reason, message: String) -> Result<(), Error> {
        tracing::warn!(target: "quadrille::ingest", position = %record.position, %reason, message, "dead letter");
        let letter = DeadLetter {
            origin: record.position.clone(),
            origin_time_ms: record.time_ms,
            group: self.spec.names.group(INGEST),
            step: INGEST.to_owned(),
            activation: None,
            action: Action::Do,
            reason,
            message,
            attempts: 0,
        };
        let number = record.position.partition as u32 % self.spec.saga_partitions;
        let topic = self.spec.names.dead(INGEST);
        self.out.push(letter.of(record, topic, number as i32, lower::OWN_BYTES_MAX));
        Ok(())
    }
}

impl Processor for Ingest {
    fn assigned(&mut self, _: &BTreeSet<Partition>) {}

    fn restore(&mut self, _: Duration) -> Result<bool, Error> {
        Ok(true)
    }

    fn forget(&mut self) {
        self.out.clear();
    }

    fn process(&mut self, record: Record, _: i64) -> Result<(), Error> {
        self.event(&record)
    }

    fn tick(&mut self, _: i64) {}

    fn collect(&mut self) -> Output {
        Output { records: std::mem::take(&mut self.out), touched: BTreeSet::new() }
    }
}

fn read(record: &Record) -> Result<(Envelope, Option<Vec<u8>>), String> {
    let content_type = record.header_text("content-type").unwrap_or_default();
    if structured::announced_by(content_type) {
        let value = record.value.as_deref().unwrap_or_default();
        let (envelope, data) =
            structured::read(content_type, value, &record.position).map_err(|e| e.to_string())?;
        return Ok((envelope, Some(data)));
    }
    let envelope = Envelope::read(record.headers(), &record.position).map_err(|e| e.to_string())?;
    Ok((envelope, record.value.clone()))
}

/// Why `value` is no JSON, or not the JSON of its schema.
fn not_json(value: &[u8], codec: Option<&Codec>) -> Option<String> {
    let json = match serde_json::from_slice(value) {
        Ok(json) => json,
        Err(error) => return Some(format!("not JSON: {error}")),
    };
    codec.and_then(|codec| by_schema(codec, &json).err()).map(|error| error.to_string())
}

fn correlation(record: &Record, foreign: &Foreign, envelope: &Envelope) -> Result<String, (Reason, String)> {
    let header = envelope.correlation_id.clone().filter(|id| !id.is_empty() && !foreign.by_key);
    if let Some(id) = header {
        return Ok(id);
    }
    match record.key.as_deref().map(std::str::from_utf8) {
        Some(Ok(key)) if key.len() > VALUE_BYTES_MAX => {
            let bytes = key.len();
            let message = format!(
                "the key is the correlation ID and has {bytes} bytes, more than the {VALUE_BYTES_MAX} allowed"
            );
            Err((Reason::Oversized, message))
        }
        Some(Ok(key)) if !key.is_empty() => Ok(key.to_owned()),
        Some(Err(_)) => Err((Reason::Undecodable, "the key is the correlation ID and not UTF-8".to_owned())),
        _ => Err((Reason::NoKey, "there is neither a ce_correlationid header nor a key".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use quadrille_schema::RegistryConfig;
    use quadrille_types::envelope::Position;

    use super::*;

    const FILE: &str = "
quadrille: 1
mesh: m
version: 1
schemas: s
defaults: { from: earliest }
events:
  Asked: { topic: asked, schema: asked.avsc, owner: foreign }
  Wished: { topic: wished, schema: json, owner: foreign }
  Noted: { topic: noted, schema: json }
steps:
  note: { service: notes, when: Asked, handler: { rust: note }, emits: Noted, effect: none }
  grant: { service: notes, when: Wished, handler: { rust: grant }, emits: Noted, effect: none }
sagas:
  talk: { starts: Asked, completes: Noted, deadline: { after: 1m, then: undo } }
  wish: { starts: Wished, completes: Noted, deadline: { after: 1m, then: undo } }
";
    const ASKED: &str =
        r#"{"type":"record","namespace":"m","name":"Asked","fields":[{"name":"id","type":"int"}]}"#;

    type Header = (&'static str, &'static [u8]);

    fn record(event: &'static str, headers: &[Header], value: &[u8]) -> Record {
        let own: [Header; 4] = [
            ("ce_specversion", b"1.0"),
            ("ce_id", b"1"),
            ("ce_source", b"/test"),
            ("ce_type", event.as_bytes()),
        ];
        let headers =
            own.iter().chain(headers).map(|(name, value)| ((*name).to_owned(), Some(value.to_vec())));
        Record {
            position: Position { topic: event.to_lowercase(), partition: 0, offset: 0 },
            time_ms: 0,
            key: Some(b"k".to_vec()),
            value: Some(value.to_vec()),
            headers: headers.collect(),
        }
    }

    #[test]
    fn a_saga_begins_only_with_what_its_steps_can_read() {
        let checked = topology(FILE);
        let tokio = tokio::runtime::Builder::new_current_thread().build().unwrap();
        // Nothing here needs the registry: nobody listens there.
        let schemas = Schemas::new(RegistryConfig::new("http://127.0.0.1:9")).unwrap();
        let spec = Arc::new(CoordinatorSpec::of(&checked));
        let mut ingest = Ingest::new(Arc::clone(&spec), &schemas, tokio.handle().clone()).unwrap();
        let json: Header = ("content-type", b"application/json");
        let framed: Header = (quadrille_schema::wire::VALUE_HEADER, b"\0\0\0\0\x01");
        let cases: [(&str, &[Header], &[u8], bool); 9] = [
            ("Asked", &[json], br#"{"id":1}"#, true),
            ("Asked", &[json], br#"{"id":1,"more":2}"#, false),
            ("Asked", &[json], b"{}", false),
            ("Asked", &[json], br#"{"id":1e21}"#, false),
            ("Asked", &[json], b"{", false),
            ("Asked", &[("content-type", b"text/not-json-at-all")], br#"{"id":1}"#, false),
            ("Asked", &[framed], b"\x02", false),
            ("Wished", &[], b"{}", true),
            ("Wished", &[], b"{", false),
        ];
        for (event, headers, value, begins) in cases {
            ingest.process(record(event, headers, value), 0).unwrap();
            let topics: Vec<_> = ingest.collect().records.into_iter().map(|record| record.topic).collect();
            let expected = if begins { spec.names.facts(INGEST) } else { spec.names.dead(INGEST) };
            assert_eq!(topics, [expected], "{event} {headers:?} {}", String::from_utf8_lossy(value));
        }
    }

    fn topology(file: &str) -> quadrille_topology::Mesh {
        let checked = quadrille_topology::topology(file.as_bytes(), &|_: &str| Ok(ASKED.to_owned()));
        checked.mesh.unwrap_or_else(|| panic!("{:#?}", checked.diagnostics))
    }
}
