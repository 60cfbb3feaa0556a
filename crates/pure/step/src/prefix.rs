//! The contiguous finished prefix of a partition.
//!
//! Handlers finish in any order; an offset may be committed only when every record before it is finished. A
//! transaction therefore carries the outputs of exactly that prefix, and what finished behind a gap waits in memory.

use std::collections::VecDeque;

/// Progress of one partition. `T` is what a finished record leaves to be written.
#[derive(Debug)]
pub struct Prefix<T> {
    records: VecDeque<Begun<T>>,
    bytes: usize,
}

#[derive(Debug)]
struct Begun<T> {
    offset: i64,
    /// What it takes in memory, its output included.
    bytes: usize,
    finished: Option<Output<T>>,
}

#[derive(Debug)]
struct Output<T> {
    what: T,
    bytes: usize,
}

/// What can be committed now.
#[derive(Debug, PartialEq, Eq)]
pub struct Finished<T> {
    /// The offset to commit: one behind the last finished record.
    pub next_offset: i64,
    /// What the records leave, in the order of their offsets.
    pub outputs: Vec<T>,
    /// What those take, in bytes.
    pub bytes: usize,
}

impl<T> Default for Prefix<T> {
    fn default() -> Self {
        Self { records: VecDeque::new(), bytes: 0 }
    }
}

impl<T> Prefix<T> {
    /// A record that takes `bytes` of memory was taken from the log. Offsets rise, with gaps where markers or compacted
    /// records lie.
    pub fn began(&mut self, offset: i64, bytes: usize) {
        debug_assert!(self.records.back().is_none_or(|last| last.offset < offset), "offsets rise");
        self.records.push_back(Begun { offset, bytes, finished: None });
        self.bytes += bytes;
    }

    /// A record is finished and leaves `what`, of `bytes`. An offset that is not in work here (any more) is ignored: it
    /// belonged to an earlier assignment.
    pub fn finished(&mut self, offset: i64, what: T, bytes: usize) {
        if let Ok(index) = self.records.binary_search_by_key(&offset, |begun| begun.offset) {
            let begun = &mut self.records[index];
            begun.finished = Some(Output { what, bytes });
            begun.bytes += bytes;
            self.bytes += bytes;
        }
    }

    /// Takes the finished prefix, at most `limit` records of it, and of those what leaves at most `bytes`; one in any
    /// case, if `limit` and `bytes` are not used up.
    pub fn take(&mut self, limit: usize, bytes: usize) -> Option<Finished<T>> {
        let (mut next_offset, mut outputs, mut taken) = (None, Vec::new(), 0);
        while outputs.len() < limit && taken < bytes {
            let Some(output) = self.records.front().and_then(|begun| begun.finished.as_ref()) else { break };
            if !outputs.is_empty() && taken + output.bytes > bytes {
                break;
            }
            taken += output.bytes;
            let begun = self.records.pop_front()?;
            self.bytes -= begun.bytes;
            next_offset = Some(begun.offset + 1);
            outputs.extend(begun.finished.map(|output| output.what));
        }
        Some(Finished { next_offset: next_offset?, outputs, bytes: taken })
    }

    /// Whether [`take`](Self::take) would give something.
    pub fn is_ready(&self) -> bool {
        self.records.front().is_some_and(|begun| begun.finished.is_some())
    }

    /// What the records in work and their outputs take in memory.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Records taken from the log and not yet handed out as finished.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether nothing is in work.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_behind_a_gap_is_committed() {
        let mut prefix = Prefix::default();
        for offset in [3, 4, 9] {
            prefix.began(offset, 1);
        }
        prefix.finished(4, "b", 1);
        assert_eq!(prefix.take(10, 1_000), None);
        prefix.finished(3, "a", 1);
        assert_eq!(
            prefix.take(10, 1_000),
            Some(Finished { next_offset: 5, outputs: vec!["a", "b"], bytes: 2 })
        );
        assert_eq!(prefix.take(10, 1_000), None);
        prefix.finished(9, "c", 1);
        assert_eq!(prefix.take(10, 1_000), Some(Finished { next_offset: 10, outputs: vec!["c"], bytes: 1 }));
        assert!(prefix.is_empty());
    }

    #[test]
    fn a_late_answer_of_an_earlier_assignment_is_ignored() {
        let mut prefix = Prefix::default();
        prefix.began(5, 1);
        prefix.finished(4, "old", 1);
        assert_eq!(prefix.take(10, 1_000), None);
    }

    #[test]
    fn a_limit_splits_the_prefix() {
        let mut prefix = Prefix::default();
        for offset in 0..3 {
            prefix.began(offset, 1);
            prefix.finished(offset, offset, 1);
        }
        assert_eq!(prefix.take(2, 1_000), Some(Finished { next_offset: 2, outputs: vec![0, 1], bytes: 2 }));
        assert_eq!(prefix.take(2, 1_000), Some(Finished { next_offset: 3, outputs: vec![2], bytes: 1 }));
    }

    #[test]
    fn bytes_split_the_prefix_too_and_one_record_always_fits() {
        let mut prefix = Prefix::default();
        for (offset, bytes) in [(0, 40), (1, 60), (2, 500), (3, 1)] {
            prefix.began(offset, 10);
            prefix.finished(offset, offset, bytes);
        }
        assert_eq!(prefix.bytes(), 641);
        assert_eq!(prefix.take(9, 0), None);
        assert_eq!(prefix.take(9, 100), Some(Finished { next_offset: 2, outputs: vec![0, 1], bytes: 100 }));
        assert_eq!(prefix.take(9, 100), Some(Finished { next_offset: 3, outputs: vec![2], bytes: 500 }));
        assert_eq!(prefix.bytes(), 11);
    }

    proptest! {
        #[test]
        fn every_record_is_handed_out_once_and_in_order(order in Just((0..40_i64).collect::<Vec<_>>()).prop_shuffle()) {
            let mut prefix = Prefix::default();
            for offset in 0..40 {
                prefix.began(offset, 1);
            }
            let mut seen = Vec::new();
            for offset in order {
                prefix.finished(offset, offset, 1);
                while let Some(finished) = prefix.take(7, 1_000) {
                    seen.extend(finished.outputs);
                    prop_assert_eq!(finished.next_offset, seen.len() as i64);
                }
            }
            prop_assert_eq!(seen, (0..40).collect::<Vec<_>>());
        }
    }
}
