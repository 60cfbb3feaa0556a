//! Sparse index of a segment: where to start reading for an offset or a time.

use bytes::{Buf, BufMut};

/// Bytes of log between two entries.
pub(crate) const INTERVAL: u64 = 32 * 1024;
const ENTRY: usize = 24;

/// A batch that starts at `position`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) offset: i64,
    pub(crate) position: u64,
    /// Largest timestamp of all batches of the segment before this one.
    pub(crate) max_ms_before: i64,
}

/// Entries in rising order; the first is the segment's first batch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Index {
    entries: Vec<Entry>,
}

impl Index {
    /// Notes a batch, if it is far enough behind the last one noted.
    pub(crate) fn note(&mut self, entry: Entry) {
        if self.entries.last().is_none_or(|last| entry.position >= last.position + INTERVAL) {
            self.entries.push(entry);
        }
    }

    /// Where to start for `offset`: at or before the batch that holds it.
    pub(crate) fn position_of(&self, offset: i64) -> u64 {
        let after = self.entries.partition_point(|e| e.offset <= offset);
        after.checked_sub(1).map_or(0, |i| self.entries[i].position)
    }

    /// Where to start for the first record at or after `ms`.
    pub(crate) fn position_at(&self, ms: i64) -> u64 {
        let after = self.entries.partition_point(|e| e.max_ms_before < ms);
        after.checked_sub(1).map_or(0, |i| self.entries[i].position)
    }

    /// The entries as bytes, with their number and a checksum behind them.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.entries.len() * ENTRY + 8);
        for entry in &self.entries {
            out.put_i64(entry.offset);
            out.put_u64(entry.position);
            out.put_i64(entry.max_ms_before);
        }
        out.put_u32(u32::try_from(self.entries.len()).unwrap_or(u32::MAX));
        let sum = crc32c::crc32c(&out);
        out.put_u32(sum);
        out
    }

    /// Reads [`Index::encode`]; `None` if it is damaged, and then it has to be built anew from the segment.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Index> {
        let (summed, mut sum) = bytes.split_at_checked(bytes.len().checked_sub(4)?)?;
        let (mut body, mut count) = summed.split_at_checked(summed.len().checked_sub(4)?)?;
        if crc32c::crc32c(summed) != sum.get_u32() || body.len() != count.get_u32() as usize * ENTRY {
            return None;
        }
        let mut entries = Vec::with_capacity(body.len() / ENTRY);
        while body.has_remaining() {
            entries.push(Entry {
                offset: body.get_i64(),
                position: body.get_u64(),
                max_ms_before: body.get_i64(),
            });
        }
        entries
            .is_sorted_by(|a, b| a.offset < b.offset && a.position < b.position)
            .then_some(Index { entries })
    }

    /// Drops what points at or behind `length`, for a segment that was cut; the last entry left, if any.
    pub(crate) fn cut(&mut self, length: u64) -> Option<Entry> {
        self.entries.truncate(self.entries.partition_point(|e| e.position < length));
        self.entries.last().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index() -> Index {
        let mut index = Index::default();
        for i in 0..10u64 {
            let entry =
                Entry { offset: i as i64 * 10, position: i * INTERVAL / 2, max_ms_before: 1_000 + i as i64 };
            index.note(entry);
        }
        index
    }

    #[test]
    fn only_batches_an_interval_apart_are_noted() {
        assert_eq!(index().entries.len(), 5);
    }

    #[test]
    fn a_lookup_never_starts_behind_its_target() {
        let index = index();
        for (offset, position) in [(0, 0), (19, 0), (20, INTERVAL), (39, INTERVAL), (1_000, 4 * INTERVAL)] {
            assert_eq!(index.position_of(offset), position, "offset {offset}");
        }
        for (ms, position) in [(0, 0), (1_001, 0), (1_003, INTERVAL), (9_999, 4 * INTERVAL)] {
            assert_eq!(index.position_at(ms), position, "time {ms}");
        }
    }

    #[test]
    fn damage_is_noticed() {
        let bytes = index().encode();
        assert_eq!(Index::decode(&bytes), Some(index()));
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 1;
            assert_eq!(Index::decode(&bad), None, "byte {at}");
            assert_eq!(Index::decode(&bytes[..at]), None, "cut at {at}");
        }
    }

    #[test]
    fn a_cut_leaves_what_lies_before_it() {
        let mut index = index();
        assert_eq!(index.cut(INTERVAL + 1).unwrap().position, INTERVAL);
        assert_eq!(index.entries.len(), 2);
    }
}
