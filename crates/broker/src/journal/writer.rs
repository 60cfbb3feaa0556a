//! The open journal: frames gathered in memory, then written and flushed.

use std::path::{Path, PathBuf};

use super::files;
use super::frame::{self, FILE_HEADER, Kind};
use crate::disk::DiskFile;
use crate::error::{Error, Result};

/// Where frames go.
#[derive(Debug)]
pub(crate) struct Journal {
    folder: PathBuf,
    /// Number of the open file.
    number: u64,
    file: DiskFile,
    /// Position of the file's first frame.
    first: u64,
    /// Frames not handed to the system yet.
    gathered: Vec<u8>,
    /// Position up to which frames were handed to the system, or are about to be.
    written: u64,
    /// Position up to which the flush level is reached.
    durable: u64,
}

/// Frames on their way to the file.
#[derive(Debug)]
pub(crate) struct Piece {
    file: DiskFile,
    at: u64,
    bytes: Vec<u8>,
    /// Position behind the piece.
    pub(crate) until: u64,
}

impl Piece {
    /// Writes the piece, and flushes it to the device if asked to.
    pub(crate) fn write(&self, flush: bool) -> std::io::Result<()> {
        self.file.write_all_at(&self.bytes, self.at)?;
        if flush { self.file.flush() } else { Ok(()) }
    }

    /// Writes the first half of the piece, as a device does whose space ends there.
    pub(crate) fn write_half(&self) -> std::io::Result<()> {
        self.file.write_all_at(&self.bytes[..self.bytes.len() / 2], self.at)
    }

    /// The buffer, for use again.
    pub(crate) fn recycle(mut self) -> Vec<u8> {
        self.bytes.clear();
        self.bytes
    }
}

impl Journal {
    /// Begins journal `number`, whose first frame is at `first`.
    pub(crate) fn create(folder: &Path, number: u64, first: u64) -> Result<Self> {
        let path = files::journal(folder, number);
        let file = DiskFile::create(&path).map_err(Error::file(&path))?;
        let header = frame::file_header(first);
        file.write_all_at(&header, 0).and_then(|()| file.flush()).map_err(Error::file(&path))?;
        files::flush_folder(folder)?;
        Ok(Self::at(folder, number, file, first, first))
    }

    /// Goes on with journal `number` behind its last valid frame; what lies behind that is cut.
    pub(crate) fn reopen(folder: &Path, number: u64, end: u64, length: u64) -> Result<Self> {
        let path = files::journal(folder, number);
        let file = DiskFile::open(&path).map_err(Error::file(&path))?;
        file.set_len(length).and_then(|()| file.flush()).map_err(Error::file(&path))?;
        let first = end - (length - FILE_HEADER as u64);
        Ok(Self::at(folder, number, file, first, end))
    }

    fn at(folder: &Path, number: u64, file: DiskFile, first: u64, end: u64) -> Self {
        let folder = folder.to_path_buf();
        Journal { folder, number, file, first, gathered: Vec::new(), written: end, durable: end }
    }

    /// Adds a frame; it is durable when [`Journal::durable`] has reached [`Journal::end`].
    pub(crate) fn append(&mut self, kind: Kind, parts: &[&[u8]]) {
        let position = self.end();
        frame::write(&mut self.gathered, position, self.durable, kind, parts);
    }

    /// Position behind the last frame added.
    pub(crate) fn end(&self) -> u64 {
        self.written + self.gathered.len() as u64
    }

    pub(crate) fn durable(&self) -> u64 {
        self.durable
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Bytes in the open file.
    pub(crate) fn length(&self) -> u64 {
        self.end() - self.first
    }

    pub(crate) fn has_gathered(&self) -> bool {
        !self.gathered.is_empty()
    }

    /// Hands out what was gathered, to be written outside of the lock; `spare` takes its place.
    pub(crate) fn take(&mut self, spare: Vec<u8>) -> Piece {
        let bytes = std::mem::replace(&mut self.gathered, spare);
        let at = FILE_HEADER as u64 + (self.written - self.first);
        self.written += bytes.len() as u64;
        Piece { file: self.file.clone(), at, bytes, until: self.written }
    }

    /// Notes that everything below `position` has reached the flush level.
    pub(crate) fn reached(&mut self, position: u64) {
        self.durable = self.durable.max(position);
    }

    /// Begins the next file; everything added so far must be durable.
    pub(crate) fn rotate(&mut self) -> Result<()> {
        *self = Self::create(&self.folder, self.number + 1, self.end())?;
        Ok(())
    }

    /// The folder of the journals.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::reader::read_journal;
    use super::*;

    fn payloads(folder: &Path, number: u64) -> (Vec<Vec<u8>>, super::super::reader::Ending) {
        let path = files::journal(folder, number);
        let mut found = Vec::new();
        let ending = read_journal(&path, &fs::read(&path).unwrap(), |f| {
            found.push(f.payload.to_vec());
            Ok(())
        });
        (found, ending.unwrap())
    }

    fn put(journal: &mut Journal, payload: &[u8]) {
        journal.append(Kind::Change, &[payload]);
        let piece = journal.take(Vec::new());
        piece.write(true).unwrap();
        journal.reached(piece.until);
    }

    #[test]
    fn frames_go_on_behind_the_cut_after_a_torn_tail_and_over_files() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::create(folder.path(), 1, 0).unwrap();
        put(&mut journal, b"one");
        put(&mut journal, b"two");
        let path = files::journal(folder.path(), 1);
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();

        let (found, ending) = payloads(folder.path(), 1);
        assert_eq!(found, [b"one".to_vec()]);
        let mut journal = Journal::reopen(folder.path(), 1, ending.position, ending.length).unwrap();
        put(&mut journal, b"three");
        assert_eq!(payloads(folder.path(), 1).0, [b"one".to_vec(), b"three".to_vec()]);
        journal.rotate().unwrap();
        put(&mut journal, b"four");
        let (found, ending) = payloads(folder.path(), 2);
        assert_eq!((found, ending.position), (vec![b"four".to_vec()], journal.end()));
    }
}
