//! The sagas of one partition in memory, and the times that they wait for.

use std::collections::{BTreeMap, BTreeSet};

use quadrille_saga::State;
use quadrille_saga::after_end::{is_spent, stray_since};
use quadrille_saga::changelog::{self, Key};
use quadrille_types::journal::{Timer, TimerKind};
use quadrille_types::{Definition, Record, RunId};

/// Every saga of one partition.
#[derive(Debug)]
pub struct Sagas {
    /// The definition that is active: live sagas of another one were abandoned.
    definition: Definition,
    states: BTreeMap<RunId, State>,
    /// Those whose state cannot be read: nothing is known of them, so nothing may be done about them.
    unreadable: BTreeSet<RunId>,
    /// By due time, so that what is due comes first.
    timers: BTreeSet<(i64, RunId, TimerKind)>,
    /// Those that have ended, by the time when they did.
    ended: BTreeSet<(i64, RunId)>,
    /// Those without their start event, by the time since when.
    strays: BTreeSet<(i64, RunId)>,
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
    pub fn done(self, definition: Definition) -> (Sagas, Vec<changelog::Error>) {
        type Values<'a> = (Option<&'a [u8]>, Vec<&'a [u8]>);
        let mut runs: BTreeMap<RunId, Values<'_>> = BTreeMap::new();
        for (key, value) in &self.0 {
            let run = runs.entry(key.run()).or_default();
            match key {
                Key::Head(_) => run.0 = Some(value),
                Key::Activation(..) => run.1.push(value),
            }
        }
        let (mut sagas, mut unreadable) = (Sagas::new(definition), Vec::new());
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
    /// No saga. `definition` is the active one.
    pub fn new(definition: Definition) -> Self {
        Self {
            definition,
            states: BTreeMap::new(),
            unreadable: BTreeSet::new(),
            timers: BTreeSet::new(),
            ended: BTreeSet::new(),
            strays: BTreeSet::new(),
        }
    }

    /// Takes a saga out, to change it.
    pub fn take(&mut self, run: RunId) -> Option<State> {
        let state = self.states.remove(&run)?;
        if let Some(since_ms) = stray_since(&state) {
            self.strays.remove(&(since_ms, run));
        }
        Some(state)
    }

    /// Puts a saga in. Its timer follows from its state; one that was abandoned has none.
    pub fn put(&mut self, run: RunId, state: State) {
        if let State::Live(live) = &state
            && !self.is_abandoned(&state)
            && live.head.timer_set
            && let Some(due_ms) = live.head.deadline_ms
        {
            self.timers.insert((due_ms, run, TimerKind::Deadline));
        }
        match (stray_since(&state), &state) {
            (Some(since_ms), _) => _ = self.strays.insert((since_ms, run)),
            (None, State::Ended(ended)) => _ = self.ended.insert((ended.at_ms, run)),
            (None, State::Live(_)) => {}
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

    /// Forgets a saga that is to be forgotten by now, and says what it was.
    pub fn forget(&mut self, keep_ms: i64, now_ms: i64) -> Option<(RunId, State)> {
        let oldest = [self.ended.first(), self.strays.first()];
        let spent = |run: &RunId| self.states.get(run).is_some_and(|s| is_spent(s, keep_ms, now_ms));
        let (since_ms, run) = *oldest.into_iter().flatten().find(|(_, run)| spent(run))?;
        self.ended.remove(&(since_ms, run));
        self.strays.remove(&(since_ms, run));
        Some((run, self.states.remove(&run)?))
    }

    /// Sagas that are known, ended ones among them.
    pub fn known(&self) -> usize {
        self.states.len()
    }

    /// Sagas without an outcome that may still come to one.
    pub fn live(&self) -> usize {
        self.states.values().filter(|state| state.live().is_some() && !self.is_abandoned(state)).count()
    }

    /// Sagas that were given up with their definition.
    pub fn abandoned(&self) -> usize {
        self.states.values().filter(|state| self.is_abandoned(state)).count()
    }

    fn is_abandoned(&self, state: &State) -> bool {
        state.live().is_some_and(|live| live.head.lineage.definition != self.definition)
    }
}

#[cfg(test)]
mod tests {
    use quadrille_saga::after_end::STRAY_MS_MIN;
    use quadrille_saga::state::{End, Ended, Head, Live, Status};
    use quadrille_types::Lineage;

    use super::*;

    const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

    fn definition(version: u32) -> Definition {
        Definition { version, hash: "c0ffee".into() }
    }

    fn run(id: &str) -> RunId {
        RunId::of("shop", "order", id)
    }

    fn ended(end: End, at_ms: i64) -> State {
        State::Ended(Ended { end, at_ms, definition_version: 7, known: Vec::new() })
    }

    /// Since 1; its deadline is due at 5.
    fn live(id: &str, status: Status, version: u32) -> State {
        let definition = definition(version);
        let (flow, correlation_id) = ("order".to_owned(), id.to_owned());
        let head = Head {
            lineage: Lineage { flow, run: run(id), correlation_id, definition },
            status,
            since_ms: 1,
            started_at_ms: None,
            starts: Vec::new(),
            deadline_ms: Some(5),
            timer_set: true,
            overdue: false,
            completing: Vec::new(),
            failing: None,
            answers: 0,
            stalled: false,
            traceparent: None,
            tracestate: None,
        };
        State::Live(Box::new(Live { head, activations: BTreeMap::new() }))
    }

    fn forgotten(sagas: &mut Sagas, keep_ms: i64, now_ms: i64) -> Vec<RunId> {
        std::iter::from_fn(|| sagas.forget(keep_ms, now_ms)).map(|(run, _)| run).collect()
    }

    #[test]
    fn what_never_started_and_what_came_again_is_forgotten_too() {
        let mut sagas = Sagas::new(definition(7));
        sagas.put(run("stub"), ended(End::Forgotten, 1));
        sagas.put(run("done"), ended(End::Completed, 2));
        sagas.put(run("forming"), live("forming", Status::Forming, 7));
        sagas.put(run("running"), live("running", Status::Running, 7));
        assert_eq!((sagas.known(), sagas.live()), (4, 2));
        assert_eq!(forgotten(&mut sagas, 1, 2), []);
        assert_eq!(forgotten(&mut sagas, 1, 3), [run("done")], "a stub holds up nobody");
        assert_eq!(forgotten(&mut sagas, 1, STRAY_MS_MIN), []);
        let mut both = vec![run("stub"), run("forming")];
        both.sort();
        assert_eq!(forgotten(&mut sagas, 1, STRAY_MS_MIN + 1), both);
        assert_eq!((sagas.known(), sagas.live()), (1, 1));

        sagas.put(run("stub"), ended(End::Forgotten, 1));
        assert_eq!(forgotten(&mut sagas, 7 * DAY_MS, 7 * DAY_MS), []);
        assert_eq!(forgotten(&mut sagas, 7 * DAY_MS, 7 * DAY_MS + 1), [run("stub")]);
    }

    #[test]
    fn a_saga_whose_start_came_is_no_stray_any_more() {
        let mut sagas = Sagas::new(definition(7));
        sagas.put(run("a"), live("a", Status::Forming, 7));
        assert!(sagas.take(run("a")).is_some());
        sagas.put(run("a"), live("a", Status::Running, 7));
        assert_eq!(forgotten(&mut sagas, 0, i64::MAX), []);
    }

    #[test]
    fn an_abandoned_saga_waits_for_no_time() {
        let mut sagas = Sagas::new(definition(8));
        sagas.put(run("old"), live("old", Status::Running, 7));
        sagas.put(run("new"), live("new", Status::Running, 8));
        assert_eq!((sagas.live(), sagas.abandoned()), (1, 1));
        assert_eq!(sagas.due(10).map(|timer| timer.run), Some(run("new")));
        assert_eq!(sagas.due(10), None);
        assert_eq!(forgotten(&mut sagas, 0, i64::MAX), [], "it is there to be seen");
    }
}
