//! ApiVersions.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::ApiKey;
use kafka_protocol::messages::api_versions_response::{ApiVersion, ApiVersionsResponse};

use crate::server::shapes;

/// What this broker understands.
pub(crate) fn supported() -> ApiVersionsResponse {
    let keys = shapes::ALL.iter().map(|shape| {
        // As in Apache Kafka 4: old librdkafka compresses only if it sees Produce 0, which is refused when used.
        let min = if shape.key == ApiKey::Produce { 0 } else { shape.min };
        ApiVersion::default().with_api_key(shape.key as i16).with_min_version(min).with_max_version(shape.max)
    });
    ApiVersionsResponse::default().with_api_keys(keys.collect())
}

/// The answer to a version of ApiVersions that this broker does not know.
pub(crate) fn unsupported() -> ApiVersionsResponse {
    supported().with_error_code(ResponseError::UnsupportedVersion.code())
}
