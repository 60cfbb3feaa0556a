//! Names of the journal's files.

use std::fs;
use std::path::{Path, PathBuf};

use crate::disk;
use crate::error::{Error, Result};

/// The folder of journals and checkpoints.
pub(crate) fn folder(data: &Path) -> PathBuf {
    data.join("journal")
}

pub(crate) fn journal(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:020}.journal"))
}

pub(crate) fn checkpoint(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:020}.checkpoint"))
}

/// Numbers of the journals and of the checkpoints, each in rising order.
pub(crate) fn list(folder: &Path) -> Result<(Vec<u64>, Vec<u64>)> {
    let (mut journals, mut checkpoints) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(folder).map_err(Error::file(folder))? {
        let path = entry.map_err(Error::file(folder))?.path();
        let number = path.file_stem().and_then(|s| s.to_str()).and_then(|s| s.parse().ok());
        match (number, path.extension().and_then(|e| e.to_str())) {
            (Some(number), Some("journal")) => journals.push(number),
            (Some(number), Some("checkpoint")) => checkpoints.push(number),
            _ => {}
        }
    }
    journals.sort_unstable();
    checkpoints.sort_unstable();
    Ok((journals, checkpoints))
}

/// Removes journals and checkpoints that a checkpoint made superfluous.
pub(crate) fn remove_below(folder: &Path, number: u64) -> Result<()> {
    let (journals, checkpoints) = list(folder)?;
    let old_journals = journals.into_iter().filter(|n| *n < number).map(|n| journal(folder, n));
    let old_checkpoints = checkpoints.into_iter().filter(|n| *n < number).map(|n| checkpoint(folder, n));
    for path in old_checkpoints.chain(old_journals) {
        disk::remove_file(&path).map_err(Error::file(&path))?;
    }
    Ok(())
}

/// Makes the creation or renaming of files in `folder` durable.
pub(crate) fn flush_folder(folder: &Path) -> Result<()> {
    disk::flush_folder(folder).map_err(Error::file(folder))
}
