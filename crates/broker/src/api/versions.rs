//! ApiVersions.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::api_versions_response::{ApiVersion, ApiVersionsResponse};
use kafka_protocol::messages::{ApiKey, ApiVersionsRequest};

use crate::server::shapes;

/// What this broker understands, for a client that says properly who it is (KIP-511).
pub(crate) fn handle(version: i16, request: &ApiVersionsRequest) -> ApiVersionsResponse {
    let named = is_proper(&request.client_software_name) && is_proper(&request.client_software_version);
    if version >= 3 && !named {
        return ApiVersionsResponse::default().with_error_code(ResponseError::InvalidRequest.code());
    }
    supported()
}

/// Letters and digits, and between them `-` and `.`.
fn is_proper(name: &str) -> bool {
    let plain = |c: &u8| c.is_ascii_alphanumeric();
    let name = name.as_bytes();
    name.first().is_some_and(plain)
        && name.last().is_some_and(plain)
        && name.iter().all(|c| plain(c) || matches!(c, b'-' | b'.'))
}

/// What this broker understands.
fn supported() -> ApiVersionsResponse {
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
