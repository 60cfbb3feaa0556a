//! SyncGroup.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{SyncGroupRequest, SyncGroupResponse};

use super::{Context, text};
use crate::group::Caller;

/// Answers when the leader has assigned.
pub(crate) async fn handle(context: &Context<'_>, request: SyncGroupRequest) -> SyncGroupResponse {
    let caller = Caller {
        member_id: request.member_id.to_string(),
        instance_id: request.group_instance_id.map(|i| i.to_string()),
        generation: request.generation_id,
    };
    let assignments =
        request.assignments.into_iter().map(|a| (a.member_id.to_string(), a.assignment)).collect();
    let expected = (request.protocol_type.as_deref(), request.protocol_name.as_deref());
    let now_ms = context.now_ms();
    let answer = context
        .with(|core| core.sync_group(now_ms, request.group_id.as_str(), &caller, expected, assignments));
    let answer = answer.await.unwrap_or(Err(ResponseError::CoordinatorNotAvailable));
    context.with(|_| ()); // the answer may have come by another request: wait for what that one recorded
    match answer {
        Ok(synced) => SyncGroupResponse::default()
            .with_protocol_type(Some(text(synced.protocol_type)))
            .with_protocol_name(Some(text(synced.protocol)))
            .with_assignment(synced.assignment),
        Err(error) => SyncGroupResponse::default().with_error_code(error.code()),
    }
}
