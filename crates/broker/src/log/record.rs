//! Records of a batch, as far as the broker has to look: lengths, keys, timestamps.

use bytes::BufMut;

use super::batch::{BatchHeader, HEADER};
use super::codec;

/// One record of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Record<'a> {
    pub(crate) offset_delta: i32,
    pub(crate) timestamp_delta: i64,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
    /// The record as it lies in its batch, length included.
    pub(crate) raw: &'a [u8],
    /// What follows its timestamp.
    behind_time: &'a [u8],
}

impl Record<'_> {
    /// Appends the record with another timestamp delta.
    pub(crate) fn write_at(&self, timestamp_delta: i64, out: &mut Vec<u8>) {
        let mut time = Vec::with_capacity(10);
        put_varint(&mut time, timestamp_delta);
        put_varint(out, (1 + time.len() + self.behind_time.len()) as i64);
        out.put_u8(0); // attributes: none are in use
        out.extend_from_slice(&time);
        out.extend_from_slice(self.behind_time);
    }
}

/// Reads the records of a batch; `None` in the place of a record that is malformed, and nothing behind it.
pub(crate) struct Records<'a> {
    rest: &'a [u8],
}

impl<'a> Records<'a> {
    /// `records` are the unpacked records of one batch.
    pub(crate) fn of(records: &'a [u8]) -> Self {
        Records { rest: records }
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Option<Record<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let record = read_record(&mut self.rest);
        if record.is_none() {
            self.rest = &[];
        }
        Some(record)
    }
}

fn read_record<'a>(rest: &mut &'a [u8]) -> Option<Record<'a>> {
    let whole = *rest;
    let length = usize::try_from(varint(rest)?).ok()?;
    let mut body = take(rest, length)?;
    let raw = &whole[..whole.len() - rest.len()];
    let _attributes = take(&mut body, 1)?;
    let timestamp_delta = varint(&mut body)?;
    let behind_time = body;
    let offset_delta = i32::try_from(varint(&mut body)?).ok()?;
    let key = nullable(&mut body)?;
    let value = nullable(&mut body)?;
    for _ in 0..u32::try_from(varint(&mut body)?).ok()? {
        nullable(&mut body)??;
        nullable(&mut body)?;
    }
    body.is_empty().then_some(Record { offset_delta, timestamp_delta, key, value, raw, behind_time })
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (head, tail) = rest.split_at_checked(count)?;
    *rest = tail;
    Some(head)
}

fn nullable<'a>(rest: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    match varint(rest)? {
        -1 => Some(None),
        length => take(rest, usize::try_from(length).ok()?).map(Some),
    }
}

fn varint(rest: &mut &[u8]) -> Option<i64> {
    let mut zigzag = 0u64;
    for shift in (0..70).step_by(7) {
        let byte = take(rest, 1)?[0];
        zigzag |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64));
        }
    }
    None
}

fn put_varint(out: &mut Vec<u8>, value: i64) {
    let mut zigzag = ((value << 1) ^ (value >> 63)) as u64;
    while zigzag >= 0x80 {
        out.put_u8((zigzag as u8 & 0x7f) | 0x80);
        zigzag >>= 7;
    }
    out.put_u8(zigzag as u8);
}

/// What a look at a producer's records shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Contents {
    /// The batch holds exactly the records its header promises.
    pub(crate) consistent: bool,
    /// A record has no key.
    pub(crate) keyless: bool,
}

impl Contents {
    /// Looks through a whole batch, unpacking it if need be.
    pub(crate) fn of(batch: &[u8], header: &BatchHeader) -> Self {
        let (mut count, mut keyless) = (0, false);
        let broken = Contents { consistent: false, keyless };
        let Ok(records) = codec::records(batch, header) else { return broken };
        for record in Records::of(&records) {
            match record {
                Some(record) if record.offset_delta == count => {
                    count += 1;
                    keyless |= record.key.is_none();
                }
                _ => return broken,
            }
        }
        Contents { consistent: count == header.records && header.last_offset_delta == count - 1, keyless }
    }
}

/// Offset and timestamp of the first record at or after `timestamp`; those below `start` are gone.
pub(crate) fn first_at(batch: &[u8], header: &BatchHeader, timestamp: i64, start: i64) -> Option<(i64, i64)> {
    if header.max_timestamp < timestamp {
        return None;
    }
    if header.has_append_time() {
        return Some((header.base_offset.max(start), header.max_timestamp));
    }
    let records = codec::records(batch, header).ok()?;
    Records::of(&records).flatten().find_map(|record| {
        let at = header.base_timestamp.checked_add(record.timestamp_delta)?;
        let offset = header.base_offset + i64::from(record.offset_delta);
        (at >= timestamp && offset >= start).then_some((offset, at))
    })
}

/// Whether the marker of a control batch commits; `None` if it is no transaction marker.
pub(crate) fn marker_commits(batch: &[u8]) -> Option<bool> {
    match Records::of(batch.get(HEADER..)?).next()??.key? {
        [0, 0, 0, 0] => Some(false),
        [0, 0, 0, 1] => Some(true),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::batch::tests::{batch, keyed, packed};
    use super::super::batch::{check, rewritten};
    use super::*;

    #[test]
    fn records_are_read_in_order_and_counted() {
        let bytes = batch((-1, -1, -1), 10, &[b"one", b"", b"three"], false);
        let values: Vec<_> =
            Records::of(&bytes[HEADER..]).map(|r| r.unwrap().value.unwrap().to_vec()).collect();
        assert_eq!(values, [b"one".to_vec(), b"".to_vec(), b"three".to_vec()]);
        assert!(Contents::of(&bytes, &check(&bytes).unwrap()).consistent);
    }

    #[test]
    fn a_batch_whose_count_is_wrong_is_inconsistent() {
        let bytes = batch((-1, -1, -1), 10, &[b"one", b"two"], false);
        let mut header = check(&bytes).unwrap();
        header.records = 3;
        assert!(!Contents::of(&bytes, &header).consistent);
        let mut header = check(&bytes).unwrap();
        header.size -= 1;
        assert!(!Contents::of(&bytes, &header).consistent);
    }

    #[test]
    fn garbage_ends_the_iteration_without_a_panic() {
        for seed in 0..200u64 {
            let mut state = seed + 1;
            let bytes: Vec<u8> = std::iter::repeat_with(|| {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                (state >> 33) as u8
            })
            .take(50)
            .collect();
            assert!(Records::of(&bytes).count() <= 50);
        }
    }

    #[test]
    fn the_first_record_at_a_time_is_found() {
        let bytes = batch((-1, -1, -1), 10, &[b"one", b"two"], false);
        let header = check(&bytes).unwrap();
        assert_eq!(first_at(&bytes, &header, 10, 0), Some((0, 10)));
        assert_eq!(first_at(&bytes, &header, 11, 0), None);
    }

    #[test]
    fn a_record_is_written_with_another_time_and_nothing_else_changed() {
        let bytes = batch((-1, -1, -1), 10, &[b"one"], false);
        let old = Records::of(&bytes[HEADER..]).next().unwrap().unwrap();
        assert_eq!(old.raw, &bytes[HEADER..]);
        for delta in [0, -1, 1, -86_400_000, 1 << 40, i64::MIN, i64::MAX] {
            let mut out = Vec::new();
            old.write_at(delta, &mut out);
            let new = Records::of(&out).next().unwrap().unwrap();
            assert_eq!((new.timestamp_delta, new.key, new.value), (delta, old.key, old.value));
            assert_eq!(new.raw, out);
        }
    }

    #[test]
    fn a_compressed_batch_is_looked_into() {
        let mut bytes = batch((-1, -1, -1), 10, &[b"one", b"two"], false).to_vec();
        let mut records = Vec::new();
        for (record, delta) in Records::of(&bytes[HEADER..]).flatten().zip([0, 5]) {
            record.write_at(delta, &mut records);
        }
        bytes.truncate(HEADER);
        bytes[35..43].copy_from_slice(&15i64.to_be_bytes()); // the largest timestamp
        bytes.extend(records);
        let bytes = packed(&rewritten(&bytes, &bytes[HEADER..], 2, None));
        let header = check(&bytes).unwrap();
        assert_eq!(header.codec(), 1);
        assert_eq!(first_at(&bytes, &header, 11, 0), Some((1, 15)));
        assert_eq!(first_at(&bytes, &header, 0, 1), Some((1, 15)), "what is gone is not found");
        assert_eq!(Contents::of(&bytes, &header), Contents { consistent: true, keyless: true });
        let with_keys = packed(&keyed((-1, -1, -1), 10, &[("a", Some("1")), ("b", None)], false));
        let header = check(&with_keys).unwrap();
        assert_eq!(Contents::of(&with_keys, &header), Contents { consistent: true, keyless: false });
        let lying = BatchHeader { records: 3, ..header };
        assert!(!Contents::of(&with_keys, &lying).consistent);
    }
}
