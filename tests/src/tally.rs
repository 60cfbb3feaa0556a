//! What came of the trials, by target: counts for whoever sums them up, and where the time went.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;
use std::{env, fs};

use anyhow::Result;
use libtest_mimic::{Completion, Failed};
use serde_json::{Value, json};

/// Names a file into which a run writes its counts: `{"kafka": {"passed": 1, "failed": 0, "skipped": 0}, …}`.
pub const REPORT: &str = "QUADRILLE_IT_REPORT";

/// How many of the slowest trials are named at the end.
const NAMED: usize = 5;

#[derive(Debug, Default)]
struct Target {
    passed: u32,
    failed: u32,
    skipped: u32,
    took: BTreeMap<String, Duration>,
}

static TARGETS: Mutex<BTreeMap<&'static str, Target>> = Mutex::new(BTreeMap::new());

fn targets() -> MutexGuard<'static, BTreeMap<&'static str, Target>> {
    TARGETS.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Adds one trial. The time includes that in which its servers started.
pub fn count(target: &'static str, name: &str, outcome: &Result<Completion, Failed>, took: Duration) {
    let mut targets = targets();
    let target = targets.entry(target).or_default();
    match outcome {
        Ok(Completion::Completed) => target.passed += 1,
        Ok(Completion::Ignored { .. }) => target.skipped += 1,
        Err(_) => target.failed += 1,
    }
    target.took.insert(name.to_owned(), took);
}

/// Writes the counts into the file that [`REPORT`] names, if it does.
pub fn report() -> Result<()> {
    let Some(file) = env::var_os(REPORT) else { return Ok(()) };
    let targets = targets();
    let lines = targets.iter().map(|(name, target)| {
        let Target { passed, failed, skipped, .. } = target;
        ((*name).to_owned(), json!({"passed": passed, "failed": failed, "skipped": skipped}))
    });
    fs::write(file, Value::Object(lines.collect()).to_string())?;
    Ok(())
}

/// The time of each target, summed over its trials, and the slowest trials.
pub fn times() -> String {
    let targets = targets();
    let mut lines = Vec::new();
    let mut all = Vec::new();
    for (target, found) in targets.iter() {
        let sum: Duration = found.took.values().sum();
        lines.push(format!(
            "{target}: {} checks, {:.1} s of work and waiting",
            found.took.len(),
            sum.as_secs_f64()
        ));
        all.extend(found.took.iter().map(|(name, took)| (*took, format!("{target}::{name}"))));
    }
    all.sort_unstable_by(|left, right| right.cmp(left));
    let slowest =
        all.iter().take(NAMED).map(|(took, name)| format!("  {:5.1} s  {name}", took.as_secs_f64()));
    lines.extend(slowest);
    lines.join("\n")
}
