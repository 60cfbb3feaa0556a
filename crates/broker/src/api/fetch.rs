//! Fetch: batches at once if there are enough, else when they have come or the time is up.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::fetch_response::{AbortedTransaction, FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::{FetchRequest, FetchResponse, ProducerId};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::Context;
use crate::log::read::ReadPlan;
use crate::server::room::Held;
use crate::state::Core;

/// The largest answer, whatever is asked for, as `fetch.max.bytes` of Apache Kafka has it.
const MOST_BYTES: usize = 55 * 1024 * 1024;

/// What one partition has for the reader.
struct Found {
    topic: usize,
    partition: usize,
    result: Result<Readable, ResponseError>,
}

struct Readable {
    plan: ReadPlan,
    available: u64,
    high_watermark: i64,
    last_stable_offset: i64,
    start_offset: i64,
    aborted: Vec<crate::log::stability::Aborted>,
}

/// Answers a fetch. Only what lies below the high watermark is served, so there is no journal position to wait for.
///
/// The answer is no larger than there is room for, which is held until it has left.
pub(crate) async fn handle(context: &Context<'_>, request: &FetchRequest) -> (FetchResponse, Option<Held>) {
    if request.session_id != 0 {
        // No sessions are kept: every fetch names all its partitions.
        let refused = ResponseError::FetchSessionIdNotFound.code();
        return (FetchResponse::default().with_error_code(refused), None);
    }
    let wait = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0));
    let deadline = Instant::now() + wait;
    let min_bytes = u64::try_from(request.min_bytes).unwrap_or(0);
    let waiter = Arc::new(Notify::new());
    loop {
        let late = Instant::now() >= deadline;
        let found = context.look(|core| {
            let found = look(core, request);
            let enough = found.iter().any(|f| f.result.is_err())
                || found.iter().flat_map(|f| &f.result).map(|r| r.available).sum::<u64>() >= min_bytes;
            if late || enough {
                return Some(found);
            }
            watch(core, request, &waiter);
            None
        });
        if let Some(found) = found {
            let (most, room) = context.shared.room.part_of(wanted(request, &found));
            return (read(request, found, most), room);
        }
        let _ = timeout_at(deadline, waiter.notified()).await; // late or woken: both look again
    }
}

fn look(core: &Core, request: &FetchRequest) -> Vec<Found> {
    let committed_only = request.isolation_level == 1;
    let mut all = Vec::new();
    for (topic, wanted) in request.topics.iter().enumerate() {
        for (partition, place) in wanted.partitions.iter().enumerate() {
            let result = look_at(core, wanted.topic.as_str(), place, committed_only);
            all.push(Found { topic, partition, result });
        }
    }
    all
}

fn look_at(
    core: &Core,
    topic: &str,
    place: &kafka_protocol::messages::fetch_request::FetchPartition,
    committed_only: bool,
) -> Result<Readable, ResponseError> {
    let log = core.tables.partition(topic, place.partition).ok_or(ResponseError::UnknownTopicOrPartition)?;
    super::leader_epoch::check_epoch(place.current_leader_epoch)?;
    let offset = place.fetch_offset;
    if offset < log.start_offset || offset > log.end_offset {
        return Err(ResponseError::OffsetOutOfRange);
    }
    let last_stable_offset = log.last_stable_offset();
    let limit = if committed_only { last_stable_offset } else { log.high_watermark };
    let aborted = if committed_only { log.aborted(offset, limit) } else { Vec::new() };
    Ok(Readable {
        plan: log.plan(offset, limit),
        available: log.available(offset, limit),
        high_watermark: log.high_watermark,
        last_stable_offset,
        start_offset: log.start_offset,
        aborted,
    })
}

fn watch(core: &mut Core, request: &FetchRequest, waiter: &Arc<Notify>) {
    for topic in &request.topics {
        for place in &topic.partitions {
            if let Some(log) = core.tables.partition_mut(topic.topic.as_str(), place.partition) {
                log.watch(waiter);
            }
        }
    }
}

/// The bytes that the reader would get if there were room without end.
fn wanted(request: &FetchRequest, found: &[Found]) -> usize {
    let each = found.iter().map(|f| {
        let place = &request.topics[f.topic].partitions[f.partition];
        let available = f.result.as_ref().map_or(0, |r| usize::try_from(r.available).unwrap_or(usize::MAX));
        available.min(usize::try_from(place.partition_max_bytes).unwrap_or(0))
    });
    let asked = usize::try_from(request.max_bytes).unwrap_or(0).min(MOST_BYTES);
    each.fold(0, usize::saturating_add).min(asked)
}

/// Reads what was found, outside the lock, partition by partition until the answer is full.
fn read(request: &FetchRequest, found: Vec<Found>, most: usize) -> FetchResponse {
    let mut left = most;
    let mut nothing_yet = true;
    let mut topics: Vec<FetchableTopicResponse> = request
        .topics
        .iter()
        .map(|t| FetchableTopicResponse::default().with_topic(t.topic.clone()))
        .collect();
    for Found { topic, partition, result } in found {
        let place = &request.topics[topic].partitions[partition];
        let most = usize::try_from(place.partition_max_bytes).unwrap_or(0).min(left);
        let name = request.topics[topic].topic.as_str();
        let data = result.and_then(|readable| {
            serve(readable, most, nothing_yet).map_err(|error| {
                tracing::error!(topic = name, partition = place.partition, %error, "records cannot be read");
                ResponseError::CorruptMessage
            })
        });
        let data = data.unwrap_or_else(|error| {
            PartitionData::default()
                .with_error_code(error.code())
                .with_high_watermark(-1)
                .with_last_stable_offset(-1)
        });
        let size = data.records.as_ref().map_or(0, Bytes::len);
        left = left.saturating_sub(size);
        nothing_yet &= size == 0;
        // Zero-length records, never null: clients take null for a malformed answer.
        let records = data.records.clone().unwrap_or_default();
        topics[topic].partitions.push(data.with_partition_index(place.partition).with_records(Some(records)));
    }
    FetchResponse::default().with_responses(topics)
}

fn serve(
    found: Readable,
    most: usize,
    nothing_yet: bool,
) -> Result<PartitionData, crate::log::read::ReadError> {
    let (records, until) = found.plan.run(most, nothing_yet)?;
    let aborted = found.aborted.iter().filter(|a| a.first_offset < until).map(|a| {
        AbortedTransaction::default()
            .with_producer_id(ProducerId(a.producer_id))
            .with_first_offset(a.first_offset)
    });
    Ok(PartitionData::default()
        .with_high_watermark(found.high_watermark)
        .with_last_stable_offset(found.last_stable_offset)
        .with_log_start_offset(found.start_offset)
        .with_aborted_transactions(Some(aborted.collect()))
        .with_records(Some(records)))
}
