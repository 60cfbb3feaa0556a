//! What a lane holds between reading a record and committing it: the state machine of the step runtime.
//!
//! The shell feeds it records and answers, starts what it gives out, and writes what it collects. A rebalance, or a
//! transaction that failed, makes it forget; what was forgotten is read again from what is committed, and answers that
//! belong to what was forgotten are ignored by their epoch.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use quadrille_types::ids::Action;
use quadrille_types::{ActivationId, OutRecord, Partition, Record};

use crate::conclude::{Answer, Concluded, conclude, known};
use crate::ledger::Ledger;
use crate::plan::{Planned, Work, plan};
use crate::prefix::Prefix;
use crate::schedule::Schedule;
use crate::spec::{OWN_BYTES_MIN, ServiceSpec};

/// The records that one lane has in work.
#[derive(Debug)]
pub struct Lane {
    spec: Arc<ServiceSpec>,
    window: usize,
    epoch: u64,
    held: BTreeMap<Partition, Held>,
    schedules: Vec<Schedule<String, Task>>,
    ledgers: BTreeMap<LedgerId, Ledger>,
    /// What ledgers know of answers that are not collected yet, and the record with which each will be.
    unwritten: BTreeMap<(LedgerId, ActivationId), (Partition, i64)>,
    /// Ledgers that are not restored.
    missing: BTreeSet<LedgerId>,
    counts: Counts,
}

/// The ledger of one step for one partition of its lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LedgerId {
    /// Index of the step in its service.
    pub step: usize,
    /// Partition, from 0.
    pub partition: i32,
}

/// One activation for a handler.
#[derive(Clone, Debug)]
pub struct Task {
    /// What the handler is called with.
    pub work: Work,
    record: Arc<Record>,
    slot: usize,
    epoch: u64,
}

/// What a transaction is to hold.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Outputs, per partition in the order of the records that led to them.
    pub out: Vec<OutRecord>,
    /// For each partition, the offset behind the last finished record.
    pub offsets: BTreeMap<Partition, i64>,
}

/// What happened to records, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Copies of known activations, dropped.
    pub duplicates: u64,
    /// Records moved to the partition of their saga.
    pub hops: u64,
    /// Records that no handler could be called for.
    pub unreadable: u64,
}

#[derive(Debug)]
struct Held {
    epoch: u64,
    prefix: Prefix<Vec<OutRecord>>,
    pending: BTreeMap<i64, Pending>,
}

/// A record some of whose activations are unfinished; a slot for what each leaves.
#[derive(Debug)]
struct Pending {
    unfinished: usize,
    slots: Vec<Vec<OutRecord>>,
}

impl Lane {
    /// A lane that holds nothing. Each ledger remembers `window` activations.
    pub fn new(spec: Arc<ServiceSpec>, window: usize) -> Self {
        let schedules = spec.steps.iter().map(|step| Schedule::new(step.concurrency)).collect();
        Self {
            spec,
            window,
            epoch: 0,
            held: BTreeMap::new(),
            schedules,
            ledgers: BTreeMap::new(),
            unwritten: BTreeMap::new(),
            missing: BTreeSet::new(),
            counts: Counts::default(),
        }
    }

    /// These partitions belong to the lane now. Their ledgers are missing until they are restored.
    pub fn assign(&mut self, partitions: impl IntoIterator<Item = Partition>) {
        self.epoch += 1;
        for partition in partitions {
            let held = Held { epoch: self.epoch, prefix: Prefix::default(), pending: BTreeMap::new() };
            self.held.insert(partition, held);
        }
        self.missing = self.without_ledger();
    }

    /// Drops everything about these partitions. Handlers that run go on; their answers will be ignored.
    pub fn revoke(&mut self, partitions: &[Partition]) {
        for partition in partitions {
            self.held.remove(partition);
        }
        let held = &self.held;
        self.ledgers.retain(|id, _| held.contains_key(&ledger_partition(&self.spec, *id)));
        self.unwritten.retain(|(id, _), _| self.ledgers.contains_key(id));
        for schedule in &mut self.schedules {
            schedule.forget(|task| task.is_stale(held));
        }
        self.missing = self.without_ledger();
    }

    /// Drops everything, and begins the same partitions anew.
    pub fn restart(&mut self) {
        let partitions: Vec<_> = self.held.keys().cloned().collect();
        self.revoke(&partitions);
        self.assign(partitions);
    }

    /// Ledgers that must be restored before a record is taken.
    pub fn missing_ledgers(&self) -> &BTreeSet<LedgerId> {
        &self.missing
    }

    fn without_ledger(&self) -> BTreeSet<LedgerId> {
        let ids = self.held.keys().filter_map(|partition| {
            let step = self.spec.controlled_by(&partition.topic)?;
            let id = LedgerId { step, partition: partition.partition };
            (self.spec.steps[step].keeps_ledger && !self.ledgers.contains_key(&id)).then_some(id)
        });
        ids.collect()
    }

    /// Gives a ledger back what was read from its topic, oldest first.
    pub fn restore_ledger(&mut self, id: LedgerId, known: impl IntoIterator<Item = ActivationId>) {
        let mut ledger = Ledger::new(self.window);
        for activation in known {
            ledger.insert(activation);
        }
        self.ledgers.insert(id, ledger);
        self.missing.remove(&id);
    }

    /// Takes a record into work. One of a partition that the lane does not hold is ignored.
    pub fn take(&mut self, record: Record, now_ms: i64) {
        let partition = Partition::new(record.position.topic.clone(), record.position.partition);
        let Some(held) = self.held.get(&partition) else { return };
        let (offset, epoch) = (record.position.offset, held.epoch);
        let record = Arc::new(record);
        let planned = plan(&self.spec, &record);
        // Each call has the value once more.
        let bytes = record.size() * (1 + planned.len());
        let mut pending = Pending { unfinished: 0, slots: vec![Vec::new(); planned.len()] };
        for (slot, planned) in planned.into_iter().enumerate() {
            match planned {
                Planned::Hop(out) => {
                    self.counts.hops += 1;
                    pending.slots[slot] = vec![out];
                }
                Planned::Dead { work, reason, message } => {
                    self.counts.unreadable += 1;
                    let answer = Answer::Failed { reason, message };
                    let concluded = Concluded { record: &record, work: &work, answer, attempts: 0, now_ms };
                    pending.slots[slot] = conclude(&self.spec, concluded);
                }
                Planned::Run(work) => {
                    pending.unfinished += 1;
                    let key = work.correlation_id.clone();
                    let task = Task { record: Arc::clone(&record), slot, epoch, work: *work };
                    self.schedules[task.work.step].offer(key, task);
                }
            }
        }
        if let Some(held) = self.held.get_mut(&partition) {
            held.prefix.began(offset, bytes);
            held.settle(offset, pending);
        }
    }

    /// The next activation that may be given to its handler. A copy of one that is known by now is dropped; while the
    /// first copy is in work its copies wait behind it, since it may turn out to be no event at all.
    ///
    /// A dropped copy of a start event leaves a fact that says so. That must lie behind the answer, which is sure once the
    /// answer is collected: the copy may lie on another partition, whose prefix is not held up by the same records. While
    /// the answer is still to be written the saga waits for it in any case.
    pub fn start(&mut self) -> Option<Task> {
        while let Some((key, task)) = self.schedules.iter_mut().find_map(Schedule::start) {
            if !self.is_known(&task) {
                return Some(task);
            }
            self.counts.duplicates += 1;
            self.schedules[task.work.step].done(&key);
            let is_written = !self.unwritten.contains_key(&(task.ledger(), task.work.activation));
            let out = if is_written { known(&self.spec, &task.work) } else { Vec::new() };
            self.settle(&task, out);
        }
        None
    }

    /// A handler has answered.
    pub fn finish(&mut self, task: &Task, answer: Answer, attempts: u32, now_ms: i64) {
        self.schedules[task.work.step].done(&task.work.correlation_id);
        if task.is_stale(&self.held) {
            return;
        }
        let concluded = Concluded { record: &task.record, work: &task.work, answer, attempts, now_ms };
        if concluded.is_remembered(&self.spec)
            && let Some(ledger) = self.ledgers.get_mut(&task.ledger())
        {
            ledger.insert(task.work.activation);
            let at = (task.partition(), task.record.position.offset);
            self.unwritten.insert((task.ledger(), task.work.activation), at);
        }
        let out = conclude(&self.spec, concluded);
        self.settle(task, out);
    }

    /// Whether [`collect`](Self::collect) would give something.
    pub fn is_ready(&self) -> bool {
        self.held.values().any(|held| held.prefix.is_ready())
    }

    /// Takes what is finished: of at most `limit` records, and of those what leaves at most `bytes` to be written; of one
    /// in any case.
    pub fn collect(&mut self, limit: usize, bytes: usize) -> Batch {
        let mut batch = Batch::default();
        let (mut room, mut bytes) = (limit, bytes);
        for (partition, held) in &mut self.held {
            if let Some(finished) = held.prefix.take(room, bytes) {
                room -= finished.outputs.len();
                bytes = bytes.saturating_sub(finished.bytes);
                batch.out.extend(finished.outputs.into_iter().flatten());
                batch.offsets.insert(partition.clone(), finished.next_offset);
            }
        }
        let collected = |(partition, offset): &(Partition, i64)| {
            batch.offsets.get(partition).is_some_and(|next| offset < next)
        };
        self.unwritten.retain(|_, at| !collected(at));
        batch
    }

    /// Records that are taken and not collected.
    pub fn load(&self) -> usize {
        self.held.values().map(|held| held.prefix.len()).sum()
    }

    /// What those take in memory, with what they leave to be written.
    pub fn bytes(&self) -> usize {
        self.held.values().map(|held| held.prefix.bytes()).sum()
    }

    /// `topic` has refused a record of `bytes`: what is as large is given up from now on. Returns false where no record can
    /// be made small enough: then the topic is not as the mesh needs it.
    pub fn refused(&mut self, topic: &str, bytes: usize) -> bool {
        Arc::make_mut(&mut self.spec).limits.refused(topic, bytes);
        bytes > OWN_BYTES_MIN || self.spec.events.values().any(|event| event.topic == topic)
    }

    /// Handlers that run.
    pub fn running(&self) -> usize {
        self.schedules.iter().map(Schedule::running).sum()
    }

    /// Partitions that the lane holds.
    pub fn partitions(&self) -> impl Iterator<Item = &Partition> {
        self.held.keys()
    }

    /// What happened since the last call.
    pub fn counts(&mut self) -> Counts {
        std::mem::take(&mut self.counts)
    }

    fn is_known(&self, task: &Task) -> bool {
        task.work.action == Action::Do
            && self.ledgers.get(&task.ledger()).is_some_and(|ledger| ledger.knows(&task.work.activation))
    }

    /// A task leaves `out`; with the last of its record's tasks the record is finished.
    fn settle(&mut self, task: &Task, out: Vec<OutRecord>) {
        let Some(held) = self.held.get_mut(&task.partition()) else { return };
        let offset = task.record.position.offset;
        if let Some(mut pending) = held.pending.remove(&offset) {
            pending.slots[task.slot] = out;
            pending.unfinished -= 1;
            held.settle(offset, pending);
        }
    }
}

impl Held {
    fn settle(&mut self, offset: i64, pending: Pending) {
        if pending.unfinished == 0 {
            let out: Vec<OutRecord> = pending.slots.into_iter().flatten().collect();
            let bytes = out.iter().map(OutRecord::size).sum();
            self.prefix.finished(offset, out, bytes);
        } else {
            self.pending.insert(offset, pending);
        }
    }
}

impl Task {
    fn ledger(&self) -> LedgerId {
        LedgerId { step: self.work.step, partition: self.record.position.partition }
    }

    fn partition(&self) -> Partition {
        Partition::new(self.record.position.topic.clone(), self.record.position.partition)
    }

    fn is_stale(&self, held: &BTreeMap<Partition, Held>) -> bool {
        held.get(&self.partition()).is_none_or(|held| held.epoch != self.epoch)
    }
}

/// The partition that is held together with a ledger.
fn ledger_partition(spec: &ServiceSpec, id: LedgerId) -> Partition {
    Partition::new(spec.names.control(&spec.steps[id.step].name), id.partition)
}
