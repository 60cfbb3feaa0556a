//! Headers of a dead-lettered record.
//!
//! A dead letter has the key, the value and the headers of the record that failed, unchanged, and these in addition. Names
//! and encodings of the first group are those of Spring for Apache Kafka (`DeadLetterPublishingRecoverer`), which existing
//! tools read; the second group is ours, all UTF-8. Each is replaced and never appended, so a record that fails again
//! does not grow.
//!
//! | header | is |
//! | --- | --- |
//! | `kafka_dlt-original-topic` | UTF-8 |
//! | `kafka_dlt-original-partition` | 4 bytes, big endian |
//! | `kafka_dlt-original-offset`, `kafka_dlt-original-timestamp` | 8 bytes, big endian |
//! | `kafka_dlt-original-consumer-group` | UTF-8 |
//! | `kafka_dlt-exception-fqcn` | `quadrille.` and the reason |
//! | `kafka_dlt-exception-message` | UTF-8, at most 1 KiB |
//! | `quadrille-dead-reason` | a [`Reason`] |
//! | `quadrille-dead-step` | name of the step |
//! | `quadrille-dead-activation` | the activation |
//! | `quadrille-dead-action` | `do` or `undo` |
//! | `quadrille-dead-attempts` | decimal |
//! | `quadrille-dead-omitted` | decimal: the record has so many bytes that the dead-letter topic does not take it; value and headers of its own are left out, and lie where it came from |

use std::fmt;

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::envelope::{Headers, Position, VALUE_BYTES_MAX};
use crate::ids::{Action, ActivationId};
use crate::record::{OutRecord, Record};

/// Longest error text that is kept, in bytes.
pub const MESSAGE_BYTES_MAX: usize = 1024;

/// Why a record was dead-lettered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// The bytes are not what the event's schema says, or the headers cannot be read.
    #[n(0)]
    Undecodable,
    /// There is no key and no correlation ID, so that order and saga are unknown.
    #[n(1)]
    NoKey,
    /// There is no value.
    #[n(2)]
    NoValue,
    /// An output is larger than its topic takes.
    #[n(3)]
    Oversized,
    /// The handler said that trying again is useless.
    #[n(4)]
    Terminal,
    /// Every try failed.
    #[n(5)]
    Exhausted,
    /// The handler emitted what the file does not declare.
    #[n(6)]
    Undeclared,
    /// The record's definition is not the one that runs here.
    #[n(7)]
    UnknownDefinition,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Undecodable,
        Self::NoKey,
        Self::NoValue,
        Self::Oversized,
        Self::Terminal,
        Self::Exhausted,
        Self::Undeclared,
        Self::UnknownDefinition,
    ];

    /// The word in headers and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Undecodable => "undecodable",
            Self::NoKey => "no-key",
            Self::NoValue => "no-value",
            Self::Oversized => "oversized",
            Self::Terminal => "terminal",
            Self::Exhausted => "exhausted",
            Self::Undeclared => "undeclared",
            Self::UnknownDefinition => "unknown-definition",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is known of a failure when its record is dead-lettered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Where the record lay.
    pub origin: Position,
    /// Its timestamp, in ms since 1970.
    pub origin_time_ms: i64,
    /// Consumer group that gave it up.
    pub group: String,
    /// Step that gave it up.
    pub step: String,
    /// The activation, where the record could be read that far.
    pub activation: Option<ActivationId>,
    /// What was tried.
    pub action: Action,
    /// Why it was given up.
    pub reason: Reason,
    /// The last error.
    pub message: String,
    /// Attempts, from 1; 0 when no handler was called.
    pub attempts: u32,
}

impl DeadLetter {
    /// `headers` of the failed record, with those of the dead letter.
    pub fn headers(&self, mut headers: Headers) -> Headers {
        let text = |value: &str| value.as_bytes().to_vec();
        let mut ours = vec![
            ("kafka_dlt-original-topic", text(&self.origin.topic)),
            ("kafka_dlt-original-partition", self.origin.partition.to_be_bytes().to_vec()),
            ("kafka_dlt-original-offset", self.origin.offset.to_be_bytes().to_vec()),
            ("kafka_dlt-original-timestamp", self.origin_time_ms.to_be_bytes().to_vec()),
            ("kafka_dlt-original-consumer-group", text(&self.group)),
            ("kafka_dlt-exception-fqcn", format!("quadrille.{}", self.reason).into_bytes()),
            ("kafka_dlt-exception-message", text(truncated(&self.message))),
            ("quadrille-dead-reason", text(self.reason.as_str())),
            ("quadrille-dead-step", text(&self.step)),
            ("quadrille-dead-action", text(self.action.as_str())),
            ("quadrille-dead-attempts", self.attempts.to_string().into_bytes()),
        ];
        if let Some(activation) = self.activation {
            ours.push(("quadrille-dead-activation", activation.to_string().into_bytes()));
        }
        headers.retain(|(name, _)| !name.starts_with("quadrille-dead-") && !name.starts_with("kafka_dlt-"));
        headers.extend(ours.into_iter().map(|(name, value)| (name.to_owned(), Some(value))));
        headers
    }

    /// `record` as a dead letter in `partition` of `topic`, which takes at most `bytes_max`. Where that is too little, what
    /// is left says where the whole record lies.
    pub fn of(&self, record: &Record, topic: String, partition: i32, bytes_max: usize) -> OutRecord {
        let whole = OutRecord {
            topic,
            partition,
            key: record.key.clone(),
            value: record.value.clone(),
            headers: self.headers(record.headers.clone()),
        };
        if whole.size() <= bytes_max {
            return whole;
        }
        let mut headers = self.headers(Vec::new());
        headers.push(("quadrille-dead-omitted".to_owned(), Some(record.size().to_string().into_bytes())));
        let key = record.key.clone().filter(|key| key.len() <= VALUE_BYTES_MAX);
        OutRecord { key, value: None, headers, ..whole }
    }
}

/// `message`, cut at a character boundary to at most [`MESSAGE_BYTES_MAX`] bytes.
pub fn truncated(message: &str) -> &str {
    &message[..message.floor_char_boundary(MESSAGE_BYTES_MAX)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter() -> DeadLetter {
        DeadLetter {
            origin: Position { topic: "orders".into(), partition: 3, offset: 17 },
            origin_time_ms: 1_795_000_000_000,
            group: "shop.payment".into(),
            step: "charge".into(),
            activation: None,
            action: Action::Do,
            reason: Reason::Exhausted,
            message: "ü".repeat(600),
            attempts: 3,
        }
    }

    #[test]
    fn the_records_own_headers_stay_and_ours_do_not_pile_up() {
        let own = vec![("ce_id".to_owned(), Some(b"1".to_vec())), ("x".to_owned(), None)];
        let once = letter().headers(own.clone());
        let twice = letter().headers(once.clone());
        assert_eq!(once, twice);
        assert_eq!(once[..2], own[..]);
    }

    #[test]
    fn numbers_have_the_encoding_that_existing_tools_read() {
        let headers = letter().headers(Vec::new());
        let value =
            |name: &str| headers.iter().find(|(n, _)| n == name).and_then(|(_, v)| v.clone()).unwrap();
        assert_eq!(value("kafka_dlt-original-partition"), [0, 0, 0, 3]);
        assert_eq!(value("kafka_dlt-original-offset"), [0, 0, 0, 0, 0, 0, 0, 17]);
        assert_eq!(value("kafka_dlt-exception-message").len(), MESSAGE_BYTES_MAX);
        assert_eq!(value("quadrille-dead-attempts"), b"3");
    }

    #[test]
    fn what_is_too_large_for_the_topic_is_named_and_left_where_it_lies() {
        let record = Record {
            position: letter().origin,
            time_ms: 1,
            key: Some(b"4711".to_vec()),
            value: Some(vec![7; 5_000]),
            headers: vec![("x".to_owned(), Some(vec![7; 5_000]))],
        };
        let whole = letter().of(&record, "shop.dead.charge".into(), 2, 20_000);
        assert_eq!((whole.value.as_ref(), whole.headers[0].0.as_str()), (record.value.as_ref(), "x"));
        let cut = letter().of(&record, "shop.dead.charge".into(), 2, 10_000);
        assert_eq!((cut.key.as_deref(), cut.value.as_ref()), (Some(b"4711".as_slice()), None));
        assert!(cut.size() < 3_000, "{}", cut.size());
        let omitted = ("quadrille-dead-omitted".to_owned(), Some(record.size().to_string().into_bytes()));
        assert_eq!(cut.headers.last(), Some(&omitted));
        let keyless = letter().of(&Record { key: Some(vec![7; 50_000]), ..record }, "t".into(), 2, 10_000);
        assert_eq!(keyless.key, None);
    }

    #[test]
    fn each_reason_has_one_word() {
        for reason in Reason::ALL {
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.as_str());
        }
    }
}
