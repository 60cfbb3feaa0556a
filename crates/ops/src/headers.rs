//! Headers as text.
//!
//! Nearly all are UTF-8. Those of a dead letter that say where its record lay are numbers, big endian, as Spring for Apache
//! Kafka writes them; a schema ID is one as well.

use quadrille_schema::wire;
use serde_json::{Value as Json, json};

use crate::words;

/// What header `name` says: text, a number where it is one, hexadecimal digits where nothing else is known.
pub fn decode(name: &str, value: Option<&[u8]>) -> Json {
    let Some(bytes) = value else { return Json::Null };
    let number = match name {
        "kafka_dlt-original-partition" => int(bytes),
        "kafka_dlt-original-offset" | "kafka_dlt-original-timestamp" => long(bytes),
        wire::VALUE_HEADER | wire::KEY_HEADER => match bytes {
            [0, rest @ ..] => int(rest),
            _ => None,
        },
        _ => None,
    };
    match (number, words::text(bytes)) {
        (Some(number), _) => json!(number),
        (None, Some(text)) => json!(text),
        (None, None) => json!(words::hex(bytes)),
    }
}

/// What header `name` says, for people: times with what they mean.
pub fn line(name: &str, value: Option<&[u8]>) -> String {
    match decode(name, value) {
        Json::Number(ms) if name.ends_with("-timestamp") => {
            format!("{ms} ({})", words::time(ms.as_i64().unwrap_or_default()))
        }
        Json::String(text) => text.replace('\n', "\\n").replace('\r', "\\r"),
        other => other.to_string(),
    }
}

fn int(bytes: &[u8]) -> Option<i64> {
    bytes.try_into().ok().map(|bytes| i64::from(i32::from_be_bytes(bytes)))
}

fn long(bytes: &[u8]) -> Option<i64> {
    bytes.try_into().ok().map(i64::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use quadrille_types::dead_letter::{DeadLetter, Reason};
    use quadrille_types::envelope::Position;
    use quadrille_types::ids::Action;

    use super::*;

    #[test]
    fn the_numbers_of_a_dead_letter_are_numbers() {
        let letter = DeadLetter {
            origin: Position { topic: "orders".into(), partition: 3, offset: 17 },
            origin_time_ms: 1_795_000_000_000,
            group: "shop.payment".into(),
            step: "charge".into(),
            activation: None,
            action: Action::Do,
            reason: Reason::Exhausted,
            message: "gateway\ndown".into(),
            attempts: 3,
        };
        let headers = letter.headers(Vec::new());
        let said = |name: &str| {
            let (_, value) = headers.iter().find(|(n, _)| n == name).unwrap();
            line(name, value.as_deref())
        };
        let expected = [
            ("kafka_dlt-original-topic", "orders"),
            ("kafka_dlt-original-partition", "3"),
            ("kafka_dlt-original-offset", "17"),
            ("kafka_dlt-original-timestamp", "1795000000000 (2026-11-18T11:06:40.000Z)"),
            ("kafka_dlt-exception-message", "gateway\\ndown"),
            ("quadrille-dead-attempts", "3"),
        ];
        for (name, text) in expected {
            assert_eq!(said(name), text, "{name}");
        }
    }

    #[test]
    fn other_bytes_are_not_taken_for_numbers() {
        let cases: [(&str, Option<&[u8]>, Json); 6] = [
            ("x", None, Json::Null),
            ("x", Some(b"\0\0\0\x03"), json!("00000003")),
            ("kafka_dlt-original-partition", Some(b"three"), json!("three")),
            ("kafka_dlt-original-offset", Some(b"\0\0\0\x03"), json!("00000003")),
            (wire::VALUE_HEADER, Some(b"\0\0\0\0\x09"), json!(9)),
            ("ce_id", Some(b"e1"), json!("e1")),
        ];
        for (name, value, expected) in cases {
            assert_eq!(decode(name, value), expected, "{name}");
        }
    }
}
