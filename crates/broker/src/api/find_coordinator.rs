//! FindCoordinator: it is always this broker.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::{BrokerId, FindCoordinatorRequest, FindCoordinatorResponse};

use super::{Context, NODE, text};

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;

pub(crate) fn handle(context: &Context<'_>, request: FindCoordinatorRequest) -> FindCoordinatorResponse {
    let host = text(context.shared.config.listen.ip().to_string());
    let port = i32::from(context.shared.port);
    let known = request.key_type == GROUP || request.key_type == TRANSACTION;
    let error_code = if known { 0 } else { ResponseError::InvalidRequest.code() };
    if context.version < 4 {
        return FindCoordinatorResponse::default()
            .with_error_code(error_code)
            .with_node_id(BrokerId(NODE))
            .with_host(host)
            .with_port(port);
    }
    let coordinators = request.coordinator_keys.into_iter().map(|key| {
        Coordinator::default()
            .with_key(key)
            .with_error_code(error_code)
            .with_node_id(BrokerId(NODE))
            .with_host(host.clone())
            .with_port(port)
    });
    FindCoordinatorResponse::default().with_coordinators(coordinators.collect())
}
