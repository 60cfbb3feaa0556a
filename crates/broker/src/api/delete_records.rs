//! DeleteRecords.

use kafka_protocol::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsTopicResult,
};
use kafka_protocol::messages::{DeleteRecordsRequest, DeleteRecordsResponse};

use super::{Context, code};

pub(crate) fn handle(context: &Context<'_>, request: DeleteRecordsRequest) -> DeleteRecordsResponse {
    let topics = context.with(|core| {
        let topics = request.topics.into_iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|place| {
                let result = core.delete_records(topic.name.as_str(), place.partition_index, place.offset);
                DeleteRecordsPartitionResult::default()
                    .with_partition_index(place.partition_index)
                    .with_error_code(code(&result))
                    .with_low_watermark(result.unwrap_or(-1))
            });
            DeleteRecordsTopicResult::default().with_partitions(partitions.collect()).with_name(topic.name)
        });
        topics.collect()
    });
    DeleteRecordsResponse::default().with_topics(topics)
}
