//! Crashes at the worst moments.

use anyhow::{Result, ensure};
use quadrille_broker::Flush;
use rdkafka::producer::Producer;

use crate::child::{Process, Setup};
use crate::clients::{
    SOON, committed, create_topic, drain, put, read, reader, send_offset, transactional, values,
};

/// The broker dies when the decision of the second transaction is durable and no marker is written.
pub(crate) fn decided(commit: bool) -> Result<()> {
    let data = tempfile::tempdir()?;
    let setup = Setup::new(data.path(), Flush::Commit);
    let mut broker = Process::start_with_failpoint(&setup, "txn-after-prepare:2")?;
    let bootstrap = broker.bootstrap.clone();
    create_topic(&bootstrap, "in", 1)?;
    create_topic(&bootstrap, "out", 2)?;
    let group = reader(&bootstrap, "group", "read_committed")?;
    let producer = transactional(&bootstrap, "txn")?;
    let write = |value: &str, offset| -> Result<()> {
        producer.begin_transaction()?;
        put(&producer, "out", 0, value)?;
        put(&producer, "out", 1, value)?;
        drain(&producer)?;
        Ok(send_offset(&producer, &group, "in", offset)?)
    };
    write("one", 1)?;
    producer.commit_transaction(SOON)?;
    write("two", 2)?;
    let ended = std::thread::scope(|scope| -> Result<_> {
        let end = scope.spawn(|| {
            if commit { producer.commit_transaction(SOON) } else { producer.abort_transaction(SOON) }
        });
        let (status, said) = broker.wait_for_death()?;
        ensure!(!status.success() && said.contains("failpoint txn-after-prepare"), "{status}: {said}");
        broker.restart()?;
        Ok(end.join().expect("the producer panicked"))
    })?;
    ended?; // the client asks again, and is told what was decided
    let expected: &[&str] = if commit { &["one", "two"] } else { &["one"] };
    for partition in 0..2 {
        let seen = values(&read(&bootstrap, "out", partition, "read_committed")?);
        ensure!(seen == expected, "partition {partition}: {seen:?}, expected {expected:?}");
    }
    let offset = committed(&bootstrap, "group", "in")?;
    ensure!(offset == if commit { 2 } else { 1 }, "offset {offset}");
    write("three", 3)?;
    producer.commit_transaction(SOON)?;
    let seen = values(&read(&bootstrap, "out", 0, "read_committed")?);
    ensure!(seen.last().is_some_and(|v| v == "three"), "{seen:?}");
    Ok(())
}

/// The broker dies with frames written and not flushed: none of them was acknowledged.
pub(crate) fn before_the_flush() -> Result<()> {
    let data = tempfile::tempdir()?;
    let setup = Setup::new(data.path(), Flush::Commit);
    let mut broker = Process::start_with_failpoint(&setup, "journal-before-flush:40")?;
    written_through_a_crash(&mut broker, "journal-before-flush", 60)
}

/// The broker dies in the middle of a checkpoint.
pub(crate) fn around_a_checkpoint(failpoint: &str) -> Result<()> {
    let data = tempfile::tempdir()?;
    let setup = Setup { checkpoint_bytes: 20_000, ..Setup::new(data.path(), Flush::Os) };
    let mut broker = Process::start_with_failpoint(&setup, &format!("{failpoint}:3"))?;
    written_through_a_crash(&mut broker, failpoint, 150)
}

/// Commits transactions through a crash and a restart; each must be there once.
fn written_through_a_crash(broker: &mut Process, failpoint: &str, count: usize) -> Result<()> {
    let bootstrap = broker.bootstrap.clone();
    create_topic(&bootstrap, "out", 1)?;
    let written: Vec<String> = (0..count).map(|i| format!("{i}-{}", "x".repeat(300))).collect();
    std::thread::scope(|scope| -> Result<()> {
        let writing = scope.spawn(|| -> Result<()> {
            let producer = transactional(&bootstrap, "txn")?;
            for value in &written {
                producer.begin_transaction()?;
                put(&producer, "out", 0, value)?;
                drain(&producer)?;
                producer.commit_transaction(SOON)?;
            }
            Ok(())
        });
        let died = broker.wait_for_death();
        let (status, said) = died?;
        ensure!(!status.success() && said.contains(&format!("failpoint {failpoint}")), "{status}: {said}");
        broker.restart()?;
        writing.join().expect("the producer panicked")
    })?;
    broker.kill_and_restart()?;
    let seen = values(&read(&bootstrap, "out", 0, "read_committed")?);
    ensure!(seen == written, "{} of {count} transactions are there", seen.len());
    Ok(())
}
