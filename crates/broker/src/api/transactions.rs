//! InitProducerId, AddPartitionsToTxn, AddOffsetsToTxn and EndTxn.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnTopicResult,
};
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddOffsetsToTxnResponse, AddPartitionsToTxnRequest, AddPartitionsToTxnResponse,
    EndTxnRequest, EndTxnResponse, InitProducerIdRequest, InitProducerIdResponse, ProducerId,
};

use super::{Context, code};
use crate::txn::InitRequest;

pub(crate) fn init(context: &Context<'_>, request: &InitProducerIdRequest) -> InitProducerIdResponse {
    let max_timeout_ms = context.shared.config.max_transaction_timeout_ms;
    let now_ms = context.now_ms();
    let result = match request.transactional_id.as_ref().map(|id| id.as_str()) {
        None => Ok((context.with(|core| core.new_producer_id()), 0)),
        Some("") => Err(ResponseError::InvalidRequest),
        Some(_) if !(1..=max_timeout_ms).contains(&request.transaction_timeout_ms) => {
            Err(ResponseError::InvalidTransactionTimeout)
        }
        Some(id) => {
            let names_itself = context.version >= 3 && request.producer_id.0 >= 0;
            let own = names_itself.then_some((request.producer_id.0, request.producer_epoch));
            let init = InitRequest { timeout_ms: request.transaction_timeout_ms, own };
            context
                .with(|core| core.init_producer(id, init, now_ms))
                .map_err(|e| for_version(e, context.version, 4))
        }
    };
    let (id, epoch) = result.unwrap_or((-1, -1));
    InitProducerIdResponse::default()
        .with_error_code(code(&result))
        .with_producer_id(ProducerId(id))
        .with_producer_epoch(epoch)
}

/// `ProducerFenced` came with a version of each request; older clients know it as `InvalidProducerEpoch`.
fn for_version(error: ResponseError, version: i16, since: i16) -> ResponseError {
    match error {
        ResponseError::ProducerFenced if version < since => ResponseError::InvalidProducerEpoch,
        other => other,
    }
}

pub(crate) fn add_partitions(
    context: &Context<'_>,
    request: &AddPartitionsToTxnRequest,
) -> AddPartitionsToTxnResponse {
    let id = request.v3_and_below_transactional_id.as_str();
    let owner = (request.v3_and_below_producer_id.0, request.v3_and_below_producer_epoch);
    let now_ms = context.now_ms();
    let topics = &request.v3_and_below_topics;
    let places: Vec<(String, i32)> =
        topics.iter().flat_map(|t| t.partitions.iter().map(|p| (t.name.to_string(), *p))).collect();
    let (result, known) = context.with(|core| {
        let known: Vec<bool> = places.iter().map(|(t, p)| core.tables.partition(t, *p).is_some()).collect();
        let all = known.iter().all(|k| *k);
        let result = if all { core.add_partitions(id, owner, places.clone(), now_ms) } else { Ok(()) };
        (result.map_err(|e| for_version(e, context.version, 2)), known)
    });
    let all = known.iter().all(|k| *k);
    let mut known = known.into_iter();
    let results = topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|index| {
            // One unknown partition spoils the request for the others.
            let error = match (known.next(), all) {
                (Some(true), true) => code(&result),
                (Some(true), false) => ResponseError::OperationNotAttempted.code(),
                _ => ResponseError::UnknownTopicOrPartition.code(),
            };
            AddPartitionsToTxnPartitionResult::default()
                .with_partition_index(*index)
                .with_partition_error_code(error)
        });
        let partitions = partitions.collect();
        AddPartitionsToTxnTopicResult::default()
            .with_name(topic.name.clone())
            .with_results_by_partition(partitions)
    });
    AddPartitionsToTxnResponse::default().with_results_by_topic_v3_and_below(results.collect())
}

pub(crate) fn add_offsets(
    context: &Context<'_>,
    request: &AddOffsetsToTxnRequest,
) -> AddOffsetsToTxnResponse {
    let (id, group) = (request.transactional_id.as_str(), request.group_id.as_str());
    let owner = (request.producer_id.0, request.producer_epoch);
    let now_ms = context.now_ms();
    let result = if group.is_empty() {
        Err(ResponseError::InvalidGroupId)
    } else {
        context.with(|core| core.add_offsets(id, owner, group, now_ms))
    };
    let result = result.map_err(|e| for_version(e, context.version, 2));
    AddOffsetsToTxnResponse::default().with_error_code(code(&result))
}

pub(crate) fn end(context: &Context<'_>, request: &EndTxnRequest) -> EndTxnResponse {
    let id = request.transactional_id.as_str();
    let owner = (request.producer_id.0, request.producer_epoch);
    let now_ms = context.now_ms();
    let result = context.with(|core| core.end_transaction(id, owner, request.committed, now_ms));
    let result = result.map_err(|e| for_version(e, context.version, 2));
    EndTxnResponse::default().with_error_code(code(&result))
}
