//! One segment file: batches end to end, named by the offset of the first, with a sparse index beside it.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use minicbor::{Decode, Encode};

use super::batch::{BatchHeader, HEADER};
use super::cleaner::Old;
use super::index::{Entry, Index};
use crate::disk::{self, DiskFile};
use crate::error::{Error, Result};
use crate::journal::files::flush_folder;

/// When a segment ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentLimits {
    pub(crate) bytes: u64,
    /// Most time between its first batch and a later one.
    pub(crate) ms: i64,
}

/// What a checkpoint remembers of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub(crate) struct SegmentImage {
    #[n(0)]
    pub(crate) base_offset: i64,
    #[n(1)]
    pub(crate) length: u64,
    #[n(2)]
    pub(crate) max_ms: i64,
    /// How often compaction has written it anew; none is 0.
    #[n(3)]
    generation: Option<u32>,
}

impl SegmentImage {
    #[cfg(test)]
    pub(crate) fn of(base_offset: i64, length: u64) -> Self {
        SegmentImage { base_offset, length, max_ms: -1, generation: None }
    }

    pub(crate) fn generation(&self) -> u32 {
        self.generation.unwrap_or(0)
    }
}

/// Folders above a segment that may be new: the partition's, the topic's, that of all topics, and the data folder.
const FOLDERS: usize = 4;

/// An open segment.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) base_offset: i64,
    generation: u32,
    file: DiskFile,
    length: u64,
    /// Timestamp of its first batch.
    first_ms: Option<i64>,
    max_ms: i64,
    /// Offset of its last record; compaction may have left a gap before the next segment.
    last_offset: i64,
    index: Index,
    /// Written since the last checkpoint.
    dirty: bool,
    /// Created since the last checkpoint.
    new: bool,
    /// Opened, not created: as a checkpoint or a compaction knows it.
    found: bool,
}

impl Segment {
    fn path(folder: &Path, base_offset: i64, generation: u32) -> PathBuf {
        match generation {
            0 => folder.join(format!("{base_offset:020}.log")),
            _ => folder.join(format!("{base_offset:020}-{generation}.log")),
        }
    }

    /// Creates an empty segment; one that a crash left behind is emptied.
    pub(crate) fn create(folder: &Path, base_offset: i64, generation: u32) -> Result<Self> {
        disk::create_folder(folder).map_err(Error::file(folder))?;
        let path = Self::path(folder, base_offset, generation);
        let file = DiskFile::create(&path).map_err(Error::file(&path))?;
        let _ = disk::remove_file(&index_path(&path)); // of a segment that a crash left behind
        Ok(Segment {
            base_offset,
            generation,
            file,
            length: 0,
            first_ms: None,
            max_ms: -1,
            last_offset: base_offset - 1,
            index: Index::default(),
            dirty: true,
            new: true,
            found: false,
        })
    }

    /// Opens a segment as the checkpoint knew it: what was written later is cut (the journal brings it again).
    pub(crate) fn open(folder: &Path, image: SegmentImage) -> Result<Self> {
        let path = Self::path(folder, image.base_offset, image.generation());
        let file = DiskFile::open(&path).map_err(Error::file(&path))?;
        let length = file.len().map_err(Error::file(&path))?;
        if length < image.length {
            let reason = format!("the file ends here, the checkpoint knows {} bytes", image.length);
            return Err(Error::corrupt(&path, length, reason));
        }
        if length > image.length {
            file.set_len(image.length).map_err(Error::file(&path))?;
        }
        let (index, last_offset) = load_index(&path, &file.reader(), image.length)?;
        let first = (image.length > 0).then(|| header_at(&path, &file.reader(), 0)).transpose()?;
        Ok(Segment {
            base_offset: image.base_offset,
            generation: image.generation(),
            file,
            length: image.length,
            first_ms: first.map(|header| header.max_timestamp),
            max_ms: image.max_ms,
            last_offset: last_offset.unwrap_or(image.base_offset - 1),
            index,
            dirty: false,
            new: false,
            found: true,
        })
    }

    pub(crate) fn image(&self) -> SegmentImage {
        SegmentImage {
            base_offset: self.base_offset,
            length: self.length,
            max_ms: self.max_ms,
            generation: Some(self.generation),
        }
    }

    /// Name of the segment within its partition.
    pub(crate) fn name(&self) -> (i64, u32) {
        (self.base_offset, self.generation)
    }

    /// Whether it was found on the disk: nothing is written behind it.
    pub(crate) fn is_found(&self) -> bool {
        self.found
    }

    /// Timestamp of its first batch, or the largest there is.
    pub(crate) fn first_ms(&self) -> i64 {
        self.first_ms.unwrap_or(i64::MAX)
    }

    /// Whether a batch comes too long after the first one.
    pub(crate) fn is_too_old_for(&self, batch: &BatchHeader, limits: SegmentLimits) -> bool {
        batch.max_timestamp.saturating_sub(self.first_ms()) > limits.ms
    }

    pub(crate) fn last_offset(&self) -> i64 {
        self.last_offset
    }

    /// Whether the checkpoint in force knows all of it.
    pub(crate) fn is_dirty(&self) -> bool {
        self.dirty
    }

    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    pub(crate) fn max_ms(&self) -> i64 {
        self.max_ms
    }

    pub(crate) fn file(&self) -> Arc<File> {
        self.file.reader()
    }

    pub(crate) fn position_of(&self, offset: i64) -> u64 {
        self.index.position_of(offset)
    }

    pub(crate) fn position_at(&self, ms: i64) -> u64 {
        self.index.position_at(ms)
    }

    /// Writes batches behind the last one, with one system call.
    pub(crate) fn append<'a>(
        &mut self,
        batches: impl Iterator<Item = (&'a BatchHeader, &'a Bytes)>,
    ) -> io::Result<()> {
        let mut joined = Vec::new();
        for (header, bytes) in batches {
            let position = self.length + joined.len() as u64;
            self.index.note(Entry { offset: header.base_offset, position, max_ms_before: self.max_ms });
            self.first_ms.get_or_insert(header.max_timestamp);
            self.max_ms = self.max_ms.max(header.max_timestamp);
            self.last_offset = header.last_offset();
            joined.extend_from_slice(bytes);
        }
        self.file.write_all_at(&joined, self.length)?;
        self.length += joined.len() as u64;
        self.dirty = true;
        Ok(())
    }

    /// The file and its index to be flushed by a checkpoint, if anything was written since the last one.
    pub(crate) fn take_dirty(&mut self) -> Option<DirtySegment> {
        std::mem::take(&mut self.dirty).then(|| DirtySegment {
            file: self.file.clone(),
            index: self.index.encode(),
            new: std::mem::take(&mut self.new),
        })
    }

    /// The files of this segment, for removal.
    pub(crate) fn paths(&self) -> [PathBuf; 2] {
        [self.file.path().to_path_buf(), index_path(self.file.path())]
    }

    /// The files of the segment of an image.
    pub(crate) fn files(folder: &Path, image: SegmentImage) -> [PathBuf; 2] {
        let path = Self::path(folder, image.base_offset, image.generation());
        [index_path(&path), path]
    }

    /// The segment as compaction needs it.
    pub(crate) fn to_clean(&self) -> Old {
        Old { image: self.image(), path: self.file.path().to_path_buf(), file: self.file() }
    }
}

/// A segment with bytes that a checkpoint has to bring to the device.
#[derive(Debug)]
pub(crate) struct DirtySegment {
    file: DiskFile,
    index: Vec<u8>,
    new: bool,
}

impl DirtySegment {
    /// Flushes the file; the index only saves time at start and is rebuilt when damaged, so it is not flushed.
    fn flush(&self) -> Result<()> {
        let path = self.file.path();
        self.file.flush().map_err(Error::file(path))?;
        let index = index_path(path);
        disk::write(&index, &self.index).map_err(Error::file(&index))
    }
}

/// Brings segments to the device, and the names of new ones in all folders above them.
pub(crate) fn flush(segments: &[DirtySegment]) -> Result<()> {
    segments.iter().try_for_each(DirtySegment::flush)?;
    let new = segments.iter().filter(|s| s.new);
    let folders: BTreeSet<&Path> =
        new.flat_map(|s| s.file.path().ancestors().skip(1).take(FOLDERS)).collect();
    folders.into_iter().try_for_each(flush_folder)
}

fn index_path(log: &Path) -> PathBuf {
    log.with_extension("index")
}

/// The index, and the offset of the last record.
fn load_index(path: &Path, file: &File, length: u64) -> Result<(Index, Option<i64>)> {
    let mut index = fs::read(index_path(path)).ok().and_then(|b| Index::decode(&b)).unwrap_or_default();
    let last = index.cut(length);
    let (mut position, mut max_ms) = last.map_or((0, -1), |e| (e.position, e.max_ms_before));
    let mut last_offset = None;
    while position < length {
        let header = header_at(path, file, position)?;
        index.note(Entry { offset: header.base_offset, position, max_ms_before: max_ms });
        max_ms = max_ms.max(header.max_timestamp);
        last_offset = Some(header.last_offset());
        position += header.size as u64;
    }
    if position > length {
        return Err(Error::corrupt(path, length, "the last batch is longer than the file"));
    }
    Ok((index, last_offset))
}

fn header_at(path: &Path, file: &File, position: u64) -> Result<BatchHeader> {
    let mut bytes = [0; HEADER];
    file.read_exact_at(&mut bytes, position).map_err(Error::file(path))?;
    BatchHeader::parse(&bytes).map_err(|e| Error::corrupt(path, position, e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::super::batch::{check, stamped, tests::batch};
    use super::*;

    fn fill(segment: &mut Segment, from: i64, count: i64) {
        for offset in from..from + count {
            let bytes = stamped(&batch((-1, -1, -1), 100 + offset, &[&[7; 900]], false), offset, None);
            let header = check(&bytes).unwrap();
            segment.append(std::iter::once((&header, &bytes))).unwrap();
        }
    }

    #[test]
    fn a_reopened_segment_is_cut_to_what_the_checkpoint_knew() {
        let folder = tempfile::tempdir().unwrap();
        let mut segment = Segment::create(folder.path(), 0, 0).unwrap();
        fill(&mut segment, 0, 100);
        let image = segment.image();
        flush(&[segment.take_dirty().unwrap()]).unwrap();
        fill(&mut segment, 100, 20);
        drop(segment);
        let segment = Segment::open(folder.path(), image).unwrap();
        assert_eq!(segment.image(), image);
        assert_eq!(segment.file.len().unwrap(), image.length);
    }

    #[test]
    fn a_damaged_index_is_built_anew() {
        let folder = tempfile::tempdir().unwrap();
        let mut segment = Segment::create(folder.path(), 0, 0).unwrap();
        fill(&mut segment, 0, 100);
        flush(&[segment.take_dirty().unwrap()]).unwrap();
        let (image, index, path) = (segment.image(), segment.index.clone(), index_path(segment.file.path()));
        for damage in [b"".as_slice(), b"nonsense"] {
            fs::write(&path, damage).unwrap();
            assert_eq!(Segment::open(folder.path(), image).unwrap().index, index);
        }
    }

    #[test]
    fn a_segment_shorter_than_its_checkpoint_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut segment = Segment::create(folder.path(), 0, 0).unwrap();
        fill(&mut segment, 0, 3);
        let image = segment.image();
        segment.file.set_len(image.length - 1).unwrap();
        assert!(matches!(Segment::open(folder.path(), image), Err(Error::Corrupt { .. })));
    }
}
