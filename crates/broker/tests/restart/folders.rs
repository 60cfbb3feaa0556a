//! Data folders: stopped cleanly, torn, damaged, shared.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use quadrille_broker::{Broker, Config, Error, Flush};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{Producer, ThreadedProducer};

use crate::clients::{SOON, config, create_topic, put, read, values};

fn settings(data: &Path) -> Result<Config> {
    Ok(Config { flush: Flush::Os, ..Config::new("127.0.0.1:0".parse()?, data) })
}

fn start(data: &Path) -> Result<Broker> {
    Ok(Broker::start(settings(data)?)?)
}

fn write(broker: &Broker, topic: &str, new: &[&str]) -> Result<()> {
    let producer: ThreadedProducer<_> =
        config(&broker.bootstrap()).set("enable.idempotence", "true").create()?;
    for value in new {
        put(&producer, topic, 0, value)?;
    }
    Ok(producer.flush(SOON)?)
}

fn seen(broker: &Broker, topic: &str) -> Result<Vec<String>> {
    Ok(values(&read(&broker.bootstrap(), topic, 0, "read_committed")?))
}

fn files(data: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let all = fs::read_dir(data.join("journal"))?.map(|e| Ok(e?.path()));
    let mut found: Vec<PathBuf> = all.collect::<Result<_>>()?;
    found.retain(|p| p.extension().is_some_and(|e| e == extension));
    found.sort();
    Ok(found)
}

/// A folder with a topic of three records whose broker was killed, so to speak: it lies in the journal.
fn unclean(data: &Path) -> Result<PathBuf> {
    let broker = start(data)?;
    create_topic(&broker.bootstrap(), "t", 1)?;
    for value in ["a", "b", "c"] {
        write(&broker, "t", &[value])?;
    }
    drop(broker);
    files(data, "journal")?.pop().context("no journal")
}

pub(crate) fn a_clean_stop_leaves_nothing_to_replay() -> Result<()> {
    let data = tempfile::tempdir()?;
    unclean(data.path())?;
    start(data.path())?.stop()?;
    let journals = files(data.path(), "journal")?;
    ensure!(journals.len() == 1 && fs::metadata(&journals[0])?.len() < 100, "{journals:?}");
    ensure!(files(data.path(), "checkpoint")?.len() == 1, "one checkpoint");
    let broker = start(data.path())?;
    ensure!(seen(&broker, "t")? == ["a", "b", "c"], "records");
    write(&broker, "t", &["d"])?;
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(broker.shutdown())?;
    ensure!(seen(&start(data.path())?, "t")? == ["a", "b", "c", "d"], "records after the second stop");
    Ok(())
}

pub(crate) fn a_torn_tail_is_cut() -> Result<()> {
    let data = tempfile::tempdir()?;
    let journal = unclean(data.path())?;
    let mut bytes = fs::read(&journal)?;
    let whole = bytes.len();
    bytes.extend([0, 0, 0, 50, 1, 2, 3]);
    fs::write(&journal, &bytes)?;
    let broker = start(data.path())?;
    ensure!(seen(&broker, "t")? == ["a", "b", "c"], "records");
    write(&broker, "t", &["d"])?;
    drop(broker);
    ensure!(fs::read(&journal)?[..whole] == bytes[..whole], "what was there before stays");
    ensure!(seen(&start(data.path())?, "t")? == ["a", "b", "c", "d"], "records behind the cut");
    Ok(())
}

fn refused(data: &Path, damaged: &Path) -> Result<()> {
    let before = fs::read(damaged)?;
    match Broker::start(settings(data)?) {
        Err(Error::Corrupt { path, .. }) => ensure!(path == damaged, "{path:?}"),
        other => anyhow::bail!("started, or failed otherwise: {other:?}"),
    }
    ensure!(fs::read(damaged)? == before, "the refusal changed the file");
    Ok(())
}

pub(crate) fn damage_in_the_middle_is_refused() -> Result<()> {
    let data = tempfile::tempdir()?;
    let journal = unclean(data.path())?;
    let good = fs::read(&journal)?;
    for at in [3, 40, good.len() / 2] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        fs::write(&journal, &bad)?;
        refused(data.path(), &journal).with_context(|| format!("byte {at}"))?;
    }
    fs::write(&journal, &good)?;
    ensure!(seen(&start(data.path())?, "t")? == ["a", "b", "c"], "repaired");
    Ok(())
}

pub(crate) fn damage_in_a_checkpoint_is_refused() -> Result<()> {
    let data = tempfile::tempdir()?;
    unclean(data.path())?;
    start(data.path())?.stop()?;
    let checkpoint = files(data.path(), "checkpoint")?.pop().context("no checkpoint")?;
    let good = fs::read(&checkpoint)?;
    for bad in [good[..good.len() - 1].to_vec(), [&good[..60], &[good[60] ^ 1], &good[61..]].concat()] {
        fs::write(&checkpoint, &bad)?;
        refused(data.path(), &checkpoint)?;
    }
    Ok(())
}

pub(crate) fn a_folder_is_served_by_one_broker() -> Result<()> {
    let data = tempfile::tempdir()?;
    let first = start(data.path())?;
    ensure!(matches!(Broker::start(settings(data.path())?), Err(Error::InUse(_))), "a second one started");
    drop(first);
    start(data.path())?;
    Ok(())
}

pub(crate) fn an_address_others_can_reach_is_refused() -> Result<()> {
    let data = tempfile::tempdir()?;
    for address in ["0.0.0.0:0", "192.168.1.1:9092", "[::]:0"] {
        let result = Broker::start(Config::new(address.parse()?, data.path()));
        ensure!(matches!(result, Err(Error::NotLoopback(_))), "{address}: {result:?}");
    }
    Ok(())
}

pub(crate) fn sequences_are_remembered_over_a_restart() -> Result<()> {
    let data = tempfile::tempdir()?;
    let broker = start(data.path())?;
    let address = broker.bootstrap();
    create_topic(&address, "t", 1)?;
    let producer: ThreadedProducer<_> = config(&address).set("enable.idempotence", "true").create()?;
    for round in 0..6 {
        put(&producer, "t", 0, &round.to_string())?;
        producer.flush(SOON)?;
    }
    broker.stop()?;
    let again = Broker::start(Config { listen: address.parse()?, ..settings(data.path())? })?;
    for round in 6..9 {
        put(&producer, "t", 0, &round.to_string())?;
        producer.flush(SOON)?;
    }
    ensure!(producer.client().fatal_error().is_none(), "the producer was given up");
    let found = seen(&again, "t")?;
    ensure!(found == (0..9).map(|i| i.to_string()).collect::<Vec<_>>(), "{found:?}");
    Ok(())
}

pub(crate) fn members_go_on_over_a_restart() -> Result<()> {
    let data = tempfile::tempdir()?;
    let broker = start(data.path())?;
    let address = broker.bootstrap();
    create_topic(&address, "t", 2)?;
    let mut settings_of_member = config(&address);
    settings_of_member
        .set("group.id", "g")
        .set("session.timeout.ms", "20000")
        .set("heartbeat.interval.ms", "200");
    let member: BaseConsumer = settings_of_member.create()?;
    member.subscribe(&["t"])?;
    let deadline = std::time::Instant::now() + SOON;
    while member.assignment()?.count() < 2 {
        ensure!(std::time::Instant::now() < deadline, "no assignment");
        let _ = member.poll(Duration::from_millis(20)); // serves the rebalance
    }
    let described = |name: &str| -> Result<(String, Vec<String>)> {
        let client: BaseConsumer = config(&address).set("group.id", name).create()?;
        let list = client.fetch_group_list(Some("g"), SOON)?;
        let group = list.groups().first().context("group missing")?;
        Ok((group.state().to_string(), group.members().iter().map(|m| m.id().to_string()).collect()))
    };
    let before = described("looks-1")?;
    drop(broker);
    let _again = Broker::start(Config { listen: address.parse()?, ..settings(data.path())? })?;
    let after = described("looks-2")?;
    ensure!(before == after && before.0 == "Stable", "{before:?} before, {after:?} after");
    Ok(())
}

pub(crate) fn old_records_are_served_from_files() -> Result<()> {
    let data = tempfile::tempdir()?;
    let small = |data: &Path| -> Result<Config> {
        let base = settings(data)?;
        Ok(Config { max_segment_bytes: 100_000, tail_bytes: 10_000, checkpoint_bytes: 200_000, ..base })
    };
    let broker = Broker::start(small(data.path())?)?;
    create_topic(&broker.bootstrap(), "t", 1)?;
    let sent: Vec<String> = (0..3_000).map(|i| format!("{i}-{}", "x".repeat(i % 700))).collect();
    for part in sent.chunks(50) {
        write(&broker, "t", &part.iter().map(String::as_str).collect::<Vec<_>>())?;
    }
    ensure!(seen(&broker, "t")? == sent, "before the restart");
    drop(broker);
    let broker = Broker::start(small(data.path())?)?;
    ensure!(seen(&broker, "t")? == sent, "after the restart");
    broker.stop()?;
    ensure!(seen(&Broker::start(small(data.path())?)?, "t")? == sent, "after a clean stop");
    let folder = fs::read_dir(data.path().join("topics"))?.next().context("no topic")??.path().join("0");
    let segments =
        fs::read_dir(folder)?.flatten().filter(|e| e.path().extension().is_some_and(|x| x == "log"));
    ensure!(segments.count() > 5, "the log was not cut into segments");
    Ok(())
}
