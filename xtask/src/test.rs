//! `cargo xtask test`: the stages in order; the first that fails ends the run.

use std::path::Path;
use std::time::Instant;
use std::{env, fs};

use anyhow::{Context, Result, ensure};

use crate::command::{self, cargo, run_watched, shown};
use crate::counts::Counts;
use crate::{purity, workspace};

/// The end-to-end run writes its counts into the file that this variable names.
const REPORT: &str = "QUADRILLE_IT_REPORT";

/// What a developer asked for.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) only: Option<Only>,
    /// Passed on to the test binaries.
    pub(crate) filter: Vec<String>,
}

/// One group of stages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Only {
    Lint,
    Unit,
    It,
}

/// Runs the stages and prints the counts. Whether all went well.
pub(crate) fn run(root: &Path, wanted: &Wanted) -> bool {
    let mut counts = Counts::default();
    let outcome = stages(root, wanted, &mut counts);
    println!();
    if let Err(error) = &outcome {
        println!("FAILED: {error:#}\n");
        // A stage that could not even count its tests is one failure.
        counts.failed = counts.failed.max(1);
    }
    println!("{counts}");
    outcome.is_ok()
}

fn stages(root: &Path, wanted: &Wanted, counts: &mut Counts) -> Result<()> {
    let asked = |group: Only| wanted.only.is_none_or(|only| only == group);
    if asked(Only::Lint) {
        stage("format", || plain(["fmt", "--all", "--check"]))?;
        stage("lints", || plain(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
        stage("pure crates", || purity::check(root))?;
    }
    if asked(Only::Unit) {
        stage("unit tests", || unit_tests(wanted, counts))?;
    }
    if asked(Only::It) {
        stage("promises, end to end", || promises(root, wanted, counts))?;
    }
    Ok(())
}

fn stage(name: &str, body: impl FnOnce() -> Result<()>) -> Result<()> {
    println!("\n=== {name}");
    let started = Instant::now();
    body().with_context(|| name.to_owned())?;
    println!("=== {name}: good, {:.1} s", started.elapsed().as_secs_f64());
    Ok(())
}

fn plain<const N: usize>(args: [&str; N]) -> Result<()> {
    let command = cargo(args);
    println!("$ {}", shown(&command));
    command::run(command)
}

fn unit_tests(wanted: &Wanted, counts: &mut Counts) -> Result<()> {
    tests(&["test", "--workspace", "--exclude", "quadrille-tests", "--no-fail-fast"], wanted, counts, None)
}

fn promises(root: &Path, wanted: &Wanted, counts: &mut Counts) -> Result<()> {
    let report = workspace::scratch(root)?.join("it-report.json");
    let _ = fs::remove_file(&report);
    // Promises start the programs of the workspace. Named with the tests and the whole workspace, crates have the features
    // that the unit tests built them with; alone, the programs would have others, and seven crates be built twice.
    plain(["build", "--workspace", "--bins", "--tests"])?;
    let outcome = tests(&["test", "--workspace", "--test", "promises"], wanted, counts, Some(&report));
    if let Ok(text) = fs::read_to_string(&report) {
        counts.add_report(&text)?;
    }
    outcome?;
    ensure!(counts.embedded > 0 || !wanted.filter.is_empty(), "nothing ran against the embedded broker");
    if env::var("CI").as_deref() == Ok("true") && wanted.filter.is_empty() {
        ensure!(
            counts.kafka > 0 && counts.registry > 0,
            "CI=true, and nothing ran against a real broker or registry"
        );
    }
    Ok(())
}

fn tests(args: &[&str], wanted: &Wanted, counts: &mut Counts, report: Option<&Path>) -> Result<()> {
    let mut command = cargo(args);
    if !wanted.filter.is_empty() {
        command.arg("--").args(&wanted.filter);
    }
    if let Some(report) = report {
        command.env(REPORT, report);
    }
    println!("$ {}", shown(&command));
    run_watched(command, |line| counts.add_line(line))
}
