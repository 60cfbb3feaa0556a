//! An embedded Kafka-protocol broker: one process, one node, loopback only, durable in a local folder.
//!
//! It is a developer's and a test's broker. Clients talk to it exactly as they talk to Apache Kafka, transactions included;
//! for real work there is Apache Kafka.
//!
//! ```no_run
//! use quadrille_broker::{Broker, Config};
//! let broker = Broker::start(Config::new("127.0.0.1:0".parse()?, "data"))?;
//! println!("bootstrap.servers={}", broker.bootstrap());
//! broker.stop()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # How it works
//! One lock guards the state; a request decides and records under it, in microseconds. Every change (record batches, topics,
//! producers and sequences, offsets, group members, transactions) is a frame in **one journal**, so one device flush serves all
//! partitions and connections that wait, and recovery is one deterministic replay. Partition data also goes to segment files
//! with a sparse index, from which old records are read; the newest batches of a partition stay in memory until then. When the
//! journal is long enough, a **checkpoint** flushes the segments, writes the tables, and the journal is cut: memory and replay
//! are bounded whatever the amount of data. Record batches are kept as they came; only their headers are stamped.
//!
//! **Retention** drops whole segments, **compaction** writes a partition's older segments anew beside themselves; both are
//! changes in the journal like any other, and the files go when no checkpoint names them any more.
//!
//! Groups, transactions and sequence checks are pure state machines (time is an argument) with table tests.
//!
//! # What holds
//! | | `Flush::Commit` | `Flush::Os` |
//! | --- | --- | --- |
//! | an answer leaves | after `fdatasync` of all it is based on | after `write` of all it is based on |
//! | survives `kill -9` | yes | yes |
//! | survives a power cut | yes | no; a lost tail is cut, a hole is refused |
//!
//! - Readers see a record only when it is as durable as the level says (high watermark); a transaction's end counts for readers
//!   only when its marker is (last stable offset).
//! - What a power cut leaves is tested with a model of the device that keeps only what was flushed, at moments spread over a load;
//!   a flush left out is noticed there.
//! - The decision of a transaction is in the journal before any of its markers. What a crash leaves undone is finished at start.
//! - A torn tail, never acknowledged, is cut with a warning. Damage in acknowledged data is [`Error::Corrupt`]: nothing is changed
//!   and nothing is skipped. Journal frames, checkpoints, indexes and batches carry CRC-32C; what is read from segments is verified.
//! - When writing fails, no request is answered any more.
//! - Frames up to the decoded request, batches, journal and segments are fuzzed: they are read or refused, without a panic and
//!   within bounds of memory.
//! - A connection's garbage closes that connection, and is named in the log if it looks like TLS or HTTP. Frames are capped, and a
//!   length inside a request takes no memory that the frame has not paid for.
//! - Connections are capped; further ones are closed at once. Frames and fetched records share one budget over all connections
//!   ([`Config::max_buffered_bytes`]): frames wait for room, fetches bring less. A client that does not finish a request, or does
//!   not read its answers, is closed ([`Config::slow_client_ms`]); till then it holds up nobody else.
//!
//! # Requests and versions
//! | request | versions | request | versions |
//! | --- | --- | --- | --- |
//! | Produce | 3-10 | InitProducerId | 0-4 |
//! | Fetch | 4-12 | AddPartitionsToTxn | 0-3 |
//! | ListOffsets | 1-7 | AddOffsetsToTxn | 0-3 |
//! | Metadata | 0-12 | EndTxn | 0-3 |
//! | OffsetCommit | 2-8 | TxnOffsetCommit | 0-3 |
//! | OffsetFetch | 1-8 | CreateTopics | 2-7 |
//! | OffsetDelete | 0 | DeleteTopics | 1-6 |
//! | FindCoordinator | 0-4 | CreatePartitions | 0-3 |
//! | JoinGroup | 0-8 | DeleteRecords | 0-2 |
//! | SyncGroup | 0-5 | DescribeConfigs | 1-4 |
//! | Heartbeat | 0-4 | AlterConfigs | 0-2 |
//! | LeaveGroup | 0-5 | IncrementalAlterConfigs | 0-1 |
//! | DescribeGroups | 0-6 | OffsetForLeaderEpoch | 2-4 |
//! | ListGroups | 0-5 | ApiVersions | 0-4 |
//! | DeleteGroups | 0-2 | DescribeCluster | 0-1 |
//! | DescribeTransactions | 0 | ListTransactions | 0-1 |
//! | DescribeProducers | 0 | | |
//!
//! Any other version closes the connection, but for ApiVersions, where a newer client gets an answer that it can read.
//! As in Apache Kafka 4, Produce is listed from version 0, since old librdkafka compresses only then, and refused below 3.
//!
//! # Faults on demand
//! [`Broker::faults`] and [`Config::faults`] make it fail as networks, disks and clusters do; [`faults`] has them by name.
//!
//! # Known differences from Apache Kafka
//! - Retention and compaction look for work once a second ([`Config::maintenance_interval_ms`]), not every five minutes and 15 s.
//!   Compaction of a partition waits for a checkpoint, packs nothing again that it took from a compressed batch, and drops a
//!   batch of which nothing is left, where Apache Kafka may keep an empty one.
//! - A transaction's markers are written together with its decision: what is committed is visible at once, and a new transaction
//!   never meets `CONCURRENT_TRANSACTIONS`. Apache Kafka does both a little later. An expired transaction is aborted at once,
//!   not at the next look.
//! - EndTxn ends at version 3: no new epoch for each transaction (KIP-890, second part), which librdkafka 2.12 does not ask
//!   for. To clients below version 5 Apache Kafka 4.3 gives none either, so a late copy of an end ends the next transaction on both.
//!   That a record needs its partition in the open transaction (first part) is checked for every version of Produce.
//! - InitProducerId aborts the open transaction of the owner before and answers at once, without a round of retries.
//! - No KIP-848 and share groups, no fetch sessions, no topic IDs in Fetch and Produce, no ACLs, quotas, SASL or TLS.
//!   Transactional IDs never expire.
//! - Apache Kafka 4.3 names a deleted record as the newest one by time until its segment is gone; this broker does not.
//! - Offsets whose time is over go within a second, not within ten minutes; so do groups of which nothing is left.
//! - Internal topics (`__consumer_offsets`, `__transaction_state`) do not exist.

mod api;
mod broker;
mod clock;
mod config;
mod disk;
mod error;
mod failpoint;
pub mod faults;
#[cfg(test)]
mod fuzz;
mod group;
mod journal;
mod log;
mod server;
mod state;
mod txn;

pub use broker::{Broker, Stats};
pub use config::{Config, Flush};
#[cfg(feature = "power-cut")]
pub use disk::trace;
pub use error::{Error, Result};
pub use faults::{Effect, Faults, Rule};
