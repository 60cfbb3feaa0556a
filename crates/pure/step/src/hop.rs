//! The re-key hop: a record that lies on another partition than its saga's is moved, unchanged, to the control topic of
//! the step that listens to it. There the step meets it on the lane that owns the saga, so order and duplicates are seen
//! whatever partitioner the producer used.
//!
//! The moved record has one more header, `quadrille-hop`: `<topic>/<partition>/<offset>/<timestamp in ms>` of where it lay.

use quadrille_types::envelope::Position;

use quadrille_types::{OutRecord, Record};

/// Header with the place that the record came from.
pub const HOP: &str = "quadrille-hop";

/// The record that takes `record` to `partition` of `topic`.
pub fn moved(record: &Record, topic: String, partition: u32) -> OutRecord {
    let mut headers = record.headers.clone();
    headers.retain(|(name, _)| name != HOP);
    headers.push((HOP.to_owned(), Some(format!("{}/{}", record.position, record.time_ms).into_bytes())));
    OutRecord {
        topic,
        partition: partition as i32,
        key: record.key.clone(),
        value: record.value.clone(),
        headers,
    }
}

/// Where a moved record came from, and its timestamp there.
pub fn origin(record: &Record) -> Option<(Position, i64)> {
    let text = record.header_text(HOP)?;
    let mut parts = text.rsplitn(4, '/');
    let time_ms = parts.next()?.parse().ok()?;
    let offset = parts.next()?.parse().ok()?;
    let partition = parts.next()?.parse().ok()?;
    Some((Position { topic: parts.next()?.to_owned(), partition, offset }, time_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moved_record_remembers_where_it_lay() {
        let position = Position { topic: "a/b.c".into(), partition: 3, offset: 17 };
        let record =
            Record { position: position.clone(), time_ms: 99, key: None, value: None, headers: vec![] };
        let out = moved(&record, "shop.control.charge".into(), 1);
        let arrived = Record {
            position: Position { topic: out.topic, partition: out.partition, offset: 0 },
            time_ms: 200,
            key: out.key,
            value: out.value,
            headers: out.headers,
        };
        assert_eq!(origin(&arrived), Some((position, 99)));
        assert_eq!(origin(&record), None);
    }
}
