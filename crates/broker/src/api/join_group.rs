//! JoinGroup.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::{JoinGroupRequest, JoinGroupResponse};
use uuid::Uuid;

use super::{Context, text};
use crate::group::{JoinRequest, Joined, Refused};

/// Answers when the group is complete.
pub(crate) async fn handle(context: &Context<'_>, request: JoinGroupRequest) -> JoinGroupResponse {
    let config = &context.shared.config;
    let sessions = config.min_session_timeout_ms..=config.max_session_timeout_ms;
    let member_id = request.member_id.to_string();
    if request.group_id.is_empty() {
        return refused(ResponseError::InvalidGroupId, &member_id);
    }
    if !sessions.contains(&request.session_timeout_ms) {
        return refused(ResponseError::InvalidSessionTimeout, &member_id);
    }
    let group = request.group_id.to_string();
    let join = to_join(context, request);
    let now_ms = context.now_ms();
    let answer = context.with(|core| core.join_group(now_ms, &group, join));
    let answer = answer.await;
    context.with(|_| ()); // the answer came by another request: wait for what that one recorded
    match answer {
        Ok(Ok(joined)) => accepted(context, joined),
        Ok(Err(Refused { error, member_id })) => refused(error, &member_id),
        Err(_) => refused(ResponseError::CoordinatorNotAvailable, &member_id),
    }
}

fn to_join(context: &Context<'_>, request: JoinGroupRequest) -> JoinRequest {
    let instance_id = request.group_instance_id.map(|i| i.to_string());
    let prefix = instance_id.as_deref().unwrap_or(&context.client_id);
    // Version 0 has no rebalance time-out; its session time-out serves as both.
    let rebalance =
        if context.version == 0 { request.session_timeout_ms } else { request.rebalance_timeout_ms };
    JoinRequest {
        fresh_id: format!("{prefix}-{}", Uuid::new_v4()),
        member_id: request.member_id.to_string(),
        instance_id,
        client_id: context.client_id.clone(),
        client_host: format!("/{}", context.host),
        session_timeout_ms: i64::from(request.session_timeout_ms),
        rebalance_timeout_ms: i64::from(rebalance),
        protocol_type: request.protocol_type.to_string(),
        protocols: request.protocols.into_iter().map(|p| (p.name.to_string(), p.metadata)).collect(),
        needs_member_id: context.version >= 4,
    }
}

fn accepted(context: &Context<'_>, joined: Joined) -> JoinGroupResponse {
    let members = joined.members.into_iter().map(|(id, instance, metadata)| {
        JoinGroupResponseMember::default()
            .with_member_id(text(id))
            .with_group_instance_id(instance.filter(|_| context.version >= 5).map(text))
            .with_metadata(metadata)
    });
    JoinGroupResponse::default()
        .with_generation_id(joined.generation)
        .with_protocol_type(Some(text(joined.protocol_type)))
        .with_protocol_name(Some(text(joined.protocol)))
        .with_leader(text(joined.leader))
        .with_member_id(text(joined.member_id))
        .with_members(members.collect())
}

fn refused(error: ResponseError, member_id: &str) -> JoinGroupResponse {
    JoinGroupResponse::default()
        .with_error_code(error.code())
        .with_generation_id(-1)
        .with_protocol_name(Some(text("")))
        .with_member_id(text(member_id))
}
