//! What is to go wrong, and when: rules as a test or an operator writes them.

use serde::{Deserialize, Serialize};

use crate::server::shapes;

/// What happens to a request, to the journal or to a transaction. The names in JSON are those of the table in [`crate::faults`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// Carried out, and never answered.
    DropResponse,
    /// Neither carried out nor answered.
    DropRequest,
    /// Carried out, and answered so much later; what the connection sends meanwhile waits.
    DelayResponse {
        /// Milliseconds.
        ms: u64,
    },
    /// Carried out once, and answered twice.
    DuplicateResponse,
    /// Carried out, and answered behind the connection's next answer; without a next one it is never answered.
    ReorderResponse,
    /// Answered with an error.
    Error {
        /// Kafka's error code.
        code: i16,
        /// Whether the request is carried out all the same.
        #[serde(default)]
        carried_out: bool,
    },
    /// The connection is closed, the request is not carried out.
    DisconnectBefore,
    /// The request is carried out, then the connection is closed without an answer.
    DisconnectAfter,
    /// `NOT_COORDINATOR` for a group or transactional ID until its coordinator was looked for again.
    CoordinatorMoved {
        /// For so many milliseconds nobody is the coordinator: `COORDINATOR_NOT_AVAILABLE` to whoever looks.
        #[serde(default)]
        away_ms: u64,
    },
    /// An EndTxn is held up on the way and its connection closed; it arrives behind the first records or offsets that are
    /// written under the same transactional ID afterwards.
    LateEndTxn,
    /// Nothing moves: no request, no clock, no flush.
    StopTheWorld {
        /// Milliseconds.
        ms: u64,
    },
    /// A device flush takes so much longer.
    SlowFlush {
        /// Milliseconds.
        ms: u64,
    },
    /// Writing to the journal fails half-way with `ENOSPC`.
    FullDisk,
    /// A transaction is decided, and its markers are not written as long as the rule is there.
    HangingTransaction,
}

/// Chance instead of counting: the decision for the n-th occurrence follows from seed and n alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chance {
    /// Of a thousand occurrences, so many (0-1000) on average.
    pub per_mille: u16,
    /// The same seed decides the same.
    pub seed: u64,
}

/// One fault: an effect, what it is for, and at which occurrences.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Tells it from others.
    pub name: String,
    /// What happens.
    pub effect: Effect,
    /// Requests as Kafka names them, `EndTxn`; none stands for all.
    #[serde(default)]
    pub api: Vec<String>,
    /// Of this client only. Here and below, an ending `*` stands for any ending.
    #[serde(default)]
    pub client_id: Option<String>,
    /// Of this transactional ID only.
    #[serde(default)]
    pub transactional_id: Option<String>,
    /// Of this consumer group only.
    #[serde(default)]
    pub group: Option<String>,
    /// The first occurrence that counts, from 1.
    #[serde(default = "one")]
    pub from: u64,
    /// From there on each one (1), each second (2), …
    #[serde(default = "one")]
    pub every: u64,
    /// At most so many times; none: until the rule is removed.
    #[serde(default)]
    pub times: Option<u64>,
    /// Only when the dice say so.
    #[serde(default)]
    pub chance: Option<Chance>,
}

fn one() -> u64 {
    1
}

/// A rule that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadRule {
    /// Another rule has the name.
    #[error("there is a fault of the name {0:?} already")]
    Known(String),
    /// No request of that name.
    #[error("{0:?} is no request of this broker")]
    Api(String),
    /// The effect does not apply to the request.
    #[error("{effect:?} cannot be had of {api}")]
    Useless {
        /// The effect.
        effect: Effect,
        /// The request.
        api: String,
    },
    /// A filter that the effect has no use for.
    #[error("{0:?} takes no {1}")]
    Filter(Effect, &'static str),
    /// A number out of its range.
    #[error("{0}")]
    Number(&'static str),
}

impl Rule {
    /// Each occurrence, of all requests that the effect applies to.
    pub fn new(name: &str, effect: Effect) -> Rule {
        Rule {
            name: name.to_owned(),
            effect,
            api: Vec::new(),
            client_id: None,
            transactional_id: None,
            group: None,
            from: 1,
            every: 1,
            times: None,
            chance: None,
        }
    }

    /// These requests only.
    pub fn on(self, api: &[&str]) -> Rule {
        Rule { api: api.iter().map(|&name| name.to_owned()).collect(), ..self }
    }

    /// Not before the `occurrence`-th.
    pub fn from(self, occurrence: u64) -> Rule {
        Rule { from: occurrence, ..self }
    }

    /// Each `nth` occurrence.
    pub fn every(self, nth: u64) -> Rule {
        Rule { every: nth, ..self }
    }

    /// At most so many times.
    pub fn times(self, times: u64) -> Rule {
        Rule { times: Some(times), ..self }
    }

    /// Of one client only; an ending `*` stands for any ending.
    pub fn client(self, id: &str) -> Rule {
        Rule { client_id: Some(id.to_owned()), ..self }
    }

    /// Of one transactional ID only; an ending `*` stands for any ending.
    pub fn transactional(self, id: &str) -> Rule {
        Rule { transactional_id: Some(id.to_owned()), ..self }
    }

    /// Of one consumer group only; an ending `*` stands for any ending.
    pub fn group(self, id: &str) -> Rule {
        Rule { group: Some(id.to_owned()), ..self }
    }

    /// By chance.
    pub fn chance(self, per_mille: u16, seed: u64) -> Rule {
        Rule { chance: Some(Chance { per_mille, seed }), ..self }
    }

    /// Whether the rule can be.
    pub(super) fn check(&self) -> Result<(), BadRule> {
        if self.from == 0 || self.every == 0 {
            return Err(BadRule::Number("`from` and `every` begin at 1"));
        }
        if self.chance.is_some_and(|c| c.per_mille > 1_000) {
            return Err(BadRule::Number("`per_mille` is at most 1000"));
        }
        for api in &self.api {
            if !shapes::ALL.iter().any(|shape| format!("{:?}", shape.key) == *api) {
                return Err(BadRule::Api(api.clone()));
            }
            if !self.effect.applies_to(api) {
                return Err(BadRule::Useless { effect: self.effect.clone(), api: api.clone() });
            }
        }
        self.check_filters()
    }

    fn check_filters(&self) -> Result<(), BadRule> {
        let journal = matches!(self.effect, Effect::SlowFlush { .. } | Effect::FullDisk);
        let markers = self.effect == Effect::HangingTransaction;
        let unused = [
            ("api", (journal || markers) && !self.api.is_empty()),
            ("client_id", (journal || markers) && self.client_id.is_some()),
            ("group", (journal || markers) && self.group.is_some()),
            ("transactional_id", journal && self.transactional_id.is_some()),
        ];
        match unused.into_iter().find(|(_, wrong)| *wrong) {
            Some((filter, _)) => Err(BadRule::Filter(self.effect.clone(), filter)),
            None => Ok(()),
        }
    }
}

/// Requests that can be answered with an error.
pub(super) const REFUSABLE: &[&str] = &[
    "Produce",
    "Fetch",
    "ListOffsets",
    "OffsetCommit",
    "OffsetFetch",
    "FindCoordinator",
    "JoinGroup",
    "SyncGroup",
    "Heartbeat",
    "LeaveGroup",
    "InitProducerId",
    "AddPartitionsToTxn",
    "AddOffsetsToTxn",
    "EndTxn",
    "TxnOffsetCommit",
];

impl Effect {
    /// Whether the effect can be had of the request. Named or not, others are left alone.
    pub(super) fn applies_to(&self, api: &str) -> bool {
        match self {
            Effect::Error { .. } => REFUSABLE.contains(&api),
            Effect::CoordinatorMoved { .. } => {
                REFUSABLE.contains(&api)
                    && !["Produce", "Fetch", "ListOffsets", "FindCoordinator"].contains(&api)
            }
            Effect::LateEndTxn => api == "EndTxn",
            Effect::SlowFlush { .. } | Effect::FullDisk | Effect::HangingTransaction => false,
            _ => true,
        }
    }
}

/// Transient faults at random, of all requests, that a client has to survive: the same seed gives the same rules, and these
/// decide the same for the same sequence of requests.
pub fn chaos(seed: u64) -> Vec<Rule> {
    let not_leader = Effect::Error { code: 6, carried_out: false };
    let loading = Effect::Error { code: 14, carried_out: false };
    let coordinator = ["AddPartitionsToTxn", "AddOffsetsToTxn", "TxnOffsetCommit", "EndTxn", "OffsetFetch"];
    let rules = [
        Rule::new("chaos-disconnect-before", Effect::DisconnectBefore).chance(3, seed),
        Rule::new("chaos-disconnect-after", Effect::DisconnectAfter).chance(3, seed ^ 1),
        Rule::new("chaos-delay", Effect::DelayResponse { ms: 30 }).chance(15, seed ^ 2),
        Rule::new("chaos-duplicate", Effect::DuplicateResponse).chance(5, seed ^ 3),
        Rule::new("chaos-not-leader", not_leader).on(&["Produce"]).chance(10, seed ^ 4),
        Rule::new("chaos-loading", loading).on(&coordinator).chance(10, seed ^ 5),
        Rule::new("chaos-moved", Effect::CoordinatorMoved { away_ms: 20 }).chance(5, seed ^ 6),
    ];
    rules.into()
}
