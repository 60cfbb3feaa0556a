//! Groups: the pure machine of [`crate::group`], with its replies delivered and its image recorded; offset commits.

use std::collections::BTreeMap;

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use tokio::sync::oneshot;

use super::Core;
use super::core::Waiting;
use crate::group::{Caller, JoinRequest, Joined, Refused, Reply, Synced, Token};
use crate::journal::change::{Change, OffsetEntry};
use crate::txn;

/// A transactional offset commit's producer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TxnOwner<'a> {
    pub(crate) id: &'a str,
    pub(crate) owner: (i64, i16),
}

impl Core {
    /// A join; the receiver has the answer when the group is complete.
    pub(crate) fn join_group(
        &mut self,
        now_ms: i64,
        group: &str,
        request: JoinRequest,
    ) -> oneshot::Receiver<Result<Joined, Refused>> {
        let (sender, receiver) = oneshot::channel();
        let token = self.wait(Waiting::Join(sender));
        let mut out = Vec::new();
        self.tables.group_mut(group).members.join(now_ms, request, token, &mut out);
        self.deliver(group, out);
        receiver
    }

    /// A sync; the receiver has the answer when the leader has assigned.
    pub(crate) fn sync_group(
        &mut self,
        now_ms: i64,
        group: &str,
        caller: &Caller,
        expected: (Option<&str>, Option<&str>),
        assignments: BTreeMap<String, Bytes>,
    ) -> oneshot::Receiver<Result<Synced, ResponseError>> {
        let (sender, receiver) = oneshot::channel();
        let token = self.wait(Waiting::Sync(sender));
        let mut out = Vec::new();
        match self.tables.groups.get_mut(group) {
            Some(state) => state.members.sync(now_ms, caller, expected, assignments, (token, &mut out)),
            None => out.push(Reply::Sync(token, Err(ResponseError::UnknownMemberId))),
        }
        self.deliver(group, out);
        receiver
    }

    pub(crate) fn heartbeat(
        &mut self,
        now_ms: i64,
        group: &str,
        caller: &Caller,
    ) -> Result<(), ResponseError> {
        let state = self.tables.groups.get_mut(group).ok_or(ResponseError::UnknownMemberId)?;
        state.members.heartbeat(now_ms, caller)
    }

    pub(crate) fn leave_group(
        &mut self,
        now_ms: i64,
        group: &str,
        member_id: &str,
        instance_id: Option<&str>,
    ) -> Result<(), ResponseError> {
        let state = self.tables.groups.get_mut(group).ok_or(ResponseError::UnknownMemberId)?;
        let mut out = Vec::new();
        let result = state.members.leave(now_ms, member_id, instance_id, &mut out);
        self.deliver(group, out);
        result
    }

    fn wait(&mut self, waiting: Waiting) -> Token {
        self.next_token += 1;
        self.waiting.insert(self.next_token, waiting);
        self.next_token
    }

    fn deliver(&mut self, group: &str, replies: Vec<Reply>) {
        for reply in replies {
            match reply {
                Reply::Join(token, answer) => {
                    if let Some(Waiting::Join(sender)) = self.waiting.remove(&token) {
                        let _ = sender.send(answer); // whoever asked may be gone
                    }
                }
                Reply::Sync(token, answer) => {
                    if let Some(Waiting::Sync(sender)) = self.waiting.remove(&token) {
                        let _ = sender.send(answer);
                    }
                }
                Reply::Store => {
                    if let Some(state) = self.tables.groups.get(group) {
                        let (group, image) = (group.to_string(), state.members.image());
                        self.record_only(&Change::Group { group, image });
                    }
                }
            }
        }
        let deadline = self.tables.groups.get(group).and_then(|g| g.members.next_deadline());
        self.arm(deadline);
    }

    /// Makes sure that the timer fires at `deadline_ms` at the latest.
    pub(super) fn arm(&mut self, deadline_ms: Option<i64>) {
        self.timer_ms = deadline_ms.map_or(self.timer_ms, |d| d.min(self.timer_ms));
    }

    /// Does what time demands in groups and transactions, and sets the timer for the next time.
    pub(crate) fn tick(&mut self, now_ms: i64) {
        let due = |g: &super::tables::GroupState| g.members.next_deadline().is_some_and(|d| d <= now_ms);
        let groups: Vec<String> =
            self.tables.groups.iter().filter(|(_, g)| due(g)).map(|(n, _)| n.clone()).collect();
        for group in groups {
            let mut out = Vec::new();
            self.tables.group_mut(&group).members.tick(now_ms, &mut out);
            self.deliver(&group, out);
        }
        self.expire_transactions(now_ms);
        if self.maintain_at_ms <= now_ms {
            self.maintain(now_ms);
        }
        let groups = self.tables.groups.values().filter_map(|g| g.members.next_deadline());
        let transactions = self.tables.transactions.values().filter_map(crate::txn::Transaction::deadline_ms);
        let next = groups.chain(transactions).min().unwrap_or(i64::MAX);
        self.timer_ms = next.min(self.maintain_at_ms);
    }

    /// Commits offsets of partitions that exist; with a transaction they wait for its end.
    pub(crate) fn commit_offsets(
        &mut self,
        now_ms: i64,
        group: &str,
        caller: &Caller,
        transaction: Option<TxnOwner<'_>>,
        mut offsets: Vec<OffsetEntry>,
    ) -> Result<(), ResponseError> {
        if let Some(TxnOwner { id, owner }) = transaction {
            txn::verify_group(self.tables.transactions.get(id), owner, group)?;
        }
        self.may_commit(group, caller, transaction.is_some())?;
        if caller.generation >= 0 {
            self.tables.group_mut(group).members.touch(now_ms, &caller.member_id);
        }
        for (entry, order) in offsets.iter_mut().zip(self.tables.offset_order + 1..) {
            entry.value.order = order;
        }
        if !offsets.is_empty() {
            let producer_id = transaction.map(|t| t.owner.0);
            self.record(Change::Offsets { group: group.to_string(), producer_id, offsets });
        }
        Ok(())
    }

    fn may_commit(&self, group: &str, caller: &Caller, transactional: bool) -> Result<(), ResponseError> {
        match self.tables.groups.get(group) {
            Some(state) => state.members.validate_offset_commit(caller, transactional),
            None if caller.generation < 0 => Ok(()),
            None => Err(ResponseError::IllegalGeneration),
        }
    }

    /// Deletes a group without members.
    pub(crate) fn delete_group(&mut self, group: &str) -> Result<(), ResponseError> {
        let state = self.tables.groups.get(group).ok_or(ResponseError::GroupIdNotFound)?;
        if !state.members.is_empty() {
            return Err(ResponseError::NonEmptyGroup);
        }
        self.record(Change::GroupDeleted { group: group.to_string() });
        Ok(())
    }
}
