//! `quadrille apply`

use std::time::Duration;

use anyhow::{Result, ensure};
use quadrille_tests::clients::{committed_offsets, create_topics};
use quadrille_tests::http::Http;
use quadrille_tests::{Cluster, Promise, promise};

use super::{Shop, run, run_with_registry};

pub(crate) fn promises() -> Vec<Promise> {
    vec![
        // The first on a new broker: it creates 22 topics and the groups' own.
        promise!(on_broker, a_second_time_changes_nothing).with_registry().within(Duration::from_secs(120)),
        promise!(on_broker, another_number_of_partitions_is_refused),
        promise!(on_broker, a_broker_that_is_not_there_is_said_within_seconds),
    ]
}

fn a_second_time_changes_nothing(cluster: &Cluster) -> Result<()> {
    let shop = Shop::new(cluster, |text| text)?;
    let apply = ["apply", shop.file()?, "--replication-factor", "1"];
    let first = run_with_registry(cluster, &apply)?.ended(0)?;
    let done = "22 topics created, 40 first positions written, 9 schemas registered\n";
    ensure!(first.out.ends_with(done) && !first.out.contains("was there"), "{first:#?}");

    let second = run_with_registry(cluster, &apply)?.ended(0)?;
    ensure!(second.out.ends_with(": nothing to do, everything was there\n"), "{second:#?}");
    ensure!(!second.out.contains("created") && second.out.matches("was there").count() == 32, "{second:#?}");

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
