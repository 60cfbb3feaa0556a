//! Heartbeats and departures.

use kafka_protocol::error::ResponseError;

use super::{Caller, Group, Reply, Status};

impl Group {
    /// Keeps a member alive; the error tells it what to do next.
    pub(crate) fn heartbeat(&mut self, now_ms: i64, caller: &Caller) -> Result<(), ResponseError> {
        self.validate_member(&caller.member_id, caller.instance_id.as_deref())?;
        if caller.generation != self.generation {
            return Err(ResponseError::IllegalGeneration);
        }
        match self.status {
            Status::Empty => Err(ResponseError::UnknownMemberId),
            Status::Preparing => {
                self.touch(now_ms, &caller.member_id);
                Err(ResponseError::RebalanceInProgress)
            }
            Status::Completing | Status::Stable => {
                self.touch(now_ms, &caller.member_id);
                Ok(())
            }
        }
    }

    /// A member leaves, named by its ID, or by its instance ID with an empty member ID.
    pub(crate) fn leave(
        &mut self,
        now_ms: i64,
        member_id: &str,
        instance_id: Option<&str>,
        out: &mut Vec<Reply>,
    ) -> Result<(), ResponseError> {
        if self.promised.remove(member_id).is_some() {
            self.complete_if_joined(now_ms, out);
            return Ok(());
        }
        let id = match instance_id.filter(|_| member_id.is_empty()) {
            Some(instance) => self.instances.get(instance).cloned().ok_or(ResponseError::UnknownMemberId)?,
            None => member_id.to_string(),
        };
        self.validate_member(&id, instance_id)?;
        if let Some(member) = self.forget(&id) {
            let refused = super::Refused { error: ResponseError::UnknownMemberId, member_id: id };
            out.extend(member.joining.map(|token| Reply::Join(token, Err(refused))));
            out.extend(member.syncing.map(|token| Reply::Sync(token, Err(ResponseError::UnknownMemberId))));
        }
        self.after_departure(now_ms, out);
        Ok(())
    }

    /// Whether the group can be deleted.
    pub(crate) fn is_empty(&self) -> bool {
        self.status == Status::Empty && self.promised.is_empty()
    }

    pub(crate) fn touch(&mut self, now_ms: i64, id: &str) {
        if let Some(member) = self.members.get_mut(id) {
            member.expires_ms = now_ms + member.session_timeout_ms;
        }
    }

    pub(super) fn forget(&mut self, id: &str) -> Option<super::Member> {
        let member = self.members.remove(id)?;
        if let Some(instance) = &member.instance_id
            && self.instances.get(instance).is_some_and(|m| m == id)
        {
            self.instances.remove(instance);
        }
        if self.leader.as_deref() == Some(id) {
            self.leader = self.members.keys().next().cloned();
        }
        Some(member)
    }
}
