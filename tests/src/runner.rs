//! Trials: one for each promise and target, two at a time, each with its time limit.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Instant;
use std::{env, thread};

use anyhow::{Result, anyhow};
use libtest_mimic::{Arguments, Completion, Failed, Trial};

use crate::cluster::{Cluster, Kind};
use crate::folders;
use crate::pool::{self, Refused};
use crate::process::{die_with_parent, tail};
use crate::promise::{Promise, PromiseBody};
use crate::python::Python;
use crate::tally;

/// Trials at the same time: each may have a broker of its own, and that is 300 MB.
const AT_ONCE: usize = 2;

/// The whole `main` of a test binary: takes the arguments of `cargo test`, runs, and reports.
pub fn run(promises: Vec<Promise>) -> ExitCode {
    match try_run(promises) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn try_run(promises: Vec<Promise>) -> Result<ExitCode> {
    let mut args = Arguments::from_args();
    args.test_threads.get_or_insert(AT_ONCE);
    die_with_parent()?;
    let conclusion = libtest_mimic::run(&args, promises.iter().flat_map(trials).collect());
    pool::shutdown();
    if args.list {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("{}", tally::times());
    tally::report()?;
    if conclusion.has_failed() {
        eprintln!("data and logs of this run are kept until the next one: {}", folders::run_dir()?.display());
    } else {
        folders::remove_run()?;
    }
    Ok(conclusion.exit_code())
}

fn trials(promise: &Promise) -> Vec<Trial> {
    match promise.body {
        PromiseBody::Alone(_) => vec![trial(promise.clone(), None)],
        PromiseBody::OnCluster(_) => {
            promise.kinds().iter().map(|kind| trial(promise.clone(), Some(*kind))).collect()
        }
    }
}

fn trial(promise: Promise, kind: Option<Kind>) -> Trial {
    let target = kind.map_or("local", Kind::name);
    Trial::ignorable_test(format!("{target}::{}", promise.name), move || {
        let _turn = Turn::take(promise.undisturbed);
        let started = Instant::now();
        let outcome = perform(&promise, kind);
        tally::count(target, &promise.name, &outcome, started.elapsed());
        outcome
    })
}

fn perform(promise: &Promise, kind: Option<Kind>) -> Result<Completion, Failed> {
    if promise.python
        && let Err(why) = Python::kit()
    {
        return unavailable(why);
    }
    let (body, cluster): (Box<dyn FnOnce() -> Result<()> + Send>, _) = match (promise.body.clone(), kind) {
        (PromiseBody::Alone(body), _) => (Box::new(body), None),
        (PromiseBody::OnCluster(_), None) => return Err("a promise on a cluster needs a target".into()),
        (PromiseBody::OnCluster(body), Some(kind)) => match pool::cluster_for(promise, kind) {
            Ok(cluster) => {
                let handed = cluster.clone();
                (Box::new(move || body(&handed)), Some(cluster))
            }
            Err(Refused::Unavailable(why)) => return unavailable(&why),
            Err(Refused::Failed(error)) => return Err(format!("{error:#}").into()),
        },
    };
    match within_limit(promise, body) {
        Ok(()) => Ok(Completion::Completed),
        Err(error) => Err(format!("{error:#}\n{}", last_words(cluster.as_ref())).into()),
    }
}

/// Held while a promise runs: by one that wants to be undisturbed alone, by others together.
enum Turn {
    Alone { _held: RwLockWriteGuard<'static, ()> },
    Together { _held: RwLockReadGuard<'static, ()> },
}

impl Turn {
    fn take(alone: bool) -> Turn {
        static TURN: RwLock<()> = RwLock::new(());
        if alone {
            Turn::Alone { _held: TURN.write().unwrap_or_else(PoisonError::into_inner) }
        } else {
            Turn::Together { _held: TURN.read().unwrap_or_else(PoisonError::into_inner) }
        }
    }
}

/// On a developer's machine a real server, or Python, may be missing; where `CI=true` it may not.
fn unavailable(why: &str) -> Result<Completion, Failed> {
    match env::var("CI").as_deref() {
        Ok("true") => Err(format!("CI=true, and {why}").into()),
        _ => Ok(Completion::ignored_with(why.replace('\n', " "))),
    }
}

/// Runs the body on a thread of its own. One that reaches its limit is left behind and ends with the process.
fn within_limit(promise: &Promise, body: Box<dyn FnOnce() -> Result<()> + Send>) -> Result<()> {
    let (done, outcome) = sync_channel(1);
    thread::Builder::new().name(promise.name.clone()).spawn(move || {
        let result =
            catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|_| Err(anyhow!("it panicked, see above")));
        // Nobody listens any more after the limit.
        let _ = done.send(result);
    })?;
    match outcome.recv_timeout(promise.limit) {
        Ok(result) => result,
        Err(RecvTimeoutError::Timeout) => Err(anyhow!("not done within its limit of {:?}", promise.limit)),
        Err(RecvTimeoutError::Disconnected) => Err(anyhow!("its thread ended without a word")),
    }
}

fn last_words(cluster: Option<&Cluster>) -> String {
    let logs = cluster.map(Cluster::logs).unwrap_or_default();
    logs.iter().map(|log| tail(log, 30)).collect::<Vec<_>>().join("\n")
}
