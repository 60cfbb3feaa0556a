//! OffsetForLeaderEpoch: there is one leader epoch, 0, and it ends at the end of the log.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use kafka_protocol::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};

use super::Context;

/// A client that knows a later leader than this one has to wait until this broker has heard of it; -1 knows none.
pub(crate) fn check_epoch(current: i32) -> Result<(), ResponseError> {
    if current > 0 { Err(ResponseError::UnknownLeaderEpoch) } else { Ok(()) }
}

pub(crate) fn handle(
    context: &Context<'_>,
    request: OffsetForLeaderEpochRequest,
) -> OffsetForLeaderEpochResponse {
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|place| {
            let end = context.with(|core| {
                let log = core.tables.partition(topic.topic.as_str(), place.partition);
                let end = log.map(|l| l.high_watermark).ok_or(ResponseError::UnknownTopicOrPartition)?;
                check_epoch(place.current_leader_epoch).map(|()| end)
            });
            let response = EpochEndOffset::default().with_partition(place.partition);
            match end {
                Ok(end) if place.leader_epoch == 0 => response.with_leader_epoch(0).with_end_offset(end),
                Ok(_) => response.with_leader_epoch(-1).with_end_offset(-1),
                Err(error) => {
                    response.with_error_code(error.code()).with_leader_epoch(-1).with_end_offset(-1)
                }
            }
        });
        OffsetForLeaderTopicResult::default().with_partitions(partitions.collect()).with_topic(topic.topic)
    });
    OffsetForLeaderEpochResponse::default().with_topics(topics.collect())
}
