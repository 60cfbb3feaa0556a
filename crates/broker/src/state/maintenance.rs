//! Retention and compaction: looked after at intervals, recorded as changes like everything else.

use std::path::PathBuf;

use super::Core;
use super::tables::GroupState;
use crate::disk;
use crate::error::Result;
use crate::group::expiry;
use crate::journal::change::Change;
use crate::log::cleaner::{Cleaned, Job};
use crate::log::partition::{Cleanable, CompactionRules};
use crate::log::retention;

/// As `producer.id.expiration.ms` and its check interval are in Apache Kafka by default.
const PRODUCER_ID_EXPIRATION_MS: i64 = 86_400_000;
const PRODUCER_ID_EXPIRATION_CHECK_MS: i64 = 600_000;

/// A partition: the topic's number and the index.
pub(crate) type Place = (u64, u32);

/// Where compaction stands; one partition is compacted at a time.
#[derive(Debug, Default)]
pub(crate) struct Compaction {
    /// Waits for a thread.
    pub(crate) next: Option<(Place, Job)>,
    /// A thread is at it.
    pub(crate) running: bool,
    /// Partitions that could not be compacted; their records are served as they are.
    failed: Vec<Place>,
}

impl Core {
    /// Ends segments whose time has come, deletes what retention lets go, and finds a partition to compact.
    pub(super) fn maintain(&mut self, now_ms: i64) {
        if let Err(error) = self.roll() {
            self.fail(&error);
        }
        if self.config.faults.may_hang() {
            self.finish_decided(now_ms);
        }
        for (place, before) in self.expired(now_ms) {
            let (number, partition) = place;
            self.record(Change::RecordsDeleted { number, partition, offset: before });
        }
        if self.forget_at_ms <= now_ms {
            self.forget_producers(now_ms);
        }
        self.expire_offsets(now_ms);
        if !self.compaction.running && self.compaction.next.is_none() && !self.checkpointing {
            self.compaction.next = self.cleanable(now_ms);
        }
        self.checkpoint_wanted |= !self.tables.doomed.is_empty();
        self.maintain_at_ms = now_ms.saturating_add(self.config.maintenance_interval_ms);
    }

    fn forget_producers(&mut self, now_ms: i64) {
        let topics = self.tables.topics.values_mut();
        for log in topics.flat_map(|topic| &mut topic.partitions) {
            log.forget_producers(now_ms.saturating_sub(PRODUCER_ID_EXPIRATION_MS));
        }
        self.forget_at_ms = now_ms.saturating_add(PRODUCER_ID_EXPIRATION_CHECK_MS);
    }

    fn expired(&self, now_ms: i64) -> Vec<(Place, i64)> {
        let mut found = Vec::new();
        for topic in self.tables.topics.values() {
            let Some(limits) = topic.rules.retention else { continue };
            for (log, index) in topic.partitions.iter().zip(0u32..) {
                let before = retention::delete_before(&log.pieces(), limits, log.high_watermark, now_ms);
                found.extend(before.filter(|b| *b > log.start_offset).map(|b| ((topic.number, index), b)));
            }
        }
        found
    }

    /// Forgets offsets whose time is over, and groups of which nothing is left.
    fn expire_offsets(&mut self, now_ms: i64) {
        let retention_ms = self.config.offsets_retention_ms;
        let look = |(name, g): (&String, &GroupState)| {
            let expired = expiry::expired(&g.members, &g.offsets, now_ms, retention_ms);
            (!expired.is_empty() || (g.members.is_empty() && g.offsets.is_empty()))
                .then(|| (name.clone(), expired))
        };
        let found: Vec<_> = self.tables.groups.iter().filter_map(look).collect();
        for (group, partitions) in found {
            if !partitions.is_empty() {
                self.record(Change::OffsetsDeleted { group: group.clone(), partitions });
            }
            let nothing_left =
                self.tables.groups.get(&group).is_some_and(|g| g.members.is_empty() && g.offsets.is_empty());
            if nothing_left {
                self.record(Change::GroupDeleted { group });
            }
        }
    }

    fn roll(&mut self) -> Result<()> {
        let most = self.config.max_segment_bytes;
        self.tables.topics.values_mut().try_for_each(|topic| {
            let limits = topic.rules.segment_limits(most);
            topic.partitions.iter_mut().try_for_each(|log| log.roll_if_due(limits))
        })
    }

    fn cleanable(&mut self, now_ms: i64) -> Option<(Place, Job)> {
        for topic in self.tables.topics.values().filter(|t| t.rules.compacted) {
            let rules = &topic.rules;
            let rules = CompactionRules {
                min_dirty_ratio: rules.min_dirty_ratio,
                min_lag_ms: rules.min_lag_ms,
                max_lag_ms: rules.max_lag_ms,
                delete_retention_ms: rules.delete_retention_ms,
                segment_bytes: rules.segment_limits(self.config.max_segment_bytes).bytes,
                key_bytes: self.config.compaction_key_bytes,
            };
            for (log, index) in topic.partitions.iter().zip(0u32..) {
                let place = (topic.number, index);
                if self.compaction.failed.contains(&place) {
                    continue;
                }
                match log.cleanable(&rules, now_ms) {
                    Cleanable::Nothing => {}
                    Cleanable::AfterCheckpoint => self.checkpoint_wanted = true,
                    Cleanable::Now(job) => return Some((place, job)),
                }
            }
        }
        None
    }

    /// Takes over what a compaction came to, unless the partition has changed under it.
    pub(crate) fn compacted(&mut self, place: Place, result: Result<Cleaned>) {
        self.compaction.running = false;
        let (number, partition) = place;
        let topic = self.tables.topics.get(&number);
        let Some(log) = topic.and_then(|t| t.partitions.get(partition as usize)) else { return };
        match result {
            Ok(cleaned) if log.can_take(&cleaned) => {
                self.record(Change::Compacted { number, partition, cleaned });
            }
            Ok(cleaned) => log.files_of(&cleaned).iter().for_each(|path| disk::discard(path)),
            Err(error) => {
                let topic = topic.map_or("", |t| t.name.as_str());
                tracing::error!(topic, partition, %error, "the partition cannot be compacted and is left as it is");
                self.compaction.failed.push(place);
            }
        }
    }
}

/// Removes files that a crash left behind: of segments that nothing names.
pub(crate) fn remove_unknown(files: Vec<PathBuf>, doomed: &[PathBuf]) {
    files.iter().filter(|path| !doomed.contains(path)).for_each(|path| disk::discard(path));
}
