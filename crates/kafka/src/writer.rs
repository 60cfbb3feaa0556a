//! How a lane writes: exactly once, or at least once.

use std::collections::BTreeSet;
use std::sync::Arc;

use quadrille_types::OutRecord;

use crate::acknowledged::Acknowledger;
use crate::group::Membership;
use crate::transaction::{Busy, Failure, Offsets, Transactor};
use crate::{Error, Settings};

/// What writes the records of a lane.
pub enum Writer {
    /// Records and offsets in one transaction.
    Transactions(Transactor),
    /// Records, then offsets.
    Acknowledgements(Acknowledger),
}

impl Writer {
    /// A writer that is exactly once under `transactional_id`.
    pub fn exactly_once(settings: &Settings, transactional_id: String) -> Result<Self, Error> {
        Transactor::new(settings, transactional_id).map(Self::Transactions)
    }

    /// A writer that is at least once, of the member that `id` names. Topics in `last` are written after all others, in
    /// that order: what they say relies on those before.
    pub fn at_least_once(
        settings: &Settings,
        id: String,
        last: Vec<BTreeSet<String>>,
    ) -> Result<Self, Error> {
        Acknowledger::new(settings, id, last).map(Self::Acknowledgements)
    }

    /// Since when a call blocks.
    pub fn busy(&self) -> Arc<Busy> {
        match self {
            Self::Transactions(transactor) => transactor.busy(),
            Self::Acknowledgements(acknowledger) => acknowledger.busy(),
        }
    }

    /// Makes the writer usable again after a failure; only then do the committed offsets say what became of it.
    pub fn prepare(&mut self) -> Result<(), Error> {
        match self {
            Self::Transactions(transactor) => transactor.prepare(),
            Self::Acknowledgements(acknowledger) => acknowledger.prepare(),
        }
    }

    /// The metadata of its offset commits: see [`crate::holding`].
    pub(crate) fn mark(&self) -> String {
        match self {
            Self::Transactions(transactor) => transactor.mark(),
            Self::Acknowledgements(acknowledger) => acknowledger.mark(),
        }
    }

    /// Commits `offsets` alone, as released.
    pub(crate) fn release(&mut self, offsets: &Offsets, membership: &Membership<'_>) -> Result<(), Failure> {
        match self {
            Self::Transactions(transactor) => transactor.release(offsets, membership),
            Self::Acknowledgements(acknowledger) => acknowledger.release(offsets, membership),
        }
    }

    /// Writes `records` and commits `offsets`.
    pub fn burst(
        &mut self,
        records: &[OutRecord],
        offsets: &Offsets,
        membership: &Membership<'_>,
    ) -> Result<(), Failure> {
        match self {
            Self::Transactions(transactor) => transactor.burst(records, offsets, membership),
            Self::Acknowledgements(acknowledger) => acknowledger.burst(records, offsets, membership),
        }
    }
}
