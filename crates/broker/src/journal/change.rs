//! Everything that can happen to the broker's state, as it stands in the journal. Numbers are never reused.

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};

use crate::group::image::GroupImage;
use crate::group::offsets::Committed;
use crate::log::cleaner::Cleaned;
use crate::log::partition::PartitionImage;
use crate::txn::Transaction;

/// A change of state; record batches have a frame of their own.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub(crate) enum Change {
    /// The cluster got its name.
    #[n(0)]
    Cluster {
        #[n(0)]
        id: String,
    },
    /// A topic was created with empty partitions.
    #[n(1)]
    TopicCreated {
        #[n(0)]
        number: u64,
        #[n(1)]
        uuid: String,
        #[n(2)]
        name: String,
        #[n(3)]
        partitions: u32,
        #[n(4)]
        configs: BTreeMap<String, String>,
    },
    /// A topic was deleted, its records and every group's offsets for it included.
    #[n(2)]
    TopicDeleted {
        #[n(0)]
        number: u64,
    },
    /// A topic has this many partitions now.
    #[n(3)]
    PartitionsAdded {
        #[n(0)]
        number: u64,
        #[n(1)]
        partitions: u32,
    },
    /// A topic's own settings are these now.
    #[n(4)]
    TopicConfigs {
        #[n(0)]
        number: u64,
        #[n(1)]
        configs: BTreeMap<String, String>,
    },
    /// Records below an offset were deleted.
    #[n(5)]
    RecordsDeleted {
        #[n(0)]
        number: u64,
        #[n(1)]
        partition: u32,
        #[n(2)]
        offset: i64,
    },
    /// Producer IDs below this one are used up.
    #[n(6)]
    ProducerIds {
        #[n(0)]
        next: i64,
    },
    /// A transactional ID has this state now.
    #[n(7)]
    Transaction {
        #[n(0)]
        id: String,
        #[n(1)]
        state: Transaction,
    },
    /// A group committed offsets; with a producer ID they wait for its transaction.
    #[n(8)]
    Offsets {
        #[n(0)]
        group: String,
        #[n(1)]
        producer_id: Option<i64>,
        #[n(2)]
        offsets: Vec<OffsetEntry>,
    },
    /// Offsets that waited for a transaction were taken over or dropped.
    #[n(9)]
    OffsetsEnded {
        #[n(0)]
        group: String,
        #[n(1)]
        producer_id: i64,
        #[n(2)]
        committed: bool,
    },
    /// Offsets of a group were deleted.
    #[n(10)]
    OffsetsDeleted {
        #[n(0)]
        group: String,
        #[n(1)]
        partitions: Vec<(String, i32)>,
    },
    /// A group's membership is this now.
    #[n(11)]
    Group {
        #[n(0)]
        group: String,
        #[n(1)]
        image: GroupImage,
    },
    /// A group was deleted.
    #[n(12)]
    GroupDeleted {
        #[n(0)]
        group: String,
    },
    /// A partition has this state (in checkpoints only).
    #[n(13)]
    Partition {
        #[n(0)]
        number: u64,
        #[n(1)]
        partition: u32,
        #[n(2)]
        image: PartitionImage,
    },
    /// Segments of a partition were compacted.
    #[n(14)]
    Compacted {
        #[n(0)]
        number: u64,
        #[n(1)]
        partition: u32,
        #[n(2)]
        cleaned: Cleaned,
    },
}

/// One committed offset.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct OffsetEntry {
    #[n(0)]
    pub(crate) topic: String,
    #[n(1)]
    pub(crate) partition: i32,
    #[n(2)]
    pub(crate) value: Committed,
}
