//! The lock around the state, the thread that flushes, the task that keeps time.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};

use super::Core;
use super::maintenance::Place;
use crate::clock::Clock;
use crate::config::{Config, Flush};
use crate::failpoint;
use crate::journal::checkpoint::Checkpoint;
use crate::log::cleaner::Job;
use crate::server::room::Room;

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Shared {
    core: Mutex<Core>,
    /// Wakes the flusher.
    work: Condvar,
    /// Position up to which the journal has reached the flush level.
    reached: watch::Sender<u64>,
    /// Wakes the timekeeper when a deadline comes earlier than it thinks.
    timer: Notify,
    stop: watch::Sender<bool>,
    pub(crate) config: Arc<Config>,
    pub(crate) clock: Clock,
    /// The port listened on.
    pub(crate) port: u16,
    pub(crate) connections: AtomicUsize,
    pub(crate) room: Room,
    flushes: AtomicU64,
}

impl Shared {
    pub(crate) fn new(core: Core, clock: Clock, port: u16) -> Self {
        Shared {
            config: Arc::clone(&core.config),
            room: Room::new(core.config.max_buffered_bytes),
            reached: watch::Sender::new(core.journal.durable()),
            core: Mutex::new(core),
            work: Condvar::new(),
            timer: Notify::new(),
            stop: watch::Sender::new(false),
            clock,
            port,
            connections: AtomicUsize::new(0),
            flushes: AtomicU64::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `f` on the state. The second value is the journal position that an answer based on it has to wait for.
    pub(crate) fn with<R>(&self, f: impl FnOnce(&mut Core) -> R) -> (R, u64) {
        let mut core = self.lock();
        let timer_ms = core.timer_ms;
        let result = f(&mut core);
        let position = core.journal.end();
        match self.config.flush {
            Flush::Os => core.write_through(),
            Flush::Commit if core.journal.has_gathered() => self.work.notify_all(),
            Flush::Commit => {}
        }
        if core.failure.is_some() {
            self.reached.send_replace(u64::MAX); // whoever waits for an acknowledgement never gets one
        } else if core.checkpoint_is_due() || core.compaction.next.is_some() {
            self.work.notify_all();
        }
        if core.timer_ms < timer_ms {
            self.timer.notify_one();
        }
        (result, position)
    }

    /// Waits until the journal has reached `position`; false if it never will.
    pub(crate) async fn wait_for(&self, position: u64) -> bool {
        if self.config.flush == Flush::Os {
            return !self.has_failed();
        }
        let mut reached = self.reached.subscribe();
        reached.wait_for(|now| *now >= position).await.is_ok() && !self.has_failed()
    }

    fn has_failed(&self) -> bool {
        *self.reached.borrow() == u64::MAX
    }

    /// Nothing moves for so long, as in a machine that is out of breath. What is over by then is over before anything that
    /// waits is looked at.
    pub(crate) fn stand_still(&self, pause: std::time::Duration) {
        let mut core = self.lock();
        std::thread::sleep(pause);
        core.tick(self.clock.now_ms());
    }

    /// Why nothing can be written any more.
    pub(crate) fn failure(&self) -> Option<String> {
        self.lock().failure.clone()
    }

    /// Resolves when the broker is to stop.
    pub(crate) async fn stopped(&self) {
        let mut stop = self.stop.subscribe();
        let _ = stop.wait_for(|stop| *stop).await; // an error means that the sender is gone: stopped as well
    }

    pub(crate) fn request_stop(&self) {
        self.stop.send_replace(true);
        self.lock().stopping = true;
        self.work.notify_all();
    }

    /// Number of device flushes and bytes of journal so far.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let core = self.lock();
        (core.flushes + self.flushes.load(Ordering::Relaxed), core.journal.end())
    }

    /// Waits until neither checkpoint nor compaction is on its way: the folder may have another owner afterwards.
    pub(crate) fn await_helpers(&self) {
        let mut core = self.lock();
        while core.checkpointing || core.compaction.running {
            core = self.work.wait(core).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Writes everything and takes a last checkpoint, so that the next start has nothing to replay.
    pub(crate) fn close(&self) -> crate::error::Result<()> {
        let mut core = self.lock();
        if core.failure.is_some() {
            return Ok(());
        }
        let checkpoint = core.begin_checkpoint()?;
        core.checkpointing = false; // completed here, before anybody else can begin one
        drop(core);
        checkpoint.complete()
    }
}

/// What the flusher found to do.
enum Work {
    Flush(crate::journal::writer::Piece),
    Checkpoint(Checkpoint),
    Compact(Place, Job),
    Stop,
}

/// The flusher's thread: one device flush for everything that was gathered meanwhile, and checkpoints when they are due.
pub(crate) fn run_flusher(shared: &Arc<Shared>) {
    let mut spare = Vec::new();
    loop {
        match next_work(shared, &mut spare) {
            Work::Stop => return,
            Work::Checkpoint(checkpoint) => run_checkpoint(shared, checkpoint),
            Work::Compact(place, job) => run_compaction(shared, place, job),
            Work::Flush(piece) => {
                failpoint::reach(failpoint::JOURNAL_BEFORE_FLUSH);
                let result = shared.config.faults.write(&piece, true);
                shared.flushes.fetch_add(1, Ordering::Relaxed);
                let mut core = shared.lock();
                match result {
                    Ok(()) => core.reached(piece.until),
                    Err(error) => {
                        let error = crate::error::Error::file(core.journal.folder())(error);
                        core.fail(&error);
                    }
                }
                drop(core);
                publish(shared);
                spare = piece.recycle();
            }
        }
    }
}

fn next_work(shared: &Arc<Shared>, spare: &mut Vec<u8>) -> Work {
    let mut core = shared.lock();
    loop {
        if core.failure.is_some() {
            shared.reached.send_replace(u64::MAX);
            if core.stopping {
                return Work::Stop;
            }
        } else if shared.config.flush == Flush::Commit && core.journal.has_gathered() {
            return Work::Flush(core.journal.take(std::mem::take(spare)));
        } else if core.stopping {
            return Work::Stop;
        } else if let Some((place, job)) = core.take_compaction() {
            return Work::Compact(place, job);
        } else if core.checkpoint_is_due() {
            match core.begin_checkpoint() {
                Ok(checkpoint) => {
                    drop(core);
                    publish(shared);
                    return Work::Checkpoint(checkpoint);
                }
                Err(error) => core.fail(&error),
            }
            continue;
        }
        core = shared.work.wait(core).unwrap_or_else(PoisonError::into_inner);
    }
}

fn publish(shared: &Shared) {
    let core = shared.lock();
    let position = if core.failure.is_some() { u64::MAX } else { core.journal.durable() };
    drop(core);
    shared.reached.send_replace(position);
}

/// Completes a checkpoint beside the flusher, which must go on meanwhile.
fn run_checkpoint(shared: &Arc<Shared>, checkpoint: Checkpoint) {
    let for_thread = Arc::clone(shared);
    let complete = move || {
        let result = checkpoint.complete();
        let mut core = for_thread.lock();
        core.checkpointing = false;
        if let Err(error) = result {
            core.fail(&error);
        }
        for_thread.work.notify_all();
    };
    if let Err(error) = std::thread::Builder::new().name("broker-checkpoint".into()).spawn(complete) {
        let mut core = shared.lock();
        core.checkpointing = false;
        core.fail(&crate::error::Error::Threads(error));
    }
}

/// Compacts a partition beside the flusher.
fn run_compaction(shared: &Arc<Shared>, place: Place, job: Job) {
    let for_thread = Arc::clone(shared);
    let compact = move || {
        let result = job.run();
        for_thread.with(|core| core.compacted(place, result));
        for_thread.work.notify_all();
    };
    if let Err(error) = std::thread::Builder::new().name("broker-compaction".into()).spawn(compact) {
        shared.with(|core| core.compacted(place, Err(crate::error::Error::Threads(error))));
    }
}

/// The timekeeper's task: sessions, rebalances and transactions end when their time has come; old records go.
pub(crate) async fn run_timekeeper(shared: Arc<Shared>) {
    loop {
        let (at_ms, _) = shared.with(|core| core.timer_ms);
        let due =
            tokio::time::sleep_until(shared.clock.instant(at_ms.min(shared.clock.now_ms() + 3_600_000)));
        tokio::select! {
            () = due => {
                let now_ms = shared.clock.now_ms();
                shared.with(|core| core.tick(now_ms));
            }
            () = shared.timer.notified() => {}
            () = shared.stopped() => return,
        }
    }
}
