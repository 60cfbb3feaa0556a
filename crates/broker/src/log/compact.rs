//! What compaction keeps of a batch (KIP-98, KIP-534): the newest record of each key, tombstones and markers for a while,
//! nothing of aborted transactions.

use std::collections::HashMap;

use bytes::Bytes;

use super::batch::{self, BatchHeader};
use super::codec::{self, CodecError};
use super::record::Records;
use super::stability::Aborted;

/// The offset of the newest record of each key, of as many batches as fit into memory.
#[derive(Debug)]
pub(crate) struct Newest {
    offsets: HashMap<Box<[u8]>, i64>,
    bytes: usize,
    most_bytes: usize,
    /// Offset behind the last batch noted.
    until: i64,
}

/// Memory of one key beside its bytes, roughly.
const KEY_COST: usize = 48;

impl Newest {
    /// Takes keys until they need `most_bytes`.
    pub(crate) fn new(from: i64, most_bytes: usize) -> Self {
        Newest { offsets: HashMap::new(), bytes: 0, most_bytes, until: from }
    }

    /// Notes the keys of the next batch; false, and nothing noted, if memory is used up.
    pub(crate) fn note(
        &mut self,
        header: &BatchHeader,
        batch: &[u8],
        aborted: &[Aborted],
    ) -> Result<bool, CodecError> {
        if self.bytes >= self.most_bytes {
            return Ok(false);
        }
        if !header.is_control() && !is_aborted(header, aborted) {
            let records = codec::records(batch, header)?;
            for record in Records::of(&records).flatten() {
                let Some(key) = record.key else { continue };
                let offset = header.base_offset + i64::from(record.offset_delta);
                if let Some(known) = self.offsets.get_mut(key) {
                    *known = offset;
                } else {
                    self.bytes += key.len() + KEY_COST;
                    self.offsets.insert(key.into(), offset);
                }
            }
        }
        self.until = header.last_offset() + 1;
        Ok(true)
    }

    /// Keys of records below this offset are known.
    pub(crate) fn until(&self) -> i64 {
        self.until
    }

    fn is_newest(&self, key: &[u8], offset: i64) -> bool {
        self.offsets.get(key).is_none_or(|newest| offset >= *newest)
    }
}

/// What is left of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Left {
    /// All of it, as it is.
    Whole,
    /// This batch instead.
    Part(Bytes),
    Nothing,
}

/// What one run of compaction goes by.
#[derive(Debug)]
pub(crate) struct Rules<'a> {
    pub(crate) newest: &'a Newest,
    /// The transactions aborted here, in order of their markers.
    pub(crate) aborted: &'a [Aborted],
    pub(crate) now_ms: i64,
    /// How long tombstones and markers stay after compaction has met them.
    pub(crate) delete_retention_ms: i64,
}

impl Rules<'_> {
    /// What is left of a batch below [`Newest::until`].
    pub(crate) fn apply(&self, header: &BatchHeader, batch: &[u8]) -> Result<Left, CodecError> {
        if is_aborted(header, self.aborted) {
            return Ok(Left::Nothing);
        }
        let expired = header.delete_horizon_ms().is_some_and(|at| self.now_ms >= at);
        let records = codec::records(batch, header)?;
        let (mut kept, mut count, mut passing) = (Vec::new(), 0, false);
        for record in Records::of(&records).flatten() {
            let passes = header.is_control() || record.value.is_none();
            let offset = header.base_offset + i64::from(record.offset_delta);
            let newest = header.is_control() || record.key.is_some_and(|k| self.newest.is_newest(k, offset));
            if newest && !(passes && expired) {
                kept.push(record);
                count += 1;
                passing |= passes;
            }
        }
        let needs_horizon = passing && header.delete_horizon_ms().is_none();
        Ok(if count == 0 {
            Left::Nothing
        } else if count == header.records && !needs_horizon {
            Left::Whole
        } else if needs_horizon {
            let horizon_ms = self.now_ms.saturating_add(self.delete_retention_ms);
            let mut out = Vec::new();
            for record in &kept {
                let at_ms = header.base_timestamp.wrapping_add(record.timestamp_delta);
                record.write_at(at_ms.wrapping_sub(horizon_ms), &mut out);
            }
            Left::Part(batch::rewritten(batch, &out, count, Some(horizon_ms)))
        } else {
            let raw: Vec<u8> = kept.iter().flat_map(|record| record.raw).copied().collect();
            Left::Part(batch::rewritten(batch, &raw, count, None))
        })
    }
}

/// Whether a batch of data belongs to a transaction that was aborted.
fn is_aborted(header: &BatchHeader, aborted: &[Aborted]) -> bool {
    let covers = |a: &Aborted| {
        a.producer_id == header.producer_id && (a.first_offset..a.last_offset).contains(&header.base_offset)
    };
    header.is_transactional() && !header.is_control() && aborted.iter().any(covers)
}

#[cfg(test)]
mod tests {
    use super::super::batch::{check, marker, stamped, tests::keyed};
    use super::*;

    type Pairs<'a> = &'a [(&'a str, Option<&'a str>)];

    fn at(offset: i64, pairs: Pairs<'_>) -> Bytes {
        stamped(&keyed((-1, -1, -1), 1_000, pairs, false), offset, None)
    }

    fn of_transaction(producer_id: i64, offset: i64, pairs: Pairs<'_>) -> Bytes {
        stamped(&keyed((producer_id, 0, 0), 1_000, pairs, true), offset, None)
    }

    fn newest(batches: &[Bytes], aborted: &[Aborted]) -> Newest {
        let mut newest = Newest::new(0, usize::MAX);
        for batch in batches {
            assert!(newest.note(&check(batch).unwrap(), batch, aborted).unwrap());
        }
        newest
    }

    fn compact(batches: &[Bytes], aborted: &[Aborted], now_ms: i64) -> Vec<Bytes> {
        let newest = newest(batches, aborted);
        let rules = Rules { newest: &newest, aborted, now_ms, delete_retention_ms: 100 };
        let left =
            batches.iter().filter_map(|batch| match rules.apply(&check(batch).unwrap(), batch).unwrap() {
                Left::Whole => Some(batch.clone()),
                Left::Part(part) => Some(part),
                Left::Nothing => None,
            });
        left.collect()
    }

    /// Offset, time, key and value of every record.
    fn all(batches: &[Bytes]) -> Vec<(i64, i64, String, Option<String>)> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut found = Vec::new();
        for batch in batches {
            let header = check(batch).unwrap();
            for record in Records::of(&codec::records(batch, &header).unwrap()).map(Option::unwrap) {
                let offset = header.base_offset + i64::from(record.offset_delta);
                let at_ms = header.base_timestamp + record.timestamp_delta;
                found.push((offset, at_ms, text(record.key.unwrap_or_default()), record.value.map(text)));
            }
        }
        found
    }

    fn row(offset: i64, key: &str, value: &str) -> (i64, i64, String, Option<String>) {
        (offset, 1_000, key.into(), Some(value.into()))
    }

    #[test]
    fn the_newest_record_of_each_key_is_kept_at_its_offset() {
        let log = [
            at(0, &[("a", Some("1")), ("b", Some("1")), ("a", Some("2"))]),
            at(3, &[("a", Some("3"))]),
            at(4, &[("c", Some("1")), ("b", Some("2"))]),
        ];
        let left = compact(&log, &[], 5_000);
        assert_eq!(all(&left), [row(3, "a", "3"), row(4, "c", "1"), row(5, "b", "2")]);
        assert_eq!(left[0], log[1], "what is kept whole is not touched");
    }

    #[test]
    fn a_part_of_a_batch_keeps_its_offsets_its_producer_and_a_valid_checksum() {
        let log = [
            stamped(&keyed((7, 1, 40), 1_000, &[("a", Some("1")), ("b", Some("1"))], false), 10, None),
            at(12, &[("a", Some("2"))]),
        ];
        let left = compact(&log, &[], 5_000);
        let (old, new) = (check(&log[0]).unwrap(), check(&left[0]).unwrap());
        assert_eq!((new.base_offset, new.last_offset(), new.records), (10, 11, 1));
        assert_eq!(
            (new.producer_id, new.producer_epoch, new.base_sequence, new.max_timestamp),
            (old.producer_id, old.producer_epoch, old.base_sequence, old.max_timestamp)
        );
        assert_eq!(all(&left[..1]), [row(11, "b", "1")]);
    }

    #[test]
    fn a_tombstone_stays_until_its_horizon_and_keeps_its_time() {
        let log = [at(0, &[("a", Some("1")), ("b", Some("1"))]), at(2, &[("a", None), ("c", Some("1"))])];
        let once = compact(&log, &[], 5_000);
        let expected = [row(1, "b", "1"), (2, 1_000, "a".into(), None), row(3, "c", "1")];
        assert_eq!(all(&once), expected);
        assert_eq!(check(&once[1]).unwrap().delete_horizon_ms(), Some(5_100));
        assert_eq!(compact(&once, &[], 5_099), once, "a second run moves no horizon");
        assert_eq!(all(&compact(&once, &[], 5_100)), [row(1, "b", "1"), row(3, "c", "1")]);
    }

    #[test]
    fn records_of_aborted_transactions_go_and_do_not_hide_older_ones() {
        let aborted = [Aborted { producer_id: 7, first_offset: 1, last_offset: 3 }];
        let log = [
            of_transaction(8, 0, &[("a", Some("good"))]),
            of_transaction(7, 1, &[("a", Some("bad"))]),
            of_transaction(8, 2, &[("b", Some("good"))]),
            marker(7, 0, false, 3, 1_000),
            marker(8, 0, true, 4, 1_000),
            of_transaction(7, 5, &[("b", Some("later"))]),
        ];
        let once = compact(&log, &aborted, 5_000);
        let data: Vec<_> = once.iter().filter(|b| !check(b).unwrap().is_control()).cloned().collect();
        assert_eq!(all(&data), [row(0, "a", "good"), row(5, "b", "later")]);
        assert_eq!(once.len(), 4, "markers stay until their horizon");
        let ends: Vec<_> = once.iter().filter_map(|b| super::super::record::marker_commits(b)).collect();
        assert_eq!(ends, [false, true]);
        assert_eq!(compact(&once, &aborted, 5_100).len(), 2, "and go then");
    }

    #[test]
    fn keys_that_no_run_had_room_for_are_left_alone() {
        let log = [at(0, &[("a", Some("1"))]), at(1, &[("b", Some("1"))]), at(2, &[("a", Some("2"))])];
        let mut newest = Newest::new(0, 1);
        let noted = |newest: &mut Newest, b: &Bytes| newest.note(&check(b).unwrap(), b, &[]).unwrap();
        assert!(noted(&mut newest, &log[0]) && !noted(&mut newest, &log[1]));
        assert_eq!(newest.until(), 1);
    }

    #[test]
    fn a_record_whose_key_was_cleaned_before_and_not_written_since_stays() {
        let log = [at(0, &[("a", Some("1"))]), at(1, &[("b", Some("1"))])];
        let mut newest = Newest::new(1, usize::MAX);
        newest.note(&check(&log[1]).unwrap(), &log[1], &[]).unwrap();
        let rules = Rules { newest: &newest, aborted: &[], now_ms: 0, delete_retention_ms: 0 };
        assert_eq!(rules.apply(&check(&log[0]).unwrap(), &log[0]).unwrap(), Left::Whole);
    }
}
