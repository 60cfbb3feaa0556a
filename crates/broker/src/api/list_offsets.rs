//! ListOffsets: the ends of a partition, and offsets by time.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::list_offsets_request::ListOffsetsPartition;
use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};

use super::Context;
use super::leader_epoch::check_epoch;
use crate::log::read::TimeSearch;

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const LARGEST_TIME: i64 = -3;

enum Answer {
    Known(i64),
    Search(TimeSearch),
}

/// Answers with offset and timestamp, -1 and -1 where no record is so late.
pub(crate) fn handle(context: &Context<'_>, request: &ListOffsetsRequest) -> ListOffsetsResponse {
    let committed_only = request.isolation_level == 1;
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|place| {
            let answer = context.with(|core| {
                let log = core.tables.partition(topic.name.as_str(), place.partition_index);
                let log = log.ok_or(ResponseError::UnknownTopicOrPartition)?;
                check_epoch(place.current_leader_epoch)?;
                let end = if committed_only { log.last_stable_offset() } else { log.high_watermark };
                Ok(match place.timestamp {
                    LATEST => Answer::Known(end),
                    EARLIEST => Answer::Known(log.start_offset),
                    LARGEST_TIME if context.version < 7 => return Err(ResponseError::UnsupportedVersion),
                    LARGEST_TIME if log.max_ms() >= 0 => Answer::Search(log.search(log.max_ms(), end)),
                    LARGEST_TIME => return Ok(Answer::Known(-1)),
                    ms if ms >= 0 => Answer::Search(log.search(ms, end)),
                    _ => return Err(ResponseError::UnsupportedVersion),
                })
            });
            respond(context.version, place, answer)
        });
        let partitions = partitions.collect();
        ListOffsetsTopicResponse::default().with_name(topic.name.clone()).with_partitions(partitions)
    });
    ListOffsetsResponse::default().with_topics(topics.collect())
}

fn respond(
    version: i16,
    place: &ListOffsetsPartition,
    answer: Result<Answer, ResponseError>,
) -> ListOffsetsPartitionResponse {
    let response = ListOffsetsPartitionResponse::default().with_partition_index(place.partition_index);
    let found = answer.and_then(|answer| match answer {
        Answer::Known(offset) => Ok((offset, -1)),
        Answer::Search(search) => search.run().map(|found| found.unwrap_or((-1, -1))).map_err(|error| {
            tracing::error!(%error, "records cannot be read");
            ResponseError::CorruptMessage
        }),
    });
    match found {
        Ok((offset, ms)) => {
            let epoch = if offset >= 0 && version >= 4 { 0 } else { -1 };
            response.with_offset(offset).with_timestamp(ms).with_leader_epoch(epoch)
        }
        Err(error) => {
            response.with_error_code(error.code()).with_offset(-1).with_timestamp(-1).with_leader_epoch(-1)
        }
    }
}
