//! What an answer means: see the table at the crate's root. No IO here.

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use quadrille_events::{Codecs, is_json};
use quadrille_runtime::{HandlerError, Reply};
use quadrille_step::conclude::Emitted;
use serde_json::Value as Json;

/// Longest body of an answer, in bytes.
pub const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// Characters of an answer that are quoted in an error.
const QUOTED: usize = 200;

/// What the topology allows an endpoint to answer with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Declared {
    /// Events of success.
    pub emits: BTreeSet<String>,
    /// Events of a business rejection.
    pub rejects: BTreeSet<String>,
}

/// An answer, read to its end.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) ce_type: Option<String>,
    pub(crate) retry_after: Option<String>,
    pub(crate) body: Vec<u8>,
}

/// An event in an answer.
type Event = (String, Json);

impl Answer {
    /// What it means.
    pub(crate) fn read(
        &self,
        declared: &Declared,
        codecs: &Codecs,
        now: Timestamp,
    ) -> Result<Reply, HandlerError> {
        match self.status {
            200..=299 => {
                let events = self.events(single(&declared.emits)).map_err(HandlerError::Terminal)?;
                let allowed = |name: &String| declared.emits.contains(name);
                if let Some((name, _)) = events.iter().find(|(name, _)| !allowed(name)) {
                    let message = format!(
                        "the handler answered {} with {name}, which is not among what it emits: {}",
                        self.status,
                        listed(&declared.emits)
                    );
                    return Err(HandlerError::Terminal(message));
                }
                Ok(Reply::Done(encoded(codecs, events)?))
            }
            409 | 422 => match self.events(None) {
                Ok(events) if is_rejection(&events, declared) => {
                    Ok(Reply::Rejected(encoded(codecs, events)?))
                }
                Ok(_) if !declared.rejects.is_empty() => {
                    let hint = format!("; a rejection needs ce-type: {}", listed(&declared.rejects));
                    Err(HandlerError::Terminal(self.refusal() + &hint))
                }
                _ => Err(HandlerError::Terminal(self.refusal())),
            },
            429 | 500.. => {
                let after_ms = self.retry_after.as_deref().and_then(|text| retry_after_ms(text, now));
                Err(HandlerError::Retryable { message: self.refusal(), after_ms })
            }
            300..=399 => {
                Err(HandlerError::Terminal(format!("{}; redirects are not followed", self.refusal())))
            }
            _ => Err(HandlerError::Terminal(self.refusal())),
        }
    }

    /// The events in the body; `only`: the name of one that says nothing about itself.
    fn events(&self, only: Option<&str>) -> Result<Vec<Event>, String> {
        let content_type =
            self.content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match content_type.as_str() {
            "application/cloudevents-batch+json" => match self.json()? {
                Json::Array(events) => events.into_iter().map(structured).collect(),
                _ => Err("the handler's batch is not a JSON array".to_owned()),
            },
            "application/cloudevents+json" => Ok(vec![structured(self.json()?)?]),
            _ if self.body.is_empty() && self.ce_type.is_none() => Ok(Vec::new()),
            _ => {
                let Some(name) = self.ce_type.as_deref().or(only) else {
                    return Err(format!(
                        "the handler answered {} with a body and without ce-type: which event is it?",
                        self.status
                    ));
                };
                if !content_type.is_empty() && !is_json(&content_type) {
                    return Err(format!("the handler's {name} is {content_type}: send application/json"));
                }
                Ok(vec![(name.to_owned(), self.json()?)])
            }
        }
    }

    fn json(&self) -> Result<Json, String> {
        serde_json::from_slice(&self.body).map_err(|e| format!("the handler's answer is not JSON: {e}"))
    }

    /// The status with the beginning of the body.
    fn refusal(&self) -> String {
        let text: String = String::from_utf8_lossy(&self.body)
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .take(QUOTED)
            .collect();
        let text = text.trim();
        if text.is_empty() {
            format!("the handler answered {}", self.status)
        } else {
            format!("the handler answered {}: {text}", self.status)
        }
    }
}

/// Type and data of a structured CloudEvent. The rest follows from the activation.
fn structured(event: Json) -> Result<Event, String> {
    let Json::Object(mut event) = event else { return Err("a CloudEvent is a JSON object".to_owned()) };
    let Some(Json::String(name)) = event.remove("type") else {
        return Err("a CloudEvent in the handler's answer has no type".to_owned());
    };
    if event.contains_key("data_base64") {
        return Err(format!("the handler's {name} has data_base64: send JSON as data"));
    }
    Ok((name, event.remove("data").unwrap_or_default()))
}

fn is_rejection(events: &[Event], declared: &Declared) -> bool {
    !events.is_empty() && events.iter().all(|(name, _)| declared.rejects.contains(name))
}

fn encoded(codecs: &Codecs, events: Vec<Event>) -> Result<Vec<Emitted>, HandlerError> {
    let encode = |(name, value): (String, Json)| codecs.encode(&name, &value);
    let encoded: Result<Vec<_>, _> = events.into_iter().map(encode).collect();
    encoded.map_err(|e| HandlerError::Terminal(e.to_string()))
}

fn single(names: &BTreeSet<String>) -> Option<&str> {
    names.first().filter(|_| names.len() == 1).map(String::as_str)
}

fn listed(names: &BTreeSet<String>) -> String {
    if names.is_empty() {
        return "nothing".to_owned();
    }
    names.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// `Retry-After`: seconds, or a date. Source: RFC 9110, section 10.2.3.
fn retry_after_ms(text: &str, now: Timestamp) -> Option<u64> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(seconds.saturating_mul(1000));
    }
    let date = rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    Some(u64::try_from(date.as_millisecond() - now.as_millisecond()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        for (text, expect) in [
            ("7", Some(7_000)),
            ("Thu, 01 Jan 2026 00:00:30 GMT", Some(30_000)),
            ("Wed, 31 Dec 2025 23:59:00 GMT", Some(0)),
            ("18446744073709551615", Some(u64::MAX)),
            ("soon", None),
        ] {
            assert_eq!(retry_after_ms(text, now), expect, "{text}");
        }
    }
}
