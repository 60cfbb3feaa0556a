//! DescribeProducers, DescribeTransactions and ListTransactions: what can be seen of transactions from outside (KIP-664).

use std::collections::BTreeMap;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::describe_producers_response::{
    PartitionResponse, ProducerState, TopicResponse,
};
use kafka_protocol::messages::describe_transactions_response::{TopicData, TransactionState};
use kafka_protocol::messages::{
    DescribeProducersRequest, DescribeProducersResponse, DescribeTransactionsRequest,
    DescribeTransactionsResponse, ListTransactionsRequest, ListTransactionsResponse, ProducerId,
    TransactionalId, list_transactions_response,
};

use super::{Context, text, topic_name};
use crate::txn::{Status, Transaction};

pub(crate) fn producers(
    context: &Context<'_>,
    request: DescribeProducersRequest,
) -> DescribeProducersResponse {
    let topics = context.with(|core| {
        let topics = request.topics.into_iter().map(|topic| {
            let partitions = topic.partition_indexes.iter().map(|index| {
                let response = PartitionResponse::default().with_partition_index(*index);
                match core.tables.partition(topic.name.as_str(), *index) {
                    None => response.with_error_code(ResponseError::UnknownTopicOrPartition.code()),
                    Some(log) => response.with_active_producers(
                        log.producers().map(|(id, state)| producer(id, state, log.open_since(id))).collect(),
                    ),
                }
            });
            TopicResponse::default().with_partitions(partitions.collect()).with_name(topic.name)
        });
        topics.collect()
    });
    DescribeProducersResponse::default().with_topics(topics)
}

fn producer(id: i64, state: &crate::log::producer::ProducerState, open_since: Option<i64>) -> ProducerState {
    ProducerState::default()
        .with_producer_id(ProducerId(id))
        .with_producer_epoch(i32::from(state.epoch))
        .with_last_sequence(state.last_sequence())
        .with_last_timestamp(state.last_ms)
        // There is one coordinator, which never moves.
        .with_coordinator_epoch(0)
        .with_current_txn_start_offset(open_since.unwrap_or(-1))
}

pub(crate) fn transactions(
    context: &Context<'_>,
    request: DescribeTransactionsRequest,
) -> DescribeTransactionsResponse {
    let states = context.with(|core| {
        let states = request.transactional_ids.into_iter().map(|id| {
            let state = match core.tables.transactions.get(id.as_str()) {
                Some(known) => described(known),
                None => {
                    TransactionState::default().with_error_code(ResponseError::TransactionalIdNotFound.code())
                }
            };
            state.with_transactional_id(id)
        });
        states.collect()
    });
    DescribeTransactionsResponse::default().with_transaction_states(states)
}

fn described(known: &Transaction) -> TransactionState {
    let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    known.partitions.iter().for_each(|(topic, index)| topics.entry(topic).or_default().push(*index));
    let topics = topics.into_iter().map(|(topic, partitions)| {
        TopicData::default().with_topic(topic_name(topic)).with_partitions(partitions)
    });
    TransactionState::default()
        .with_transaction_state(text(known.status.name()))
        .with_transaction_timeout_ms(known.timeout_ms)
        .with_transaction_start_time_ms(known.started_ms)
        .with_producer_id(ProducerId(known.producer_id))
        .with_producer_epoch(known.epoch)
        .with_topics(topics.collect())
}

pub(crate) fn list(context: &Context<'_>, request: &ListTransactionsRequest) -> ListTransactionsResponse {
    let now_ms = context.now_ms();
    let longer = request.duration_filter;
    let wanted = |known: &Transaction| {
        let states = &request.state_filters;
        let owners = &request.producer_id_filters;
        // As in Apache Kafka, an ID that has had no transaction has had it since -1.
        let age_ms = now_ms - known.started_ms;
        (states.is_empty() || states.iter().any(|s| s.as_str() == known.status.name()))
            && (owners.is_empty() || owners.iter().any(|o| o.0 == known.producer_id))
            && (longer < 0 || age_ms > longer)
    };
    let states = context.with(|core| {
        let listed = core.tables.transactions.iter().filter(|(_, known)| wanted(known)).map(|(id, known)| {
            list_transactions_response::TransactionState::default()
                .with_transactional_id(TransactionalId(text(id.clone())))
                .with_producer_id(ProducerId(known.producer_id))
                .with_transaction_state(text(known.status.name()))
        });
        listed.collect()
    });
    let unknown = |state: &str| !Status::NAMES.contains(&state);
    let unknown = request.state_filters.iter().filter(|s| unknown(s)).cloned().collect();
    ListTransactionsResponse::default().with_transaction_states(states).with_unknown_state_filters(unknown)
}
