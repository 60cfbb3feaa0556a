//! A whole record, as text or as one line of JSON.

use std::fmt::Write as _;

use quadrille_types::record::Record;
use serde_json::{Value as Json, json};

use crate::value::{Avro, Format, Value, of_key, of_value};
use crate::{headers, words};

/// A decoded record.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    record: Record,
    key: Value,
    value: Value,
}

impl Shown {
    /// Decodes `record`.
    pub fn of(record: Record, avro: &mut dyn Avro) -> Self {
        let (key, value) = (of_key(&record, avro), of_value(&record, avro));
        Self { record, key, value }
    }

    /// Its value.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// One object. Numbers as Kafka has them; `timestamp` is RFC 3339. `value_format` says how `value` is to be taken: one
    /// of `null`, `avro`, `json`, `quadrille`, `text`, `binary` (hexadecimal digits); `key_format` likewise.
    pub fn json(&self) -> Json {
        let headers: Vec<Json> = self
            .record
            .headers()
            .map(|(name, value)| json!({"name": name, "value": headers::decode(name, value)}))
            .collect();
        let position = &self.record.position;
        let mut json = json!({
            "topic": position.topic,
            "partition": position.partition,
            "offset": position.offset,
            "timestamp": words::time(self.record.time_ms),
            "timestamp_ms": self.record.time_ms,
            "key": self.key.json,
            "key_format": self.key.format,
            "headers": headers,
            "value": self.value.json,
            "value_format": self.value.format,
        });
        if let Some(problem) = &self.value.problem {
            json["value_problem"] = json!(problem);
        }
        json
    }

    /// Some lines: where it lies and its key, a header each, and the value in one line.
    pub fn text(&self, dim: impl Fn(&str) -> String) -> String {
        let mut text = String::new();
        let key = match self.key.format {
            Format::Null => dim("no key"),
            _ => self.key.line(),
        };
        let time = words::time(self.record.time_ms);
        let _ = writeln!(text, "{}  {}  {key}", self.record.position, dim(&time));
        for (name, value) in self.record.headers() {
            let _ = writeln!(text, "  {} {}", dim(&format!("{name}:")), headers::line(name, value));
        }
        if let Some(problem) = &self.value.problem {
            let _ = writeln!(text, "  {}", dim(&format!("({problem})")));
        }
        let value = match self.value.format {
            Format::Null => dim("no value"),
            _ => self.value.line(),
        };
        let _ = writeln!(text, "  {value}");
        text
    }
}

#[cfg(test)]
mod tests {
    use quadrille_types::envelope::Position;

    use super::*;
    use crate::value::NoRegistry;

    fn shown(key: Option<&[u8]>, value: Option<&[u8]>) -> Shown {
        let record = Record {
            position: Position { topic: "orders".into(), partition: 2, offset: 40 },
            time_ms: 1_795_000_000_000,
            key: key.map(<[u8]>::to_vec),
            value: value.map(<[u8]>::to_vec),
            headers: vec![("ce_type".into(), Some(b"OrderPlaced".to_vec())), ("x".into(), None)],
        };
        Shown::of(record, &mut NoRegistry)
    }

    #[test]
    fn a_record_is_a_few_lines_for_people() {
        let text = shown(Some(b"4711"), Some(b"{\"total\": 12}")).text(str::to_owned);
        let expected = "orders/2/40  2026-11-18T11:06:40.000Z  4711\n  ce_type: OrderPlaced\n  x: null\n  {\"total\":12}\n";
        assert_eq!(text, expected);
        let text = shown(None, None).text(str::to_owned);
        assert!(text.contains("  no key\n") && text.ends_with("  no value\n"), "{text}");
    }

    #[test]
    fn and_one_object_for_machines() {
        let json = shown(Some(b"4711"), Some(b"\xff")).json();
        assert_eq!(json["offset"], 40);
        assert_eq!(json["headers"][1], json!({"name": "x", "value": null}));
        assert_eq!((&json["value"], &json["value_format"]), (&json!("ff"), &json!("binary")));
        assert_eq!((&json["key"], &json["key_format"]), (&json!("4711"), &json!("text")));
    }
}
