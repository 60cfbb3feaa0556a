//! The lane's thread: it alone touches its consumer, its producer and what it holds.
//!
//! It waits at one place, for answers of handlers and for the client's word that there is something to poll. The
//! owner's callbacks of a rebalance run on it too, inside `poll`, which is why nothing is locked across a `poll`.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use quadrille_kafka::group::{Member, Membership, Owner};
use quadrille_kafka::holding::Holding;
use quadrille_kafka::restore::Restorer;
use quadrille_kafka::transaction::Failure;
use quadrille_kafka::writer::Writer;
use quadrille_kafka::{Error, Partition};
use quadrille_step::conclude::Answer;
use quadrille_step::lane::{Lane, LedgerId, Task};
use quadrille_step::spec::ServiceSpec;
use quadrille_types::{ActivationId, Record};

use crate::handler::Handler;
use crate::{attempts, now_ms};

/// Longest wait when nothing happens: the client's wake-ups are hints.
const TICK: Duration = Duration::from_millis(100);

/// Most records in one transaction.
const BATCH: usize = 2_000;

/// Most bytes that a transaction writes, unless one record's outputs are more.
const BATCH_BYTES: usize = 8 << 20;

/// Most records in work; above it nothing is read until some are committed.
const LOAD: usize = 4_000;

/// Most bytes in work, of inputs and of outputs.
const LOAD_BYTES: usize = 64 << 20;

/// How long reading may rest under load before the partitions are paused, so that the member stays in its group.
const REST: Duration = Duration::from_millis(500);

/// What the thread waits for.
pub(crate) enum Message {
    /// A handler answered.
    Finished(Box<Task>, Answer, u32),
    /// There may be something to poll, or to stop for.
    Wake,
}

/// The parts that the thread's loop and the owner's callbacks share.
pub(crate) struct Shared {
    pub(crate) spec: Arc<ServiceSpec>,
    pub(crate) handlers: Vec<Arc<dyn Handler>>,
    pub(crate) tokio: tokio::runtime::Handle,
    pub(crate) sender: SyncSender<Message>,
    /// How long a revocation or the end waits for handlers.
    pub(crate) drain: Duration,
    /// Activations that each ledger remembers.
    pub(crate) window: usize,
    pub(crate) woken: AtomicBool,
    /// The lane has its partitions, be they none, and knows what it must know of them.
    pub(crate) ready: AtomicBool,
    pub(crate) stop: AtomicBool,
    pub(crate) core: Mutex<Core>,
}

/// What the thread owns.
pub(crate) struct Core {
    pub(crate) lane: Lane,
    pub(crate) writer: Writer,
    pub(crate) restorer: Restorer,
    pub(crate) receiver: Receiver<Message>,
    /// Positions are ahead of what is committed: nothing is taken until they are set back.
    pub(crate) must_rewind: bool,
    /// The group has given the lane its partitions, be they none.
    pub(crate) joined: bool,
    /// The writer may have left a transaction open, which holds up whoever asks for positions, this lane included.
    pub(crate) must_prepare: bool,
    /// Records that came before every ledger was restored. Few: the partitions are paused meanwhile.
    pub(crate) early: Vec<Record>,
    /// What waiting does not cure: the lane ends.
    pub(crate) broken: Option<Error>,
    pub(crate) holding: Holding,
}

impl Shared {
    pub(crate) fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Makes the thread look.
    pub(crate) fn wake(&self) {
        if !self.woken.swap(true, Ordering::AcqRel) {
            // A full queue wakes it just as well.
            let _ = self.sender.try_send(Message::Wake);
        }
    }

    /// Gives handlers what may run.
    fn start(self: &Arc<Self>, core: &mut Core) {
        while let Some(task) = core.lane.start() {
            let shared = Arc::clone(self);
            self.tokio.spawn(async move {
                let step = task.work.step;
                let (answer, attempts) =
                    attempts::run(&*shared.handlers[step], &shared.spec.steps[step], &task.work).await;
                // The queue has room for every handler that may run; a full or closed one means that the lane is gone.
                let _ = shared.sender.try_send(Message::Finished(Box::new(task), answer, attempts));
            });
        }
    }

    fn receive(&self, core: &mut Core, message: Message) {
        match message {
            Message::Finished(task, answer, attempts) => core.lane.finish(&task, answer, attempts, now_ms()),
            Message::Wake => self.woken.store(false, Ordering::Release),
        }
    }

    /// Takes every answer that is there, and waits for one as long as `wait` if there is none.
    fn answers(&self, core: &mut Core, wait: Duration) {
        let first = match core.receiver.recv_timeout(wait) {
            Ok(message) => message,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return,
        };
        self.receive(core, first);
        while let Ok(message) = core.receiver.try_recv() {
            self.receive(core, message);
        }
    }

    /// Writes what is finished. Whatever fails, the lane forgets all that is not committed and reads it again.
    fn commit(&self, core: &mut Core, membership: &Membership<'_>) {
        let batch = core.lane.collect(BATCH, BATCH_BYTES);
        if batch.offsets.is_empty() {
            return;
        }
        let began = Instant::now();
        match core.writer.burst(&batch.out, &batch.offsets, membership) {
            Ok(()) => {
                core.holding.committed(&batch.offsets);
                metrics::histogram!("quadrille_transaction_seconds").record(began.elapsed().as_secs_f64());
                metrics::counter!("quadrille_records_written_total").increment(batch.out.len() as u64);
            }
            Err(failure) => {
                let fenced = failure.is_fenced();
                tracing::warn!(
                    target: "quadrille::step",
                    service = self.spec.service,
                    records = batch.out.len(),
                    fenced,
                    %failure,
                    "the transaction failed: its records are read again"
                );
                core.lane.restart();
                core.early.clear();
                core.holding.reset();
                core.must_rewind = true;
                core.must_prepare = true;
                core.note_refusal(&failure);
            }
        }
    }

    /// Waits for the handlers that run and commits what they finish, as long as [`Shared::drain`] allows.
    fn finish(&self, core: &mut Core, membership: &Membership<'_>) {
        let deadline = Instant::now() + self.drain;
        while core.lane.running() > 0 && Instant::now() < deadline && !core.must_rewind {
            self.answers(core, deadline.saturating_duration_since(Instant::now()).min(TICK));
        }
        while core.lane.is_ready() && !core.must_rewind {
            self.commit(core, membership);
        }
        if !core.must_rewind && !core.must_prepare {
            let released = core.holding.release(&mut core.writer, membership);
            core.note_mark(released);
        }
    }
}

impl Core {
    fn is_full(&self) -> bool {
        self.lane.load() >= LOAD || self.lane.bytes() >= LOAD_BYTES
    }

    /// A claim or a release is for those who look on: without it everything goes on.
    fn note_mark(&mut self, marked: Result<(), Failure>) {
        if let Err(failure) = marked {
            tracing::info!(target: "quadrille::step", %failure, "whose the partitions are was not written down");
            self.must_prepare = true;
        }
    }

    /// What a topic refuses for its size is not written again: whatever leads to it is given up when it is read again.
    fn note_refusal(&mut self, failure: &Failure) {
        if let Failure::TooLarge { topic, bytes } = failure
            && !self.lane.refused(topic, *bytes)
        {
            self.broken = Some(Error::Topic(format!(
                "topic {topic} refuses even a record of {bytes} bytes: raise its max.message.bytes, `quadrille apply` sets 8388608"
            )));
        }
    }

    /// Ends what a failed transaction left open, then goes back to what is committed.
    fn recover(&mut self, member: &Member) {
        let prepared = self.writer.prepare();
        self.must_prepare = prepared.is_err();
        let rewound = prepared.and_then(|()| if self.must_rewind { member.rewind() } else { Ok(()) });
        match rewound {
            Ok(()) => self.must_rewind = false,
            Err(error) => tracing::info!(target: "quadrille::step", %error, "cannot go on yet"),
        }
    }
}

impl Owner for Shared {
    fn assigned(&self, partitions: Vec<Partition>) {
        tracing::info!(target: "quadrille::step", service = self.spec.service, count = partitions.len(), "assigned");
        let mut core = self.core();
        core.lane.assign(partitions);
        core.early.clear();
        core.holding.reset();
        core.joined = true;
        core.must_rewind = false;
    }

    fn revoked(&self, partitions: Vec<Partition>, lost: bool, membership: &Membership<'_>) {
        tracing::info!(
            target: "quadrille::step",
            service = self.spec.service,
            count = partitions.len(),
            lost,
            "revoked"
        );
        let mut core = self.core();
        if !lost {
            self.finish(&mut core, membership);
        }
        core.lane.revoke(&partitions);
        core.early.clear();
        core.holding.gone();
        core.joined = false;
        self.ready.store(false, Ordering::Release);
    }
}

/// Runs the lane until it is stopped (Ok), or something ends it that waiting does not cure.
pub(crate) fn run(shared: &Arc<Shared>, member: &Member) -> Result<(), Error> {
    let mut reading = Reading { polled: Instant::now(), paused: Vec::new() };
    while !shared.stop.load(Ordering::Acquire) {
        reading.read(shared, member)?;
        let mut core = shared.core();
        if let Some(error) = core.broken.take() {
            return Err(error);
        }
        let ready = core.joined && !core.must_rewind && core.lane.missing_ledgers().is_empty();
        shared.ready.store(ready, Ordering::Release);
        shared.start(&mut core);
        shared.answers(&mut core, Duration::ZERO);
        if core.must_prepare || core.must_rewind {
            core.recover(member);
        } else if core.joined && core.holding.must_claim() {
            let Core { holding, writer, .. } = &mut *core;
            let claimed = holding.claim(writer, member);
            core.note_mark(claimed);
        } else if core.lane.is_ready() {
            shared.commit(&mut core, &member.membership());
            count(&mut core.lane);
            continue;
        }
        count(&mut core.lane);
        let wait = if core.must_rewind {
            TICK / 5
        } else if core.lane.missing_ledgers().is_empty() {
            TICK
        } else {
            Duration::ZERO
        };
        shared.answers(&mut core, wait);
    }
    shared.finish(&mut shared.core(), &member.membership());
    Ok(())
}

struct Reading {
    polled: Instant,
    /// Resumed as they were paused: a pause outlives a rebalance that takes the partition away and brings it back.
    paused: Vec<Partition>,
}

impl Reading {
    /// Reads what there is, as far as there is room and the ledgers are known.
    fn read(&mut self, shared: &Arc<Shared>, member: &Member) -> Result<(), Error> {
        let core = shared.core();
        let (full, restored) = (core.is_full(), core.lane.missing_ledgers().is_empty());
        drop(core);
        if self.paused.is_empty() && (!restored || full && self.polled.elapsed() > REST) {
            self.paused = member.assignment();
            member.pause(&self.paused)?;
        }
        if !full && restored && !self.paused.is_empty() {
            member.resume(&std::mem::take(&mut self.paused))?;
        }
        if full && self.paused.is_empty() {
            return Ok(());
        }
        self.polled = Instant::now();
        loop {
            let record = member.poll()?;
            let mut core = shared.core();
            if !restore(&mut core, &shared.spec, shared.window)? {
                core.early.extend(record);
                return Ok(());
            }
            for early in std::mem::take(&mut core.early) {
                core.lane.take(early, now_ms());
            }
            let Some(record) = record else { return Ok(()) };
            if !core.must_rewind {
                core.lane.take(record, now_ms());
            }
            if core.is_full() {
                return Ok(());
            }
        }
    }
}

/// Reads one of the ledgers that an assignment brought: the member has to be polled before the next. False while one is
/// missing.
fn restore(core: &mut Core, spec: &ServiceSpec, window: usize) -> Result<bool, Error> {
    let Some(id) = core.lane.missing_ledgers().first().copied() else { return Ok(true) };
    if core.must_prepare || core.must_rewind {
        // What this lane itself left open would hold up its restoring: that is ended first, and then all is read again.
        core.must_rewind = true;
        core.early.clear();
        return Ok(true);
    }
    let known = read_ledger(&core.restorer, spec, id, window)?;
    core.lane.restore_ledger(id, known);
    Ok(core.lane.missing_ledgers().is_empty())
}

fn read_ledger(
    restorer: &Restorer,
    spec: &ServiceSpec,
    id: LedgerId,
    window: usize,
) -> Result<Vec<ActivationId>, Error> {
    let partition = Partition::new(spec.names.ledger(&spec.steps[id.step].name), id.partition);
    let mut known = Vec::new();
    let mut strange = BTreeSet::new();
    // Markers take an offset in each transaction, so the tail is longer than the window.
    restorer.read(&partition, Some(window as i64 * 2), |record| {
        match record.key.as_deref().and_then(|key| std::str::from_utf8(key).ok()?.parse().ok()) {
            Some(activation) => known.push(activation),
            None => _ = strange.insert(record.position.offset),
        }
    })?;
    if !strange.is_empty() {
        tracing::warn!(target: "quadrille::step", %partition, ?strange, "records that no step wrote");
    }
    Ok(known)
}

fn count(lane: &mut Lane) {
    let counts = lane.counts();
    metrics::counter!("quadrille_duplicates_dropped_total").increment(counts.duplicates);
    metrics::counter!("quadrille_records_rekeyed_total").increment(counts.hops);
    metrics::counter!("quadrille_records_unreadable_total").increment(counts.unreadable);
}
