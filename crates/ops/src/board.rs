//! All runs of a mesh, kept up to date record by record of its state topic.

use std::collections::{BTreeMap, BTreeSet};

use quadrille_saga::State;
use quadrille_saga::changelog::{self, Error, Key};
use quadrille_types::{ActivationId, Definition, Record, RunId};
use uuid::Uuid;

use crate::standing::Standing;

/// The runs of a mesh. A run is decoded when it is asked for after a change, not with each record.
#[derive(Debug, Default)]
pub struct Board {
    /// The last value of each key.
    values: BTreeMap<Key, Vec<u8>>,
    runs: BTreeMap<RunId, State>,
    dirty: BTreeSet<RunId>,
    active: Option<Definition>,
}

impl Board {
    /// No run yet, while `active` is the definition in force.
    pub fn under(active: Option<Definition>) -> Self {
        Self { active, ..Self::default() }
    }

    /// Where `state` stands.
    pub fn standing(&self, state: &State) -> Standing {
        Standing::of(state, self.active.as_ref())
    }

    /// Takes the next record of the state topic.
    ///
    /// # Errors
    /// A key that is none of a state topic; the record is left out.
    pub fn take(&mut self, record: Record) -> Result<(), Error> {
        let key = Key::from_bytes(record.key.as_deref().unwrap_or_default())?;
        self.dirty.insert(key.run());
        match record.value {
            Some(value) => self.values.insert(key, value),
            None => self.values.remove(&key),
        };
        Ok(())
    }

    /// Decodes the runs that changed since the last call, and names them, with those that cannot be read.
    pub fn refresh(&mut self) -> (Vec<RunId>, Vec<Error>) {
        let (mut changed, mut unreadable) = (Vec::new(), Vec::new());
        for run in std::mem::take(&mut self.dirty) {
            match self.restored(run) {
                Some(Ok(state)) => {
                    changed.push(run);
                    self.runs.insert(run, state);
                }
                Some(Err(error)) => unreadable.push(error),
                None => {
                    self.runs.remove(&run);
                }
            }
        }
        (changed, unreadable)
    }

    /// The state of `run`, as of the last [`Board::refresh`].
    pub fn state(&self, run: RunId) -> Option<&State> {
        self.runs.get(&run)
    }

    /// Every run, as of the last [`Board::refresh`].
    pub fn runs(&self) -> &BTreeMap<RunId, State> {
        &self.runs
    }

    /// How many runs stand where.
    pub fn counts(&self) -> BTreeMap<Standing, usize> {
        let mut counts = BTreeMap::new();
        for state in self.runs.values() {
            *counts.entry(self.standing(state)).or_default() += 1;
        }
        counts
    }

    fn restored(&self, run: RunId) -> Option<Result<State, Error>> {
        let head = self.values.get(&Key::Head(run))?;
        let first = Key::Activation(run, ActivationId::from_uuid(Uuid::nil()));
        let last = Key::Activation(run, ActivationId::from_uuid(Uuid::max()));
        let activations = self.values.range(first..=last).map(|(_, value)| value.as_slice());
        Some(changelog::restore(run, head, activations))
    }
}

#[cfg(test)]
mod tests {
    use quadrille_saga::{Flow, next};
    use quadrille_types::envelope::Position;
    use quadrille_types::journal::Entry;

    use super::*;
    use crate::testing::*;

    /// Records of the state topic, as the coordinator writes them.
    fn records(flow: &Flow, entries: &[Entry]) -> Vec<Record> {
        let (mut state, mut records) = (None, Vec::new());
        for entry in entries {
            let transition = next(flow, &mut state, &entry.input, entry.now_ms);
            records.extend(changelog::records(run(), state.as_ref().unwrap(), &transition.changed));
        }
        let record = |record: changelog::Record| Record {
            position: Position { topic: "shop.sagas.state".into(), partition: 0, offset: 0 },
            time_ms: 0,
            key: Some(record.key.to_bytes()),
            value: record.value,
            headers: Vec::new(),
        };
        records.into_iter().map(record).collect()
    }

    #[test]
    fn a_board_follows_the_state_topic() {
        let entries = [
            started(1),
            emitted(2, "reserve", "StockReserved"),
            rejected(3, "charge", "CardDeclined"),
            undone(4, "reserve"),
        ];
        let mut board = Board::default();
        for upto in 1..=entries.len() {
            let mut state = None;
            for entry in &entries[..upto] {
                next(&order(), &mut state, &entry.input, entry.now_ms);
            }
            let all = records(&order(), &entries[..upto]);
            let before = records(&order(), &entries[..upto - 1]).len();
            all.into_iter().skip(before).for_each(|record| board.take(record).unwrap());
            assert_eq!(board.refresh(), (vec![run()], vec![]));
            assert_eq!(board.state(run()), state.as_ref(), "after {upto} entries");
        }
        assert_eq!(board.counts(), BTreeMap::from([(Standing::Compensated, 1)]));
        assert!(board.values.len() == 1, "an ended run is its head alone");
        assert_eq!(board.refresh().0, []);
    }

    #[test]
    fn what_cannot_be_read_is_named_and_holds_up_nobody() {
        let mut board = Board::default();
        let mut all = records(&order(), &[started(1)]);
        all[0].value = Some(b"\x09".to_vec());
        let mut odd = all[0].clone();
        odd.key = Some(b"short".to_vec());
        all.into_iter().for_each(|record| board.take(record).unwrap());
        assert_eq!(board.take(odd), Err(Error::Key(5)));
        let (changed, unreadable) = board.refresh();
        assert!(changed.is_empty() && unreadable.len() == 1 && board.runs().is_empty());
    }
}
