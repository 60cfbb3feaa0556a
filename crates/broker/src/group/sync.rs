//! SyncGroup: the leader hands in the assignment, everybody gets his part.

use std::collections::BTreeMap;

use bytes::Bytes;
use kafka_protocol::error::ResponseError;

use super::{Caller, Group, Reply, Status, Synced, Token};

impl Group {
    /// Handles a sync; its answer comes now or when the leader's has come. `expected` is protocol type and name, if given.
    pub(crate) fn sync(
        &mut self,
        now_ms: i64,
        caller: &Caller,
        expected: (Option<&str>, Option<&str>),
        assignments: BTreeMap<String, Bytes>,
        (token, out): (Token, &mut Vec<Reply>),
    ) {
        if let Err(error) = self.may_sync(caller, expected) {
            out.push(Reply::Sync(token, Err(error)));
            return;
        }
        self.touch(now_ms, &caller.member_id);
        if self.status == Status::Stable {
            out.push(Reply::Sync(token, Ok(self.synced(&caller.member_id))));
            return;
        }
        if let Some(member) = self.members.get_mut(&caller.member_id)
            && let Some(before) = member.syncing.replace(token)
        {
            out.push(Reply::Sync(before, Err(ResponseError::RebalanceInProgress)));
        }
        if self.leader.as_ref() == Some(&caller.member_id) {
            self.assign(now_ms, assignments, out);
        }
    }

    fn may_sync(&self, caller: &Caller, expected: (Option<&str>, Option<&str>)) -> Result<(), ResponseError> {
        self.validate_member(&caller.member_id, caller.instance_id.as_deref())?;
        if caller.generation != self.generation {
            return Err(ResponseError::IllegalGeneration);
        }
        let differs = |expected: Option<&str>, actual: &Option<String>| {
            expected.is_some_and(|e| actual.as_deref().is_some_and(|a| a != e))
        };
        if differs(expected.0, &self.protocol_type) || differs(expected.1, &self.protocol) {
            return Err(ResponseError::InconsistentGroupProtocol);
        }
        match self.status {
            Status::Empty => Err(ResponseError::UnknownMemberId),
            Status::Preparing => Err(ResponseError::RebalanceInProgress),
            Status::Completing | Status::Stable => Ok(()),
        }
    }

    fn assign(&mut self, now_ms: i64, mut assignments: BTreeMap<String, Bytes>, out: &mut Vec<Reply>) {
        self.status = Status::Stable;
        self.phase_ends_ms = None;
        for (id, member) in &mut self.members {
            member.assignment = assignments.remove(id).unwrap_or_default();
        }
        let waiting: Vec<(String, Token)> =
            self.members.iter_mut().filter_map(|(id, m)| m.syncing.take().map(|t| (id.clone(), t))).collect();
        for (id, token) in waiting {
            self.touch(now_ms, &id);
            out.push(Reply::Sync(token, Ok(self.synced(&id))));
        }
        out.push(Reply::Store);
    }

    fn synced(&self, id: &str) -> Synced {
        Synced {
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            protocol: self.protocol.clone().unwrap_or_default(),
            assignment: self.members.get(id).map(|m| m.assignment.clone()).unwrap_or_default(),
        }
    }
}
