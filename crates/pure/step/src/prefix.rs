//! The contiguous finished prefix of a partition.
//!
//! Handlers finish in any order; an offset may be committed only when every record before it is finished. A
//! transaction therefore carries the outputs of exactly that prefix, and what finished behind a gap waits in memory.

use std::collections::VecDeque;

/// Progress of one partition. `T` is what a finished record leaves to be written.
#[derive(Debug)]
pub struct Prefix<T> {
    records: VecDeque<(i64, Option<T>)>,
}

/// What can be committed now.
#[derive(Debug, PartialEq, Eq)]
pub struct Finished<T> {
    /// The offset to commit: one behind the last finished record.
    pub next_offset: i64,
    /// What the records leave, in the order of their offsets.
    pub outputs: Vec<T>,
}

impl<T> Default for Prefix<T> {
    fn default() -> Self {
        Self { records: VecDeque::new() }
    }
}

impl<T> Prefix<T> {
    /// A record was taken from the log. Offsets rise, with gaps where markers or compacted records lie.
    pub fn began(&mut self, offset: i64) {
        debug_assert!(self.records.back().is_none_or(|(last, _)| *last < offset), "offsets rise");
        self.records.push_back((offset, None));
    }

    /// A record is finished and leaves `output`. An offset that is not in work here (any more) is ignored: it
    /// belonged to an earlier assignment.
    pub fn finished(&mut self, offset: i64, output: T) {
        if let Ok(index) = self.records.binary_search_by_key(&offset, |(at, _)| *at) {
            self.records[index].1 = Some(output);
        }
    }

    /// Takes the finished prefix, at most `limit` records of it.
    pub fn take(&mut self, limit: usize) -> Option<Finished<T>> {
        let count = self.records.iter().take(limit).take_while(|(_, output)| output.is_some()).count();
        let (last, _) = self.records.get(count.checked_sub(1)?)?;
        let next_offset = last + 1;
        let outputs = self.records.drain(..count).filter_map(|(_, output)| output).collect();
        Some(Finished { next_offset, outputs })
    }

    /// Whether [`take`](Self::take) would give something.
    pub fn is_ready(&self) -> bool {
        self.records.front().is_some_and(|(_, output)| output.is_some())
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
            prefix.began(offset);
        }
        prefix.finished(4, "b");
        assert_eq!(prefix.take(10), None);
        prefix.finished(3, "a");
        assert_eq!(prefix.take(10), Some(Finished { next_offset: 5, outputs: vec!["a", "b"] }));
        assert_eq!(prefix.take(10), None);
        prefix.finished(9, "c");
        assert_eq!(prefix.take(10), Some(Finished { next_offset: 10, outputs: vec!["c"] }));
        assert!(prefix.is_empty());
    }

    #[test]
    fn a_late_answer_of_an_earlier_assignment_is_ignored() {
        let mut prefix = Prefix::default();
        prefix.began(5);
        prefix.finished(4, "old");
        assert_eq!(prefix.take(10), None);
    }

    #[test]
    fn a_limit_splits_the_prefix() {
        let mut prefix = Prefix::default();
        for offset in 0..3 {
            prefix.began(offset);
            prefix.finished(offset, offset);
        }
        assert_eq!(prefix.take(2), Some(Finished { next_offset: 2, outputs: vec![0, 1] }));
        assert_eq!(prefix.take(2), Some(Finished { next_offset: 3, outputs: vec![2] }));
    }

    proptest! {
        #[test]
        fn every_record_is_handed_out_once_and_in_order(order in Just((0..40_i64).collect::<Vec<_>>()).prop_shuffle()) {
            let mut prefix = Prefix::default();
            for offset in 0..40 {
                prefix.began(offset);
            }
            let mut seen = Vec::new();
            for offset in order {
                prefix.finished(offset, offset);
                while let Some(finished) = prefix.take(7) {
                    seen.extend(finished.outputs);
                    prop_assert_eq!(finished.next_offset, seen.len() as i64);
                }
            }
            prop_assert_eq!(seen, (0..40).collect::<Vec<_>>());
        }
    }
}
