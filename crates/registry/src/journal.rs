//! The registry's only file: one line per event, flushed to the device before the event is answered.
//!
//! A line is the CRC-32C of the JSON in eight hexadecimal digits, a space, the JSON, a line feed; the first line
//! names the format. A crash can leave only the last line incomplete, and nobody has been told about it: it is cut,
//! with a warning. Any other damage is reported and the file is left as it is.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::store::{Event, State};

const FILE: &str = "schemas.journal";
const FORMAT: &str = r#"{"format":"quadrille-registry","version":1}"#;

/// Why the journal can't be opened or written.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The device or the file system refused.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// Another process has the folder open.
    #[error("{path} is in use by another registry")]
    InUse {
        /// The journal.
        path: PathBuf,
    },
    /// A line before the last is not what was written.
    #[error(
        "{path}, line {line} is damaged ({reason}): restore the file from a copy, or remove it to start empty"
    )]
    Damaged {
        /// The journal.
        path: PathBuf,
        /// Its line, from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// An earlier write failed, so the end of the file is not known; restarting cuts what is incomplete.
    #[error("an earlier write to {path} failed: restart the registry")]
    Broken {
        /// The journal.
        path: PathBuf,
    },
}

#[derive(Debug)]
pub(crate) struct Journal {
    file: File,
    path: PathBuf,
    broken: bool,
}

impl Journal {
    /// Opens the journal in `folder`, created when missing, and folds it.
    pub(crate) fn open(folder: &Path) -> Result<(Journal, State), JournalError> {
        std::fs::create_dir_all(folder).map_err(io(folder))?;
        let path = folder.join(FILE);
        let mut options = OpenOptions::new();
        let mut file =
            options.read(true).write(true).create(true).truncate(false).open(&path).map_err(io(&path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => return Err(JournalError::InUse { path }),
            Err(std::fs::TryLockError::Error(source)) => return Err(JournalError::Io { path, source }),
        }
        let mut content = Vec::new();
        file.read_to_end(&mut content).map_err(io(&path))?;
        let (state, good) = fold(&content, &path)?;
        if good < content.len() {
            let cut = content.len() - good;
            tracing::warn!(path = %path.display(), bytes = cut, "cut an incomplete line off the journal's end");
            file.set_len(good as u64).map_err(io(&path))?;
            file.sync_all().map_err(io(&path))?;
        }
        file.seek(SeekFrom::End(0)).map_err(io(&path))?;
        let mut journal = Journal { file, path, broken: false };
        if good == 0 {
            journal.write_line(FORMAT)?;
            File::open(folder).and_then(|folder| folder.sync_all()).map_err(io(folder))?;
        }
        Ok((journal, state))
    }

    /// Appends an event; when this returns, it survives a crash of the machine.
    pub(crate) fn append(&mut self, event: &Event) -> Result<(), JournalError> {
        let json = serde_json::to_string(event).expect("an event has only string keys");
        self.write_line(&json)
    }

    fn write_line(&mut self, json: &str) -> Result<(), JournalError> {
        if self.broken {
            return Err(JournalError::Broken { path: self.path.clone() });
        }
        let line = format!("{:08x} {json}\n", crc32c::crc32c(json.as_bytes()));
        // After a failed flush nobody knows what is on the device: nothing more is written behind it.
        self.broken = true;
        self.file.write_all(line.as_bytes()).map_err(io(&self.path))?;
        self.file.sync_data().map_err(io(&self.path))?;
        self.broken = false;
        Ok(())
    }
}

fn io(path: &Path) -> impl Fn(std::io::Error) -> JournalError {
    move |source| JournalError::Io { path: path.to_owned(), source }
}

/// The state after all lines, and how many bytes are good.
fn fold(content: &[u8], path: &Path) -> Result<(State, usize), JournalError> {
    let mut state = State::default();
    let mut good = 0;
    for (index, line) in content.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let end = good + line.len();
        let damaged =
            |reason: String| JournalError::Damaged { path: path.to_owned(), line: index + 1, reason };
        match check_line(line) {
            Err(_) if end == content.len() => return Ok((state, good)),
            Err(reason) => return Err(damaged(reason.to_owned())),
            Ok(json) if index == 0 && json == FORMAT.as_bytes() => {}
            Ok(_) if index == 0 => return Err(damaged("unknown format".to_owned())),
            Ok(json) => {
                let event: Event = serde_json::from_slice(json).map_err(|e| damaged(e.to_string()))?;
                state.evolve(event).map_err(damaged)?;
            }
        }
        good = end;
    }
    Ok((state, good))
}

/// The JSON of a line whose checksum fits.
fn check_line(line: &[u8]) -> Result<&[u8], &'static str> {
    let body = line.strip_suffix(b"\n").ok_or("no end of line")?;
    let (crc, json) = body.split_at_checked(9).ok_or("too short")?;
    let crc = std::str::from_utf8(crc).ok().and_then(|crc| crc.strip_suffix(' ')).ok_or("no checksum")?;
    match u32::from_str_radix(crc, 16) {
        Ok(crc) if crc == crc32c::crc32c(json) => Ok(json),
        _ => Err("wrong checksum"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compatibility::Level;

    fn set(subject: &str) -> Event {
        Event::LevelSet { subject: Some(subject.to_owned()), level: Some(Level::Full) }
    }

    fn written(count: usize) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let (mut journal, _) = Journal::open(folder.path()).unwrap();
        (0..count).for_each(|i| journal.append(&set(&format!("s{i}"))).unwrap());
        let path = folder.path().join(FILE);
        (folder, path)
    }

    #[test]
    fn a_journal_cut_at_any_byte_opens_with_the_whole_lines_before_the_cut_and_can_be_written_again() {
        let (folder, path) = written(3);
        let whole = std::fs::read(&path).unwrap();
        for cut in 0..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let lines = whole[..cut].iter().filter(|b| **b == b'\n').count();
            let (mut journal, state) = Journal::open(folder.path()).unwrap();
            let known = (0..3).filter(|i| state.own_level(&format!("s{i}")).is_ok()).count();
            assert_eq!(known, lines.saturating_sub(1), "cut at {cut}");
            journal.append(&set("after")).unwrap();
            drop(journal);
            assert!(Journal::open(folder.path()).unwrap().1.own_level("after").is_ok());
        }
    }

    #[test]
    fn a_damaged_line_in_the_middle_is_refused_and_the_file_is_left_alone() {
        let (folder, path) = written(3);
        let whole = std::fs::read(&path).unwrap();
        let last_line = whole[..whole.len() - 1].iter().rposition(|b| *b == b'\n').unwrap();
        for position in 0..last_line {
            let mut damaged = whole.clone();
            damaged[position] ^= 0x10;
            std::fs::write(&path, &damaged).unwrap();
            let error = Journal::open(folder.path()).unwrap_err();
            assert!(matches!(error, JournalError::Damaged { .. }), "byte {position}: {error}");
            assert_eq!(std::fs::read(&path).unwrap(), damaged);
        }
    }

    #[test]
    fn an_event_that_does_not_fit_is_damage() {
        let (folder, path) = written(1);
        let json = r#"{"event":"subject_deleted","subject":"unknown","permanent":false}"#;
        let line = format!("{:08x} {json}\n", crc32c::crc32c(json.as_bytes()));
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(line.as_bytes()).unwrap();
        let error = Journal::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("line 3"), "{error}");
    }

    #[test]
    fn one_folder_serves_one_registry() {
        let folder = tempfile::tempdir().unwrap();
        let first = Journal::open(folder.path()).unwrap();
        assert!(matches!(Journal::open(folder.path()), Err(JournalError::InUse { .. })));
        drop(first);
        Journal::open(folder.path()).unwrap();
    }
}
