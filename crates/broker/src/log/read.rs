//! Reading batches outside the broker's lock: planned under it, carried out without it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::batch::{self, BatchError, BatchHeader, HEADER};
use super::index::INTERVAL;
use super::record;

/// Where the wanted batches lie.
#[derive(Debug)]
pub(crate) enum Source {
    /// Nothing to read.
    Nothing,
    /// Whole batches, in order.
    Memory(Vec<(BatchHeader, Bytes)>),
    /// Batches from `position` (at or before the wanted one) to `end`.
    File { file: Arc<File>, position: u64, end: u64 },
}

/// Batches from `offset` (the one that holds it first) up to those that start below `limit`.
#[derive(Debug)]
pub(crate) struct ReadPlan {
    pub(crate) offset: i64,
    pub(crate) limit: i64,
    pub(crate) source: Source,
}

/// Why stored batches can't be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error("reading a segment: {0}")]
    Io(#[from] io::Error),
    #[error("stored batch at byte {0}: {1}")]
    Damaged(u64, BatchError),
}

impl ReadPlan {
    /// Whole batches of at most `max_bytes` together; the first one in any case if `at_least_one`. Checksums are verified
    /// for what comes from a file. The second value is the offset behind the last batch.
    pub(crate) fn run(self, max_bytes: usize, at_least_one: bool) -> Result<(Bytes, i64), ReadError> {
        match self.source {
            Source::Nothing => Ok((Bytes::new(), self.offset)),
            Source::Memory(batches) => Ok(join(&batches, self.offset, max_bytes, at_least_one)),
            Source::File { ref file, position, end } => {
                let window = Window { file, end };
                self.read_file(&window, position, max_bytes, at_least_one)
            }
        }
    }

    fn read_file(
        &self,
        window: &Window<'_>,
        mut position: u64,
        max_bytes: usize,
        at_least_one: bool,
    ) -> Result<(Bytes, i64), ReadError> {
        let mut buffer = window.read(position, INTERVAL as usize + max_bytes)?;
        let (mut start, mut at, mut next_offset) = (0, 0, self.offset);
        while position + (at as u64) < window.end {
            if at + HEADER > buffer.len() {
                if at > start {
                    break;
                }
                (position, buffer, start, at) = window.again(position + at as u64, HEADER + max_bytes)?;
            }
            let header = window.header(&buffer[at..], position + at as u64)?;
            if header.base_offset >= self.limit {
                break;
            }
            if header.last_offset() < self.offset {
                at += header.size;
                start = at;
                if at > buffer.len() {
                    (position, buffer, start, at) = window.again(position + at as u64, HEADER + max_bytes)?;
                }
                continue;
            }
            let first = at == start;
            if at - start + header.size > max_bytes && !(first && at_least_one) {
                break;
            }
            if at + header.size > buffer.len() {
                if !first {
                    break;
                }
                (position, buffer, start, at) = window.again(position + at as u64, header.size)?;
            }
            batch::check(&buffer[at..]).map_err(|e| ReadError::Damaged(position + at as u64, e))?;
            at += header.size;
            next_offset = header.last_offset() + 1;
        }
        let end = at.min(buffer.len());
        Ok((buffer.freeze().slice(start.min(end)..end), next_offset))
    }
}

/// The part of a file that may be read.
struct Window<'a> {
    file: &'a File,
    end: u64,
}

impl Window<'_> {
    fn read(&self, position: u64, wanted: usize) -> io::Result<BytesMut> {
        let left = usize::try_from(self.end.saturating_sub(position)).unwrap_or(usize::MAX);
        let mut buffer = BytesMut::zeroed(left.min(wanted));
        self.file.read_exact_at(&mut buffer, position)?;
        Ok(buffer)
    }

    fn again(&self, position: u64, wanted: usize) -> io::Result<(u64, BytesMut, usize, usize)> {
        Ok((position, self.read(position, wanted)?, 0, 0))
    }

    fn header(&self, bytes: &[u8], position: u64) -> Result<BatchHeader, ReadError> {
        let header = BatchHeader::parse(bytes).map_err(|e| ReadError::Damaged(position, e))?;
        if position + header.size as u64 > self.end {
            return Err(ReadError::Damaged(position, BatchError::Short));
        }
        Ok(header)
    }
}

fn join(batches: &[(BatchHeader, Bytes)], offset: i64, max_bytes: usize, at_least_one: bool) -> (Bytes, i64) {
    let (mut size, mut count) = (0, 0);
    for (header, _) in batches {
        if size + header.size > max_bytes && !(count == 0 && at_least_one) {
            break;
        }
        size += header.size;
        count += 1;
    }
    let next_offset = batches[..count].last().map_or(offset, |(h, _)| h.last_offset() + 1);
    if let [(_, only)] = &batches[..count] {
        return (only.clone(), next_offset);
    }
    let mut joined = BytesMut::with_capacity(size);
    for (_, bytes) in &batches[..count] {
        joined.extend_from_slice(bytes);
    }
    (joined.freeze(), next_offset)
}

/// A search for the first record at or after a time.
#[derive(Debug)]
pub(crate) struct TimeSearch {
    pub(crate) ms: i64,
    /// Records from here on are not visible.
    pub(crate) limit: i64,
    /// Records below are gone.
    pub(crate) start: i64,
    /// The places to look, in order of offsets.
    pub(crate) sources: Vec<Source>,
}

impl TimeSearch {
    /// Offset and timestamp of the record found.
    pub(crate) fn run(self) -> Result<Option<(i64, i64)>, ReadError> {
        for source in &self.sources {
            let found = match source {
                Source::Nothing => None,
                Source::Memory(batches) => {
                    batches.iter().find_map(|(header, bytes)| self.look(header, bytes))
                }
                Source::File { file, position, end } => {
                    self.look_in(&Window { file, end: *end }, *position)?
                }
            };
            if let Some(found) = found {
                return Ok((found.0 < self.limit).then_some(found));
            }
        }
        Ok(None)
    }

    fn look(&self, header: &BatchHeader, batch: &[u8]) -> Option<(i64, i64)> {
        if header.last_offset() < self.start {
            return None;
        }
        record::first_at(batch, header, self.ms, self.start)
    }

    fn look_in(&self, window: &Window<'_>, mut position: u64) -> Result<Option<(i64, i64)>, ReadError> {
        while position < window.end {
            let header = window.header(&window.read(position, HEADER)?, position)?;
            if header.max_timestamp >= self.ms {
                let batch = window.read(position, header.size)?;
                batch::check(&batch).map_err(|e| ReadError::Damaged(position, e))?;
                if let Some(found) = self.look(&header, &batch) {
                    return Ok(Some(found));
                }
            }
            position += header.size as u64;
        }
        Ok(None)
    }
}
