//! Which offsets of a partition belong to open or aborted transactions: the last stable offset and the aborted list.

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};

/// An aborted transaction in one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Aborted {
    #[n(0)]
    pub(crate) producer_id: i64,
    #[n(1)]
    pub(crate) first_offset: i64,
    /// Offset of the marker.
    #[n(2)]
    pub(crate) last_offset: i64,
}

/// Open and aborted transactions of one partition.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Stability {
    /// First offset of the open transaction of each producer.
    #[n(0)]
    open: BTreeMap<i64, i64>,
    /// Ended, but the marker (second) is still above the high watermark: readers must not see these either.
    #[n(1)]
    closing: Vec<(i64, i64)>,
    #[n(2)]
    aborted: Vec<Aborted>,
}

impl Stability {
    pub(crate) fn data(&mut self, producer_id: i64, first_offset: i64) {
        self.open.entry(producer_id).or_insert(first_offset);
    }

    pub(crate) fn marker(&mut self, producer_id: i64, offset: i64, committed: bool) {
        let Some(first_offset) = self.open.remove(&producer_id) else { return };
        self.closing.push((first_offset, offset));
        if !committed {
            self.aborted.push(Aborted { producer_id, first_offset, last_offset: offset });
        }
    }

    pub(crate) fn open_since(&self, producer_id: i64) -> Option<i64> {
        self.open.get(&producer_id).copied()
    }

    /// To be called when the high watermark has risen.
    pub(crate) fn settle(&mut self, high_watermark: i64) {
        self.closing.retain(|(_, marker)| *marker >= high_watermark);
    }

    /// Offsets below this one are decided.
    pub(crate) fn last_stable(&self, high_watermark: i64) -> i64 {
        let open = self.open.values().copied();
        let closing = self.closing.iter().map(|(first, _)| *first);
        open.chain(closing).min().map_or(high_watermark, |first| first.min(high_watermark))
    }

    /// Aborted transactions that reach into `from..until`.
    pub(crate) fn aborted(&self, from: i64, until: i64) -> Vec<Aborted> {
        let start = self.aborted.partition_point(|a| a.last_offset < from);
        self.aborted[start..].iter().filter(|a| a.first_offset < until).copied().collect()
    }

    /// Forgets the aborted transactions of these markers, of which compaction has left nothing.
    pub(crate) fn forget(&mut self, markers: &[i64]) {
        self.aborted.retain(|a| !markers.contains(&a.last_offset));
    }

    /// Forgets what lies wholly below the log's start.
    pub(crate) fn trim(&mut self, start_offset: i64) {
        self.aborted.retain(|a| a.last_offset >= start_offset);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_transaction_holds_the_last_stable_offset() {
        let mut stability = Stability::default();
        stability.data(1, 5);
        stability.data(1, 8);
        stability.data(2, 6);
        assert_eq!(stability.last_stable(10), 5);
        stability.marker(1, 10, true);
        stability.settle(11);
        assert_eq!(stability.last_stable(11), 6);
    }

    #[test]
    fn a_marker_that_is_not_durable_yet_decides_nothing() {
        let mut stability = Stability::default();
        stability.data(1, 5);
        stability.marker(1, 10, true);
        stability.settle(8);
        assert_eq!(stability.last_stable(8), 5);
        stability.settle(11);
        assert_eq!(stability.last_stable(11), 11);
    }

    #[test]
    fn aborted_transactions_are_found_by_overlap() {
        let mut stability = Stability::default();
        for (producer, first, marker) in [(1, 0, 4), (2, 5, 9), (3, 12, 20)] {
            stability.data(producer, first);
            stability.marker(producer, marker, false);
        }
        let found =
            |from, until| stability.aborted(from, until).iter().map(|a| a.producer_id).collect::<Vec<_>>();
        assert_eq!(found(0, 100), [1, 2, 3]);
        assert_eq!(found(5, 12), [2]);
        assert_eq!(found(10, 12), Vec::<i64>::new());
    }

    #[test]
    fn a_marker_without_data_changes_nothing() {
        let mut stability = Stability::default();
        stability.marker(1, 3, false);
        assert_eq!(stability, Stability::default());
    }
}
