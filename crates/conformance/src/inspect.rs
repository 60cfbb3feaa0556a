//! What can be seen of transactions and producers from outside, and transactions request by request.

use anyhow::{Context as _, Result, ensure};
use kafka_protocol::error::ResponseError as E;
use kafka_protocol::messages::*;

use crate::Context;
use crate::client::unique;
use crate::raw::{Raw, text, topic_name};
use crate::script::Script;
use crate::wait::until;

fn describe(raw: &mut Raw, id: &str) -> Result<describe_transactions_response::TransactionState> {
    let request =
        DescribeTransactionsRequest::default().with_transactional_ids(vec![TransactionalId(text(id))]);
    let answer: DescribeTransactionsResponse = raw.ask(ApiKey::DescribeTransactions, 0, &request)?;
    answer.transaction_states.into_iter().next().context("no answer")
}

pub(crate) fn a_transaction_is_described(context: &Context) -> Result<()> {
    let (topic, id) = (context.topic(2)?, unique("txn"));
    let mut raw = context.raw()?;
    let unknown = describe(&mut raw, &id)?;
    ensure!(unknown.error_code == E::TransactionalIdNotFound.code(), "{unknown:?}");
    let producer = context.transactional_with(&id, &[("transaction.timeout.ms", "75000")])?;
    let empty = describe(&mut raw, &id)?;
    ensure!(empty.transaction_state.as_str() == "Empty" && empty.error_code == 0, "{empty:?}");
    ensure!(empty.transaction_start_time_ms == -1 && empty.topics.is_empty(), "{empty:?}");
    producer.begin_with(&topic, &["a"])?;
    let open = describe(&mut raw, &id)?;
    ensure!(open.transaction_state.as_str() == "Ongoing", "{open:?}");
    ensure!(open.transaction_timeout_ms == 75_000 && open.transaction_start_time_ms > 0, "{open:?}");
    let places: Vec<_> = open.topics.iter().map(|t| (t.topic.as_str(), t.partitions.as_slice())).collect();
    ensure!(places == [(topic.as_str(), &[0][..])], "{open:?}");
    ensure!((open.producer_id, open.producer_epoch) == (empty.producer_id, empty.producer_epoch), "{open:?}");
    producer.txn_commit()?;
    until("the transaction to be complete", || {
        let done = describe(&mut raw, &id)?;
        ensure!(["PrepareCommit", "CompleteCommit"].contains(&done.transaction_state.as_str()), "{done:?}");
        Ok((done.transaction_state.as_str() == "CompleteCommit" && done.topics.is_empty()).then_some(()))
    })?;
    producer.begin_with(&topic, &["b"])?;
    producer.abort()?;
    until("the transaction to be aborted", || {
        Ok((describe(&mut raw, &id)?.transaction_state.as_str() == "CompleteAbort").then_some(()))
    })
}

/// A transactional ID and its state.
type Listed = (String, String);

pub(crate) fn transactions_are_listed_by_state_and_producer(context: &Context) -> Result<()> {
    let (topic, open_id, idle_id) = (context.topic(1)?, unique("txn"), unique("txn"));
    let (open, _idle) = (context.transactional(&open_id)?, context.transactional(&idle_id)?);
    open.begin_with(&topic, &["a"])?;
    let mut raw = context.raw()?;
    let owner = describe(&mut raw, &open_id)?.producer_id;
    let mut list = |states: &[&str], owners: Vec<ProducerId>| -> Result<(Vec<Listed>, Vec<String>)> {
        let request = ListTransactionsRequest::default()
            .with_state_filters(states.iter().map(|s| text(s)).collect())
            .with_producer_id_filters(owners);
        let answer: ListTransactionsResponse = raw.ask(ApiKey::ListTransactions, 0, &request)?;
        ensure!(answer.error_code == 0, "{answer:?}");
        let ours = answer.transaction_states.iter();
        let ours = ours.filter(|t| *t.transactional_id.0 == *open_id || *t.transactional_id.0 == *idle_id);
        let ours = ours.map(|t| (t.transactional_id.to_string(), t.transaction_state.to_string()));
        Ok((ours.collect(), answer.unknown_state_filters.iter().map(|s| s.to_string()).collect()))
    };
    let all = list(&[], Vec::new())?.0;
    ensure!(all.len() == 2, "{all:?}");
    let ongoing = list(&["Ongoing"], Vec::new())?.0;
    ensure!(ongoing == [(open_id.clone(), "Ongoing".to_string())], "{ongoing:?}");
    let (found, unknown) = list(&["Empty", "NoSuchState"], Vec::new())?;
    ensure!(found == [(idle_id.clone(), "Empty".to_string())], "{found:?}");
    ensure!(unknown == ["NoSuchState"], "{unknown:?}");
    let owned = list(&[], vec![owner])?.0;
    ensure!(owned == [(open_id.clone(), "Ongoing".to_string())], "{owned:?}");
    open.abort()?;
    Ok(())
}

pub(crate) fn transactions_are_listed_by_how_long_they_run(context: &Context) -> Result<()> {
    let (topic, open_id, idle_id) = (context.topic(1)?, unique("txn"), unique("txn"));
    let (open, _idle) = (context.transactional(&open_id)?, context.transactional(&idle_id)?);
    open.begin_with(&topic, &["a"])?;
    let mut raw = context.raw()?;
    let mut list = |longer_ms: i64| -> Result<Vec<String>> {
        let request = ListTransactionsRequest::default().with_duration_filter(longer_ms);
        let answer: ListTransactionsResponse = raw.ask(ApiKey::ListTransactions, 1, &request)?;
        let ids = answer.transaction_states.iter().map(|t| t.transactional_id.to_string());
        let mut ours: Vec<String> = ids.filter(|id| [&open_id, &idle_id].contains(&id)).collect();
        ours.sort_unstable();
        Ok(ours)
    };
    let mut both = [open_id.clone(), idle_id.clone()];
    both.sort_unstable();
    ensure!(list(-1)? == both, "without a filter");
    until("both to be listed", || Ok((list(1)? == both).then_some(())))?;
    // What has no transaction runs since for ever.
    let hour = list(3_600_000)?;
    ensure!(hour == [idle_id.clone()], "for an hour: {hour:?}");
    open.abort()?;
    Ok(())
}

pub(crate) fn producers_of_a_partition_are_described(context: &Context) -> Result<()> {
    let topic = context.topic(2)?;
    let mut raw = context.raw()?;
    let mut look = |partition| -> Result<describe_producers_response::PartitionResponse> {
        let wanted = describe_producers_request::TopicRequest::default()
            .with_name(topic_name(&topic))
            .with_partition_indexes(vec![partition]);
        let request = DescribeProducersRequest::default().with_topics(vec![wanted]);
        let answer: DescribeProducersResponse = raw.ask(ApiKey::DescribeProducers, 0, &request)?;
        let topic = answer.topics.into_iter().next().context("no topic")?;
        topic.partitions.into_iter().next().context("no partition")
    };
    context.producer(&[])?.write(&topic, &["of nobody"])?;
    ensure!(look(0)?.active_producers.is_empty(), "one that is not idempotent");
    let producer = context.transactional(&unique("txn"))?;
    producer.begin_with(&topic, &["a", "b"])?;
    let open = look(0)?;
    let one = open.active_producers.first().context("no producer")?;
    ensure!(open.error_code == 0 && open.active_producers.len() == 1, "{open:?}");
    ensure!(one.current_txn_start_offset == 1 && one.last_sequence == 1, "{one:?}");
    ensure!(one.producer_id.0 >= 0 && one.producer_epoch == 0 && one.last_timestamp > 0, "{one:?}");
    ensure!(look(1)?.active_producers.is_empty(), "another partition");
    producer.txn_commit()?;
    until("the end of the transaction", || {
        let done = look(0)?;
        let one = done.active_producers.first().context("no producer")?;
        Ok((one.current_txn_start_offset == -1).then_some(()))
    })?;
    ensure!(look(9)?.error_code == E::UnknownTopicOrPartition.code(), "an unknown partition");
    Ok(())
}

pub(crate) fn an_unknown_partition_spoils_what_is_added_with_it(context: &Context) -> Result<()> {
    let topic = context.topic(1)?;
    let mut script = Script::begin(context)?;
    let codes = script.add(&[(&topic, 0), (&topic, 7)])?;
    ensure!(codes == [E::OperationNotAttempted, E::UnknownTopicOrPartition].map(|e| e.code()), "{codes:?}");
    let nothing = script.end(true, 1)?;
    ensure!(nothing == E::InvalidTxnState.code(), "something was added: {nothing}");
    Ok(())
}

pub(crate) fn impossible_time_outs_are_refused(context: &Context) -> Result<()> {
    let mut raw = context.raw()?;
    for (timeout_ms, expected) in [
        (0, E::InvalidTransactionTimeout),
        (-1, E::InvalidTransactionTimeout),
        (900_001, E::InvalidTransactionTimeout),
    ] {
        let request = InitProducerIdRequest::default()
            .with_transactional_id(Some(TransactionalId(text(&unique("txn")))))
            .with_transaction_timeout_ms(timeout_ms)
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1);
        let answer: InitProducerIdResponse = raw.ask(ApiKey::InitProducerId, 4, &request)?;
        ensure!(answer.error_code == expected.code(), "{timeout_ms}: {answer:?}");
    }
    Ok(())
}
