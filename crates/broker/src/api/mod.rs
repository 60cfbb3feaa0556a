//! One file per request or small family: from the wire to the state and back. No decision is made here that a table test
//! in [`crate::group`], [`crate::txn`] or [`crate::log`] could make.

pub(crate) mod configs;
pub(crate) mod delete_records;
pub(crate) mod fetch;
pub(crate) mod find_coordinator;
pub(crate) mod groups;
pub(crate) mod inspect;
pub(crate) mod join_group;
pub(crate) mod leader_epoch;
pub(crate) mod list_offsets;
pub(crate) mod membership;
pub(crate) mod metadata;
pub(crate) mod offset_commit;
pub(crate) mod offset_delete;
pub(crate) mod offset_fetch;
pub(crate) mod produce;
pub(crate) mod sync_group;
pub(crate) mod topics;
pub(crate) mod transactions;
pub(crate) mod versions;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{ApiKey, TopicName};
use kafka_protocol::protocol::StrBytes;

use crate::state::{Core, Shared};

/// The only broker's ID.
pub(crate) const NODE: i32 = 1;
/// "Not asked for", in answers that could list what the client may do.
pub(crate) const NO_OPERATIONS: i32 = i32::MIN;

/// A request's surroundings.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    pub(crate) shared: &'a Arc<Shared>,
    pub(crate) key: ApiKey,
    pub(crate) version: i16,
    pub(crate) client_id: String,
    pub(crate) host: &'a str,
    position: AtomicU64,
}

impl<'a> Context<'a> {
    pub(crate) fn new(
        shared: &'a Arc<Shared>,
        key: ApiKey,
        version: i16,
        client_id: String,
        host: &'a str,
    ) -> Self {
        Context { shared, key, version, client_id, host, position: AtomicU64::new(0) }
    }

    /// Runs `f` on the state; the answer will wait until the journal has got as far as it is now.
    pub(crate) fn with<R>(&self, f: impl FnOnce(&mut Core) -> R) -> R {
        let (result, position) = self.shared.with(f);
        self.position.fetch_max(position, Ordering::Relaxed);
        result
    }

    /// Runs `f` on the part of the state that is settled; the answer has nothing to wait for.
    pub(crate) fn look<R>(&self, f: impl FnOnce(&mut Core) -> R) -> R {
        self.shared.with(f).0
    }

    /// The journal position that the answer waits for.
    pub(crate) fn position(&self) -> u64 {
        self.position.load(Ordering::Relaxed)
    }

    pub(crate) fn now_ms(&self) -> i64 {
        self.shared.clock.now_ms()
    }
}

/// A result as an error code.
pub(crate) fn code<T>(result: &Result<T, ResponseError>) -> i16 {
    result.as_ref().err().map_or(0, ResponseError::code)
}

pub(crate) fn text(value: impl Into<String>) -> StrBytes {
    StrBytes::from_string(value.into())
}

pub(crate) fn topic_name(value: impl Into<String>) -> TopicName {
    TopicName(text(value))
}
