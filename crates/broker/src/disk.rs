//! Every change to files goes through here, so that a test can know what a power cut would leave.
//!
//! With the feature `power-cut` each operation is noted in [`trace`]; without it these are the system's calls and nothing else.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[cfg(feature = "power-cut")]
pub mod trace;

#[cfg(feature = "power-cut")]
use trace::Op;

/// A file that is written to.
#[derive(Debug, Clone)]
pub(crate) struct DiskFile {
    file: Arc<File>,
    path: PathBuf,
}

impl DiskFile {
    /// An empty file, whatever was there.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
        #[cfg(feature = "power-cut")]
        trace::note(path, || Op::Create);
        Ok(DiskFile { file: Arc::new(file), path: path.to_path_buf() })
    }

    /// A file that is there.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        Ok(DiskFile { file: Arc::new(file), path: path.to_path_buf() })
    }

    pub(crate) fn write_all_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        #[cfg(feature = "power-cut")]
        trace::note(&self.path, || Op::Write { at, bytes: bytes.to_vec() });
        self.file.write_all_at(bytes, at)
    }

    pub(crate) fn set_len(&self, length: u64) -> io::Result<()> {
        #[cfg(feature = "power-cut")]
        trace::note(&self.path, || Op::SetLen(length));
        self.file.set_len(length)
    }

    /// Brings content and length to the device.
    pub(crate) fn flush(&self) -> io::Result<()> {
        self.file.sync_data()?;
        #[cfg(feature = "power-cut")]
        trace::note(&self.path, || Op::Flush);
        Ok(())
    }

    pub(crate) fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// The file, for reading.
    pub(crate) fn reader(&self) -> Arc<File> {
        Arc::clone(&self.file)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// Writes a whole file, without flushing it.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    DiskFile::create(path)?.write_all_at(bytes, 0)
}

pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    #[cfg(feature = "power-cut")]
    trace::note(from, || Op::Rename(to.to_path_buf()));
    Ok(())
}

pub(crate) fn remove_file(path: &Path) -> io::Result<()> {
    fs::remove_file(path)?;
    #[cfg(feature = "power-cut")]
    trace::note(path, || Op::Remove);
    Ok(())
}

/// Removes a folder with all that is in it.
pub(crate) fn remove_folder(path: &Path) -> io::Result<()> {
    fs::remove_dir_all(path)?;
    #[cfg(feature = "power-cut")]
    trace::note(path, || Op::Remove);
    Ok(())
}

/// Removes a file or folder that nothing needs any more; where that fails, it takes space and does no harm.
pub(crate) fn discard(path: &Path) {
    let result = if path.is_dir() { remove_folder(path) } else { remove_file(path) };
    if let Err(error) = result
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(path = %path.display(), %error, "superfluous file could not be removed");
    }
}

/// Makes a folder and those above it, as far as they are missing.
pub(crate) fn create_folder(path: &Path) -> io::Result<()> {
    #[cfg(feature = "power-cut")]
    for missing in path.ancestors().collect::<Vec<_>>().into_iter().rev().filter(|folder| !folder.exists()) {
        trace::note(missing, || Op::CreateFolder);
    }
    fs::create_dir_all(path)
}

/// Brings the creation, renaming and removal of files in a folder to the device.
pub(crate) fn flush_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()?;
    #[cfg(feature = "power-cut")]
    trace::note(path, || Op::FlushFolder);
    Ok(())
}
