//! Checkpoints: the whole state in one file, so that older journals can go.

use std::path::PathBuf;

use super::change::Change;
use super::files;
use super::frame::{self, Kind};
use crate::disk::{self, DiskFile};
use crate::error::{Error, Result};
use crate::failpoint;
use crate::log::segment::{self, DirtySegment};

/// What has to be done outside the lock to complete a checkpoint.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    /// The folder of the journals.
    pub(crate) folder: PathBuf,
    /// Number of the journal that follows.
    pub(crate) number: u64,
    /// Position at which that journal begins.
    pub(crate) position: u64,
    /// The state, as changes from nothing.
    pub(crate) changes: Vec<Change>,
    /// Segments that the state names and that are not on the device yet.
    pub(crate) dirty: Vec<DirtySegment>,
    /// Files and folders that no state names any more.
    pub(crate) doomed: Vec<PathBuf>,
}

impl Checkpoint {
    /// Flushes the segments, then the state, then removes what is superfluous. A crash in between leaves the checkpoint
    /// before this one and all journals since in force.
    pub(crate) fn complete(self) -> Result<()> {
        segment::flush(&self.dirty)?;
        let path = files::checkpoint(&self.folder, self.number);
        let draft = path.with_extension("draft");
        let file = DiskFile::create(&draft).map_err(Error::file(&draft))?;
        file.write_all_at(&self.encode(), 0).and_then(|()| file.flush()).map_err(Error::file(&draft))?;
        failpoint::reach(failpoint::CHECKPOINT_BEFORE_RENAME);
        disk::rename(&draft, &path).map_err(Error::file(&path))?;
        files::flush_folder(&self.folder)?;
        failpoint::reach(failpoint::CHECKPOINT_BEFORE_REMOVAL);
        files::remove_below(&self.folder, self.number)?;
        for path in &self.doomed {
            disk::discard(path);
        }
        Ok(())
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = frame::file_header(self.position).to_vec();
        let header = bytes.len();
        for change in &self.changes {
            let position = self.position + (bytes.len() - header) as u64;
            frame::write(&mut bytes, position, position, Kind::Change, &[&encode(change)]);
        }
        let position = self.position + (bytes.len() - header) as u64;
        frame::write(&mut bytes, position, position, Kind::End, &[]);
        bytes
    }
}

/// A change as CBOR.
pub(crate) fn encode(change: &Change) -> Vec<u8> {
    minicbor::to_vec(change).expect("writing to memory cannot fail")
}
