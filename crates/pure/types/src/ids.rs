//! IDs that are derived, never drawn.
//!
//! All of them are name-based UUIDs (RFC 9562, version 5): the ID of the whole is the namespace of its parts, so a run
//! gives its activations and an activation gives its events. Whoever knows the names computes the same ID, before or
//! after a crash and on any instance.

use std::fmt;
use std::str::FromStr;

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Root of all IDs of the mesh. Changing it changes every ID: it never changes.
const ROOT: Uuid = Uuid::from_u128(0x6d1f_2b7c_0f5e_4a39_9c1d_3e8a_5b70_c4d2);

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// The ID as a UUID.
            pub const fn uuid(self) -> Uuid {
                self.0
            }

            /// Takes a UUID as it is.
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }

        impl<C> Encode<C> for $name {
            fn encode<W: minicbor::encode::Write>(
                &self,
                e: &mut minicbor::Encoder<W>,
                _: &mut C,
            ) -> Result<(), minicbor::encode::Error<W::Error>> {
                e.bytes(self.0.as_bytes())?.ok()
            }
        }

        impl<'b, C> Decode<'b, C> for $name {
            fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
                Uuid::from_slice(d.bytes()?)
                    .map(Self)
                    .map_err(|_| minicbor::decode::Error::message("an ID has 16 bytes"))
            }
        }
    };
}

id! {
    /// One run of a flow for one identity, such as the order flow for order 4711.
    RunId
}
id! {
    /// One intended run of one step in a saga run. Retries and redeliveries are the same activation.
    ActivationId
}
id! {
    /// One event that the mesh emits. Foreign events keep the ID that their producer gave them, whatever its shape.
    EventId
}

/// What set an activation off. Copies of a start event count as one trigger.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// The event that starts the run, whichever copy of it.
    #[n(0)]
    Start,
    /// One event of the running saga, by its ID.
    #[n(1)]
    Event(#[n(0)] String),
    /// The step's join is complete.
    #[n(2)]
    Join,
    /// A record that belongs to no activation, by its position: it could not be read.
    #[n(3)]
    Record(#[n(0)] String),
}

impl RunId {
    /// The run of `flow` for `identity` in `mesh`.
    pub fn of(mesh: &str, flow: &str, identity: &str) -> Self {
        Self(Uuid::new_v5(&ROOT, &joined(&["run", mesh, flow, identity])))
    }

    /// The activation of `step` that `trigger` sets off in this run.
    pub fn activation(self, step: &str, trigger: &Trigger) -> ActivationId {
        let name = match trigger {
            Trigger::Start => joined(&["activation", step, "start"]),
            Trigger::Event(id) => joined(&["activation", step, "event", id]),
            Trigger::Join => joined(&["activation", step, "join"]),
            Trigger::Record(position) => joined(&["activation", step, "record", position]),
        };
        ActivationId(Uuid::new_v5(&self.0, &name))
    }

    /// The event that tells how this run ended: at most one, so it needs no further name.
    pub fn outcome_event(self) -> EventId {
        EventId(Uuid::new_v5(&self.0, &joined(&["outcome"])))
    }
}

impl ActivationId {
    /// The event at `index` (from 0) among those that `action` of this activation emits.
    pub fn event(self, action: Action, index: usize) -> EventId {
        EventId(Uuid::new_v5(&self.0, &joined(&["event", action.as_str(), &index.to_string()])))
    }

    /// The key under which a participant recognises a repeated call of `action`.
    pub fn idempotency_key(self, action: Action) -> String {
        format!("{self}/{action}")
    }
}

/// What a participant is asked to do with an activation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Have the step's effect.
    #[n(0)]
    Do,
    /// Compensate that effect.
    #[n(1)]
    Undo,
}

impl Action {
    /// `do` or `undo`, as on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Do => "do",
            Self::Undo => "undo",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Parts with their lengths in front, so that no two lists of parts give the same bytes.
fn joined(parts: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in parts {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part.as_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// These IDs lie in topics and in participants' databases: a change here breaks running sagas.
    #[test]
    fn ids_never_change() {
        let run = RunId::of("shop", "order", "4711");
        assert_eq!(run.to_string(), "b7bb6068-d6a7-5c57-9b5e-602ed7dde787");
        let activation = run.activation("charge", &Trigger::Start);
        assert_eq!(activation.to_string(), "3f638c11-cc00-54b5-8341-1cae8c635c29");
        assert_eq!(activation.event(Action::Do, 0).to_string(), "9b78d536-ed6f-5580-bbb0-67a0a8f431ea");
        assert_eq!(activation.idempotency_key(Action::Undo), "3f638c11-cc00-54b5-8341-1cae8c635c29/undo");
        assert_eq!(run.outcome_event().to_string(), "79f8f3b4-62fa-5a2f-8ce8-7f792c56b5f3");
    }

    #[test]
    fn names_that_only_join_alike_give_different_ids() {
        assert_ne!(RunId::of("ab", "c", "d"), RunId::of("a", "bc", "d"));
        assert_ne!(RunId::of("a", "b", ""), RunId::of("a", "", "b"));
    }

    #[test]
    fn each_trigger_and_each_index_gives_an_id_of_its_own() {
        let run = RunId::of("shop", "order", "4711");
        let triggers =
            [Trigger::Start, Trigger::Event("start".into()), Trigger::Join, Trigger::Record("start".into())];
        let mut ids: Vec<_> = triggers.iter().map(|t| run.activation("charge", t)).collect();
        ids.push(run.activation("ship", &Trigger::Start));
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 5);
        assert_ne!(ids[0].event(Action::Do, 0), ids[0].event(Action::Do, 1));
        assert_ne!(ids[0].event(Action::Do, 0), ids[0].event(Action::Undo, 0));
    }
}
