//! Consumer groups of the classic protocol, as a pure state machine.
//!
//! A [`Group`] takes requests with the time and gives [`Reply`]s, some at once, some for requests that have waited: a join is
//! answered when the group is complete, a sync when the leader has assigned. The caller keeps the waiting requests by
//! [`Token`], calls [`Group::tick`] when [`Group::next_deadline`] has come, and stores the image when a reply asks for it.
//!
//! `Empty → Preparing (members join) → Completing (leader assigns) → Stable → Preparing …`

pub(crate) mod expiry;
pub(crate) mod image;
mod join;
mod members;
pub(crate) mod offsets;
mod rebalance;
mod subscription;
mod sync;
#[cfg(test)]
mod tests;
mod validate;

use std::collections::BTreeMap;

use bytes::Bytes;
use kafka_protocol::error::ResponseError;

/// Names a request that waits for its answer.
pub(crate) type Token = u64;

/// Where a group stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// No members.
    Empty,
    /// Members are joining.
    Preparing,
    /// The leader has the members and owes the assignment.
    Completing,
    /// Every member has its assignment.
    Stable,
}

impl Status {
    /// The name that clients see.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Status::Empty => "Empty",
            Status::Preparing => "PreparingRebalance",
            Status::Completing => "CompletingRebalance",
            Status::Stable => "Stable",
        }
    }
}

/// A JoinGroup request.
#[derive(Debug, Clone)]
pub(crate) struct JoinRequest {
    pub(crate) member_id: String,
    pub(crate) instance_id: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) session_timeout_ms: i64,
    pub(crate) rebalance_timeout_ms: i64,
    pub(crate) protocol_type: String,
    pub(crate) protocols: Vec<(String, Bytes)>,
    /// A dynamic member has to come back with the ID it is given (v4 and later).
    pub(crate) needs_member_id: bool,
    /// The ID a new member gets.
    pub(crate) fresh_id: String,
}

/// Who asks, for all requests of members that have joined.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) member_id: String,
    pub(crate) instance_id: Option<String>,
    pub(crate) generation: i32,
}

/// The answer to a join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Joined {
    pub(crate) generation: i32,
    pub(crate) protocol_type: String,
    pub(crate) protocol: String,
    pub(crate) leader: String,
    pub(crate) member_id: String,
    /// ID, instance ID and metadata of every member, for the leader only.
    pub(crate) members: Vec<(String, Option<String>, Bytes)>,
}

/// A refused join; the member ID is the one given, or the fresh one with `MemberIdRequired`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) error: ResponseError,
    pub(crate) member_id: String,
}

/// The answer to a sync.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Synced {
    pub(crate) protocol_type: String,
    pub(crate) protocol: String,
    pub(crate) assignment: Bytes,
}

/// What the caller has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    /// Answer the join that waits under the token.
    Join(Token, Result<Joined, Refused>),
    /// Answer the sync that waits under the token.
    Sync(Token, Result<Synced, ResponseError>),
    /// Store the group's image.
    Store,
}

/// A member.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) instance_id: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    session_timeout_ms: i64,
    rebalance_timeout_ms: i64,
    pub(crate) protocols: Vec<(String, Bytes)>,
    pub(crate) assignment: Bytes,
    joining: Option<Token>,
    syncing: Option<Token>,
    /// When the member counts as gone, unless it waits for an answer of ours.
    expires_ms: i64,
}

impl Member {
    fn waits(&self) -> bool {
        self.joining.is_some() || self.syncing.is_some()
    }

    /// The member's metadata for the chosen protocol.
    pub(crate) fn metadata(&self, protocol: &str) -> Bytes {
        self.protocols.iter().find(|(name, _)| name == protocol).map(|(_, m)| m.clone()).unwrap_or_default()
    }
}

/// A consumer group.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) status: Status,
    pub(crate) generation: i32,
    pub(crate) protocol_type: Option<String>,
    pub(crate) protocol: Option<String>,
    leader: Option<String>,
    pub(crate) members: BTreeMap<String, Member>,
    /// Member IDs given out with `MemberIdRequired`, until when they may come back.
    promised: BTreeMap<String, i64>,
    /// Member of each instance ID.
    instances: BTreeMap<String, String>,
    /// When the running phase ends without those who are missing.
    phase_ends_ms: Option<i64>,
    /// When the last member went.
    pub(crate) empty_since_ms: Option<i64>,
    /// The first join of an empty group waits this long for others.
    initial_delay_ms: i64,
}

impl Group {
    pub(crate) fn new(initial_delay_ms: i64) -> Self {
        Group {
            status: Status::Empty,
            generation: 0,
            protocol_type: None,
            protocol: None,
            leader: None,
            members: BTreeMap::new(),
            promised: BTreeMap::new(),
            instances: BTreeMap::new(),
            phase_ends_ms: None,
            empty_since_ms: None,
            initial_delay_ms,
        }
    }

    /// When [`Group::tick`] has something to do at the earliest.
    pub(crate) fn next_deadline(&self) -> Option<i64> {
        let members = self.members.values().filter(|m| !m.waits()).map(|m| m.expires_ms);
        members.chain(self.promised.values().copied()).chain(self.phase_ends_ms).min()
    }
}
