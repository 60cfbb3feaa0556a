//! Tries the possible runs of a saga: each step with each of its results, until the saga ends or nothing is left
//! to happen. Steps commute, so that one order per set of results is enough. A successful run is tried first.

use std::collections::{BTreeMap, BTreeSet};

use crate::flow::{forward_emitters, results};
use crate::mesh::{Group, Mesh, Owner, Saga, Step};
use crate::schemas::Limits;

/// A run that stops without an outcome.
#[derive(Debug, Clone)]
pub(super) struct Stopped<'m> {
    /// What occurred.
    pub(super) occurred: BTreeSet<&'m str>,
    /// The results that differ from a step's first success, and the foreign events that stay out: what led here.
    pub(super) because: Vec<String>,
}

/// What the runs of a saga have shown.
#[derive(Debug, Default)]
pub(super) struct Runs<'m> {
    /// Some run completes the saga.
    pub(super) completes: bool,
    /// The first run found that stops without an outcome.
    pub(super) stopped: Option<Stopped<'m>>,
    /// Not all runs were tried.
    pub(super) cut_short: bool,
}

/// Something that may happen: a step, or an event from outside the saga.
struct Chance<'m> {
    needs: &'m [String],
    results: Vec<(Vec<&'m str>, Option<String>)>,
}

/// Tries the runs of a saga. `all` asks for every run; else the search ends with the first that completes.
pub(super) fn of<'m>(mesh: &'m Mesh, saga: &'m Saga, all: bool) -> Runs<'m> {
    let chances = chances(mesh, saga);
    let mut explorer = Explorer { saga, all, chances: &chances, moments: 0, runs: Runs::default() };
    for start in &saga.starts {
        let mut run = Run { occurred: BTreeSet::from([start.as_str()]), ..Run::default() };
        explorer.explore(&mut run);
    }
    explorer.runs
}

struct Explorer<'c, 'm> {
    saga: &'m Saga,
    all: bool,
    chances: &'c BTreeMap<&'m str, Chance<'m>>,
    moments: usize,
    runs: Runs<'m>,
}

/// A run up to some moment.
#[derive(Default)]
struct Run<'m> {
    occurred: BTreeSet<&'m str>,
    taken: BTreeSet<&'m str>,
    because: Vec<String>,
}

impl<'c, 'm> Explorer<'c, 'm> {
    /// Goes on with a run in every way, and leaves it as it was.
    fn explore(&mut self, run: &mut Run<'m>) {
        if self.is_done() {
            return;
        }
        self.moments += 1;
        let has = |event: &String| run.occurred.contains(event.as_str());
        if self.saga.fails.iter().any(has) {
            return;
        }
        let complete = match &self.saga.completes {
            Group::Any(events) => events.iter().any(has),
            Group::All(events) => events.iter().all(has),
        };
        if complete {
            self.runs.completes = true;
            return;
        }
        let chances: &'c BTreeMap<&'m str, Chance<'m>> = self.chances;
        let next =
            chances.iter().find(|(name, chance)| !run.taken.contains(*name) && chance.needs.iter().all(has));
        let Some((name, chance)) = next else {
            let stopped = Stopped { occurred: run.occurred.clone(), because: run.because.clone() };
            self.runs.stopped.get_or_insert(stopped);
            return;
        };
        run.taken.insert(name);
        for (events, because) in &chance.results {
            let new: Vec<&'m str> = events.iter().copied().filter(|e| run.occurred.insert(e)).collect();
            run.because.extend(because.clone());
            self.explore(run);
            run.because.truncate(run.because.len() - usize::from(because.is_some()));
            new.iter().for_each(|event| _ = run.occurred.remove(event));
        }
        run.taken.remove(name);
    }

    fn is_done(&mut self) -> bool {
        let enough = self.runs.completes && (!self.all || self.runs.stopped.is_some());
        if !enough && self.moments >= Limits::MOMENTS_MAX {
            self.runs.cut_short = true;
        }
        enough || self.runs.cut_short
    }
}

fn chances<'m>(mesh: &'m Mesh, saga: &'m Saga) -> BTreeMap<&'m str, Chance<'m>> {
    let mut chances: BTreeMap<&str, Chance<'_>> =
        mesh.steps_in(&saga.name).map(|step| (step.name.as_str(), step_chance(step))).collect();
    let awaited = mesh.steps_in(&saga.name).flat_map(|s| s.when.events());
    for event in awaited.chain(saga.completes.events()).filter(|e| is_outside(mesh, saga, e)) {
        let out = format!("`{event}` does not come from outside");
        let results = vec![(vec![event.as_str()], None), (Vec::new(), Some(out))];
        chances.insert(event, Chance { needs: &[], results });
    }
    chances
}

fn step_chance(step: &Step) -> Chance<'_> {
    let because = |index: usize, events: &[&str]| {
        (index > 0).then(|| format!("`{}` answers with `{}`", step.name, events.join("`, `")))
    };
    let results = results(step).into_iter().enumerate();
    Chance {
        needs: step.when.events(),
        results: results.map(|(index, events)| (events.clone(), because(index, &events))).collect(),
    }
}

/// Whether an event comes from outside the saga in the middle of it.
fn is_outside(mesh: &Mesh, saga: &Saga, event: &str) -> bool {
    if saga.starts.iter().any(|s| s == event) {
        return false;
    }
    let foreign = mesh.events.get(event).is_some_and(|e| e.owner == Owner::Foreign);
    foreign || forward_emitters(mesh, event).any(|s| s.saga.as_deref() != Some(&saga.name))
}
