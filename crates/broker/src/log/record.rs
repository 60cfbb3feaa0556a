//! Records inside an uncompressed batch, as far as the broker has to look: lengths, keys, timestamps.

use bytes::Bytes;

use super::batch::{BatchHeader, HEADER};

/// One record of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Record<'a> {
    pub(crate) offset_delta: i32,
    pub(crate) timestamp_delta: i64,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
}

/// Reads the records of an uncompressed batch; `None` in the place of a record that is malformed, and nothing behind it.
pub(crate) struct Records<'a> {
    rest: &'a [u8],
}

impl<'a> Records<'a> {
    /// `batch` is one whole batch.
    pub(crate) fn of(batch: &'a [u8]) -> Self {
        Records { rest: batch.get(HEADER..).unwrap_or(&[]) }
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
    let length = usize::try_from(varint(rest)?).ok()?;
    let mut body = take(rest, length)?;
    let _attributes = take(&mut body, 1)?;
    let timestamp_delta = varint(&mut body)?;
    let offset_delta = i32::try_from(varint(&mut body)?).ok()?;
    let key = nullable(&mut body)?;
    let value = nullable(&mut body)?;
    for _ in 0..u32::try_from(varint(&mut body)?).ok()? {
        nullable(&mut body)??;
        nullable(&mut body)?;
    }
    body.is_empty().then_some(Record { offset_delta, timestamp_delta, key, value })
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

/// Whether an uncompressed batch holds exactly the records its header promises.
pub(crate) fn is_consistent(batch: &[u8], header: &BatchHeader) -> bool {
    let mut count = 0;
    for record in Records::of(batch) {
        match record {
            Some(record) if record.offset_delta == count => count += 1,
            _ => return false,
        }
    }
    count == header.records && header.last_offset_delta == count - 1
}

/// Offset and timestamp of the first record at or after `timestamp`. Of a compressed batch only the header is known.
pub(crate) fn first_at(batch: &[u8], header: &BatchHeader, timestamp: i64) -> Option<(i64, i64)> {
    if header.max_timestamp < timestamp {
        return None;
    }
    if header.has_append_time() {
        return Some((header.base_offset, header.max_timestamp));
    }
    if header.is_compressed() {
        return Some((header.base_offset, header.base_timestamp.max(timestamp)));
    }
    Records::of(batch).flatten().find_map(|record| {
        let at = header.base_timestamp.checked_add(record.timestamp_delta)?;
        (at >= timestamp).then_some((header.base_offset + i64::from(record.offset_delta), at))
    })
}

/// Whether the marker of a control batch commits; `None` if it is no transaction marker.
pub(crate) fn marker_commits(batch: &Bytes) -> Option<bool> {
    match Records::of(batch).next()??.key? {
        [0, 0, 0, 0] => Some(false),
        [0, 0, 0, 1] => Some(true),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::batch::{check, tests::batch};
    use super::*;

    #[test]
    fn records_are_read_in_order_and_counted() {
        let bytes = batch((-1, -1, -1), 10, &[b"one", b"", b"three"], false);
        let values: Vec<_> = Records::of(&bytes).map(|r| r.unwrap().value.unwrap().to_vec()).collect();
        assert_eq!(values, [b"one".to_vec(), b"".to_vec(), b"three".to_vec()]);
        assert!(is_consistent(&bytes, &check(&bytes).unwrap()));
    }

    #[test]
    fn a_batch_whose_count_is_wrong_is_inconsistent() {
        let bytes = batch((-1, -1, -1), 10, &[b"one", b"two"], false);
        let mut header = check(&bytes).unwrap();
        header.records = 3;
        assert!(!is_consistent(&bytes, &header));
        assert!(!is_consistent(&bytes[..bytes.len() - 1], &check(&bytes).unwrap()));
    }

    #[test]
    fn garbage_ends_the_iteration_without_a_panic() {
        for seed in 0..200u64 {
            let mut state = seed + 1;
            let bytes: Vec<u8> = std::iter::repeat_with(|| {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                (state >> 33) as u8
            })
            .take(HEADER + 50)
            .collect();
            assert!(Records::of(&bytes).count() <= 50);
        }
    }

    #[test]
    fn the_first_record_at_a_time_is_found() {
        let bytes = batch((-1, -1, -1), 10, &[b"one", b"two"], false);
        let header = check(&bytes).unwrap();
        assert_eq!(first_at(&bytes, &header, 10), Some((0, 10)));
        assert_eq!(first_at(&bytes, &header, 11), None);
    }
}
