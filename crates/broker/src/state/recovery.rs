//! From a data folder to a running state: the newest checkpoint, then the journals behind it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use uuid::Uuid;

use super::Core;
use super::maintenance::remove_unknown;
use super::tables::{Limits, Tables};
use crate::config::Config;
use crate::disk;
use crate::error::{Error, Result};
use crate::journal::change::Change;
use crate::journal::frame::{FILE_HEADER, Frame, Kind};
use crate::journal::reader::{Ending, read_checkpoint, read_journal};
use crate::journal::writer::Journal;
use crate::journal::{files, frame};
use crate::log::batch::{self, BatchHeader};

/// Opens the state in `config.data`, which must be locked by the caller.
pub(crate) fn open(config: &Arc<Config>, now_ms: i64) -> Result<Core> {
    let folder = files::folder(&config.data);
    disk::create_folder(&folder).map_err(Error::file(&folder))?;
    for named in config.data.ancestors().take(2) {
        let named = if named.as_os_str().is_empty() { Path::new(".") } else { named };
        files::flush_folder(named)?; // names of the journals' folder and of the data folder
    }
    let limits = Limits {
        tail_bytes: config.tail_bytes,
        max_segment_bytes: config.max_segment_bytes,
        initial_rebalance_delay_ms: config.initial_rebalance_delay_ms,
    };
    let mut tables = Tables::new(&config.data, limits);
    let journal = replay(&folder, &mut tables, now_ms)?;
    for log in tables.topics.values_mut().flat_map(|t| t.partitions.iter_mut()) {
        log.raise(log.end_offset);
    }
    remove_unknown_topics(&tables)?;
    for log in tables.topics.values().flat_map(|t| &t.partitions) {
        remove_unknown(log.unknown_files(), &tables.doomed);
    }
    let mut core = Core::new(Arc::clone(config), tables, journal);
    if core.tables.cluster_id.is_empty() {
        core.record(Change::Cluster { id: Uuid::new_v4().simple().to_string() });
    }
    core.finish_decided(now_ms);
    core.write_through();
    core.tick(now_ms);
    Ok(core)
}

fn replay(folder: &Path, tables: &mut Tables, now_ms: i64) -> Result<Journal> {
    let (journals, checkpoints) = files::list(folder)?;
    let start = checkpoints.last().copied();
    if let Some(number) = start {
        let path = files::checkpoint(folder, number);
        let bytes = fs::read(&path).map_err(Error::file(&path))?;
        read_checkpoint(&path, &bytes, |frame| apply(tables, frame, &path, now_ms))?;
    }
    let wanted: Vec<u64> = journals.into_iter().filter(|n| *n >= start.unwrap_or(0)).collect();
    let (Some(last), first) = (wanted.last().copied(), start.unwrap_or(1)) else {
        return begin(folder, start);
    };
    let mut expected: Option<Ending> = None;
    for number in first..=last {
        let path = files::journal(folder, number);
        let bytes = fs::read(&path).map_err(Error::file(&path))?;
        if number == last && bytes.len() < FILE_HEADER {
            // The crash came while this file was being created; nothing was acknowledged in it.
            match expected {
                Some(Ending { position, .. }) => return Journal::create(folder, number, position),
                None if start.is_none() => return Journal::create(folder, number, 0),
                None => {}
            }
        }
        let ending = replay_one(&path, &bytes, tables, expected, now_ms)?;
        if number < last && ending.torn > 0 && !only_header_follows(folder, number + 1, last) {
            return Err(Error::corrupt(&path, ending.length, "frames are missing before the next journal"));
        }
        if number == last && ending.torn > 0 {
            let path = path.display().to_string();
            tracing::warn!(
                path,
                bytes = ending.torn,
                at = ending.length,
                "cutting a torn tail, never acknowledged"
            );
        }
        expected = Some(ending);
    }
    let ending = expected.expect("the last journal was read");
    Journal::reopen(folder, last, ending.position, ending.length)
}

fn only_header_follows(folder: &Path, next: u64, last: u64) -> bool {
    next == last && fs::metadata(files::journal(folder, next)).is_ok_and(|m| m.len() < FILE_HEADER as u64)
}

fn begin(folder: &Path, checkpoint: Option<u64>) -> Result<Journal> {
    match checkpoint {
        None => Journal::create(folder, 1, 0),
        Some(number) => {
            let path = files::journal(folder, number);
            Err(Error::corrupt(&path, 0, "the journal of the newest checkpoint is missing"))
        }
    }
}

fn replay_one(
    path: &Path,
    bytes: &[u8],
    tables: &mut Tables,
    before: Option<Ending>,
    now_ms: i64,
) -> Result<Ending> {
    let first = frame::read_file_header(bytes).map_err(|reason| Error::corrupt(path, 0, reason))?;
    if before.is_some_and(|b| b.position != first) {
        return Err(Error::corrupt(path, 0, "the journal before it ends elsewhere"));
    }
    read_journal(path, bytes, |frame| apply(tables, frame, path, now_ms))
}

fn apply(tables: &mut Tables, frame: Frame<'_>, path: &Path, now_ms: i64) -> Result<()> {
    match frame.kind {
        Kind::Batch => apply_batch(tables, frame.payload, path),
        Kind::Change => {
            let change = minicbor::decode(frame.payload)
                .map_err(|e| Error::corrupt(path, 0, format!("a change cannot be decoded: {e}")))?;
            tables.apply(change, now_ms)
        }
        Kind::End => Ok(()),
    }
}

fn apply_batch(tables: &mut Tables, mut payload: &[u8], path: &Path) -> Result<()> {
    if payload.len() < 12 {
        return Err(Error::corrupt(path, 0, "a batch frame is too short"));
    }
    let (topic, partition) = (payload.get_u64(), payload.get_u32());
    let header: BatchHeader = batch::check(payload).map_err(|e| Error::corrupt(path, 0, e.to_string()))?;
    tables.append(topic, partition, header, Bytes::copy_from_slice(payload))
}

/// Removes folders of topics that were deleted before a crash could remove them.
fn remove_unknown_topics(tables: &Tables) -> Result<()> {
    let Ok(entries) = fs::read_dir(tables.folder()) else { return Ok(()) };
    let known: BTreeSet<String> =
        tables.topics.values().map(|t| format!("{}-{}", t.name, t.number)).collect();
    let doomed: BTreeSet<_> = tables.doomed.iter().cloned().collect();
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !known.contains(&name) && !doomed.contains(&entry.path()) {
            disk::remove_folder(&entry.path()).map_err(Error::file(&entry.path()))?;
        }
    }
    Ok(())
}
