//! Transactional and idempotent load while the broker is killed again and again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use quadrille_broker::Flush;
use rdkafka::client::ClientContext;
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};

use crate::child::{Process, Setup};
use crate::clients::{
    committed, config, create_topic, create_topic_with, drain, put, put_keyed, read, reader, send_offset,
    transactional, values,
};

/// How often the broker is killed; `QUADRILLE_BROKER_KILLS=100` is the long form.
const KILLS: usize = 5;
const LANES: usize = 3;
/// Keys of each lane in the compacted topic.
const KEYS: i64 = 5;
const COMPACTED: [(&str, &str); 2] = [("cleanup.policy", "compact"), ("min.cleanable.dirty.ratio", "0.001")];

/// What a lane knows of its transactions.
#[derive(Debug, Default)]
struct Ledger {
    committed: BTreeSet<String>,
    aborted: BTreeSet<String>,
    /// Neither known to be committed nor known to be aborted.
    unknown: BTreeSet<String>,
    last_offset: i64,
}

pub(crate) fn killed_under_load(flush: Flush) -> Result<()> {
    let data = tempfile::tempdir()?;
    // Checkpoints and full segments come often, so that kills hit them and compaction too.
    let setup = Setup { checkpoint_bytes: 200_000, segment_bytes: 4_000, ..Setup::new(data.path(), flush) };
    let mut broker = Process::start(&setup)?;
    let bootstrap = broker.bootstrap.clone();
    create_topic(&bootstrap, "in", 1)?;
    create_topic(&bootstrap, "out", 2)?;
    create_topic(&bootstrap, "plain", 1)?;
    create_topic_with(&bootstrap, "newest", 1, &COMPACTED)?;
    let stop = AtomicBool::new(false);
    let done: [AtomicUsize; LANES] = Default::default();
    let (ledgers, acknowledged) = std::thread::scope(|scope| -> Result<_> {
        let (stop, done, bootstrap) = (&stop, &done, bootstrap.as_str());
        let lanes: Vec<_> =
            (0..LANES).map(|i| scope.spawn(move || lane(bootstrap, i, stop, &done[i]))).collect();
        let plain = scope.spawn(move || idempotent(bootstrap, stop));
        let killed = kill_while_busy(&mut broker, done);
        stop.store(true, Ordering::SeqCst);
        killed?;
        let ledgers: Result<Vec<Ledger>> =
            lanes.into_iter().map(|l| l.join().expect("a lane panicked")).collect();
        Ok((ledgers?, plain.join().expect("the plain producer panicked")?))
    })?;
    verify_lanes(&bootstrap, &ledgers)?;
    verify_compacted(&bootstrap, &ledgers)?;
    verify_plain(&bootstrap, &acknowledged)
}

/// Kills the broker again and again, each time after every lane has ended transactions since the last.
fn kill_while_busy(broker: &mut Process, done: &[AtomicUsize]) -> Result<()> {
    let ended = || -> Vec<usize> { done.iter().map(|lane| lane.load(Ordering::SeqCst)).collect() };
    let kills = std::env::var("QUADRILLE_BROKER_KILLS").ok().map_or(Ok(KILLS), |kills| kills.parse())?;
    for kill in 0..kills {
        let (before, deadline) = (ended(), Instant::now() + Duration::from_secs(120));
        while ended().iter().zip(&before).any(|(now, before)| *now < before + 10) {
            ensure!(Instant::now() < deadline, "no progress before kill {kill}: {before:?}, {:?}", ended());
            std::thread::sleep(Duration::from_millis(1));
        }
        broker.kill_and_restart().with_context(|| format!("after kill {kill}"))?;
    }
    println!("{kills} kills, {} transactions ended", ended().iter().sum::<usize>());
    Ok(())
}

fn lane(bootstrap: &str, number: usize, stop: &AtomicBool, done: &AtomicUsize) -> Result<Ledger> {
    let group = reader(bootstrap, &format!("group-{number}"), "read_committed")?;
    let id = format!("lane-{number}");
    let (mut ledger, mut producer, mut count) = (Ledger::default(), transactional(bootstrap, &id)?, 0);
    while !stop.load(Ordering::SeqCst) {
        count += 1;
        let (name, commit) = (format!("{number}-{count}"), count % 4 != 3);
        let result = (|| -> Result<()> {
            producer.begin_transaction()?;
            put(&producer, "out", 0, &name)?;
            put(&producer, "out", 1, &name)?;
            put_keyed(&producer, "newest", &key(number, count), &name)?;
            drain(&producer)?;
            send_offset(&producer, &group, "in", count)?;
            if commit {
                producer.commit_transaction(crate::clients::SOON)?;
            } else {
                producer.abort_transaction(crate::clients::SOON)?;
            }
            Ok(())
        })();
        match (result, commit) {
            (Ok(()), true) => {
                ledger.committed.insert(name);
                ledger.last_offset = count;
            }
            (Ok(()), false) => {
                ledger.aborted.insert(name);
            }
            (Err(_), _) => {
                ledger.unknown.insert(name);
                producer = transactional(bootstrap, &id)?;
            }
        }
        done.fetch_add(1, Ordering::SeqCst);
    }
    Ok(ledger)
}

fn verify_lanes(bootstrap: &str, ledgers: &[Ledger]) -> Result<()> {
    let seen: Vec<Vec<String>> =
        (0..2).map(|p| Ok(values(&read(bootstrap, "out", p, "read_committed")?))).collect::<Result<_>>()?;
    let sets: Vec<BTreeSet<&String>> = seen.iter().map(|s| s.iter().collect()).collect();
    ensure!(sets[0].len() == seen[0].len() && sets[1].len() == seen[1].len(), "a record is there twice");
    ensure!(
        sets[0] == sets[1],
        "torn transactions: {:?}",
        sets[0].symmetric_difference(&sets[1]).collect::<Vec<_>>()
    );
    for (number, ledger) in ledgers.iter().enumerate() {
        let lost: Vec<_> = ledger.committed.iter().filter(|name| !sets[0].contains(name)).collect();
        ensure!(lost.is_empty(), "lane {number}: committed and lost: {lost:?}");
        let leaked: Vec<_> = ledger.aborted.iter().filter(|name| sets[0].contains(name)).collect();
        ensure!(leaked.is_empty(), "lane {number}: aborted and seen: {leaked:?}");
        ensure!(ledger.committed.len() > 20, "lane {number} did too little: {ledger:?}");
        let offset = committed(bootstrap, &format!("group-{number}"), "in")?;
        let by_unknown = ledger.unknown.contains(&format!("{number}-{offset}"));
        let good = offset == ledger.last_offset || (offset > ledger.last_offset && by_unknown);
        ensure!(good, "lane {number}: offset {offset}, last committed {}", ledger.last_offset);
    }
    Ok(())
}

fn key(lane: usize, count: i64) -> String {
    format!("{lane}/{}", count % KEYS)
}

/// Of each key the newest committed value is there, unless one of unknown fate is newer; and older ones have gone.
fn verify_compacted(bootstrap: &str, ledgers: &[Ledger]) -> Result<()> {
    let committed: usize = ledgers.iter().map(|l| l.committed.len()).sum();
    let deadline = Instant::now() + crate::clients::SOON;
    let found = loop {
        let found = read(bootstrap, "newest", 0, "read_committed")?;
        if found.len() < committed {
            break found;
        }
        ensure!(Instant::now() < deadline, "{committed} committed, {} left: no compaction", found.len());
    };
    let mut newest = BTreeMap::new();
    for message in &found {
        let text = |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
        let (key, value) = (text(message.key()), text(message.payload()));
        let leaked = ledgers.iter().any(|l| l.aborted.contains(&value));
        ensure!(!leaked, "aborted and seen: {key}: {value}");
        newest.insert(key, count_of(&value));
    }
    for (lane, ledger) in ledgers.iter().enumerate() {
        for name in &ledger.committed {
            let (key, count) = (key(lane, count_of(name)), count_of(name));
            let kept = newest.get(&key).copied().unwrap_or(-1);
            ensure!(kept >= count, "{key}: {count} was committed, the newest there is {kept}");
        }
    }
    Ok(())
}

/// The number of a transaction, from its name.
fn count_of(name: &str) -> i64 {
    name.split_once('-').and_then(|(_, count)| count.parse().ok()).unwrap_or(-1)
}

#[derive(Default)]
struct Acknowledged(Mutex<Vec<(String, i64)>>);

impl ClientContext for Acknowledged {}

impl ProducerContext for Acknowledged {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Ok(message) = result {
            let value = String::from_utf8_lossy(message.payload().unwrap_or_default()).into_owned();
            self.0.lock().expect("nobody panics holding it").push((value, message.offset()));
        }
    }
}

/// Writes numbers in order until told to stop: what was acknowledged.
fn idempotent(bootstrap: &str, stop: &AtomicBool) -> Result<Vec<(String, i64)>> {
    let mut config = config(bootstrap);
    config.set("enable.idempotence", "true").set("linger.ms", "1").set("message.timeout.ms", "60000");
    let producer: ThreadedProducer<Acknowledged> = config.create_with_context(Acknowledged::default())?;
    let mut count = 0;
    while !stop.load(Ordering::SeqCst) {
        let value = count.to_string();
        if producer.send(BaseRecord::<str, str>::to("plain").payload(&value)).is_ok() {
            count += 1;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    producer.flush(crate::clients::SOON)?;
    let acknowledged = std::mem::take(&mut *producer.context().0.lock().expect("nobody panics holding it"));
    ensure!(acknowledged.len() == count, "{count} written, {} acknowledged", acknowledged.len());
    Ok(acknowledged)
}

fn verify_plain(bootstrap: &str, acknowledged: &[(String, i64)]) -> Result<()> {
    let found = read(bootstrap, "plain", 0, "read_uncommitted")?;
    let expected: Vec<String> = (0..acknowledged.len()).map(|i| i.to_string()).collect();
    ensure!(
        values(&found) == expected,
        "gaps, repeats or disorder: {} found, {} sent",
        found.len(),
        expected.len()
    );
    let offsets: Vec<i64> = found.iter().map(Message::offset).collect();
    ensure!(offsets == (0..found.len() as i64).collect::<Vec<_>>(), "offsets have gaps");
    for (value, offset) in acknowledged {
        let here = found.get(usize::try_from(*offset)?).and_then(|m| m.payload());
        ensure!(here == Some(value.as_bytes()), "{value} was acknowledged at {offset}");
    }
    Ok(())
}
