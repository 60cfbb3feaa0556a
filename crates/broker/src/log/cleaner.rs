//! Carrying compaction out, outside the broker's lock: older segments are read, and written anew beside themselves.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use minicbor::{Decode, Encode};

use super::batch::{self, BatchHeader, HEADER};
use super::compact::{Left, Newest, Rules};
use super::segment::{self, DirtySegment, Segment, SegmentImage};
use super::stability::Aborted;
use crate::error::{Error, Result};

/// A segment to be compacted.
#[derive(Debug)]
pub(crate) struct Old {
    pub(crate) image: SegmentImage,
    pub(crate) path: PathBuf,
    pub(crate) file: Arc<File>,
}

/// The older part of a partition: everything that is needed to compact it.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) folder: PathBuf,
    /// Neighbours, from the log's start; none of them is written to any more.
    pub(crate) segments: Vec<Old>,
    /// Offsets below were compacted before.
    pub(crate) cleaned_until: i64,
    pub(crate) aborted: Vec<Aborted>,
    pub(crate) now_ms: i64,
    pub(crate) delete_retention_ms: i64,
    pub(crate) segment_bytes: u64,
    /// Memory for keys.
    pub(crate) most_key_bytes: usize,
}

/// What a compaction came to: these segments take the place of those.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Cleaned {
    /// Base offset and generation of the segments that go.
    #[n(0)]
    pub(crate) old: Vec<(i64, u32)>,
    #[n(1)]
    pub(crate) new: Vec<SegmentImage>,
    /// Offsets below are compacted.
    #[n(2)]
    pub(crate) until: i64,
    /// Offsets of the abort markers that went.
    #[n(3)]
    pub(crate) markers: Vec<i64>,
}

impl Job {
    /// Compacts. What is returned lies on the device; nothing names the new files yet, so a crash just leaves them behind.
    pub(crate) fn run(&self) -> Result<Cleaned> {
        let newest = self.newest()?;
        let aborted = &self.aborted;
        let (now_ms, delete_retention_ms) = (self.now_ms, self.delete_retention_ms);
        let rules = Rules { newest: &newest, aborted, now_ms, delete_retention_ms };
        let done = self.segments.iter().take_while(|old| old.image.base_offset < newest.until());
        let mut out = Output {
            job: self,
            generation: self.generation(),
            open: None,
            dirty: Vec::new(),
            new: Vec::new(),
        };
        let mut cleaned =
            Cleaned { old: Vec::new(), new: Vec::new(), until: newest.until(), markers: Vec::new() };
        for old in done {
            cleaned.old.push((old.image.base_offset, old.image.generation()));
            let mut batches = Batches::of(old);
            while let Some((header, batch)) = batches.next()? {
                let left = if header.base_offset < newest.until() {
                    rules.apply(&header, &batch).map_err(|e| batches.damaged(&e.to_string()))?
                } else {
                    Left::Whole
                };
                match left {
                    Left::Whole => out.put(&header, &batch)?,
                    Left::Part(part) => {
                        let header = batch::check(&part).expect("a batch written here is valid");
                        out.put(&header, &part)?;
                    }
                    Left::Nothing if header.is_control() => cleaned.markers.push(header.base_offset),
                    Left::Nothing => {}
                }
            }
        }
        cleaned.new = out.finish()?;
        Ok(cleaned)
    }

    /// The keys of what was written since the last compaction, as far as memory goes.
    fn newest(&self) -> Result<Newest> {
        let mut newest = Newest::new(self.cleaned_until, self.most_key_bytes);
        for old in &self.segments {
            let mut batches = Batches::of(old);
            while let Some((header, batch)) = batches.next()? {
                if header.last_offset() < self.cleaned_until {
                    continue;
                }
                let noted = newest.note(&header, &batch, &self.aborted);
                if !noted.map_err(|e| batches.damaged(&e.to_string()))? {
                    return Ok(newest);
                }
            }
        }
        Ok(newest)
    }

    fn generation(&self) -> u32 {
        self.segments.iter().map(|old| old.image.generation()).max().unwrap_or(0) + 1
    }
}

/// The segments being written.
struct Output<'a> {
    job: &'a Job,
    generation: u32,
    open: Option<Segment>,
    dirty: Vec<DirtySegment>,
    new: Vec<SegmentImage>,
}

impl Output<'_> {
    fn put(&mut self, header: &BatchHeader, batch: &Bytes) -> Result<()> {
        if self.open.as_ref().is_some_and(|s| s.length() + batch.len() as u64 > self.job.segment_bytes) {
            self.close();
        }
        let segment = match &mut self.open {
            Some(segment) => segment,
            None => self.open.insert(Segment::create(&self.job.folder, header.base_offset, self.generation)?),
        };
        segment.append(std::iter::once((header, batch))).map_err(Error::file(&self.job.folder))
    }

    fn close(&mut self) {
        if let Some(mut segment) = self.open.take() {
            self.dirty.extend(segment.take_dirty());
            self.new.push(segment.image());
        }
    }

    fn finish(mut self) -> Result<Vec<SegmentImage>> {
        self.close();
        segment::flush(&self.dirty)?;
        Ok(self.new)
    }
}

/// The batches of a segment, one after the other.
struct Batches<'a> {
    old: &'a Old,
    position: u64,
}

impl<'a> Batches<'a> {
    fn of(old: &'a Old) -> Self {
        Batches { old, position: 0 }
    }

    fn next(&mut self) -> Result<Option<(BatchHeader, Bytes)>> {
        if self.position >= self.old.image.length {
            return Ok(None);
        }
        let mut head = [0; HEADER];
        self.old.file.read_exact_at(&mut head, self.position).map_err(Error::file(&self.old.path))?;
        let header = BatchHeader::parse(&head).map_err(|e| self.damaged(&e.to_string()))?;
        if self.position + header.size as u64 > self.old.image.length {
            return Err(self.damaged("the batch is longer than the file"));
        }
        let mut bytes = BytesMut::zeroed(header.size);
        self.old.file.read_exact_at(&mut bytes, self.position).map_err(Error::file(&self.old.path))?;
        let header = batch::check(&bytes).map_err(|e| self.damaged(&e.to_string()))?;
        self.position += header.size as u64;
        Ok(Some((header, bytes.freeze())))
    }

    fn damaged(&self, reason: &str) -> Error {
        Error::corrupt(&self.old.path, self.position, reason)
    }
}
