//! The sagas of one partition in memory, and the times that they wait for.

use std::collections::{BTreeMap, BTreeSet};

use quadrille_saga::State;
use quadrille_saga::after_end::is_spent;
use quadrille_saga::changelog::{self, Key};
use quadrille_types::journal::{Timer, TimerKind};
use quadrille_types::{Record, RunId};

/// Every saga of one partition.
#[derive(Debug, Default)]
pub struct Sagas {
    states: BTreeMap<RunId, State>,
    /// Those whose state cannot be read: nothing is known of them, so nothing may be done about them.
    unreadable: BTreeSet<RunId>,
    /// By due time, so that what is due comes first.
    timers: BTreeSet<(i64, RunId, TimerKind)>,
    /// Those that have ended, by the time when they did.
    ended: BTreeSet<(i64, RunId)>,
}

/// What was read of the state topic so far: the last value of each key.
#[derive(Debug, Default)]
pub struct Restoring(BTreeMap<Key, Vec<u8>>);

impl Restoring {
    /// Takes the next record of the state topic.
    pub fn take(&mut self, record: Record) -> Result<(), changelog::Error> {
        let key = Key::from_bytes(record.key.as_deref().unwrap_or_default())?;
        match record.value {
            Some(value) => self.0.insert(key, value),
            None => self.0.remove(&key),
        };
        Ok(())
    }

    /// The sagas. One that cannot be read does not hold up the others: it is named beside them, and left as it lies.
    pub fn done(self) -> (Sagas, Vec<changelog::Error>) {
        type Values<'a> = (Option<&'a [u8]>, Vec<&'a [u8]>);
        let mut runs: BTreeMap<RunId, Values<'_>> = BTreeMap::new();
        for (key, value) in &self.0 {
            let run = runs.entry(key.run()).or_default();
            match key {
                Key::Head(_) => run.0 = Some(value),
                Key::Activation(..) => run.1.push(value),
            }
        }
        let (mut sagas, mut unreadable) = (Sagas::default(), Vec::new());
        for (run, (head, activations)) in runs {
            match head.map(|head| changelog::restore(run, head, activations)) {
                Some(Ok(state)) => sagas.put(run, state),
                Some(Err(error)) => {
                    sagas.unreadable.insert(run);
                    unreadable.push(error);
                }
                None => {}
            }
        }
        (sagas, unreadable)
    }
}

impl Sagas {
    /// Takes a saga out, to change it.
    pub fn take(&mut self, run: RunId) -> Option<State> {
        self.states.remove(&run)
    }

    /// Puts a saga in. Its timer follows from its state.
    pub fn put(&mut self, run: RunId, state: State) {
        if let State::Live(live) = &state
            && live.head.timer_set
            && let Some(due_ms) = live.head.deadline_ms
        {
            self.timers.insert((due_ms, run, TimerKind::Deadline));
        }
        if let State::Ended(ended) = &state {
            self.ended.insert((ended.at_ms, run));
        }
        self.states.insert(run, state);
    }

    /// Whether the state of `run` is there and cannot be read.
    pub fn is_unreadable(&self, run: RunId) -> bool {
        self.unreadable.contains(&run)
    }

    /// The timer is no longer needed.
    pub fn clear(&mut self, timer: &Timer) {
        self.timers.remove(&(timer.due_ms, timer.run, timer.kind));
    }

    /// Takes a timer that is due by now.
    pub fn due(&mut self, now_ms: i64) -> Option<Timer> {
        let (due_ms, run, kind) = *self.timers.first().filter(|(due_ms, ..)| *due_ms <= now_ms)?;
        self.timers.pop_first();
        Some(Timer { run, kind, due_ms })
    }

    /// Forgets a saga that is to be forgotten by now, and names it.
    pub fn forget(&mut self, keep_ms: i64, now_ms: i64) -> Option<RunId> {
        let (_, run) = *self.ended.first()?;
        let ended = self.states.get(&run).and_then(State::ended)?;
        if !is_spent(ended, keep_ms, now_ms) {
            return None;
        }
        self.ended.pop_first();
        self.states.remove(&run);
        Some(run)
    }

    /// Sagas that are known, ended ones among them.
    pub fn known(&self) -> usize {
        self.states.len()
    }

    /// Sagas without an outcome.
    pub fn live(&self) -> usize {
        self.states.values().filter(|state| state.live().is_some()).count()
    }
}
