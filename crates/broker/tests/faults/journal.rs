//! Faults of the disk.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use kafka_protocol::messages::ApiKey;
use quadrille_broker::{Broker, Config, Effect, Error, Faults, Flush, Rule};

use crate::client::Scene;
use crate::records;

#[test]
fn a_slow_flush_holds_acknowledgements_back() -> Result<()> {
    let scene = Scene::new(|config| config.flush = Flush::Commit)?;
    let mut client = scene.client()?;
    client.create_topic("t", &[])?;
    scene.broker.faults().add(Rule::new("slow", Effect::SlowFlush { ms: 200 }))?;
    let began = Instant::now();
    ensure!(client.produce("t", None, records("a")?)? == (0, 0), "refused");
    ensure!(began.elapsed() >= Duration::from_millis(200), "{:?}", began.elapsed());
    ensure!(scene.broker.faults().count("slow").happened > 0, "never");
    Ok(())
}

#[test]
fn a_full_disk_ends_the_broker_and_keeps_what_was_acknowledged() -> Result<()> {
    for flush in [Flush::Commit, Flush::Os] {
        let (data, faults) = (tempfile::tempdir()?, Faults::default());
        let start = || -> Result<Broker, Error> {
            let mut config = Config::new(([127, 0, 0, 1], 0).into(), data.path());
            (config.flush, config.faults) = (flush, faults.clone());
            Broker::start(config)
        };
        let broker = start()?;
        let mut client = Scene::connect(&broker)?;
        client.create_topic("t", &[])?;
        ensure!(client.produce("t", None, records("kept")?)? == (0, 0), "refused");
        faults.add(Rule::new("full", Effect::FullDisk))?;
        ensure!(client.produce("t", None, records("lost")?).is_err(), "acknowledged without room");
        let reason = broker.failure().context("no reason")?;
        ensure!(reason.contains("No space left on device"), "{reason}");
        drop(broker);
        // Still full: it starts, and ends at the first write.
        let broker = start()?;
        ensure!(
            Scene::connect(&broker)?.produce("t", None, records("lost")?).is_err(),
            "acknowledged without room"
        );
        ensure!(broker.failure().is_some() && faults.count("full").happened >= 2, "{:?}", faults.list());
        drop(broker);
        faults.clear();
        let broker = start()?;
        let found = Scene::connect(&broker)?.produce("t", None, records("next")?)?;
        ensure!(found == (0, 1), "{flush:?}: {found:?}, of half-written frames nothing may be left");
    }
    Ok(())
}

#[test]
fn a_removed_rule_does_nothing() -> Result<()> {
    let scene = Scene::new(|_| {})?;
    let faults = scene.broker.faults();
    faults.add(Rule::new("r", Effect::DropRequest))?;
    ensure!(faults.remove("r") && !faults.remove("r") && faults.list().is_empty(), "{:?}", faults.list());
    let mut client = scene.client()?;
    client.send(ApiKey::ApiVersions, 0, &[])?;
    client.receive()?;
    Ok(())
}
