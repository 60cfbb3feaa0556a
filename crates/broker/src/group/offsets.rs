//! Committed offsets of a group, and those that wait for a transaction's end.

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};

use crate::journal::change::OffsetEntry;

/// A topic's partition.
pub(crate) type Place = (String, i32);

/// A committed offset.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Committed {
    #[n(0)]
    pub(crate) offset: i64,
    #[n(1)]
    pub(crate) leader_epoch: i32,
    #[n(2)]
    pub(crate) metadata: String,
    #[n(3)]
    pub(crate) committed_ms: i64,
    /// Rises with every commit, pending or not: of two, the one sent last wins, whichever transaction ends last.
    #[n(4)]
    pub(crate) order: u64,
    /// When the commit itself said that it goes (requests below version 5), whatever the group does.
    #[n(5)]
    pub(crate) expires_ms: Option<i64>,
}

/// The offsets of one group.
#[derive(Debug, Clone, Default)]
pub(crate) struct Offsets {
    committed: BTreeMap<Place, Committed>,
    pending: BTreeMap<i64, BTreeMap<Place, Committed>>,
}

impl Offsets {
    /// Takes a commit; with a producer it waits for the end of the producer's transaction.
    pub(crate) fn put(&mut self, producer_id: Option<i64>, entry: OffsetEntry) {
        let place = (entry.topic, entry.partition);
        match producer_id {
            Some(producer_id) => {
                self.pending.entry(producer_id).or_default().insert(place, entry.value);
            }
            None => {
                self.committed.insert(place, entry.value);
            }
        }
    }

    /// The producer's transaction has ended.
    pub(crate) fn end(&mut self, producer_id: i64, committed: bool) {
        for (place, value) in self.pending.remove(&producer_id).unwrap_or_default() {
            let newer = self.committed.get(&place).is_none_or(|known| known.order < value.order);
            if committed && newer {
                self.committed.insert(place, value);
            }
        }
    }

    pub(crate) fn get(&self, place: &Place) -> Option<&Committed> {
        self.committed.get(place)
    }

    /// Whether a transaction that has not ended holds an offset for this partition.
    pub(crate) fn is_unstable(&self, place: &Place) -> bool {
        self.pending.values().any(|offsets| offsets.contains_key(place))
    }

    /// Whether nothing is committed and nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.committed.is_empty() && self.pending.values().all(BTreeMap::is_empty)
    }

    pub(crate) fn committed(&self) -> impl Iterator<Item = (&Place, &Committed)> {
        self.committed.iter()
    }

    pub(crate) fn places(&self) -> impl Iterator<Item = &Place> {
        self.committed.keys()
    }

    pub(crate) fn delete(&mut self, place: &Place) {
        self.committed.remove(place);
        self.pending.values_mut().for_each(|offsets| {
            offsets.remove(place);
        });
    }

    pub(crate) fn delete_topic(&mut self, topic: &str) {
        self.committed.retain(|(name, _), _| name != topic);
        self.pending.values_mut().for_each(|offsets| offsets.retain(|(name, _), _| name != topic));
    }

    /// Everything, as it was put: committed offsets first, then those that wait.
    pub(crate) fn entries(&self) -> Vec<(Option<i64>, Vec<OffsetEntry>)> {
        let all = |offsets: &BTreeMap<Place, Committed>| {
            let entry = |((topic, partition), value): (&Place, &Committed)| OffsetEntry {
                topic: topic.clone(),
                partition: *partition,
                value: value.clone(),
            };
            offsets.iter().map(entry).collect::<Vec<_>>()
        };
        let pending = self.pending.iter().map(|(producer_id, offsets)| (Some(*producer_id), all(offsets)));
        std::iter::once((None, all(&self.committed))).chain(pending).filter(|(_, o)| !o.is_empty()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(partition: i32, offset: i64, order: u64) -> OffsetEntry {
        let value = Committed {
            offset,
            leader_epoch: -1,
            metadata: String::new(),
            committed_ms: 0,
            order,
            expires_ms: None,
        };
        OffsetEntry { topic: "t".into(), partition, value }
    }

    fn offset(offsets: &Offsets, partition: i32) -> Option<i64> {
        offsets.get(&("t".into(), partition)).map(|c| c.offset)
    }

    #[test]
    fn a_pending_offset_shows_only_after_its_commit() {
        let mut offsets = Offsets::default();
        offsets.put(None, entry(0, 5, 1));
        offsets.put(Some(9), entry(0, 10, 2));
        assert_eq!((offset(&offsets, 0), offsets.is_unstable(&("t".into(), 0))), (Some(5), true));
        offsets.end(9, true);
        assert_eq!((offset(&offsets, 0), offsets.is_unstable(&("t".into(), 0))), (Some(10), false));
        offsets.put(Some(9), entry(0, 20, 3));
        offsets.end(9, false);
        assert_eq!(offset(&offsets, 0), Some(10));
    }

    #[test]
    fn the_offset_sent_last_wins_whatever_ends_last() {
        for ends in [[1, 2], [2, 1]] {
            let mut offsets = Offsets::default();
            offsets.put(Some(1), entry(0, 60, 1));
            offsets.put(Some(2), entry(0, 50, 2));
            ends.into_iter().for_each(|producer| offsets.end(producer, true));
            assert_eq!(offset(&offsets, 0), Some(50));
        }
    }

    #[test]
    fn two_sends_of_one_transaction_both_count() {
        let mut offsets = Offsets::default();
        offsets.put(Some(1), entry(0, 1, 1));
        offsets.put(Some(1), entry(1, 2, 2));
        offsets.end(1, true);
        assert_eq!((offset(&offsets, 0), offset(&offsets, 1)), (Some(1), Some(2)));
    }

    #[test]
    fn entries_rebuild_the_same_offsets() {
        let mut offsets = Offsets::default();
        offsets.put(None, entry(0, 5, 1));
        offsets.put(Some(9), entry(0, 10, 2));
        let mut again = Offsets::default();
        for (producer_id, entries) in offsets.entries() {
            entries.into_iter().for_each(|e| again.put(producer_id, e));
        }
        assert_eq!(again.entries(), offsets.entries());
        offsets.delete_topic("t");
        assert_eq!(offset(&offsets, 0), None);
    }
}
