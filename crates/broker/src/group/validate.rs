//! Who may act for the group. Fencing of offset commits depends on these lines.

use kafka_protocol::error::ResponseError;

use super::{Caller, Group, Status};

impl Group {
    /// The member exists, and if it says which instance it is, it still is that instance.
    pub(super) fn validate_member(&self, id: &str, instance_id: Option<&str>) -> Result<(), ResponseError> {
        if let Some(instance) = instance_id {
            match self.instances.get(instance) {
                None => return Err(ResponseError::UnknownMemberId),
                Some(current) if current != id => return Err(ResponseError::FencedInstanceId),
                Some(_) => {}
            }
        }
        if self.members.contains_key(id) { Ok(()) } else { Err(ResponseError::UnknownMemberId) }
    }

    /// Whether `caller` may commit offsets.
    ///
    /// A transactional commit that names neither generation nor member nor instance is let through even when the group has
    /// members: it is not fenced at all. That is how Apache Kafka answers, and clients must not rely on more.
    pub(crate) fn validate_offset_commit(
        &self,
        caller: &Caller,
        transactional: bool,
    ) -> Result<(), ResponseError> {
        if caller.generation < 0 && self.status == Status::Empty {
            return Ok(());
        }
        if caller.generation >= 0 || !caller.member_id.is_empty() || caller.instance_id.is_some() {
            self.validate_member(&caller.member_id, caller.instance_id.as_deref())?;
            if caller.generation != self.generation {
                return Err(ResponseError::IllegalGeneration);
            }
        } else if !transactional && self.status != Status::Empty {
            return Err(ResponseError::UnknownMemberId);
        }
        if !transactional && self.status == Status::Completing {
            return Err(ResponseError::RebalanceInProgress);
        }
        Ok(())
    }
}
