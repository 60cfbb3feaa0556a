//! What a power cut leaves: everything acknowledged under `Flush::Commit`, wherever it comes.
//!
//! A load runs while every change to files is noted. For many moments of it, the folder is made as the device could have left it
//! then, a broker is started on it, and a client looks for what had been acknowledged. A cut that a missing flush makes harmful
//! must be found: each kind of flush is ignored once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use quadrille_broker::trace::{self, Disk, Fate, Op, Ops};
use quadrille_broker::{Broker, Config, Flush};
use rdkafka::consumer::Consumer;
use rdkafka::producer::Producer;

#[path = "restart/clients.rs"]
#[allow(dead_code)]
mod clients;

use clients::{
    SOON, committed, create_topic, create_topic_with, drain, put, put_keyed, read, reader, send_offset,
    transactional, values,
};

const TRANSACTIONS: i64 = 120;
const KEYS: i64 = 5;
const CUTS: usize = 80;
const COMPACTED: [(&str, &str); 2] = [("cleanup.policy", "compact"), ("min.cleanable.dirty.ratio", "0.001")];

/// A transaction that ended, and when that was acknowledged, in operations.
#[derive(Debug)]
struct Ended {
    number: i64,
    committed: bool,
    at: usize,
}

/// What happened to files, and what was acknowledged meanwhile.
struct Load {
    ops: Ops,
    /// When the topics were there.
    ready: usize,
    ended: Vec<Ended>,
}

fn config(data: &Path) -> Result<Config> {
    let base = Config::new("127.0.0.1:0".parse()?, data);
    Ok(Config {
        checkpoint_bytes: 20_000,
        tail_bytes: 1_500,
        max_segment_bytes: 2_000,
        maintenance_interval_ms: 50,
        flush: Flush::Commit,
        ..base
    })
}

fn run_load() -> Result<Load> {
    let data = tempfile::tempdir()?;
    trace::start(data.path());
    let broker = Broker::start(config(data.path())?)?;
    let bootstrap = broker.bootstrap();
    create_topic(&bootstrap, "in", 1)?;
    create_topic(&bootstrap, "out", 2)?;
    create_topic_with(&bootstrap, "newest", 1, &COMPACTED)?;
    let ready = trace::position();
    let group = reader(&bootstrap, "group", "read_committed")?;
    let producer = transactional(&bootstrap, "txn")?;
    let mut ended = Vec::new();
    for number in 1..=TRANSACTIONS {
        let (name, committed) = (format!("{number}-{}", "x".repeat(80)), number % 4 != 3);
        producer.begin_transaction()?;
        put(&producer, "out", 0, &name)?;
        put(&producer, "out", 1, &name)?;
        put_keyed(&producer, "newest", &(number % KEYS).to_string(), &name)?;
        drain(&producer)?;
        send_offset(&producer, &group, "in", number)?;
        if committed {
            producer.commit_transaction(SOON)?
        } else {
            producer.abort_transaction(SOON)?
        }
        ended.push(Ended { number, committed, at: trace::position() });
    }
    await_compaction(&bootstrap)?;
    broker.stop()?;
    Ok(Load { ops: trace::stop(), ready, ended })
}

fn await_compaction(bootstrap: &str) -> Result<()> {
    let deadline = Instant::now() + SOON;
    while read(bootstrap, "newest", 0, "read_committed")?.len() as i64 > TRANSACTIONS / 2 {
        ensure!(Instant::now() < deadline, "nothing was compacted");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Starts a broker on what a cut behind `position` operations leaves, and looks for what was acknowledged before.
fn survives(load: &Load, position: usize, fate: Fate, ignored: impl Fn(&Path, &Op) -> bool) -> Result<()> {
    let data = tempfile::tempdir()?;
    Disk::after(&load.ops[..position], ignored).leave(data.path(), fate)?;
    let broker = Broker::start(config(data.path())?)?;
    let result = if position >= load.ready { verify(load, position, &broker.bootstrap()) } else { Ok(()) };
    drop(broker);
    result
}

fn verify(load: &Load, position: usize, bootstrap: &str) -> Result<()> {
    ensure_topics(bootstrap)?;
    drop(transactional(bootstrap, "txn")?); // ends what was open
    let seen: Vec<Vec<i64>> = (0..2).map(|p| numbers(bootstrap, "out", p)).collect::<Result<_>>()?;
    ensure!(seen[0] == seen[1], "torn: {:?} and {:?}", seen[0], seen[1]);
    ensure!(seen[0].is_sorted_by(|a, b| a < b), "twice or out of order: {:?}", seen[0]);
    let seen: BTreeSet<i64> = seen[0].iter().copied().collect();
    let acknowledged = load.ended.iter().filter(|e| e.at <= position);
    for Ended { number, committed, .. } in acknowledged.clone() {
        ensure!(seen.contains(number) == *committed, "transaction {number}, committed: {committed}");
    }
    let mut newest = BTreeMap::new();
    for number in numbers(bootstrap, "newest", 0)? {
        ensure!(seen.contains(&number), "{number} is in the compacted topic only");
        newest.insert(number % KEYS, number);
    }
    let expected: BTreeMap<i64, i64> = seen.iter().map(|number| (number % KEYS, *number)).collect();
    ensure!(newest == expected, "compacted: {newest:?}, expected {expected:?}");
    let last = seen.last().copied().unwrap_or(-1);
    let offset = committed(bootstrap, "group", "in")?;
    ensure!(offset == last, "offset {offset} with transaction {last}");
    Ok(())
}

/// Fails at once, where a reader would wait for its topic.
fn ensure_topics(bootstrap: &str) -> Result<()> {
    let metadata = reader(bootstrap, "looking", "read_committed")?.fetch_metadata(None, SOON)?;
    let found: BTreeSet<&str> = metadata.topics().iter().map(|t| t.name()).collect();
    ensure!(["in", "newest", "out"].iter().all(|topic| found.contains(topic)), "only {found:?} are there");
    Ok(())
}

fn numbers(bootstrap: &str, topic: &str, partition: i32) -> Result<Vec<i64>> {
    let found = values(&read(bootstrap, topic, partition, "read_committed")?);
    found.iter().map(|v| v.split('-').next().context("no number")?.parse().context(v.clone())).collect()
}

/// Moments spread over the whole load, and each fate in turn.
fn cuts(load: &Load, count: usize) -> impl Iterator<Item = (usize, Fate)> {
    let fate = |i: usize| match i % 5 {
        0 => Fate::Lost,
        1 => Fate::Kept,
        2 => Fate::NamesOnly,
        _ => Fate::Chance(i as u64 * 7919),
    };
    let total = load.ops.len();
    (0..count).map(move |i| ((i + 1) * total / count, fate(i)))
}

#[test]
fn what_was_acknowledged_survives_a_power_cut_and_a_missing_flush_is_noticed() {
    let load = run_load().unwrap();
    let kinds = |wanted: fn(&Op) -> bool| load.ops.iter().filter(|(_, op)| wanted(op)).count();
    let checkpoints = kinds(|op| matches!(op, Op::Rename(_)));
    assert!(checkpoints > 3 && kinds(|op| matches!(op, Op::Remove)) > 5, "{checkpoints} checkpoints");
    let harm = harmful(&load, |_, _| false);
    assert!(harm.is_none(), "{}", harm.unwrap_or_default());
    let is = |extension: &'static str| {
        move |path: &Path, op: &Op| *op == Op::Flush && path.extension().is_some_and(|e| e == extension)
    };
    let folders =
        |folder: &'static str| move |path: &Path, op: &Op| *op == Op::FlushFolder && path.starts_with(folder);
    noticed(&load, "journals", is("journal"));
    noticed(&load, "checkpoints", is("draft"));
    noticed(&load, "segments", is("log"));
    noticed(&load, "the journal's folder", folders("journal"));
    noticed(&load, "the topics' folders", folders("topics"));
    noticed(&load, "the data folder", |path, op| *op == Op::FlushFolder && path.as_os_str().is_empty());
}

/// Without these flushes, some cut must do harm.
fn noticed(load: &Load, what: &str, ignored: impl Fn(&Path, &Op) -> bool + Sync) {
    assert!(harmful(load, ignored).is_some(), "nobody notices that {what} are not flushed");
}

/// A cut after which something acknowledged is missing, if there is one.
fn harmful(load: &Load, ignored: impl Fn(&Path, &Op) -> bool + Sync) -> Option<String> {
    let (cuts, found) = (Mutex::new(cuts(load, CUTS)), Mutex::new(None));
    let look = || {
        while found.lock().unwrap().is_none() {
            let Some((position, fate)) = cuts.lock().unwrap().next() else { return };
            if let Err(error) = survives(load, position, fate, &ignored) {
                let total = load.ops.len();
                *found.lock().unwrap() =
                    Some(format!("cut behind {position} of {total} operations, {fate:?}: {error:?}"));
            }
        }
    };
    // Clients mostly wait.
    std::thread::scope(|scope| (0..8).for_each(|_| drop(scope.spawn(look))));
    found.into_inner().unwrap()
}
