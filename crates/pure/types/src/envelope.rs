//! What a record says about itself: CloudEvents 1.0 attributes in binary mode, trace context, and the mesh's own headers.
//!
//! | header | is |
//! | --- | --- |
//! | `ce_specversion` | `1.0` |
//! | `ce_id`, `ce_source`, `ce_type` | identity of the event |
//! | `ce_time` | RFC 3339 |
//! | `ce_subject` | optional |
//! | `ce_correlationid`, `ce_causationid` | the saga's identity; the event that caused this one |
//! | `content-type` | media type of the value |
//! | `traceparent`, `tracestate` | W3C trace context, carried through |
//! | `quadrille-flow`, `quadrille-run`, `quadrille-definition` | the saga run, and `<version>/<hash>` of its definition |
//!
//! Names that begin with `quadrille-` are ours: on an event that the mesh does not own they are ignored, and they
//! are not passed on. Where a header is repeated, the last one counts.
//!
//! Source: CloudEvents Kafka protocol binding 1.0.2, its Correlation extension, W3C Trace Context.

use std::fmt;

use jiff::Timestamp;
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::ids::RunId;

/// Headers of a record, in order; names may repeat, values may be null.
pub type Headers = Vec<(String, Option<Vec<u8>>)>;

/// Every header that begins with this is the mesh's own.
pub const RESERVED_PREFIX: &str = "quadrille-";

/// Header with the flow's name.
pub const FLOW: &str = "quadrille-flow";
/// Header with the run's ID.
pub const RUN: &str = "quadrille-run";
/// Header with `<version>/<hash>` of the definition that the run follows.
pub const DEFINITION: &str = "quadrille-definition";

/// Longest header value that is read as text, in bytes. Longer ones are refused: they would be copied into every
/// event that follows.
pub const VALUE_BYTES_MAX: usize = 4096;

/// The definition (the topology file as compiled) that a run follows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Serialize, Deserialize)]
pub struct Definition {
    /// `version` of the file.
    #[n(0)]
    pub version: u32,
    /// Hash of what the file means.
    #[n(1)]
    pub hash: String,
}

impl fmt::Display for Definition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.version, self.hash)
    }
}

/// Which run an event belongs to; every event inherits it from the event that caused it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Lineage {
    /// Name of the flow.
    #[n(0)]
    pub flow: String,
    /// The run.
    #[n(1)]
    pub run: RunId,
    /// Identity of the run, and `ce_correlationid` of its events.
    #[n(2)]
    pub correlation_id: String,
    /// The definition that it follows.
    #[n(3)]
    pub definition: Definition,
}

/// Where a record lies.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize)]
pub struct Position {
    /// Topic.
    #[n(0)]
    pub topic: String,
    /// Partition, from 0.
    #[n(1)]
    pub partition: i32,
    /// Offset, from 0.
    #[n(2)]
    pub offset: i64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.topic, self.partition, self.offset)
    }
}

/// CloudEvents attributes and trace context of one event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// `ce_id`; a record without one has its position as its ID.
    pub id: String,
    /// `ce_source`; a record without one has its topic as its source.
    pub source: String,
    /// `ce_type`: the event's name; absent on records of producers that know no CloudEvents.
    pub event: Option<String>,
    /// `ce_time`, in ms since 1970.
    pub time_ms: Option<i64>,
    /// `ce_subject`.
    pub subject: Option<String>,
    /// `ce_correlationid`.
    pub correlation_id: Option<String>,
    /// `ce_causationid`.
    pub causation_id: Option<String>,
    /// `content-type` of the value.
    pub content_type: Option<String>,
    /// W3C `traceparent`.
    pub traceparent: Option<String>,
    /// W3C `tracestate`.
    pub tracestate: Option<String>,
}

/// A header that cannot be read. Not retryable: the record will not change.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// CloudEvents attributes are UTF-8.
    #[error("header {0} is not UTF-8 text")]
    NotText(String),
    /// See [`VALUE_BYTES_MAX`].
    #[error("header {name} has {bytes} bytes, more than the {VALUE_BYTES_MAX} allowed")]
    TooLong {
        /// Name of the header.
        name: String,
        /// Its length.
        bytes: usize,
    },
    /// `quadrille-*` headers that contradict each other or lack a part.
    #[error("header {name} is missing or malformed on an event of the mesh")]
    Lineage {
        /// Name of the header.
        name: &'static str,
    },
    /// A CloudEvents version that is not known here.
    #[error("ce_specversion is {0:?}; 1.0 is supported")]
    SpecVersion(String),
}

impl Envelope {
    /// Reads the attributes from the headers of the record at `position`. Works on any producer's record: what is
    /// absent stays absent, ID and source are taken from the position.
    pub fn read<'a, H>(headers: H, position: &Position) -> Result<Self, Error>
    where
        H: IntoIterator<Item = (&'a str, Option<&'a [u8]>)>,
    {
        let mut envelope = Self::unnamed(position);
        for (name, value) in headers {
            let slot = match name {
                "ce_specversion" => {
                    match text(name, value)? {
                        Some(version) if version != "1.0" => return Err(Error::SpecVersion(version)),
                        _ => continue,
                    };
                }
                "ce_id" => {
                    envelope.id = text(name, value)?.unwrap_or(envelope.id);
                    continue;
                }
                "ce_source" => {
                    envelope.source = text(name, value)?.unwrap_or(envelope.source);
                    continue;
                }
                "ce_time" => {
                    envelope.time_ms = text(name, value)?.and_then(|t| parse_time(&t));
                    continue;
                }
                "ce_type" => &mut envelope.event,
                "ce_subject" => &mut envelope.subject,
                "ce_correlationid" => &mut envelope.correlation_id,
                "ce_causationid" => &mut envelope.causation_id,
                "content-type" => &mut envelope.content_type,
                "traceparent" => &mut envelope.traceparent,
                "tracestate" => &mut envelope.tracestate,
                _ => continue,
            };
            *slot = text(name, value)?;
        }
        Ok(envelope)
    }

    /// The envelope of a record that says nothing of itself.
    pub fn unnamed(position: &Position) -> Self {
        Self {
            id: position.to_string(),
            source: position.topic.clone(),
            event: None,
            time_ms: None,
            subject: None,
            correlation_id: None,
            causation_id: None,
            content_type: None,
            traceparent: None,
            tracestate: None,
        }
    }

    /// Headers of an event that the mesh emits.
    pub fn write(&self, lineage: Option<&Lineage>) -> Headers {
        let time = self.time_ms.and_then(|ms| Timestamp::from_millisecond(ms).ok()).map(|t| t.to_string());
        let definition = lineage.map(|l| l.definition.to_string());
        let run = lineage.map(|l| l.run.to_string());
        [
            ("ce_specversion", Some("1.0")),
            ("ce_id", Some(self.id.as_str())),
            ("ce_source", Some(self.source.as_str())),
            ("ce_type", self.event.as_deref()),
            ("ce_time", time.as_deref()),
            ("ce_subject", self.subject.as_deref()),
            ("ce_correlationid", self.correlation_id.as_deref()),
            ("ce_causationid", self.causation_id.as_deref()),
            ("content-type", self.content_type.as_deref()),
            ("traceparent", self.traceparent.as_deref()),
            ("tracestate", self.tracestate.as_deref()),
            (FLOW, lineage.map(|l| l.flow.as_str())),
            (RUN, run.as_deref()),
            (DEFINITION, definition.as_deref()),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), Some(value?.as_bytes().to_vec()))))
        .collect()
    }
}

impl Lineage {
    /// Reads the run from an event that the mesh emitted. Call it only for events that a step of the mesh owns.
    pub fn read<'a, H>(headers: H) -> Result<Self, Error>
    where
        H: IntoIterator<Item = (&'a str, Option<&'a [u8]>)>,
    {
        let (mut flow, mut run, mut correlation_id, mut definition) = (None, None, None, None);
        for (name, value) in headers {
            match name {
                FLOW => flow = text(name, value)?,
                RUN => run = text(name, value)?.and_then(|t| t.parse().ok()),
                DEFINITION => definition = text(name, value)?.and_then(|t| parse_definition(&t)),
                "ce_correlationid" => correlation_id = text(name, value)?,
                _ => {}
            }
        }
        Ok(Self {
            flow: flow.ok_or(Error::Lineage { name: FLOW })?,
            run: run.ok_or(Error::Lineage { name: RUN })?,
            correlation_id: correlation_id.ok_or(Error::Lineage { name: "ce_correlationid" })?,
            definition: definition.ok_or(Error::Lineage { name: DEFINITION })?,
        })
    }
}

fn parse_definition(text: &str) -> Option<Definition> {
    let (version, hash) = text.split_once('/')?;
    Some(Definition { version: version.parse().ok()?, hash: hash.to_owned() })
}

fn parse_time(text: &str) -> Option<i64> {
    text.parse::<Timestamp>().ok().map(Timestamp::as_millisecond)
}

fn text(name: &str, value: Option<&[u8]>) -> Result<Option<String>, Error> {
    let Some(bytes) = value else { return Ok(None) };
    if bytes.len() > VALUE_BYTES_MAX {
        return Err(Error::TooLong { name: name.to_owned(), bytes: bytes.len() });
    }
    let text = std::str::from_utf8(bytes).map_err(|_| Error::NotText(name.to_owned()))?;
    Ok(Some(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position() -> Position {
        Position { topic: "orders".into(), partition: 2, offset: 40 }
    }

    fn borrowed(headers: &Headers) -> impl Iterator<Item = (&str, Option<&[u8]>)> {
        headers.iter().map(|(name, value)| (name.as_str(), value.as_deref()))
    }

    fn full() -> (Envelope, Lineage) {
        let envelope = Envelope {
            id: "e1".into(),
            source: "/shop/payment".into(),
            event: Some("PaymentTaken".into()),
            time_ms: Some(1_795_000_000_123),
            subject: Some("4711".into()),
            correlation_id: Some("4711".into()),
            causation_id: Some("e0".into()),
            content_type: Some("application/avro".into()),
            traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()),
            tracestate: Some("a=b".into()),
        };
        let lineage = Lineage {
            flow: "order".into(),
            run: RunId::of("shop", "order", "4711"),
            correlation_id: "4711".into(),
            definition: Definition { version: 7, hash: "c0ffee".into() },
        };
        (envelope, lineage)
    }

    #[test]
    fn what_is_written_is_read_back() {
        let (envelope, lineage) = full();
        let headers = envelope.write(Some(&lineage));
        assert_eq!(Envelope::read(borrowed(&headers), &position()), Ok(envelope));
        assert_eq!(Lineage::read(borrowed(&headers)), Ok(lineage));
    }

    #[test]
    fn a_record_without_cloudevents_is_named_by_its_position() {
        let read = Envelope::read([], &position()).unwrap();
        assert_eq!((read.id.as_str(), read.source.as_str()), ("orders/2/40", "orders"));
        assert_eq!(read.event, None);
    }

    #[test]
    fn the_last_of_repeated_headers_counts() {
        let headers = [("ce_id", Some(b"a".as_slice())), ("ce_id", Some(b"b".as_slice()))];
        assert_eq!(Envelope::read(headers, &position()).unwrap().id, "b");
    }

    #[test]
    fn bad_headers_are_refused_by_name() {
        let long = vec![b'x'; VALUE_BYTES_MAX + 1];
        let cases: [(&str, &[u8], &str); 3] = [
            ("ce_type", b"\xff", "header ce_type is not UTF-8 text"),
            ("ce_id", &long, "header ce_id has 4097 bytes, more than the 4096 allowed"),
            ("ce_specversion", b"0.3", "ce_specversion is \"0.3\"; 1.0 is supported"),
        ];
        for (name, value, message) in cases {
            let error = Envelope::read([(name, Some(value))], &position()).unwrap_err();
            assert_eq!(error.to_string(), message);
        }
    }

    #[test]
    fn an_event_of_the_mesh_without_its_run_is_refused() {
        let (envelope, lineage) = full();
        for missing in [FLOW, RUN, DEFINITION, "ce_correlationid"] {
            let mut headers = envelope.write(Some(&lineage));
            headers.retain(|(name, _)| name != missing);
            assert_eq!(Lineage::read(borrowed(&headers)), Err(Error::Lineage { name: missing }));
        }
    }
}
