//! One partition: segments on disk, the newest batches in memory, its producers and its open transactions.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use minicbor::{Decode, Encode};
use tokio::sync::Notify;

use super::batch::BatchHeader;
use super::producer::{self, ProducerState, Verdict};
use super::read::{ReadPlan, Source, TimeSearch};
use super::record;
use super::segment::{DirtySegment, Segment, SegmentImage, SegmentLimits};
use super::stability::Stability;
use crate::error::Result;

mod upkeep;

pub(crate) use upkeep::{Cleanable, CompactionRules};

/// What a checkpoint remembers of a partition.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct PartitionImage {
    #[n(0)]
    start_offset: i64,
    #[n(1)]
    end_offset: i64,
    #[n(2)]
    segments: Vec<SegmentImage>,
    #[n(3)]
    producers: BTreeMap<i64, ProducerState>,
    #[n(4)]
    stability: Stability,
    #[n(5)]
    cleaned_until: Option<i64>,
}

/// A partition's log.
#[derive(Debug)]
pub(crate) struct Partition {
    folder: PathBuf,
    segments: Vec<Segment>,
    tail: VecDeque<(BatchHeader, Bytes)>,
    tail_size: usize,
    /// Offsets below were compacted.
    cleaned_until: i64,
    pub(crate) start_offset: i64,
    pub(crate) end_offset: i64,
    /// Offsets below are durable as the flush level says, and may be read.
    pub(crate) high_watermark: i64,
    producers: BTreeMap<i64, ProducerState>,
    /// Epoch and lowest sequence of transactional batches that came before their transaction was verified here (KIP-890).
    attempted: BTreeMap<i64, (i16, i32)>,
    stability: Stability,
    waiting: Vec<Arc<Notify>>,
}

impl Partition {
    pub(crate) fn new(folder: &Path) -> Self {
        Partition {
            folder: folder.to_path_buf(),
            segments: Vec::new(),
            tail: VecDeque::new(),
            tail_size: 0,
            cleaned_until: 0,
            start_offset: 0,
            end_offset: 0,
            high_watermark: 0,
            producers: BTreeMap::new(),
            attempted: BTreeMap::new(),
            stability: Stability::default(),
            waiting: Vec::new(),
        }
    }

    /// Takes the state that a checkpoint remembers.
    pub(crate) fn restore(&mut self, image: PartitionImage) -> Result<()> {
        let opened = image.segments.iter().map(|s| Segment::open(&self.folder, *s));
        self.segments = opened.collect::<Result<_>>()?;
        self.start_offset = image.start_offset;
        self.end_offset = image.end_offset;
        self.producers = image.producers;
        self.stability = image.stability;
        self.cleaned_until = image.cleaned_until.unwrap_or(0);
        self.raise(self.end_offset);
        Ok(())
    }

    /// The state for a checkpoint; the tail must have been written.
    pub(crate) fn image(&self) -> PartitionImage {
        PartitionImage {
            start_offset: self.start_offset,
            end_offset: self.end_offset,
            segments: self.segments.iter().map(Segment::image).collect(),
            producers: self.producers.clone(),
            stability: self.stability.clone(),
            cleaned_until: Some(self.cleaned_until),
        }
    }

    /// Judges a batch of an idempotent producer.
    pub(crate) fn judge(&self, batch: &BatchHeader) -> std::result::Result<Verdict, ResponseError> {
        if batch.producer_id < 0 {
            return Ok(Verdict::Append);
        }
        let verdict = producer::judge(self.producers.get(&batch.producer_id), batch)?;
        let lowest = self.attempted.get(&batch.producer_id);
        let skips = lowest
            .is_some_and(|(epoch, lowest)| batch.base_sequence > *lowest && batch.producer_epoch <= *epoch);
        if skips && verdict == Verdict::Append && batch.is_transactional() {
            return Err(ResponseError::OutOfOrderSequenceNumber);
        }
        Ok(verdict)
    }

    /// A transactional batch came whose producer has no open transaction here. If it is refused, what comes later must not
    /// begin behind it.
    pub(crate) fn attempt(&mut self, batch: &BatchHeader) -> std::result::Result<(), ResponseError> {
        let known = self.producers.get(&batch.producer_id);
        if known.is_some_and(|known| batch.producer_epoch < known.epoch) {
            return Err(ResponseError::InvalidProducerEpoch);
        }
        let this = (batch.producer_epoch, batch.base_sequence);
        let kept = self.attempted.entry(batch.producer_id).or_insert(this);
        if this.0 > kept.0 {
            *kept = this;
        }
        kept.1 = kept.1.min(this.1);
        Ok(())
    }

    /// Forgets producers that have written nothing since then and have no open transaction here
    /// (`producer.id.expiration.ms`): the next batch of such a one is taken as its first.
    pub(crate) fn forget_producers(&mut self, since_ms: i64) {
        let open = |id: i64| self.stability.open_since(id).is_some();
        self.producers.retain(|id, state| state.last_ms >= since_ms || open(*id));
        self.attempted.clear();
    }

    /// The producers that the partition knows.
    pub(crate) fn producers(&self) -> impl Iterator<Item = (i64, &ProducerState)> {
        self.producers.iter().map(|(id, state)| (*id, state))
    }

    /// First offset of the producer's open transaction here.
    pub(crate) fn open_since(&self, producer_id: i64) -> Option<i64> {
        self.stability.open_since(producer_id)
    }

    /// Takes a stamped batch whose base offset is the log's end. Readers see it when the high watermark is raised.
    pub(crate) fn append(&mut self, header: BatchHeader, batch: Bytes) {
        if header.producer_id >= 0 {
            let known = self.producers.remove(&header.producer_id);
            self.producers.insert(header.producer_id, producer::after(known, &header));
            if header.is_transactional() {
                self.attempted.remove(&header.producer_id);
            }
        }
        if header.is_control() {
            if let Some(committed) = record::marker_commits(&batch) {
                self.stability.marker(header.producer_id, header.base_offset, committed);
            }
        } else if header.is_transactional() {
            self.stability.data(header.producer_id, header.base_offset);
        }
        self.end_offset = header.last_offset() + 1;
        self.tail_size += batch.len();
        self.tail.push_back((header, batch));
    }

    /// Bytes of the tail.
    pub(crate) fn tail_size(&self) -> usize {
        self.tail_size
    }

    /// Writes the tail to the active segment. Where it would get too long, or too old for a batch, that begins a new one.
    pub(crate) fn spill(&mut self, limits: SegmentLimits) -> Result<()> {
        while let Some((first, _)) = self.tail.front() {
            // In replay the tail is written at other times than before the crash, perhaps by other limits, and a compaction
            // further on in the journal puts others in the place of the segments that were found: with all that is in them.
            let ends =
                |s: &Segment| s.is_found() || s.length() >= limits.bytes || s.is_too_old_for(first, limits);
            if self.segments.last().is_none_or(ends) {
                self.segments.push(Segment::create(&self.folder, first.base_offset, 0)?);
            }
            let Some(active) = self.segments.last_mut() else { break };
            let room = limits.bytes.saturating_sub(active.length());
            let since = if active.length() == 0 { first.max_timestamp } else { active.first_ms() };
            let mut size = 0;
            let fits = |(header, _): &&(BatchHeader, Bytes)| {
                size += header.size as u64;
                size <= room && header.max_timestamp.saturating_sub(since) <= limits.ms
            };
            let count = self.tail.iter().take_while(fits).count().max(1);
            let batches = self.tail.iter().take(count).map(|(h, b)| (h, b));
            active.append(batches).map_err(crate::error::Error::file(&self.folder))?;
            self.tail_size -= self.tail.drain(..count).map(|(h, _)| h.size).sum::<usize>();
        }
        Ok(())
    }

    /// Raises the high watermark and wakes whoever waits for records.
    pub(crate) fn raise(&mut self, offset: i64) {
        self.high_watermark = self.high_watermark.max(offset);
        self.stability.settle(self.high_watermark);
        self.wake();
    }

    pub(crate) fn wake(&mut self) {
        self.waiting.drain(..).for_each(|waiting| waiting.notify_one());
    }

    /// Has `waiter` notified at the next change.
    pub(crate) fn watch(&mut self, waiter: &Arc<Notify>) {
        self.waiting.retain(|w| Arc::strong_count(w) > 1 && !Arc::ptr_eq(w, waiter));
        self.waiting.push(Arc::clone(waiter));
    }

    pub(crate) fn last_stable_offset(&self) -> i64 {
        // Retention does not wait for open transactions, so the log may begin behind where one began.
        self.stability.last_stable(self.high_watermark).max(self.start_offset)
    }

    pub(crate) fn aborted(&self, from: i64, until: i64) -> Vec<super::stability::Aborted> {
        self.stability.aborted(from, until)
    }

    /// Forgets records below `offset`; the files that hold nothing else are returned for later removal.
    pub(crate) fn delete_before(&mut self, offset: i64) -> Vec<PathBuf> {
        self.start_offset = self.start_offset.max(offset);
        self.stability.trim(self.start_offset);
        let start = self.start_offset;
        let gone = self.segments.partition_point(|s| s.last_offset() < start);
        let files = self.segments.drain(..gone).flat_map(|s| s.paths()).collect();
        while self.tail.front().is_some_and(|(header, _)| header.last_offset() < start) {
            self.tail_size -= self.tail.pop_front().map_or(0, |(header, _)| header.size);
        }
        files
    }

    /// The segments that a checkpoint has to flush.
    pub(crate) fn take_dirty(&mut self) -> Vec<DirtySegment> {
        self.segments.iter_mut().filter_map(Segment::take_dirty).collect()
    }

    /// Plans reading from `offset`, which must lie within the log, up to `limit`.
    pub(crate) fn plan(&self, offset: i64, limit: i64) -> ReadPlan {
        let source = if offset >= limit { Source::Nothing } else { self.source_of(offset, limit) };
        ReadPlan { offset, limit, source }
    }

    fn source_of(&self, offset: i64, limit: i64) -> Source {
        if self.tail.front().is_some_and(|(first, _)| first.base_offset <= offset) {
            let skip = self.tail.partition_point(|(h, _)| h.last_offset() < offset);
            let wanted = self.tail.iter().skip(skip).take_while(|(h, _)| h.base_offset < limit);
            return Source::Memory(wanted.cloned().collect());
        }
        // Behind a gap that compaction left, the next record there is.
        let before = self.segments.partition_point(|s| s.last_offset() < offset);
        let Some(segment) = self.segments.get(before) else {
            return Source::Memory(
                self.tail.iter().take_while(|(h, _)| h.base_offset < limit).cloned().collect(),
            );
        };
        Source::File { file: segment.file(), position: segment.position_of(offset), end: segment.length() }
    }

    /// Bytes that a read from `offset` up to `limit` would find; exact in the tail, an estimate in files.
    pub(crate) fn available(&self, offset: i64, limit: i64) -> u64 {
        if offset >= limit {
            return 0;
        }
        let tail = self.tail.iter().filter(|(h, _)| h.last_offset() >= offset && h.base_offset < limit);
        let in_tail: usize = tail.map(|(h, _)| h.size).sum();
        let in_files = self.segments.iter().rev().map_while(|s| {
            let reached = s.base_offset > offset;
            let from = if reached { 0 } else { s.position_of(offset) };
            let behind_tail = self.tail.front().is_some_and(|(h, _)| h.base_offset <= offset);
            (!behind_tail).then(|| (s.length() - from, reached))
        });
        let mut bytes = in_tail as u64;
        for (size, reached) in in_files {
            bytes += size;
            if !reached {
                break;
            }
        }
        bytes.max(1)
    }

    /// Plans the search for the first record at or after `ms` and below `limit`.
    pub(crate) fn search(&self, ms: i64, limit: i64) -> TimeSearch {
        let old = self.segments.iter().filter(|s| s.max_ms() >= ms).map(|s| Source::File {
            file: s.file(),
            position: s.position_at(ms).max(s.position_of(self.start_offset)),
            end: s.length(),
        });
        let new = std::iter::once_with(|| Source::Memory(self.tail.iter().cloned().collect()));
        TimeSearch { ms, limit, start: self.start_offset, sources: old.chain(new).collect() }
    }

    /// Largest timestamp in the log, for the "latest by time" query.
    pub(crate) fn max_ms(&self) -> i64 {
        let old = self.segments.iter().map(Segment::max_ms);
        old.chain(self.tail.iter().map(|(h, _)| h.max_timestamp)).max().unwrap_or(-1)
    }
}

#[cfg(test)]
mod tests;
