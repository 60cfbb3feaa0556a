//! The phases of a rebalance: begun, complete when everybody has joined, or ended by the clock.

use kafka_protocol::error::ResponseError;

use super::{Group, Reply, Status};

impl Group {
    /// Begins a rebalance unless one is running, and completes it if nobody is missing.
    pub(super) fn rebalance(&mut self, now_ms: i64, out: &mut Vec<Reply>) {
        if self.status != Status::Preparing {
            let first = self.status == Status::Empty;
            self.refuse_syncs(now_ms, ResponseError::RebalanceInProgress, out);
            self.status = Status::Preparing;
            let wait_ms = if first { self.initial_delay_ms } else { self.rebalance_timeout_ms() };
            self.phase_ends_ms = Some(now_ms + wait_ms);
            if first && wait_ms > 0 {
                return;
            }
        }
        self.complete_if_joined(now_ms, out);
    }

    fn rebalance_timeout_ms(&self) -> i64 {
        self.members.values().map(|m| m.rebalance_timeout_ms).max().unwrap_or(0)
    }

    pub(super) fn complete_if_joined(&mut self, now_ms: i64, out: &mut Vec<Reply>) {
        let all_here = self.promised.is_empty() && self.members.values().all(|m| m.joining.is_some());
        if self.status == Status::Preparing && all_here {
            self.complete_joins(now_ms, out);
        }
    }

    /// Ends the joining phase: who has not come is out, except for static members, who keep their place.
    pub(super) fn complete_joins(&mut self, now_ms: i64, out: &mut Vec<Reply>) {
        let missing = self.members.iter().filter(|(_, m)| m.joining.is_none() && m.instance_id.is_none());
        for id in missing.map(|(id, _)| id.clone()).collect::<Vec<_>>() {
            self.forget(&id);
        }
        if self.members.is_empty() {
            return self.become_empty(now_ms, out);
        }
        let joined: Vec<String> =
            self.members.iter().filter(|(_, m)| m.joining.is_some()).map(|(id, _)| id.clone()).collect();
        let Some(first) = joined.first() else {
            // Only static members, none of which is back: wait for them as long as their sessions allow.
            self.phase_ends_ms = Some(now_ms + self.rebalance_timeout_ms().max(1));
            return;
        };
        if self.leader.as_ref().is_none_or(|leader| !joined.contains(leader)) {
            self.leader = Some(first.clone());
        }
        self.generation += 1;
        self.protocol = self.vote();
        self.status = Status::Completing;
        self.phase_ends_ms = Some(now_ms + self.rebalance_timeout_ms());
        for id in joined {
            let answer = self.joined(&id);
            self.answer_join(now_ms, &id, Ok(answer), out);
        }
    }

    pub(super) fn become_empty(&mut self, now_ms: i64, out: &mut Vec<Reply>) {
        self.empty_since_ms = Some(now_ms);
        self.generation += 1;
        self.status = Status::Empty;
        self.protocol = None;
        self.leader = None;
        self.phase_ends_ms = None;
        out.push(Reply::Store);
    }

    /// Every member votes for the first of its protocols that all support.
    fn vote(&self) -> Option<String> {
        let choice =
            |m: &super::Member| m.protocols.iter().map(|(n, _)| n).find(|n| self.all_support(n)).cloned();
        let votes: Vec<String> = self.members.values().filter_map(choice).collect();
        let count = |name: &String| votes.iter().filter(|v| *v == name).count();
        votes.iter().max_by_key(|name| count(name)).cloned()
    }

    pub(super) fn refuse_syncs(&mut self, now_ms: i64, error: ResponseError, out: &mut Vec<Reply>) {
        for member in self.members.values_mut() {
            member.assignment.clear();
            if let Some(token) = member.syncing.take() {
                member.expires_ms = now_ms + member.session_timeout_ms;
                out.push(Reply::Sync(token, Err(error)));
            }
        }
    }

    /// Does what time demands: sessions end, phases end.
    pub(crate) fn tick(&mut self, now_ms: i64, out: &mut Vec<Reply>) {
        let promised = self.promised.len();
        self.promised.retain(|_, until| *until > now_ms);
        let expired = self.members.iter().filter(|(_, m)| !m.waits() && m.expires_ms <= now_ms);
        let expired: Vec<String> = expired.map(|(id, _)| id.clone()).collect();
        for id in &expired {
            self.forget(id);
        }
        if !expired.is_empty() {
            self.after_departure(now_ms, out);
        } else if promised != self.promised.len() {
            self.complete_if_joined(now_ms, out);
        }
        if self.phase_ends_ms.is_some_and(|ends| ends <= now_ms) {
            match self.status {
                Status::Preparing => self.complete_joins(now_ms, out),
                Status::Completing => self.drop_unsynced(now_ms, out),
                Status::Empty | Status::Stable => self.phase_ends_ms = None,
            }
        }
    }

    /// The assignment has not come in time: whoever has not asked for it is out, and the rest starts again.
    fn drop_unsynced(&mut self, now_ms: i64, out: &mut Vec<Reply>) {
        let late = self.members.iter().filter(|(_, m)| m.syncing.is_none()).map(|(id, _)| id.clone());
        for id in late.collect::<Vec<_>>() {
            self.forget(&id);
        }
        self.after_departure(now_ms, out);
    }

    /// Members are gone: the others share what they had.
    pub(super) fn after_departure(&mut self, now_ms: i64, out: &mut Vec<Reply>) {
        match self.status {
            Status::Empty => {}
            Status::Preparing => self.complete_if_joined(now_ms, out),
            Status::Completing | Status::Stable => self.rebalance(now_ms, out),
        }
    }
}
