//! Heartbeat and LeaveGroup.

use kafka_protocol::messages::leave_group_response::MemberResponse;
use kafka_protocol::messages::{HeartbeatRequest, HeartbeatResponse, LeaveGroupRequest, LeaveGroupResponse};

use super::{Context, code};
use crate::group::Caller;

pub(crate) fn heartbeat(context: &Context<'_>, request: &HeartbeatRequest) -> HeartbeatResponse {
    let caller = Caller {
        member_id: request.member_id.to_string(),
        instance_id: request.group_instance_id.as_ref().map(|i| i.to_string()),
        generation: request.generation_id,
    };
    let now_ms = context.now_ms();
    // Nothing is recorded, so the answer need not wait for the journal.
    let result = context.look(|core| core.heartbeat(now_ms, request.group_id.as_str(), &caller));
    HeartbeatResponse::default().with_error_code(code(&result))
}

pub(crate) fn leave(context: &Context<'_>, request: LeaveGroupRequest) -> LeaveGroupResponse {
    let now_ms = context.now_ms();
    let group = request.group_id.to_string();
    if context.version < 3 {
        let result = context.with(|core| core.leave_group(now_ms, &group, request.member_id.as_str(), None));
        return LeaveGroupResponse::default().with_error_code(code(&result));
    }
    let members = context.with(|core| {
        let members = request.members.into_iter().map(|member| {
            let instance = member.group_instance_id.as_deref();
            let result = core.leave_group(now_ms, &group, member.member_id.as_str(), instance);
            MemberResponse::default()
                .with_error_code(code(&result))
                .with_member_id(member.member_id)
                .with_group_instance_id(member.group_instance_id)
        });
        members.collect()
    });
    LeaveGroupResponse::default().with_members(members)
}
