//! The step runtime: consume, handle, emit, exactly once.
//!
//! A **lane** is one thread with a member of the service's consumer group and a transactional producer. It takes records,
//! lets handlers run beside each other and in order per saga, and writes what they answered in short transactions, each
//! for the contiguous finished prefix of its partitions. Handlers run on tokio and touch neither Kafka nor the lane.
//!
//! | module | holds |
//! | --- | --- |
//! | [`handler`] | what a handler is called with and may answer |
//! | [`attempts`] | one activation, with its tries |
//! | [`lane`] | the thread |
//! | [`processor`] | a lane without handlers, for the coordinator |
//! | [`service`] | the lanes of a service, its health, its end |

pub mod attempts;
pub mod handler;
pub mod lane;
pub mod processor;
pub mod service;

pub use handler::{Call, Handler, HandlerError, Reply};
pub use service::{Service, ServiceConfig};

/// The time, in ms since 1970.
pub(crate) fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
