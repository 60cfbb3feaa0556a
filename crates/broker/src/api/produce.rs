//! Produce.

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::{ProduceRequest, ProduceResponse};

use super::Context;
use crate::log::batch::{self, BatchError, BatchHeader};
use crate::log::record::Contents;
use crate::state::{Produced, ToAppend};

type Checked<'a> = Result<(BatchHeader, Contents, &'a Bytes), ResponseError>;

/// Appends one batch per partition. Checksums and records are looked at before the lock is taken, all appends happen under one.
pub(crate) fn handle(context: &Context<'_>, request: &ProduceRequest) -> ProduceResponse {
    let acks_known = (-1..=1).contains(&request.acks);
    let checked: Vec<Vec<Checked<'_>>> = request
        .topic_data
        .iter()
        .map(|topic| topic.partition_data.iter().map(|p| check(p.records.as_ref(), acks_known)).collect())
        .collect();
    let now_ms = crate::clock::wall_ms();
    let transactional_id = request.transactional_id.as_ref().map(|id| id.as_str());
    let transactional = |checked: &Checked<'_>| checked.is_ok_and(|(header, ..)| header.is_transactional());
    let named = transactional_id.is_some() || !checked.iter().flatten().any(transactional);
    let named = if named { Ok(()) } else { Err(ResponseError::TransactionalIdAuthorizationFailed) };
    let responses = context.with(|core| {
        let topics = request.topic_data.iter().zip(&checked).map(|(topic, checked)| {
            let partitions = topic.partition_data.iter().zip(checked).map(|(data, checked)| {
                let (topic, partition) = (topic.name.as_str(), data.index);
                let result = named.and(checked.or_else(|refused| {
                    // As in Apache Kafka, that there is no such partition is said first.
                    let known = core.tables.partition(topic, partition);
                    Err(known.map_or(ResponseError::UnknownTopicOrPartition, |_| refused))
                }));
                let result = result.and_then(|(header, contents, bytes)| {
                    let batch = ToAppend { topic, partition, transactional_id, header, contents, bytes };
                    core.produce(batch, now_ms)
                });
                response(data.index, result)
            });
            TopicProduceResponse::default()
                .with_name(topic.name.clone())
                .with_partition_responses(partitions.collect())
        });
        topics.collect()
    });
    ProduceResponse::default().with_responses(responses)
}

/// Whether any partition was refused.
pub(crate) fn failed(response: &ProduceResponse) -> bool {
    response.responses.iter().flat_map(|t| &t.partition_responses).any(|p| p.error_code != 0)
}

fn check(records: Option<&Bytes>, acks_known: bool) -> Checked<'_> {
    if !acks_known {
        return Err(ResponseError::InvalidRequiredAcks);
    }
    let bytes = records.filter(|b| !b.is_empty()).ok_or(ResponseError::InvalidRecord)?;
    let header = batch::check(bytes).map_err(|e| match e {
        BatchError::Magic(_) => ResponseError::UnsupportedForMessageFormat,
        BatchError::Short | BatchError::Crc => ResponseError::CorruptMessage,
        BatchError::Fields => ResponseError::InvalidRecord,
    })?;
    // Requests carry exactly one batch per partition.
    if header.size != bytes.len() {
        return Err(ResponseError::InvalidRecord);
    }
    Ok((header, Contents::of(bytes, &header), bytes))
}

fn response(index: i32, result: Result<Produced, ResponseError>) -> PartitionProduceResponse {
    let response = PartitionProduceResponse::default().with_index(index);
    match result {
        Ok(produced) => response
            .with_base_offset(produced.base_offset)
            .with_log_append_time_ms(produced.append_time_ms)
            .with_log_start_offset(produced.start_offset),
        Err(error) => response
            .with_error_code(error.code())
            .with_base_offset(-1)
            .with_log_append_time_ms(-1)
            .with_log_start_offset(-1),
    }
}
