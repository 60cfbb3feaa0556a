//! From a frame to an answer: header, version, shape, handler.

use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::{Decodable, Encodable};

use super::room::Held;
use super::{shape, shapes};
use crate::api::{self, Context};
use crate::state::Shared;

/// An answer, and the journal position it has to wait for.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) bytes: Bytes,
    pub(crate) position: u64,
    /// Room that the bytes take, if they are many; given back with them.
    pub(crate) _room: Option<Arc<Held>>,
    /// A fault holds it back until then.
    pub(crate) not_before: Option<tokio::time::Instant>,
}

/// A request that can't be answered; its connection is closed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error("request header is malformed")]
    Header,
    #[error("request {0} at version {1} is not supported")]
    Unsupported(i16, i16),
    #[error("request {0:?} at version {1} is malformed")]
    Malformed(ApiKey, i16),
    #[error("answer to {0:?} at version {1} cannot be encoded: {2}")]
    Encode(ApiKey, i16, String),
    #[error("produce without acknowledgement failed")]
    Unacknowledged,
}

/// Whether handling the request can take long, so that answers before it must not wait for it.
pub(crate) fn may_wait(mut request: &[u8]) -> bool {
    let key = if request.len() >= 2 { request.get_i16() } else { -1 };
    [ApiKey::Fetch, ApiKey::JoinGroup, ApiKey::SyncGroup].iter().any(|k| *k as i16 == key)
}

/// Handles one request; `None` if the client wants no answer.
pub(crate) async fn handle(
    shared: &Arc<Shared>,
    request: Bytes,
    host: &str,
) -> Result<Option<Answer>, Refused> {
    let start = request.clone();
    let (Asked { key, version, correlation_id, client_id }, body) = match read(request) {
        Err(Refused::Unsupported(code, _)) if code == ApiKey::ApiVersions as i16 => {
            // A newer client learns from a version 0 answer what it may ask.
            let correlation_id = start.slice(4..8).get_i32();
            let unsupported = api::versions::unsupported();
            return encode(ApiKey::ApiVersions, 0, correlation_id, &unsupported, 0).map(Some);
        }
        asked => asked?,
    };
    let context = Context::new(shared, key, version, client_id, host);
    route(&context, body, correlation_id).await
}

async fn route(
    context: &Context<'_>,
    request: Bytes,
    correlation_id: i32,
) -> Result<Option<Answer>, Refused> {
    let (key, version) = (context.key, context.version);
    macro_rules! answer {
        ($request:ident, |$r:ident| $call:expr) => {{
            let $r: $request = decode(key, version, request)?;
            let response = $call;
            encode(key, version, correlation_id, &response, context.position()).map(Some)
        }};
    }
    match key {
        ApiKey::Produce => {
            let request: ProduceRequest = decode(key, version, request)?;
            let silent = request.acks == 0;
            let response = api::produce::handle(context, &request);
            match (silent, api::produce::failed(&response)) {
                (true, true) => Err(Refused::Unacknowledged),
                (true, false) => Ok(None),
                (false, _) => encode(key, version, correlation_id, &response, context.position()).map(Some),
            }
        }
        ApiKey::Fetch => {
            let request: FetchRequest = decode(key, version, request)?;
            let (response, room) = api::fetch::handle(context, &request).await;
            let answer = encode(key, version, correlation_id, &response, context.position())?;
            Ok(Some(Answer { _room: room.map(Arc::new), ..answer }))
        }
        ApiKey::JoinGroup => answer!(JoinGroupRequest, |r| api::join_group::handle(context, r).await),
        ApiKey::SyncGroup => answer!(SyncGroupRequest, |r| api::sync_group::handle(context, r).await),
        ApiKey::ApiVersions => answer!(ApiVersionsRequest, |r| api::versions::handle(version, &r)),
        ApiKey::ListOffsets => answer!(ListOffsetsRequest, |r| api::list_offsets::handle(context, &r)),
        ApiKey::Metadata => answer!(MetadataRequest, |r| api::metadata::handle(context, r)),
        ApiKey::OffsetCommit => answer!(OffsetCommitRequest, |r| api::offset_commit::handle(context, r)),
        ApiKey::TxnOffsetCommit => {
            answer!(TxnOffsetCommitRequest, |r| api::offset_commit::handle_txn(context, r))
        }
        ApiKey::OffsetFetch => answer!(OffsetFetchRequest, |r| api::offset_fetch::handle(context, r)),
        ApiKey::OffsetDelete => answer!(OffsetDeleteRequest, |r| api::offset_delete::handle(context, r)),
        ApiKey::FindCoordinator => {
            answer!(FindCoordinatorRequest, |r| api::find_coordinator::handle(context, r))
        }
        ApiKey::Heartbeat => answer!(HeartbeatRequest, |r| api::membership::heartbeat(context, &r)),
        ApiKey::LeaveGroup => answer!(LeaveGroupRequest, |r| api::membership::leave(context, r)),
        ApiKey::DescribeGroups => answer!(DescribeGroupsRequest, |r| api::groups::describe(context, r)),
        ApiKey::ListGroups => answer!(ListGroupsRequest, |r| api::groups::list(context, &r)),
        ApiKey::DeleteGroups => answer!(DeleteGroupsRequest, |r| api::groups::delete(context, r)),
        ApiKey::CreateTopics => answer!(CreateTopicsRequest, |r| api::topics::create(context, r)),
        ApiKey::DeleteTopics => answer!(DeleteTopicsRequest, |r| api::topics::delete(context, r)),
        ApiKey::CreatePartitions => answer!(CreatePartitionsRequest, |r| api::topics::grow(context, r)),
        ApiKey::DeleteRecords => answer!(DeleteRecordsRequest, |r| api::delete_records::handle(context, r)),
        ApiKey::DescribeConfigs => answer!(DescribeConfigsRequest, |r| api::configs::describe(context, r)),
        ApiKey::AlterConfigs => answer!(AlterConfigsRequest, |r| api::configs::alter(context, r)),
        ApiKey::IncrementalAlterConfigs => {
            answer!(IncrementalAlterConfigsRequest, |r| api::configs::alter_some(context, r))
        }
        ApiKey::InitProducerId => answer!(InitProducerIdRequest, |r| api::transactions::init(context, &r)),
        ApiKey::AddPartitionsToTxn => {
            answer!(AddPartitionsToTxnRequest, |r| api::transactions::add_partitions(context, &r))
        }
        ApiKey::AddOffsetsToTxn => {
            answer!(AddOffsetsToTxnRequest, |r| api::transactions::add_offsets(context, &r))
        }
        ApiKey::EndTxn => answer!(EndTxnRequest, |r| api::transactions::end(context, &r)),
        ApiKey::OffsetForLeaderEpoch => {
            answer!(OffsetForLeaderEpochRequest, |r| api::leader_epoch::handle(context, r))
        }
        ApiKey::DescribeCluster => {
            answer!(DescribeClusterRequest, |r| api::metadata::describe_cluster(context, &r))
        }
        ApiKey::DescribeProducers => {
            answer!(DescribeProducersRequest, |r| api::inspect::producers(context, r))
        }
        ApiKey::DescribeTransactions => {
            answer!(DescribeTransactionsRequest, |r| api::inspect::transactions(context, r))
        }
        ApiKey::ListTransactions => answer!(ListTransactionsRequest, |r| api::inspect::list(context, &r)),
        _ => Err(Refused::Unsupported(key as i16, version)),
    }
}

/// What is known of a request besides its body.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) key: ApiKey,
    pub(crate) version: i16,
    correlation_id: i32,
    client_id: String,
}

/// The head of a request that this broker understands, and its body, whose shape is right.
pub(crate) fn read(mut request: Bytes) -> Result<(Asked, Bytes), Refused> {
    let mut start = request.get(..8).ok_or(Refused::Header)?;
    let (code, version, correlation_id) = (start.get_i16(), start.get_i16(), start.get_i32());
    let shape = shapes::find(code)
        .filter(|s| (s.min..=s.max).contains(&version))
        .ok_or(Refused::Unsupported(code, version))?;
    let key = shape.key;
    let header = RequestHeader::decode(&mut request, key.request_header_version(version))
        .map_err(|_| Refused::Header)?;
    if !shape::fits(shape.fields, version, version >= shape.flexible_from, &request) {
        return Err(Refused::Malformed(key, version));
    }
    let client_id = header.client_id.map(|id| id.to_string()).unwrap_or_default();
    Ok((Asked { key, version, correlation_id, client_id }, request))
}

/// An answer to the request.
pub(crate) fn answer_to<R: Encodable>(asked: &Asked, response: &R, position: u64) -> Result<Answer, Refused> {
    encode(asked.key, asked.version, asked.correlation_id, response, position)
}

fn decode<R: Decodable>(key: ApiKey, version: i16, mut body: Bytes) -> Result<R, Refused> {
    R::decode(&mut body, version).map_err(|_| Refused::Malformed(key, version))
}

fn encode<R: Encodable>(
    key: ApiKey,
    version: i16,
    correlation_id: i32,
    response: &R,
    position: u64,
) -> Result<Answer, Refused> {
    let failed = |e: &dyn std::fmt::Display| Refused::Encode(key, version, e.to_string());
    let mut out = BytesMut::with_capacity(response.compute_size(version).map_err(|e| failed(&e))? + 16);
    out.put_i32(0);
    let header = ResponseHeader::default().with_correlation_id(correlation_id);
    // The answer to ApiVersions keeps the oldest header, since the client does not know yet what the broker speaks.
    let header_version = if key == ApiKey::ApiVersions { 0 } else { key.response_header_version(version) };
    header.encode(&mut out, header_version).map_err(|e| failed(&e))?;
    response.encode(&mut out, version).map_err(|e| failed(&e))?;
    let length = i32::try_from(out.len() - 4).map_err(|e| failed(&e))?;
    (&mut out[..4]).put_i32(length);
    Ok(Answer { bytes: out.freeze(), position, _room: None, not_before: None })
}
