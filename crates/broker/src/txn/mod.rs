//! The transaction coordinator's decisions (KIP-98 and KIP-360, as a broker answers clients that speak EndTxn below v5).
//!
//! Pure: a [`Transaction`] and a request give the next `Transaction` or an error; time and new producer IDs are arguments.
//! The state machine: `Empty → Ongoing → PrepareCommit | PrepareAbort → CompleteCommit | CompleteAbort → Ongoing …`.
//! A `Prepare…` state is the decision: once it is durable the outcome can't change, and markers follow.

mod init;
mod machine;

use std::collections::BTreeSet;

use minicbor::{Decode, Encode};

pub(crate) use init::{InitRequest, init};
pub(crate) use machine::{
    EndDecision, add_groups, add_partitions, complete, end, expire, verify, verify_group,
};

/// Where a transaction stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub(crate) enum Status {
    #[n(0)]
    Empty,
    #[n(1)]
    Ongoing,
    #[n(2)]
    PrepareCommit,
    #[n(3)]
    PrepareAbort,
    #[n(4)]
    CompleteCommit,
    #[n(5)]
    CompleteAbort,
}

impl Status {
    /// The names of all states, those included that this broker is never in.
    pub(crate) const NAMES: &[&str] = &[
        "Empty",
        "Ongoing",
        "PrepareCommit",
        "PrepareAbort",
        "CompleteCommit",
        "CompleteAbort",
        "PrepareEpochFence",
        "Dead",
    ];

    /// The name that clients see.
    pub(crate) fn name(self) -> &'static str {
        Status::NAMES[self as usize]
    }
}

/// All that is known of one transactional ID.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Transaction {
    #[n(0)]
    pub(crate) producer_id: i64,
    #[n(1)]
    pub(crate) epoch: i16,
    /// The epoch before the last bump that its own producer asked for; -1 for none.
    #[n(2)]
    pub(crate) last_epoch: i16,
    #[n(3)]
    pub(crate) timeout_ms: i32,
    #[n(4)]
    pub(crate) status: Status,
    #[n(5)]
    pub(crate) partitions: BTreeSet<(String, i32)>,
    #[n(6)]
    pub(crate) groups: BTreeSet<String>,
    /// When the open transaction began.
    #[n(7)]
    pub(crate) started_ms: i64,
}

impl Transaction {
    /// When the broker aborts the open transaction.
    pub(crate) fn deadline_ms(&self) -> Option<i64> {
        (self.status == Status::Ongoing).then(|| self.started_ms + i64::from(self.timeout_ms))
    }
}
