//! Faults on demand in the embedded broker: whatever goes wrong between a mesh and its broker, each order is charged once,
//! and each saga ends once.
//!
//! Only the mesh's own clients meet the faults, not those that look on. Orders are published in waves until every fault has
//! happened, so nothing depends on how many records a transaction takes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use quadrille_kafka::Settings;
use quadrille_runtime::Service;
use quadrille_tests::clients::{Isolation, consumer, read_to_end};
use quadrille_tests::faults::Faults;
use quadrille_tests::wait::eventually;
use quadrille_tests::{Cluster, Promise, promise};
use rdkafka::consumer::Consumer;
use serde_json::{Value, json};

use crate::lanes::{Calls, Mesh};
use crate::saga::{Shop, is_refused};

/// As the mesh's clients call themselves.
const MESH: &str = "quadrille";

/// How long a wave of orders, or a fault, may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Orders that are published at a time.
const WAVE: usize = 20;

/// Most orders that are published while a fault is waited for.
const MOST: usize = 2_000;

pub(crate) fn promises() -> Vec<Promise> {
    let promises = [
        promise!(on_broker, ends_of_transactions_without_an_answer_repeat_nothing),
        promise!(on_broker, an_end_that_arrives_late_ends_no_other_transaction),
        promise!(on_broker, a_coordinator_that_moves_is_found_again),
        promise!(on_broker, refused_offsets_abort_what_they_belong_to),
        promise!(on_broker, records_without_an_answer_are_there_once),
        promise!(on_broker, connections_that_break_in_open_transactions_lose_nothing),
        promise!(on_broker, a_pause_longer_than_sessions_repeats_nothing),
        promise!(on_broker, a_hanging_transaction_holds_up_until_it_ends),
        promise!(on_broker, a_slow_disk_is_slow_and_nothing_else),
        promise!(on_broker, sagas_end_once_in_chaos).with_registry(),
    ];
    let limit = Duration::from_secs(240);
    promises.map(|promise| promise.own_broker().embedded_only().within(limit)).into()
}

fn ends_of_transactions_without_an_answer_repeat_nothing(cluster: &Cluster) -> Result<()> {
    charged_once(cluster, &[rule("unanswered", "drop-response", &["EndTxn"], 3, 2)])
}

fn an_end_that_arrives_late_ends_no_other_transaction(cluster: &Cluster) -> Result<()> {
    let mut late = rule("late", "late-end-txn", &["EndTxn"], 3, 6);
    late["every"] = json!(2);
    charged_once(cluster, &[late])
}

/// Each transaction begins with records (the transactional ID's coordinator) and ends with offsets (the group's).
fn a_coordinator_that_moves_is_found_again(cluster: &Cluster) -> Result<()> {
    let moved = json!({ "coordinator-moved": { "away_ms": 300 } });
    let rules = [
        rule("of transactions", moved.clone(), &["EndTxn", "AddPartitionsToTxn"], 3, 2),
        rule("of groups", moved, &["TxnOffsetCommit", "Heartbeat"], 3, 2),
    ];
    charged_once(cluster, &rules)
}

fn refused_offsets_abort_what_they_belong_to(cluster: &Cluster) -> Result<()> {
    let error =
        |code: i16, carried_out: bool| json!({ "error": { "code": code, "carried_out": carried_out } });
    let rules = [
        rule("coordinator loads", error(14, false), &["TxnOffsetCommit"], 3, 1),
        rule("stale generation", error(22, false), &["TxnOffsetCommit"], 5, 1),
        rule("taken and refused", error(22, true), &["TxnOffsetCommit"], 4, 1),
        rule("group unavailable", error(15, false), &["AddOffsetsToTxn"], 6, 1),
    ];
    charged_once(cluster, &rules)
}

fn records_without_an_answer_are_there_once(cluster: &Cluster) -> Result<()> {
    let timed_out = json!({ "error": { "code": 7, "carried_out": true } });
    let rules = [
        rule("unanswered", "drop-response", &["Produce"], 4, 1),
        rule("answered twice", "duplicate-response", &["Produce"], 2, 3),
        rule("written and refused", timed_out, &["Produce"], 3, 2),
    ];
    charged_once(cluster, &rules)
}

fn connections_that_break_in_open_transactions_lose_nothing(cluster: &Cluster) -> Result<()> {
    let rules = [
        rule("at the first partition", "disconnect-before", &["AddPartitionsToTxn"], 3, 1),
        rule("behind the records", "disconnect-after", &["Produce"], 4, 1),
        rule("before the records", "disconnect-before", &["Produce"], 6, 1),
        rule("at the offsets", "disconnect-after", &["TxnOffsetCommit"], 5, 1),
        rule("behind the end", "disconnect-after", &["EndTxn"], 8, 1),
    ];
    charged_once(cluster, &rules)
}

/// As a member without a name: a named one may be fenced by a request of its own that was held up, and ends, so that whoever
/// runs it starts it again.
fn a_pause_longer_than_sessions_repeats_nothing(cluster: &Cluster) -> Result<()> {
    let scene = Scene::open(cluster)?;
    let service = scene.mesh.start(&scene.calls, None)?;
    scene.faults.add(&rule("pause", json!({ "stop-the-world": { "ms": 7_000 } }), &["EndTxn"], 4, 1))?;
    let sent = scene.publish_until_happened(0)?;
    scene.settle(service, sent)
}

fn a_slow_disk_is_slow_and_nothing_else(cluster: &Cluster) -> Result<()> {
    charged_once(
        cluster,
        &[json!({ "name": "slow", "effect": { "slow-flush": { "ms": 150 } }, "times": 10 })],
    )
}

fn a_hanging_transaction_holds_up_until_it_ends(cluster: &Cluster) -> Result<()> {
    let scene = Scene::open(cluster)?;
    let service = scene.mesh.start(&scene.calls, Some("0"))?;
    scene.mesh.publish(0..WAVE, "murmur2_random")?;
    scene.mesh.until_settled(WAVE)?;
    // The next transaction has payments: partitions are claimed before anything is handled.
    scene.faults.add(&json!({ "name": "hanging", "effect": "hanging-transaction", "times": 1 }))?;
    let sent = scene.publish_until_happened(WAVE)?;
    let ends = |isolation| -> Result<i64> {
        let reader = consumer(cluster, isolation, None)?;
        let end = |partition| reader.fetch_watermarks(&scene.mesh.payments(), partition, PATIENCE);
        (0..4).map(|partition| Ok(end(partition)?.1)).sum()
    };
    let (all, stable) = (ends(Isolation::ReadUncommitted)?, ends(Isolation::ReadCommitted)?);
    ensure!(all > stable, "readers are not held up: {stable} of {all}");
    scene.faults.remove("hanging")?;
    scene.settle(service, sent)
}

/// Chaos between the coordinator, three services and the broker. Handlers may be called again; outcomes may not be repeated.
fn sagas_end_once_in_chaos(cluster: &Cluster) -> Result<()> {
    const ORDERS: usize = 60;
    let (faults, seed) = (cluster.faults()?, fastrand::u64(..));
    let shop = Shop::open(cluster, "15m")?;
    faults.add(&json!({
        "name": "no answer to an end", "effect": "disconnect-after", "api": ["EndTxn"], "client_id": MESH,
        "transactional_id": format!("{}*", shop.names.mesh()), "from": 2, "times": 1
    }))?;
    faults.add(&json!({
        "name": "coordinator's offsets", "effect": { "error": { "code": 16 } }, "api": ["TxnOffsetCommit"],
        "group": format!("{}.coordinator", shop.names.mesh()), "from": 2, "times": 2
    }))?;
    faults.add_chaos(seed, MESH)?;
    let chaos = || -> Result<()> {
        let running = shop.start(&["stock", "payment", "shipping"])?;
        shop.publish(0..ORDERS, "murmur2_random")?;
        let outcomes = shop.outcomes(ORDERS)?;
        let happened = faults.counts("happened")?;
        faults.clear()?;
        running.stop();
        println!("chaos, seed {seed}: {happened:?}");
        let random: u64 =
            happened.iter().filter(|(name, _)| name.starts_with("chaos-")).map(|(_, n)| n).sum();
        let silent: Vec<_> =
            happened.iter().filter(|(n, count)| !n.starts_with("chaos-") && **count == 0).collect();
        ensure!(random > 0 && silent.is_empty(), "never happened: {happened:?}");
        let mut by_order: BTreeMap<_, Vec<_>> = BTreeMap::new();
        outcomes.iter().for_each(|o| by_order.entry(&o.correlation_id).or_default().push(o.outcome.as_str()));
        for number in 0..ORDERS {
            let expected = if is_refused(number) { "compensated" } else { "completed" };
            let found = by_order.remove(&format!("order-{number}"));
            ensure!(found.as_deref() == Some(&[expected]), "order-{number}: {found:?}");
        }
        ensure!(by_order.is_empty(), "outcomes of nobody: {by_order:?}");
        Ok(())
    };
    chaos().with_context(|| format!("seed {seed}"))
}

fn rule(name: &str, effect: impl Into<Value>, api: &[&str], from: u64, times: u64) -> Value {
    json!({ "name": name, "effect": effect.into(), "api": api, "client_id": MESH, "from": from, "times": times })
}

/// One step under these faults: all of them happen, and each order is charged once.
fn charged_once(cluster: &Cluster, rules: &[Value]) -> Result<()> {
    let scene = Scene::open(cluster)?;
    let service = scene.mesh.start(&scene.calls, Some("0"))?;
    rules.iter().try_for_each(|rule| scene.faults.add(rule))?;
    let sent = scene.publish_until_happened(0)?;
    scene.settle(service, sent)
}

/// One step, and what goes wrong around it.
struct Scene<'a> {
    cluster: &'a Cluster,
    mesh: Mesh<'a>,
    calls: Calls,
    faults: Faults,
}

impl Scene<'_> {
    fn open(cluster: &Cluster) -> Result<Scene<'_>> {
        let mut mesh = Mesh::create(cluster)?;
        // An answer that never comes is given up soon.
        mesh.settings = Settings::new(cluster.bootstrap(), [("socket.timeout.ms".into(), "2000".into())])?;
        mesh.settings.session_timeout = Duration::from_secs(6);
        Ok(Scene { cluster, mesh, calls: Calls::default(), faults: cluster.faults()? })
    }

    fn payments(&self) -> Result<Vec<String>> {
        let payments = read_to_end(self.cluster, &self.mesh.payments(), Isolation::ReadCommitted)?;
        Ok(payments.into_iter().map(|record| record.key).collect())
    }

    /// Publishes orders, from number `sent` on, until every fault has happened as often as it is to; how many there are.
    fn publish_until_happened(&self, mut sent: usize) -> Result<usize> {
        loop {
            self.mesh.publish(sent..sent + WAVE, "murmur2_random")?;
            sent += WAVE;
            let happened = self.faults.counts("happened")?;
            if self.faults.awaited()?.is_empty() {
                println!("after {sent} orders: {happened:?}");
                return Ok(sent);
            }
            ensure!(sent < MOST, "after {sent} orders: {happened:?}");
            // A transaction that hangs or waits holds up the rest: no wave waits for the one before.
            let called = self.calls.total();
            let _ = eventually(Duration::from_secs(2), "the wave has been handled", || {
                ensure!(self.calls.total() >= sent || self.calls.total() > called + WAVE / 2, "not yet");
                Ok(())
            });
        }
    }

    /// Without faults, everything comes to its end: each of so many orders has one payment.
    fn settle(&self, service: Service, sent: usize) -> Result<()> {
        let accepted: u64 = self.faults.counts("accepted")?.values().sum();
        self.faults.clear()?;
        self.mesh.publish(sent..sent + WAVE, "murmur2_random")?;
        let sent = sent + WAVE;
        self.mesh.until_settled(sent)?;
        service.stop();
        let payments = self.payments()?;
        let charged: BTreeSet<_> = payments.iter().collect();
        ensure!(
            payments.len() == sent && charged.len() == sent,
            "{} payments for {} of {sent} orders",
            payments.len(),
            charged.len()
        );
        ensure!(
            accepted == 0,
            "{accepted} late ends ended other transactions: the producer was not built anew in time"
        );
        Ok(())
    }
}
