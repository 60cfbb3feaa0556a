//! The state as records of a compacted topic.
//!
//! Key: the 16 bytes of the run, for an activation followed by the 16 bytes of its ID. Value: [`mod@format`] around a head or
//! an [`Activation`]; no value: the activation, or the run, is gone.

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};
use quadrille_types::format;
use quadrille_types::{ActivationId, RunId};

use crate::state::{Activation, Ended, Head, Live, State};
use crate::transition::Changed;

/// Key of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// The head of a run.
    Head(RunId),
    /// One activation of a run.
    Activation(RunId, ActivationId),
}

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its key.
    pub key: Key,
    /// Its value; absent: deleted.
    pub value: Option<Vec<u8>>,
}

/// Why a state cannot be restored. None of these is retryable.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// A key that is neither of a head nor of an activation.
    #[error("a key of the changelog has {0} bytes; 16 (a run) and 32 (an activation) are known")]
    Key(usize),
    /// The head cannot be read.
    #[error("head of run {run}: {source}")]
    Head {
        /// The run.
        run: RunId,
        /// What is wrong.
        source: format::Error,
    },
    /// An activation cannot be read.
    #[error("activation of run {run}: {source}")]
    Activation {
        /// The run.
        run: RunId,
        /// What is wrong.
        source: format::Error,
    },
}

#[derive(Encode, Decode)]
enum HeadRecord {
    #[n(0)]
    Live(#[n(0)] Box<Head>),
    #[n(1)]
    Ended(#[n(0)] Ended),
}

impl Key {
    /// Its bytes.
    pub fn to_bytes(self) -> Vec<u8> {
        match self {
            Self::Head(run) => run.uuid().into_bytes().to_vec(),
            Self::Activation(run, id) => [run.uuid().into_bytes(), id.uuid().into_bytes()].concat(),
        }
    }

    /// The key in `bytes`.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let (halves, rest) = bytes.as_chunks::<16>();
        let run = |half: &[u8; 16]| RunId::from_uuid(uuid::Uuid::from_bytes(*half));
        match (halves, rest) {
            ([head], []) => Ok(Self::Head(run(head))),
            ([head, id], []) => {
                Ok(Self::Activation(run(head), ActivationId::from_uuid(uuid::Uuid::from_bytes(*id))))
            }
            _ => Err(Error::Key(bytes.len())),
        }
    }

    /// The run that it belongs to.
    pub fn run(self) -> RunId {
        match self {
            Self::Head(run) | Self::Activation(run, _) => run,
        }
    }
}

/// The records of `state`, the state of `run`, that `changed` says are different.
pub fn records(run: RunId, state: &State, changed: &Changed) -> Vec<Record> {
    let activations = state.live().map(|live| &live.activations);
    let activation = |id: &ActivationId| Record {
        key: Key::Activation(run, *id),
        value: activations.and_then(|all| all.get(id)).map(format::encode),
    };
    let head = changed.head.then(|| Record { key: Key::Head(run), value: Some(head(state)) });
    head.into_iter().chain(changed.activations.iter().map(activation)).collect()
}

/// The keys of all records of `state`, the state of `run`: what is deleted when the run is forgotten.
pub fn keys(run: RunId, state: &State) -> Vec<Key> {
    let activations = state.live().into_iter().flat_map(|live| live.activations.keys());
    [Key::Head(run)].into_iter().chain(activations.map(|id| Key::Activation(run, *id))).collect()
}

/// The state of `run`: the values of its head and of its activations.
pub fn restore<'a>(
    run: RunId,
    head: &[u8],
    activations: impl IntoIterator<Item = &'a [u8]>,
) -> Result<State, Error> {
    match format::decode(head).map_err(|source| Error::Head { run, source })? {
        HeadRecord::Ended(ended) => Ok(State::Ended(ended)),
        HeadRecord::Live(head) => {
            let read = |bytes| {
                let activation: Activation =
                    format::decode(bytes).map_err(|source| Error::Activation { run, source })?;
                Ok((activation.id, activation))
            };
            let activations = activations.into_iter().map(read).collect::<Result<BTreeMap<_, _>, _>>()?;
            Ok(State::Live(Box::new(Live { head: *head, activations })))
        }
    }
}

fn head(state: &State) -> Vec<u8> {
    format::encode(&match state {
        State::Live(live) => HeadRecord::Live(Box::new(live.head.clone())),
        State::Ended(ended) => HeadRecord::Ended(ended.clone()),
    })
}
