//! `quadrille apply`

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use quadrille_kafka::Settings;
use quadrille_kafka::inspect::Inspector;
use quadrille_kafka::topics::{self, Topic};
use quadrille_tests::clients::{committed_offsets, config, create_topics};
use quadrille_tests::http::Http;
use quadrille_tests::wait::eventually;
use quadrille_tests::{Cluster, Promise, promise};
use quadrille_types::topics::Names;
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;

use super::{Shop, run, run_with_registry};

pub(crate) fn promises() -> Vec<Promise> {
    vec![
        // The first on a new broker: it creates 23 topics and the groups' own.
        promise!(on_broker, a_second_time_changes_nothing).with_registry(),
        promise!(on_broker, another_number_of_partitions_is_refused),
        promise!(on_broker, a_topic_that_loses_records_is_refused),
        promise!(on_broker, a_broker_that_is_not_there_is_said_within_seconds),
    ]
}

fn a_second_time_changes_nothing(cluster: &Cluster) -> Result<()> {
    let shop = Shop::new(cluster, |text| text)?;
    let apply = ["apply", shop.file()?, "--replication-factor", "1"];
    let first = run_with_registry(cluster, &apply)?.ended(0)?;
    let done = "23 topics created, 40 first positions written, 9 schemas registered, version 1 active\n";
    ensure!(first.out.ends_with(done) && !first.out.contains("was there"), "{first:#?}");

    let second = run_with_registry(cluster, &apply)?.ended(0)?;
    ensure!(second.out.ends_with(": nothing to do, everything was there\n"), "{second:#?}");
    ensure!(!second.out.contains("created") && second.out.matches("was there").count() == 33, "{second:#?}");

    let name = &shop.mesh.name;
    let group = committed_offsets(cluster, &format!("{name}.steps"), &format!("{name}-orders"))?;
    ensure!(group == [Some(0); 4], "{group:?}");
    let http = Http::new()?;
    let subject = format!("{name}.sagas.outcomes-quadrille.SagaOutcome");
    let (status, body) =
        http.get(&format!("{}/subjects/{subject}/versions/latest", cluster.registry_url()))?;
    ensure!(status == 200, "{status} {body}");
    Ok(())
}

fn another_number_of_partitions_is_refused(cluster: &Cluster) -> Result<()> {
    let shop = Shop::new(cluster, |text| text)?;
    let orders = format!("{}-orders", shop.mesh.name);
    create_topics(cluster, &[(&orders, 3)])?;
    let said = run(cluster, &["apply", shop.file()?])?.ended(1)?;
    ensure!(said.err.contains(&format!("topic {orders} has 3 partitions, the topology says 4")), "{said:#?}");
    ensure!(said.out.is_empty(), "{said:#?}");
    Ok(())
}

fn a_topic_that_loses_records_is_refused(cluster: &Cluster) -> Result<()> {
    let shop = Shop::new(cluster, |text| text)?;
    let (names, settings) = (Names::new(&shop.mesh.name), Settings::new(cluster.bootstrap(), [])?);
    let (facts, dead) = (names.facts("steps"), names.dead("ship"));
    let compacted = [("cleanup.policy".to_owned(), "compact".to_owned())].into();
    let before = [
        Topic { name: facts.clone(), partitions: 4, config: compacted },
        Topic { name: dead.clone(), partitions: 4, config: BTreeMap::new() },
    ];
    topics::create(&settings, &before, 1)?;
    let wrong = format!(
        "topic {facts}: cleanup.policy is compact, wanted delete: records of one key replace each other"
    );
    let mend = format!("--entity-name {facts} --add-config cleanup.policy=delete");
    let said = run(cluster, &["apply", shop.file()?, "--replication-factor", "1"])?.ended(1)?;
    ensure!(said.err.contains(&wrong) && said.err.contains(&mend) && said.out.is_empty(), "{said:#?}");
    ensure!(Inspector::new(&settings)?.partitions(&names.state())?.is_none(), "nothing was created");

    set(cluster, &facts, "cleanup.policy", "delete")?;
    let said = run(cluster, &["apply", shop.file()?, "--replication-factor", "1"])?.ended(0)?;
    let told = format!("quadrille: warning: topic {dead}: retention.ms is 604800000, wanted -1");
    ensure!(said.err.contains(&told) && !said.err.contains("cleanup.policy"), "{said:#?}");
    ensure!(
        said.out.ends_with(": 21 topics created, 40 first positions written, version 1 active\n"),
        "{said:#?}"
    );
    set(cluster, &dead, "retention.ms", "86400000")?;
    let said = run(cluster, &["apply", shop.file()?, "--replication-factor", "1"])?.ended(0)?;
    ensure!(!said.err.contains("retention.ms"), "what an operator has chosen is left alone: {said:#?}");

    let made = [names.dead("charge"), names.journal(), names.outcomes(), names.unmatched()];
    for topic in made {
        ensure!(setting(cluster, &topic, "retention.ms")? == "-1", "{topic}");
    }
    ensure!(setting(cluster, &names.facts("payment"), "retention.ms")? == "2592000000");

    // A service looks at the same: it is refused where the topic was changed after the apply.
    set(cluster, &facts, "cleanup.policy", "compact")?;
    let needed = BTreeMap::from([(facts, 4)]);
    let refused = quadrille_kafka::start::topics(&settings, &names, &needed).unwrap_err().to_string();
    ensure!(refused.starts_with(&wrong), "{refused}");
    Ok(())
}

/// Sets one setting of a topic, and waits until the broker reports it.
fn set(cluster: &Cluster, topic: &str, name: &str, value: &str) -> Result<()> {
    let admin: AdminClient<DefaultClientContext> = config(cluster).create()?;
    let change = AlterConfig::new(ResourceSpecifier::Topic(topic)).set(name, value);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for outcome in runtime.block_on(admin.alter_configs([&change], &AdminOptions::new()))? {
        outcome.map_err(|(what, code)| anyhow::anyhow!("{what:?}: {code}"))?;
    }
    eventually(Duration::from_secs(60), "the setting is there", || {
        let found = setting(cluster, topic, name)?;
        ensure!(found == value, "{found}");
        Ok(())
    })
}

fn setting(cluster: &Cluster, topic: &str, name: &str) -> Result<String> {
    let admin: AdminClient<DefaultClientContext> = config(cluster).create()?;
    let asked = [ResourceSpecifier::Topic(topic)];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let answer = runtime.block_on(admin.describe_configs(&asked, &AdminOptions::new()))?;
    let resource = answer.into_iter().next().context("an answer")??;
    Ok(resource.get(name).and_then(|entry| entry.value.clone()).unwrap_or_default())
}

fn a_broker_that_is_not_there_is_said_within_seconds(cluster: &Cluster) -> Result<()> {
    let shop = Shop::new(cluster, |text| text)?;
    let mut command = std::process::Command::new(quadrille_tests::folders::program("quadrille")?);
    command.args(["apply", shop.file()?, "--bootstrap-servers", "127.0.0.1:1"]);
    let said = super::Said::of(&command.output()?)?.ended(1)?;
    ensure!(said.err.contains("cannot use Kafka at 127.0.0.1:1: no broker answers within 5 s"), "{said:#?}");

    let broken = Shop::new(cluster, |text| text)?;
    std::fs::write(&broken.file, "quadrille: 1\nmesh: shop\nversoin: 1\n")?;
    let said = run(cluster, &["apply", broken.file()?])?.ended(1)?;
    ensure!(said.err.contains("versoin"), "{said:#?}");
    run(cluster, &["apply", "no-such-file.yaml"])?.ended(2)?;
    Ok(())
}
