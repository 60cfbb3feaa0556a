//! Transactions: the pure decisions of [`crate::txn`], recorded and carried out.

use kafka_protocol::error::ResponseError;

use super::Core;
use crate::failpoint;
use crate::journal::change::Change;
use crate::log::batch;
use crate::txn::{self, EndDecision, InitRequest, Status, Transaction};

impl Core {
    /// A producer ID without a transactional ID.
    pub(crate) fn new_producer_id(&mut self) -> i64 {
        let id = self.tables.next_producer_id;
        self.record(Change::ProducerIds { next: id + 1 });
        id
    }

    /// A producer takes over a transactional ID: its producer ID and epoch.
    pub(crate) fn init_producer(
        &mut self,
        id: &str,
        request: InitRequest,
        now_ms: i64,
    ) -> Result<(i64, i16), ResponseError> {
        let fresh_id = self.tables.next_producer_id;
        let done = txn::init(self.tables.transactions.get(id), request, fresh_id)?;
        if let Some(abort) = done.abort {
            self.carry_out(id, abort, now_ms, Markers::Everywhere);
            if self.config.faults.withholds(id) {
                return Err(ResponseError::ConcurrentTransactions);
            }
        }
        if done.ready.producer_id == fresh_id {
            self.record(Change::ProducerIds { next: fresh_id + 1 });
        }
        let answer = (done.ready.producer_id, done.ready.epoch);
        self.record(Change::Transaction { id: id.to_string(), state: done.ready });
        Ok(answer)
    }

    /// Partitions join a transaction. Unknown ones are the caller's concern.
    pub(crate) fn add_partitions(
        &mut self,
        id: &str,
        owner: (i64, i16),
        partitions: Vec<(String, i32)>,
        now_ms: i64,
    ) -> Result<(), ResponseError> {
        let next = txn::add_partitions(self.tables.transactions.get(id), owner, partitions, now_ms)?;
        self.store(id, next);
        Ok(())
    }

    /// A group's offsets join a transaction.
    pub(crate) fn add_offsets(
        &mut self,
        id: &str,
        owner: (i64, i16),
        group: &str,
        now_ms: i64,
    ) -> Result<(), ResponseError> {
        let next = txn::add_groups(self.tables.transactions.get(id), owner, group, now_ms)?;
        self.store(id, next);
        Ok(())
    }

    fn store(&mut self, id: &str, next: Option<Transaction>) {
        if let Some(state) = next {
            self.arm(state.deadline_ms());
            self.record(Change::Transaction { id: id.to_string(), state });
        }
    }

    /// The producer ends its transaction.
    pub(crate) fn end_transaction(
        &mut self,
        id: &str,
        owner: (i64, i16),
        committed: bool,
        now_ms: i64,
    ) -> Result<(), ResponseError> {
        match txn::end(self.tables.transactions.get(id), owner, committed)? {
            EndDecision::AlreadyDone => {}
            EndDecision::Decided(state) => self.carry_out(id, state, now_ms, Markers::Everywhere),
        }
        Ok(())
    }

    /// Aborts transactions that have outlived their time-out.
    pub(crate) fn expire_transactions(&mut self, now_ms: i64) {
        let expired = |(id, state): (&String, &Transaction)| Some((id.clone(), txn::expire(state, now_ms)?));
        let expired: Vec<_> = self.tables.transactions.iter().filter_map(expired).collect();
        for (id, state) in expired {
            tracing::info!(transactional_id = id, epoch = state.epoch, "transaction timed out, aborted");
            self.carry_out(&id, state, now_ms, Markers::Everywhere);
        }
    }

    /// Ends what a crash or a fault left between decision and completion.
    pub(crate) fn finish_decided(&mut self, now_ms: i64) {
        let decided =
            |state: &Transaction| matches!(state.status, Status::PrepareCommit | Status::PrepareAbort);
        let hangs = |id: &str| self.config.faults.withholds(id);
        let left: Vec<_> =
            self.tables.transactions.iter().filter(|(id, s)| decided(s) && !hangs(id)).collect();
        let left: Vec<_> = left.into_iter().map(|(id, s)| (id.clone(), s.clone())).collect();
        for (id, state) in left {
            tracing::info!(transactional_id = id, decision = ?state.status, "finishing a decided transaction");
            self.write_markers(&id, &state, now_ms, Markers::WhereOpen);
        }
    }

    /// Records the decision, then its markers. The journal keeps the order, so no marker is durable before the decision.
    fn carry_out(&mut self, id: &str, state: Transaction, now_ms: i64, markers: Markers) {
        self.record(Change::Transaction { id: id.to_string(), state: state.clone() });
        self.reach_failpoint(failpoint::TXN_AFTER_PREPARE);
        if !self.config.faults.withhold(id) {
            self.write_markers(id, &state, now_ms, markers);
        }
    }

    fn write_markers(&mut self, id: &str, state: &Transaction, now_ms: i64, markers: Markers) {
        let committed = state.status == Status::PrepareCommit;
        for (name, index) in &state.partitions {
            let Some(topic) = self.tables.topic(name) else { continue };
            let (number, Some(log)) = (topic.number, topic.partition(*index)) else { continue };
            if markers == Markers::WhereOpen && log.open_since(state.producer_id).is_none() {
                continue;
            }
            let bytes = batch::marker(state.producer_id, state.epoch, committed, log.end_offset, now_ms);
            let header = batch::BatchHeader::parse(&bytes).expect("a marker has a batch header");
            self.record_batch(number, u32::try_from(*index).unwrap_or_default(), header, bytes);
        }
        for group in &state.groups {
            let (group, producer_id) = (group.clone(), state.producer_id);
            self.record(Change::OffsetsEnded { group, producer_id, committed });
        }
        self.record(Change::Transaction { id: id.to_string(), state: txn::complete(state) });
    }
}

/// Which partitions of a transaction get a marker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Markers {
    Everywhere,
    /// After a crash: those that have none yet.
    WhereOpen,
}
