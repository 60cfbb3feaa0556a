//! A lane without handlers: what a record leads to is decided at once, in memory, and written in transactions.
//!
//! The coordinator and its ingest lanes run on it. Ownership, transactions and failures are as in [`crate::lane`]:
//! whatever fails, what is not committed is forgotten and read again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use quadrille_kafka::group::{Member, Membership, Owner};
use quadrille_kafka::holding::Holding;
use quadrille_kafka::transaction::{Busy, Failure, Offsets};
use quadrille_kafka::writer::Writer;
use quadrille_kafka::{Error, Partition, Settings};
use quadrille_types::{OutRecord, Record};
use tokio::sync::watch;

use crate::now_ms;

/// Most records in one transaction.
const BATCH: usize = 1_000;

/// Bytes of records after which one is written. What they lead to may be a few times as much.
const BATCH_BYTES: usize = 4 << 20;

/// Longest wait when nothing happens.
const TICK: Duration = Duration::from_millis(100);

/// How long restoring goes on before the group is polled again: a member that is silent for minutes is taken for dead.
const SLICE: Duration = Duration::from_secs(1);

/// What is done with records.
pub trait Processor: Send + 'static {
    /// These partitions are owned from now on: [`restore`](Self::restore) brings back what is known of them.
    fn assigned(&mut self, partitions: &BTreeSet<Partition>);

    /// Goes on bringing it back, for about as long as `within`. True once everything is known.
    fn restore(&mut self, within: Duration) -> Result<bool, Error>;

    /// Forgets everything: partitions went, or what was processed was not committed.
    fn forget(&mut self);

    /// Takes a record.
    fn process(&mut self, record: Record, now_ms: i64) -> Result<(), Error>;

    /// Does what is due by now.
    fn tick(&mut self, now_ms: i64);

    /// What all of this left to be written since the last call.
    fn collect(&mut self) -> Output;
}

/// What is to be written.
#[derive(Debug, Default)]
pub struct Output {
    /// The records, in order.
    pub records: Vec<OutRecord>,
    /// Partition numbers for which something was done without a record of theirs, such as a timer: the transaction must
    /// be fenced by their ownership all the same.
    pub touched: BTreeSet<i32>,
}

/// What a processor's thread needs.
pub struct ProcessorConfig {
    /// The cluster.
    pub settings: Settings,
    /// Consumer group.
    pub group: String,
    /// Topics that it reads.
    pub topics: BTreeSet<String>,
    /// Transactional ID, and the member's static ID if `is_static`.
    pub id: String,
    /// The ID is stable over restarts and nobody else has it.
    pub is_static: bool,
}

/// A running processor.
pub struct Running {
    stop: Arc<AtomicBool>,
    wake: SyncSender<()>,
    busy: Arc<Busy>,
    assigned: Arc<AtomicBool>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    core: Mutex<Core>,
    assigned: Arc<AtomicBool>,
}

struct Core {
    processor: Box<dyn Processor>,
    writer: Writer,
    /// Owned partitions; `restored` says whether the processor knows.
    owned: BTreeSet<Partition>,
    restored: bool,
    /// It has been told, and is not through yet.
    restoring: bool,
    /// Records that came before everything was restored. Few: the partitions are paused meanwhile.
    early: Vec<Record>,
    /// The group has given the member its partitions, be they none.
    joined: bool,
    must_rewind: bool,
    /// The writer may have left a transaction open, which holds up whoever asks for positions or restores.
    must_prepare: bool,
    /// Behind the last record that was processed.
    next: Offsets,
    processed: usize,
    processed_bytes: usize,
    /// What waiting does not cure: the thread ends.
    broken: Option<Error>,
    holding: Holding,
}

impl Running {
    /// Starts the thread. `failed` is told if it ends without being stopped.
    pub fn start(
        config: ProcessorConfig,
        processor: Box<dyn Processor>,
        failed: watch::Sender<Option<String>>,
    ) -> Result<Self, Error> {
        let writer = Writer::exactly_once(&config.settings, config.id.clone())?;
        let busy = writer.busy();
        let assigned = Arc::new(AtomicBool::new(false));
        let core = Core {
            processor,
            writer,
            holding: Holding::default(),
            owned: BTreeSet::new(),
            restored: true,
            restoring: false,
            early: Vec::new(),
            joined: false,
            must_rewind: false,
            must_prepare: false,
            next: BTreeMap::new(),
            processed: 0,
            processed_bytes: 0,
            broken: None,
        };
        let shared = Arc::new(Shared { core: Mutex::new(core), assigned: Arc::clone(&assigned) });
        let (wake, woken) = sync_channel(1);
        let waker = wake.clone();
        let topics: Vec<&str> = config.topics.iter().map(String::as_str).collect();
        let member = Member::join(
            &config.settings,
            &config.group,
            config.is_static.then_some(config.id.as_str()),
            &topics,
            &shared,
            move || _ = waker.try_send(()),
        )?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let body = move || {
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                shared.run(&member, &woken, &stopped)
            }));
            let failure = match result {
                Ok(Ok(())) => return,
                Ok(Err(error)) => error.to_string(),
                Err(_) => "the thread panicked: see its message above".to_owned(),
            };
            tracing::error!(target: "quadrille::processor", group = config.group, failure, "ended");
            failed.send_replace(Some(failure));
        };
        let thread = std::thread::Builder::new()
            .name(config.id)
            .spawn(body)
            .expect("the system has room for a thread");
        Ok(Self { stop, wake, busy, assigned, thread: Mutex::new(Some(thread)) })
    }

    /// Whether it has been given its partitions, be they none, and has restored them.
    pub fn is_ready(&self) -> bool {
        self.assigned.load(Ordering::Acquire)
    }

    /// How long a call to Kafka blocks by now.
    pub fn blocked(&self) -> Option<Duration> {
        self.busy.for_how_long()
    }

    /// Commits what is processed and leaves the group. Blocks.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        let _ = self.wake.try_send(());
        let thread = self.thread.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
        if let Some(thread) = thread {
            // What a panic had to say is said by the thread.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn run(&self, member: &Member, woken: &Receiver<()>, stop: &AtomicBool) -> Result<(), Error> {
        let mut paused = Vec::new();
        while !stop.load(Ordering::Acquire) {
            self.pause(member, &mut paused)?;
            self.read(member)?;
            let mut core = self.core();
            if core.must_prepare || core.must_rewind {
                core.recover(member);
            } else if core.joined && core.holding.must_claim() {
                let Core { holding, writer, .. } = &mut *core;
                let claimed = holding.claim(writer, member);
                core.note_mark(claimed);
            } else if core.restored {
                core.processor.tick(now_ms());
                core.commit(&member.membership(), Some(member));
            }
            if let Some(error) = core.broken.take() {
                return Err(error);
            }
            self.assigned.store(core.joined && core.restored, Ordering::Release);
            let idle = core.processed == 0 && !core.restoring;
            core.processed = 0;
            core.processed_bytes = 0;
            drop(core);
            if idle {
                // A time-out only means that nothing came.
                let _ = woken.recv_timeout(TICK);
            }
        }
        let mut core = self.core();
        core.commit(&member.membership(), Some(member));
        core.release(&member.membership());
        Ok(())
    }

    /// While partitions are restored nothing of them is read.
    fn pause(&self, member: &Member, paused: &mut Vec<Partition>) -> Result<(), Error> {
        let core = self.core();
        let wanted: Vec<_> = if core.restored { Vec::new() } else { core.owned.iter().cloned().collect() };
        drop(core);
        if *paused != wanted {
            member.resume(&std::mem::take(paused))?;
            member.pause(&wanted)?;
            *paused = wanted;
        }
        Ok(())
    }

    /// Processes what there is, up to a transaction's worth.
    fn read(&self, member: &Member) -> Result<(), Error> {
        loop {
            let record = member.poll()?;
            let mut core = self.core();
            if !core.restored {
                core.early.extend(record);
                return core.restore();
            }
            for early in std::mem::take(&mut core.early) {
                core.take(early)?;
            }
            let Some(record) = record else { return Ok(()) };
            if core.must_rewind {
                continue;
            }
            core.take(record)?;
            if core.processed >= BATCH || core.processed_bytes >= BATCH_BYTES {
                return Ok(());
            }
        }
    }
}

impl Core {
    fn take(&mut self, record: Record) -> Result<(), Error> {
        let partition = Partition::new(record.position.topic.clone(), record.position.partition);
        if !self.owned.contains(&partition) {
            return Ok(());
        }
        let next = record.position.offset + 1;
        self.processed_bytes += record.size();
        self.processor.process(record, now_ms())?;
        self.next.insert(partition, next);
        self.processed += 1;
        Ok(())
    }

    /// Brings back what is known of partitions that were just assigned, a slice of it.
    fn restore(&mut self) -> Result<(), Error> {
        if self.restored {
            return Ok(());
        }
        if self.must_prepare || self.must_rewind {
            // What this member itself left open would hold up its restoring: that is ended first, and then all is read
            // again.
            self.must_rewind = true;
            self.early.clear();
            return Ok(());
        }
        if !self.restoring {
            self.processor.assigned(&self.owned);
            self.restoring = true;
        }
        self.restored = self.processor.restore(SLICE)?;
        self.restoring = !self.restored;
        Ok(())
    }

    /// What is owned must be restored before anything is done with it.
    fn forget(&mut self) {
        self.processor.forget();
        self.next.clear();
        self.early.clear();
        self.restoring = false;
        self.restored = self.owned.is_empty();
    }

    /// Writes what was decided. Inside a revocation `member` is absent: nothing may be asked of it then.
    fn commit(&mut self, membership: &Membership<'_>, member: Option<&Member>) {
        if self.must_rewind {
            return;
        }
        let output = self.processor.collect();
        let mut offsets = std::mem::take(&mut self.next);
        let unfenced: Vec<_> = output
            .touched
            .iter()
            .filter(|number| !offsets.keys().any(|partition| partition.partition == **number))
            .filter_map(|number| self.owned.iter().find(|partition| partition.partition == *number).cloned())
            .collect();
        if !unfenced.is_empty() {
            match member.map(|member| member.committed(&unfenced)) {
                Some(Ok(committed)) if committed.len() == unfenced.len() => offsets.extend(committed),
                Some(Ok(_)) => return self.fail("a partition has no position", output.records.len()),
                Some(Err(error)) => return self.fail(&error.to_string(), output.records.len()),
                None => return self.fail("partitions are going", output.records.len()),
            }
        }
        if offsets.is_empty() {
            debug_assert!(output.records.is_empty(), "what is written is fenced by a position");
            return;
        }
        match self.writer.burst(&output.records, &offsets, membership) {
            Ok(()) => {
                self.holding.committed(&offsets);
                metrics::counter!("quadrille_records_written_total").increment(output.records.len() as u64);
            }
            Err(failure) => {
                self.fail(&failure.to_string(), output.records.len());
                // All that is written here is bounded to fit into topics that are as `quadrille apply` makes them.
                if let Failure::TooLarge { .. } = failure {
                    self.broken = Some(Error::Topic(format!("{failure}: `quadrille apply` sets 8388608")));
                }
            }
        }
    }

    fn fail(&mut self, why: &str, records: usize) {
        tracing::warn!(
            target: "quadrille::processor",
            records,
            why,
            "the transaction failed: its records are read again"
        );
        self.forget();
        self.holding.reset();
        self.must_rewind = true;
        self.must_prepare = true;
    }

    /// Leaves what is held, after the last commit.
    fn release(&mut self, membership: &Membership<'_>) {
        if !self.must_rewind && !self.must_prepare {
            let released = self.holding.release(&mut self.writer, membership);
            self.note_mark(released);
        }
    }

    /// A claim or a release is for those who look on: without it everything goes on.
    fn note_mark(&mut self, marked: Result<(), Failure>) {
        if let Err(failure) = marked {
            tracing::info!(target: "quadrille::processor", %failure, "whose the partitions are was not written down");
            self.must_prepare = true;
        }
    }

    /// Ends what a failed transaction left open, then goes back to what is committed.
    fn recover(&mut self, member: &Member) {
        let prepared = self.writer.prepare();
        self.must_prepare = prepared.is_err();
        match prepared.and_then(|()| if self.must_rewind { member.rewind() } else { Ok(()) }) {
            Ok(()) => {
                self.must_rewind = false;
            }
            Err(error) => {
                tracing::info!(target: "quadrille::processor", %error, "cannot go on yet");
                self.processed = 0;
            }
        }
    }
}

impl Owner for Shared {
    fn assigned(&self, partitions: Vec<Partition>) {
        let mut core = self.core();
        core.owned = partitions.into_iter().collect();
        core.forget();
        core.holding.reset();
        core.joined = true;
        core.must_rewind = false;
        self.assigned.store(false, Ordering::Release);
    }

    fn revoked(&self, partitions: Vec<Partition>, lost: bool, membership: &Membership<'_>) {
        let mut core = self.core();
        if !lost {
            core.commit(membership, None);
            core.release(membership);
        }
        core.holding.gone();
        core.owned.retain(|partition| !partitions.contains(partition));
        core.forget();
        core.joined = false;
        self.assigned.store(false, Ordering::Release);
    }
}
