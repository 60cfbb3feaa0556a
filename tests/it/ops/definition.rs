//! One definition of a mesh is active: who may run, and what may follow it.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use quadrille_kafka::publish::{Outgoing, Publisher};
use quadrille_kafka::topics::{self, Topic};
use quadrille_kafka::{Error, Settings, definition};
use quadrille_tests::folders::{program, run_dir};
use quadrille_tests::process::Process;
use quadrille_tests::wait::eventually;
use quadrille_tests::{Cluster, Promise, promise};
use quadrille_topology::lower;
use quadrille_types::Definition;
use quadrille_types::topics::Names;

use super::{Said, Shop, run, run_with_registry};

/// Each promise creates all topics of a mesh, some start services.
const LIMIT: Duration = Duration::from_secs(180);

/// What is waited for is slow only where the machine is.
const SOON: Duration = Duration::from_secs(60);

pub(crate) fn promises() -> Vec<Promise> {
    vec![
        promise!(on_broker, a_service_whose_file_differs_refuses_to_start).with_registry().within(LIMIT),
        promise!(on_broker, a_mesh_that_was_never_applied_has_no_services).with_registry().within(LIMIT),
        promise!(on_broker, another_definition_needs_a_higher_version).with_registry().within(LIMIT),
        promise!(on_broker, no_definition_follows_while_the_mesh_is_at_work)
            .with_registry()
            .within(LIMIT * 2),
        promise!(on_broker, of_two_who_apply_at_once_one_wins).within(LIMIT),
    ]
}

fn a_service_whose_file_differs_refuses_to_start(cluster: &Cluster) -> Result<()> {
    let shop = Shop::new(cluster, |text| text)?;
    applied(cluster, shop.file()?, "23 topics created")?;
    let changed = changed(&shop, "changed", 1)?;
    let both = [hash(&shop, shop.file()?)?, hash(&shop, &changed)?];
    for service in ["step", "saga-coordinator"] {
        let said = refused(cluster, service, &changed)?;
        let parts = [
            format!(
                "mesh {} runs version 1 (hash {}), this file is version 1 (hash {})",
                shop.mesh.name, both[0], both[1]
            ),
            "raise `version` in this one and run `quadrille apply FILE`".to_owned(),
        ];
        ensure!(parts.iter().all(|part| said.contains(part)), "{service}: {said}");
    }
    let running = started(cluster, "step", shop.file()?)?;
    running.wait_ready(SOON, || log_of(&running).contains("running"))?;
    ensure!(running.terminate(SOON)?.code() == Some(0));
    Ok(())
}

/// Nor has one that was made before definitions were written down, until it is applied again.
fn a_mesh_that_was_never_applied_has_no_services(cluster: &Cluster) -> Result<()> {
    let shop = Shop::new(cluster, |text| text)?;
    let never =
        format!("mesh {} was never applied to this cluster: run `quadrille apply FILE`", shop.mesh.name);
    let said = refused(cluster, "step", shop.file()?)?;
    ensure!(said.contains(&never) && !said.contains("topic "), "one message: {said}");

    let settings = Settings::new(cluster.bootstrap(), [])?;
    let known = lower::topics(&shop.mesh).into_iter().map(|topic| Topic {
        name: topic.name,
        partitions: topic.partitions,
        config: topic.settings,
    });
    let definition = Names::new(&shop.mesh.name).definition();
    let before: Vec<_> = known.filter(|topic| topic.name != definition).collect();
    topics::create(&settings, &before, 1)?;
    let said = refused(cluster, "saga-coordinator", shop.file()?)?;
    ensure!(said.contains(&never), "{said}");
    applied(cluster, shop.file()?, ": 1 topics created, 40 first positions written")?;
    Ok(())
}

fn another_definition_needs_a_higher_version(cluster: &Cluster) -> Result<()> {
    let shop = Shop::new(cluster, |text| text)?;
    applied(cluster, shop.file()?, "version 1 active\n")?;
    let same = apply(cluster, &changed(&shop, "same", 1)?)?.ended(1)?;
    ensure!(same.err.contains("raise `version` in the file") && same.out.is_empty(), "{same:#?}");
    applied(cluster, shop.file()?, "nothing to do, everything was there\n")?;

    let next = changed(&shop, "next", 2)?;
    applied(cluster, &next, ": version 2 active\n")?;
    applied(cluster, &next, "nothing to do, everything was there\n")?;
    let lower = apply(cluster, shop.file()?)?.ended(1)?;
    ensure!(lower.err.contains("this file has version 1: give it a version above 2"), "{lower:#?}");
    Ok(())
}

fn no_definition_follows_while_the_mesh_is_at_work(cluster: &Cluster) -> Result<()> {
    let shop = Shop::new(cluster, |text| text)?;
    let (name, next) = (&shop.mesh.name, changed(&shop, "next", 2)?);
    applied(cluster, shop.file()?, "version 1 active")?;
    let coordinator = started(cluster, "saga-coordinator", shop.file()?)?;
    let settings = Settings::new(cluster.bootstrap(), [])?;
    publish(&settings, &format!("{name}-orders"), &order())?;
    eventually(SOON, "the saga lives", || {
        let list = run(cluster, &["sagas", "list", shop.file()?, "--json"])?.ended(0)?;
        ensure!(list.objects()?.len() == 1, "{list:#?}\n{}", log_of(&coordinator));
        Ok(())
    })?;
    let refused = apply(cluster, &next)?.ended(1)?;
    let members =
        format!("services run, with 2 members of its groups ({name}.coordinator 1, {name}.ingest 1)");
    let live = "1 saga of another definition is live";
    ensure!(refused.err.contains(live) && refused.err.contains(&members), "{refused:#?}");
    let refused = run(cluster, &["apply", &next, "--abandon-sagas"])?.ended(1)?;
    ensure!(!refused.err.contains(live) && refused.err.contains(&members), "{refused:#?}");

    ensure!(coordinator.terminate(SOON)?.code() == Some(0));
    let refused = apply(cluster, &next)?.ended(1)?;
    ensure!(refused.err.contains(live) && !refused.err.contains("services run"), "{refused:#?}");
    let abandoned = run(cluster, &["apply", &next, "--abandon-sagas"])?.ended(0)?;
    ensure!(abandoned.out.ends_with(": version 2 active\n"), "{abandoned:#?}");
    let old = self::refused(cluster, "saga-coordinator", shop.file()?)?;
    ensure!(
        old.contains("runs version 2") && old.contains("start it with the file that was applied"),
        "{old}"
    );

    an_abandoned_saga_stays_silent(cluster, &settings, &next, name)?;

    let fact = Outgoing { headers: Vec::new(), ..order() };
    publish(&settings, &format!("{name}.facts.steps"), &fact)?;
    let refused = apply(cluster, &changed(&shop, "third", 3)?)?.ended(1)?;
    let unread = "up to 1 record not read yet";
    ensure!(refused.err.contains(unread) && !refused.err.contains(live), "{refused:#?}");
    Ok(())
}

/// Its events are kept as unmatched, it has no outcome, and whoever looks sees what became of it.
fn an_abandoned_saga_stays_silent(
    cluster: &Cluster,
    settings: &Settings,
    file: &str,
    name: &str,
) -> Result<()> {
    let list = || -> Result<_> {
        let list = run(cluster, &["sagas", "list", file, "--json"])?.ended(0)?;
        Ok(list.objects()?.iter().map(|saga| saga["state"].clone()).collect::<Vec<_>>())
    };
    ensure!(list()? == ["abandoned"], "{:?}", list()?);
    let coordinator = started(cluster, "saga-coordinator", file)?;
    publish(settings, &format!("{name}-orders"), &order())?;
    let names = Names::new(name);
    eventually(SOON, "its second start is kept as unmatched", || {
        let said = run(cluster, &["topics", "tail", &names.unmatched(), "--json"])?.ended(0)?;
        let log = log_of(&coordinator);
        ensure!(said.out.contains("abandoned") && said.out.lines().count() == 1, "{said:#?}\n{log}");
        Ok(())
    })?;
    ensure!(coordinator.terminate(SOON)?.code() == Some(0));
    let said = run(cluster, &["topics", "tail", &names.outcomes(), "--json"])?.ended(0)?;
    ensure!(said.out.is_empty() && list()? == ["abandoned"], "{said:#?}");
    Ok(())
}

fn of_two_who_apply_at_once_one_wins(cluster: &Cluster) -> Result<()> {
    let shop = Shop::new(cluster, |text| text)?;
    let files = [shop.file()?.to_owned(), changed(&shop, "other", 1)?];
    let both: Vec<Said> = std::thread::scope(|scope| {
        let threads = files.each_ref().map(|file| scope.spawn(move || apply(cluster, file)));
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect::<Result<_>>()
    })?;
    let winners = both.iter().filter(|said| said.code == Some(0)).count();
    ensure!(winners == 1 && both.iter().all(|said| matches!(said.code, Some(0 | 1))), "{both:#?}");

    // Both have seen the same definition before they write.
    let (settings, names) = (Settings::new(cluster.bootstrap(), [])?, Names::new(&shop.mesh.name));
    let follows = definition::active(&settings, &names)?.context("one is active")?;
    let [first, second] = ["a", "b"].map(|hash| Definition { version: 2, hash: hash.into() });
    definition::activate(&settings, &names, &first, Some(&follows))?;
    let beaten = definition::activate(&settings, &names, &second, Some(&follows));
    ensure!(matches!(&beaten, Err(Error::Overtaken { active, .. }) if active == "2/a"), "{beaten:?}");
    ensure!(definition::active(&settings, &names)? == Some(first));
    Ok(())
}

fn apply(cluster: &Cluster, file: &str) -> Result<Said> {
    run(cluster, &["apply", file, "--replication-factor", "1"])
}

/// Applies it, with its schemas; the last line says `what`.
fn applied(cluster: &Cluster, file: &str, what: &str) -> Result<()> {
    let args = ["apply", file, "--replication-factor", "1"];
    let said = run_with_registry(cluster, &args)?.ended(0)?;
    ensure!(
        said.out.lines().last().is_some_and(|last| format!("{last}\n").contains(what)),
        "{what}: {said:#?}"
    );
    Ok(())
}

/// The shop's file with another meaning, as `version`.
fn changed(shop: &Shop, name: &str, version: u32) -> Result<String> {
    let text = std::fs::read_to_string(&shop.file)?;
    let other =
        text.replace("tries: 4", "tries: 5").replace("version: 1\n", &format!("version: {version}\n"));
    ensure!(other != text);
    let file = shop.file.with_file_name(format!("{name}.yaml"));
    std::fs::write(&file, other)?;
    Ok(file.to_str().context("the folder of this run is text")?.to_owned())
}

/// The hash of what a file beside the shop's means.
fn hash(shop: &Shop, file: &str) -> Result<String> {
    let folder = shop.file.parent().context("a folder")?;
    let schema = |path: &str| std::fs::read_to_string(folder.join(path)).map_err(|e| e.to_string());
    let checked = quadrille_topology::topology(&std::fs::read(file)?, &schema);
    Ok(lower::definition(&checked.mesh.with_context(|| format!("{:?}", checked.diagnostics))?).hash)
}

fn started(cluster: &Cluster, service: &str, file: &str) -> Result<Process> {
    let mut command = Command::new(program(service)?);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("QUADRILLE_")) {
        command.env_remove(name);
    }
    command.args(["--topology", file, "--bootstrap-servers", cluster.bootstrap()]);
    command.args(["--schema-registry", cluster.registry_url(), "--ops-listen", "127.0.0.1:0"]);
    Process::spawn(service, command, &run_dir()?.join(format!("{}.log", cluster.unique(service))))
}

fn log_of(process: &Process) -> String {
    std::fs::read_to_string(process.log()).unwrap_or_default()
}

/// What a service says that does not start.
fn refused(cluster: &Cluster, service: &str, file: &str) -> Result<String> {
    let process = started(cluster, service, file)?;
    let status = eventually(SOON, "it gives up", || process.exit_status()?.context("it runs"))?;
    let said = log_of(&process);
    ensure!(status.code() == Some(1) && !said.contains("panicked"), "{service}: {status} {said}");
    Ok(said)
}

fn order() -> Outgoing {
    let headers = BTreeMap::from([
        ("ce_specversion", "1.0"),
        ("ce_id", "1"),
        ("ce_source", "/test"),
        ("ce_type", "OrderPlaced"),
        ("ce_correlationid", "o-1"),
        ("content-type", "application/json"),
    ]);
    let value = r#"{"order_id":"o-1","customer_id":"c-1","lines":[],"amount_cents":1,"currency":"EUR"}"#;
    Outgoing {
        key: Some(b"o-1".to_vec()),
        value: Some(value.into()),
        headers: headers.into_iter().map(|(name, value)| (name.to_owned(), Some(value.into()))).collect(),
        ..Outgoing::default()
    }
}

fn publish(settings: &Settings, topic: &str, record: &Outgoing) -> Result<()> {
    let publisher = Publisher::new(settings)?;
    publisher.send(&Outgoing { topic: topic.to_owned(), ..record.clone() })?;
    publisher.flush(SOON)?;
    Ok(())
}
