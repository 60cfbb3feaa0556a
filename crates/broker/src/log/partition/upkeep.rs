//! Retention and compaction of a partition, as far as its segments are concerned.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::super::cleaner::{Cleaned, Job};
use super::super::retention::Piece;
use super::super::segment::{Segment, SegmentLimits};
use super::Partition;
use crate::error::{Error, Result};

/// When and how a partition is compacted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct CompactionRules {
    /// Share of bytes not compacted yet from which on it is worth while (`min.cleanable.dirty.ratio`).
    pub(crate) min_dirty_ratio: f64,
    /// Records younger than this are left alone.
    pub(crate) min_lag_ms: i64,
    /// Records older than this are compacted whatever the share.
    pub(crate) max_lag_ms: i64,
    /// How long tombstones and markers stay.
    pub(crate) delete_retention_ms: i64,
    pub(crate) segment_bytes: u64,
    /// Memory for keys.
    pub(crate) key_bytes: usize,
}

/// Whether compaction has something to do.
#[derive(Debug)]
pub(crate) enum Cleanable {
    Nothing,
    /// Not before a checkpoint knows the segments: replay must find the same ones.
    AfterCheckpoint,
    Now(Job),
}

impl Partition {
    /// What retention decides by: the segments, the active one with the tail last.
    pub(crate) fn pieces(&self) -> Vec<Piece> {
        let piece =
            |s: &Segment| Piece { end_offset: s.last_offset() + 1, bytes: s.length(), max_ms: s.max_ms() };
        let mut pieces: Vec<Piece> = self.segments.iter().map(piece).collect();
        if let Some(newest_ms) = self.tail.iter().map(|(h, _)| h.max_timestamp).max() {
            let (bytes, max_ms) = pieces.pop().map_or((0, -1), |a| (a.bytes, a.max_ms));
            let bytes = bytes + self.tail_size as u64;
            pieces.push(Piece { end_offset: self.end_offset, bytes, max_ms: max_ms.max(newest_ms) });
        }
        pieces
    }

    /// Writes the tail, if a batch in it ends the active segment: what lies before may go then.
    pub(crate) fn roll_if_due(&mut self, limits: SegmentLimits) -> Result<()> {
        let Some((oldest, _)) = self.tail.front() else { return Ok(()) };
        let (length, first_ms) =
            self.segments.last().map_or((0, oldest.max_timestamp), |s| (s.length(), s.first_ms()));
        let is_long = length + self.tail_size as u64 > limits.bytes;
        let is_old = self.tail.iter().any(|(h, _)| h.max_timestamp.saturating_sub(first_ms) > limits.ms);
        if is_long || is_old { self.spill(limits) } else { Ok(()) }
    }

    /// The compaction that is due, up to the active segment and to what is decided.
    pub(crate) fn cleanable(&self, rules: &CompactionRules, now_ms: i64) -> Cleanable {
        let ended = self.segments.len().saturating_sub(1);
        let stable = self.last_stable_offset();
        let old_enough = |s: &&Segment| {
            let lag_ms = now_ms.saturating_sub(s.max_ms());
            s.last_offset() < stable && (rules.min_lag_ms == 0 || lag_ms >= rules.min_lag_ms)
        };
        let old: Vec<&Segment> = self.segments[..ended].iter().take_while(old_enough).collect();
        // Under load there is always a segment that came after the checkpoint: those before it do not wait for it.
        let known = old.iter().position(|s| s.is_dirty()).unwrap_or(old.len());
        if !self.is_worth_while(&old[..known], rules, now_ms) {
            let more = self.is_worth_while(&old, rules, now_ms);
            return if more { Cleanable::AfterCheckpoint } else { Cleanable::Nothing };
        }
        let known = &old[..known];
        Cleanable::Now(Job {
            folder: self.folder.clone(),
            segments: known.iter().map(|s| s.to_clean()).collect(),
            cleaned_until: self.cleaned_until,
            aborted: self.stability.aborted(0, stable),
            now_ms,
            delete_retention_ms: rules.delete_retention_ms,
            segment_bytes: rules.segment_bytes,
            most_key_bytes: rules.key_bytes,
        })
    }

    /// Whether enough of these segments was not compacted yet, or some of it is overdue.
    fn is_worth_while(&self, segments: &[&Segment], rules: &CompactionRules, now_ms: i64) -> bool {
        let uncleaned = || segments.iter().filter(|s| s.last_offset() >= self.cleaned_until);
        let dirty: u64 = uncleaned().map(|s| s.length()).sum();
        let total: u64 = segments.iter().map(|s| s.length()).sum();
        let overdue = uncleaned().any(|s| now_ms.saturating_sub(s.max_ms()) > rules.max_lag_ms);
        dirty > 0 && (overdue || dirty as f64 >= rules.min_dirty_ratio * total as f64)
    }

    /// Whether the segments that were compacted are still the ones in use.
    pub(crate) fn can_take(&self, cleaned: &Cleaned) -> bool {
        self.segments.len() >= cleaned.old.len()
            && self.segments.iter().zip(&cleaned.old).all(|(s, old)| s.name() == *old)
    }

    /// Puts compacted segments in the place of those they were made from, whose files are returned for later removal.
    pub(crate) fn take(&mut self, cleaned: &Cleaned) -> Result<Vec<PathBuf>> {
        if !self.can_take(cleaned) {
            return Err(Error::corrupt(&self.folder, 0, "the segments that were compacted are missing"));
        }
        let new: Result<Vec<Segment>> = cleaned.new.iter().map(|s| Segment::open(&self.folder, *s)).collect();
        let old = self.segments.splice(..cleaned.old.len(), new?);
        let files = old.flat_map(|s| s.paths()).collect();
        self.stability.forget(&cleaned.markers);
        self.cleaned_until = cleaned.until;
        Ok(files)
    }

    /// The files of compacted segments that are not taken.
    pub(crate) fn files_of(&self, cleaned: &Cleaned) -> Vec<PathBuf> {
        cleaned.new.iter().flat_map(|s| Segment::files(&self.folder, *s)).collect()
    }

    /// Files in the partition's folder that belong to none of its segments.
    pub(crate) fn unknown_files(&self) -> Vec<PathBuf> {
        let known: BTreeSet<PathBuf> = self.segments.iter().flat_map(Segment::paths).collect();
        let Ok(entries) = std::fs::read_dir(&self.folder) else { return Vec::new() };
        entries.flatten().map(|e| e.path()).filter(|path| !known.contains(path)).collect()
    }
}
