//! The faults of a run: a plan drawn from a seed, and their injection into running services.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use fastrand::Rng;
use quadrille_tests::fleet::Fleet;
use quadrille_tests::wait::eventually;

use super::seen::Seen;

/// How long a victim may take to come to an armed failpoint, and the mesh to its next outcomes.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is done to a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    /// `kill -9` of the process that reports the failpoint; it is started again.
    KillAt(&'static str),
    /// `kill -9` of any process, wherever it is; it is started again.
    Kill,
    /// `kill -9` of any process, which never comes back.
    KillForGood,
    /// SIGSTOP of any process for longer than its session, then SIGCONT.
    Freeze,
    /// The same, of one that reports a failpoint.
    FreezeAt(&'static str),
}

impl Fault {
    /// Whether it ends a process.
    pub(super) fn is_kill(self) -> bool {
        !matches!(self, Fault::Freeze | Fault::FreezeAt(_))
    }
}

/// Faults to inject, in this order: `how_many` of each, shuffled.
pub(super) fn plan(how_many: &[(Fault, usize)], rng: &mut Rng) -> Vec<Fault> {
    let repeated = how_many.iter().flat_map(|(fault, count)| std::iter::repeat_n(*fault, *count));
    let mut plan: Vec<_> = repeated.collect();
    rng.shuffle(&mut plan);
    plan
}

/// Injects faults into a fleet.
pub(super) struct Faults<'a> {
    pub(super) fleet: &'a mut Fleet,
    pub(super) seen: &'a mut Seen,
    /// The folder of the failpoints.
    pub(super) failpoints: PathBuf,
    pub(super) rng: Rng,
    /// For how long a process is frozen.
    pub(super) frozen: Duration,
    /// At most so many outcomes lie between two faults; at least one does.
    pub(super) gap: usize,
    /// What was done, and to whom.
    pub(super) done: Vec<(Fault, String)>,
}

impl Faults<'_> {
    /// One fault after the other, each only after an outcome since the last.
    pub(super) fn run(&mut self, plan: &[Fault]) -> Result<()> {
        for fault in plan {
            let gap = self.rng.usize(1..=self.gap);
            self.outcomes(gap)?;
            self.inject(*fault).with_context(|| format!("{fault:?}, after {:?}", self.done))?;
            self.fleet.healthy()?;
        }
        self.outcomes(1)
    }

    fn inject(&mut self, fault: Fault) -> Result<()> {
        let victim = match fault {
            Fault::KillAt(point) | Fault::FreezeAt(point) => self.at(point)?,
            Fault::Kill | Fault::KillForGood | Fault::Freeze => {
                let running = self.fleet.running();
                *self.rng.choice(&running).context("nothing runs")?
            }
        };
        let name = self.fleet.name(victim);
        if fault.is_kill() {
            self.fleet.kill(victim)?;
            if fault != Fault::KillForGood {
                self.fleet.start(victim)?;
            }
        } else {
            self.fleet.freeze(victim)?;
            thread::sleep(self.frozen);
            self.fleet.thaw(victim)?;
        }
        println!("  {fault:?}: {name}, {} outcomes so far", self.seen.outcomes);
        self.done.push((fault, name));
        Ok(())
    }

    /// Arms a failpoint and waits for the process that takes it.
    fn at(&self, point: &str) -> Result<usize> {
        fs::write(self.failpoints.join(point), "")?;
        let prefix = format!("{point}.hit.");
        eventually(PATIENCE, &format!("a service comes to {point}"), || {
            for entry in fs::read_dir(&self.failpoints)? {
                let entry = entry?;
                let name = entry.file_name();
                if let Some(pid) = name.to_str().and_then(|name| name.strip_prefix(&prefix)) {
                    fs::remove_file(entry.path())?;
                    let pid = pid.parse().context("no process")?;
                    return Ok(self.fleet.with_pid(pid));
                }
            }
            anyhow::bail!("nobody has")
        })?
        .context("the process that took it is none of ours")
    }

    /// Waits for so many further outcomes.
    fn outcomes(&mut self, further: usize) -> Result<()> {
        self.seen.look()?;
        let wanted = self.seen.outcomes + further;
        eventually(PATIENCE, "further outcomes appear", || {
            self.seen.look()?;
            let found = self.seen.outcomes;
            ensure!(found >= wanted, "{found} of {wanted}, the last fault was {:?}", self.done.last());
            Ok(())
        })
    }
}

/// How often each fault was done.
pub(super) fn counts(done: &[(Fault, String)]) -> BTreeMap<Fault, usize> {
    let mut counts = BTreeMap::new();
    for (fault, _) in done {
        *counts.entry(*fault).or_default() += 1;
    }
    counts
}
