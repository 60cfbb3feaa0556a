//! What a broker is started with.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::faults::Faults;

/// When an acknowledgement may leave the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flush {
    /// After `fdatasync`: acknowledged means it survives a power cut. One flush serves all connections that wait.
    Commit,
    /// After `write`: acknowledged means it survives the death of the process, not that of the machine.
    Os,
}

/// Settings of a broker. [`Config::new`] gives Kafka's defaults; change fields from there.
#[derive(Debug, Clone)]
pub struct Config {
    /// Address to listen on; must be a loopback address. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Folder of the data, created if absent, locked while the broker runs.
    pub data: PathBuf,
    /// Durability of an acknowledgement.
    pub flush: Flush,
    /// Whether a metadata request may create the topics it names.
    pub auto_create_topics: bool,
    /// Partitions of a topic that is created without a number (1 or more).
    pub default_partitions: i32,
    /// Longest request frame accepted, in bytes; a longer one closes its connection.
    pub max_frame_bytes: usize,
    /// Most connections at a time; further ones are closed at once.
    pub max_connections: usize,
    /// Memory for frames and answers beyond 1.25 MiB per connection, over all connections together, in bytes.
    pub max_buffered_bytes: usize,
    /// How long a client may take to send a frame that it began, or to read an answer, in milliseconds; then its connection is
    /// closed.
    pub slow_client_ms: u64,
    /// Shortest session time-out a group member may ask for, in milliseconds.
    pub min_session_timeout_ms: i32,
    /// Longest session time-out a group member may ask for, in milliseconds.
    pub max_session_timeout_ms: i32,
    /// How long the first join of an empty group waits for others, in milliseconds.
    pub initial_rebalance_delay_ms: i64,
    /// How long a group's offsets are kept after its last member left, or without members since their commit, in
    /// milliseconds.
    pub offsets_retention_ms: i64,
    /// Longest transaction time-out a producer may ask for, in milliseconds.
    pub max_transaction_timeout_ms: i32,
    /// Length of journal after which a checkpoint is taken and the journal cut, in bytes.
    pub checkpoint_bytes: u64,
    /// Upper bound of a segment file, whatever the topic's `segment.bytes` says.
    pub max_segment_bytes: u64,
    /// How often retention and compaction look for work, in milliseconds.
    pub maintenance_interval_ms: i64,
    /// Memory that one compaction may use for keys, in bytes; what has no room is left for the next.
    pub compaction_key_bytes: usize,
    /// Bytes of a partition's newest batches kept in memory before they go to its segment file.
    pub tail_bytes: usize,
    /// Faults on demand; none unless rules are added.
    pub faults: Faults,
}

impl Config {
    /// The defaults: acknowledgements after a device flush, no topic creation on the side.
    pub fn new(listen: SocketAddr, data: impl Into<PathBuf>) -> Self {
        Config {
            listen,
            data: data.into(),
            flush: Flush::Commit,
            auto_create_topics: false,
            default_partitions: 1,
            max_frame_bytes: 100 * 1024 * 1024,
            max_connections: 2_000,
            max_buffered_bytes: 256 * 1024 * 1024,
            slow_client_ms: 60_000,
            min_session_timeout_ms: 6_000,
            max_session_timeout_ms: 1_800_000,
            initial_rebalance_delay_ms: 0,
            offsets_retention_ms: 7 * 24 * 3_600_000,
            max_transaction_timeout_ms: 900_000,
            checkpoint_bytes: 64 * 1024 * 1024,
            max_segment_bytes: 64 * 1024 * 1024,
            maintenance_interval_ms: 1_000,
            compaction_key_bytes: 32 * 1024 * 1024,
            tail_bytes: 256 * 1024,
            faults: Faults::default(),
        }
    }
}
