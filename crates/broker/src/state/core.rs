//! What the lock guards: the tables, the journal, and whoever waits.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use tokio::sync::oneshot;

use super::maintenance::{Compaction, Place};
use super::tables::Tables;
use crate::config::{Config, Flush};
use crate::error::{Error, Result};
use crate::failpoint;
use crate::group::{Joined, Refused, Synced, Token};
use crate::journal::change::Change;
use crate::journal::checkpoint::{Checkpoint, encode};
use crate::journal::frame::Kind;
use crate::journal::writer::Journal;
use crate::log::batch::BatchHeader;
use crate::log::cleaner::Job;

/// A group request that waits for its answer.
#[derive(Debug)]
pub(crate) enum Waiting {
    Join(oneshot::Sender<std::result::Result<Joined, Refused>>),
    Sync(oneshot::Sender<std::result::Result<Synced, ResponseError>>),
}

/// Records in the journal that readers may not see before it has got so far.
#[derive(Debug)]
struct Unreached {
    position: u64,
    topic: u64,
    partition: usize,
    end_offset: i64,
}

/// The state behind the lock.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) config: Arc<Config>,
    pub(crate) tables: Tables,
    pub(crate) journal: Journal,
    unreached: VecDeque<Unreached>,
    pub(super) waiting: HashMap<Token, Waiting>,
    pub(super) next_token: Token,
    /// A checkpoint is on its way to the device.
    pub(crate) checkpointing: bool,
    /// A checkpoint would free files or let compaction go on.
    pub(crate) checkpoint_wanted: bool,
    pub(crate) compaction: Compaction,
    /// When retention and compaction are looked after next.
    pub(super) maintain_at_ms: i64,
    /// When producers that have not written for long are looked for next.
    pub(super) forget_at_ms: i64,
    /// The broker is to stop.
    pub(crate) stopping: bool,
    /// Why nothing can be written any more.
    pub(crate) failure: Option<String>,
    /// When the timer fires next; an earlier deadline has to wake it.
    pub(crate) timer_ms: i64,
    pub(crate) flushes: u64,
}

impl Core {
    pub(crate) fn new(config: Arc<Config>, tables: Tables, journal: Journal) -> Self {
        Core {
            config,
            tables,
            journal,
            unreached: VecDeque::new(),
            waiting: HashMap::new(),
            next_token: 0,
            checkpointing: false,
            checkpoint_wanted: false,
            compaction: Compaction::default(),
            maintain_at_ms: 0,
            forget_at_ms: 0,
            stopping: false,
            failure: None,
            timer_ms: i64::MAX,
            flushes: 0,
        }
    }

    /// Puts a change into the journal and the tables.
    pub(crate) fn record(&mut self, change: Change) {
        self.journal.append(Kind::Change, &[&encode(&change)]);
        if let Err(error) = self.tables.apply(change, 0) {
            self.fail(&error);
        }
    }

    /// Puts a change into the journal that the tables show already.
    pub(crate) fn record_only(&mut self, change: &Change) {
        self.journal.append(Kind::Change, &[&encode(change)]);
    }

    /// Puts a stamped batch into the journal and its partition.
    pub(crate) fn record_batch(&mut self, topic: u64, partition: u32, header: BatchHeader, batch: Bytes) {
        self.journal.append(Kind::Batch, &[&topic.to_be_bytes(), &partition.to_be_bytes(), &batch]);
        let end_offset = header.last_offset() + 1;
        let position = self.journal.end();
        self.unreached.push_back(Unreached { position, topic, partition: partition as usize, end_offset });
        if let Err(error) = self.tables.append(topic, partition, header, batch) {
            self.fail(&error);
        }
    }

    /// The journal has got to `position`: readers may see what lies below.
    pub(crate) fn reached(&mut self, position: u64) {
        self.journal.reached(position);
        while self.unreached.front().is_some_and(|u| u.position <= position) {
            let Some(next) = self.unreached.pop_front() else { break };
            let log =
                self.tables.topics.get_mut(&next.topic).and_then(|t| t.partitions.get_mut(next.partition));
            if let Some(log) = log {
                log.raise(next.end_offset);
            }
        }
    }

    /// Writes what was gathered, and flushes it if the level asks for it.
    pub(crate) fn write_through(&mut self) {
        if !self.journal.has_gathered() || self.failure.is_some() {
            return;
        }
        let flush = self.config.flush == Flush::Commit;
        let piece = self.journal.take(Vec::new());
        match self.config.faults.write(&piece, flush) {
            Ok(()) => {
                self.flushes += u64::from(flush);
                self.reached(piece.until);
            }
            Err(error) => self.fail(&Error::file(self.journal.folder())(error)),
        }
    }

    /// From here on nothing is acknowledged: memory is ahead of the disk.
    pub(crate) fn fail(&mut self, error: &Error) {
        if self.failure.is_none() {
            tracing::error!(%error, "the broker cannot write and serves no more requests");
            self.failure = Some(error.to_string());
        }
    }

    pub(crate) fn checkpoint_is_due(&self) -> bool {
        let long = self.journal.length() >= self.config.checkpoint_bytes;
        !self.checkpointing && self.failure.is_none() && (long || self.checkpoint_wanted)
    }

    /// The compaction to be begun now.
    pub(crate) fn take_compaction(&mut self) -> Option<(Place, Job)> {
        let next = self.compaction.next.take()?;
        self.compaction.running = true;
        Some(next)
    }

    /// Begins the next journal and gathers what the checkpoint before it needs.
    pub(crate) fn begin_checkpoint(&mut self) -> Result<Checkpoint> {
        self.write_through();
        self.tables.spill_all()?;
        let changes = self.tables.changes();
        let logs = self.tables.topics.values_mut().flat_map(|t| t.partitions.iter_mut());
        let dirty = logs.flat_map(crate::log::partition::Partition::take_dirty).collect();
        self.journal.rotate()?;
        (self.checkpointing, self.checkpoint_wanted) = (true, false);
        Ok(Checkpoint {
            folder: self.journal.folder().to_path_buf(),
            number: self.journal.number(),
            position: self.journal.end(),
            changes,
            dirty,
            doomed: std::mem::take(&mut self.tables.doomed),
        })
    }

    /// Dies at a failpoint with everything recorded so far on the device.
    pub(super) fn reach_failpoint(&mut self, name: &str) {
        if failpoint::is_armed(name) {
            let piece = self.journal.take(Vec::new());
            let until = piece.until;
            if let Err(error) = piece.write(true) {
                self.fail(&Error::file(self.journal.folder())(error));
            }
            self.journal.reached(until);
            failpoint::reach(name);
        }
    }
}
