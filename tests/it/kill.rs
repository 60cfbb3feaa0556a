//! Services die, freeze and come back while orders flow; afterwards every order has had its effect once.
//!
//! Two instances of each service run as processes of their own: payment, shipping, `step` and the coordinator, eight in
//! all; the stock participant, which is called over HTTP, is one process and stays. `QUADRILLE_KILL=long` runs many
//! more orders and faults; `QUADRILLE_SEED` repeats the plan of an earlier run.

mod faults;
mod orders;
mod seen;

use std::env;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use fastrand::Rng;
use quadrille_audit::stores::Stores;
use quadrille_audit::{ConcurrentReader, Counters, Expectations, Rules, report};
use quadrille_kafka::Settings;
use quadrille_kafka::publish::{Outgoing, Publisher};
use quadrille_provision::How;
use quadrille_schema::{RegistryConfig, Schemas};
use quadrille_tests::fleet::{self, Fleet, Members};
use quadrille_tests::folders::run_dir;
use quadrille_tests::process::Process;
use quadrille_tests::wait::eventually;
use quadrille_tests::{Cluster, Promise, promise};
use quadrille_topology::Mesh;

use faults::{Fault, Faults};
use orders::Orders;
use seen::Seen;

/// Services and instances of each.
const SERVICES: [&str; 4] = ["payment", "shipping", "step", "saga-coordinator"];
const INSTANCES: usize = 2;

/// Longer than a session of 6 s and, for one that is frozen within a transaction, than the 10 s after which brokers abort it.
const FROZEN: Duration = Duration::from_secs(13);

/// How long the last orders may take to end once all faults have happened.
const SETTLED: Duration = Duration::from_secs(120);

const TRANSACTION: &str = "transaction-open";
const HANDLER: &str = "handler-running";
const UNDO: &str = "undo-running";

pub(crate) fn promises() -> Vec<Promise> {
    let promises = [
        promise!(on_broker, every_order_has_its_effect_once_whatever_dies),
        promise!(on_broker, so_it_has_where_members_are_dynamic),
    ];
    let limit = Duration::from_secs(8 * 60);
    promises.map(|promise| promise.with_registry().own_broker().undisturbed().within(limit)).into()
}

/// How much happens.
struct Form {
    orders: usize,
    /// Between two records that are published, as long as faults are to come.
    pace: Duration,
    faults: &'static [(Fault, usize)],
}

/// Six kills, three of them at failpoints.
const SHORT: Form = Form {
    orders: 600,
    pace: Duration::from_millis(100),
    faults: &[
        (Fault::KillAt(TRANSACTION), 1),
        (Fault::KillAt(HANDLER), 1),
        (Fault::KillAt(UNDO), 1),
        (Fault::Kill, 2),
        (Fault::KillForGood, 1),
        (Fault::Freeze, 1),
        (Fault::FreezeAt(TRANSACTION), 1),
    ],
};

/// Twenty-one kills, eleven of them at failpoints.
const LONG: Form = Form {
    orders: 5_000,
    pace: Duration::from_millis(40),
    faults: &[
        (Fault::KillAt(TRANSACTION), 5),
        (Fault::KillAt(HANDLER), 3),
        (Fault::KillAt(UNDO), 3),
        (Fault::Kill, 9),
        (Fault::KillForGood, 1),
        (Fault::Freeze, 2),
        (Fault::FreezeAt(TRANSACTION), 2),
    ],
};

/// A few faults for members that are new after each start.
const DYNAMIC: Form = Form {
    orders: 300,
    pace: Duration::from_millis(100),
    faults: &[
        (Fault::KillAt(TRANSACTION), 1),
        (Fault::KillAt(HANDLER), 1),
        (Fault::Kill, 1),
        (Fault::FreezeAt(TRANSACTION), 1),
    ],
};

fn every_order_has_its_effect_once_whatever_dies(cluster: &Cluster) -> Result<()> {
    let long = env::var("QUADRILLE_KILL").is_ok_and(|form| form == "long");
    survive(cluster, if long { &LONG } else { &SHORT }, Members::Static)
}

fn so_it_has_where_members_are_dynamic(cluster: &Cluster) -> Result<()> {
    survive(cluster, &DYNAMIC, Members::Dynamic)
}

fn survive(cluster: &Cluster, form: &Form, members: Members) -> Result<()> {
    let seed = match env::var("QUADRILLE_SEED") {
        Ok(text) => text.parse().context("QUADRILLE_SEED is a number")?,
        Err(_) => fastrand::u64(..),
    };
    let folder = run_dir()?.join(cluster.unique("kill"));
    let target = cluster.kind().name();
    println!("kill test on {target}, {members:?}: QUADRILLE_SEED={seed}, {}", folder.display());
    Shop::open(cluster, &folder, members)?
        .survive(form, Rng::with_seed(seed))
        .with_context(|| format!("QUADRILLE_SEED={seed}, logs: {}", folder.display()))
}

/// The order flow, its services as processes.
struct Shop {
    mesh: Mesh,
    settings: Settings,
    schemas: Schemas,
    folder: PathBuf,
    fleet: Fleet,
    /// The participant that nobody kills.
    stock: Process,
    audit: quadrille_audit::Config,
}

impl Shop {
    fn open(cluster: &Cluster, folder: &Path, members: Members) -> Result<Shop> {
        let topology = Path::new(env!("CARGO_MANIFEST_DIR")).join("../topology/order.yaml");
        let mesh = quadrille_host::topology::load(&topology)?;
        let settings = Settings::new(cluster.bootstrap(), [])?;
        quadrille_provision::apply(&settings, &mesh, How::new(1))?;
        let registry = RegistryConfig { auto_register: true, ..RegistryConfig::new(cluster.registry_url()) };
        let (stores, failpoints) = (folder.join("stores"), folder.join("failpoints"));
        std::fs::create_dir_all(&failpoints)?;
        let mut environment = environment(cluster, &topology, &stores, &failpoints);
        std::fs::create_dir_all(folder.join("logs"))?;
        let (stock, url) = fleet::participant("stock", &stores, &folder.join("logs/stock.log"))?;
        environment.push(("QUADRILLE_HTTP_REWRITE".to_owned(), format!("http://127.0.0.1:7001={url}")));
        let mut fleet = Fleet::new(folder, environment, members)?;
        for service in SERVICES {
            fleet.add(service, INSTANCES)?;
        }
        fleet.wait_ready()?;
        let audit = quadrille_audit::Config {
            kafka: vec![("bootstrap.servers".to_owned(), cluster.bootstrap().to_owned())],
            registry: cluster.registry_url().to_owned(),
            expectations: Expectations::load(&topology.with_extension("expect.yaml"))?,
            stores: Stores { folder: stores, ..Stores::default() },
            rules: Rules::default(),
            patience: SETTLED,
        };
        let schemas = Schemas::new(registry)?;
        Ok(Shop { mesh, settings, schemas, folder: folder.to_owned(), fleet, stock, audit })
    }

    fn survive(mut self, form: &Form, mut rng: Rng) -> Result<()> {
        let orders = orders::orders(&self.mesh, &self.schemas, form.orders, &mut rng)?;
        let plan = faults::plan(form.faults, &mut rng);
        let reader = ConcurrentReader::start(&self.audit.kafka, &self.audit.expectations)?;
        let mut seen = Seen::from_now(&self.settings, &self.mesh)?;
        let done = self.inject(&orders, form.pace, &plan, &mut seen, rng)?;
        eventually(SETTLED, "every order has come to its end", || {
            seen.look()?;
            let open = seen.open(&orders.identities);
            ensure!(open.is_empty(), "{} are open, such as {:?}", open.len(), &open[..open.len().min(10)]);
            Ok(())
        })?;
        let counters = self.counters();
        self.fleet.stop()?;
        self.stock.terminate(Duration::from_secs(60))?;
        let verdict = quadrille_audit::run(&self.audit, Some(reader))?;
        let refused = seen.refused_in_a_retry(form.orders);
        let kills = done.iter().filter(|(fault, _)| fault.is_kill()).count();
        println!("{kills} kills among {:?}", faults::counts(&done));
        println!("{refused} orders refused while the sibling step waited in a retry");
        println!("{}{}", report::offenders(&verdict), report::line(&verdict, counters));
        ensure!(done.len() == plan.len(), "only {} of {} faults happened", done.len(), plan.len());
        ensure!(refused > 0, "no order was refused while the sibling step waited in a retry");
        ensure!(counters.fenced > Some(0), "no commit was refused as fenced");
        ensure!(counters.takeovers > Some(0), "nobody continued for one that was killed for good");
        ensure!(verdict.is_valid(), "{}", report::offenders(&verdict));
        Ok(())
    }

    /// Publishes at a steady pace while faults happen, and the rest as fast as it goes.
    fn inject(
        &mut self,
        orders: &Orders,
        pace: Duration,
        plan: &[Fault],
        seen: &mut Seen,
        rng: Rng,
    ) -> Result<Vec<(Fault, String)>> {
        let publisher = Publisher::new(&self.settings)?;
        let hurry = AtomicBool::new(false);
        let mut faults = Faults {
            fleet: &mut self.fleet,
            seen,
            failpoints: self.folder.join("failpoints"),
            rng,
            frozen: FROZEN,
            gap: orders.identities.len() / (plan.len() + 1) / 2,
            done: Vec::new(),
        };
        thread::scope(|scope| {
            let publishing = scope.spawn(|| publish(publisher, &orders.records, pace, &hurry));
            let outcome = faults.run(plan);
            hurry.store(true, Ordering::Relaxed);
            let published = publishing.join().map_err(|_| anyhow!("publishing panicked"))?;
            outcome.and(published)
        })?;
        Ok(faults.done)
    }

    fn counters(&self) -> Counters {
        let sum = |name: &str| Some(self.fleet.counter(name));
        Counters {
            txns: sum("quadrille_transactions_total"),
            aborted: sum("quadrille_transactions_aborted_total"),
            fenced: sum("quadrille_transactions_fenced_total"),
            takeovers: sum("quadrille_takeovers_total"),
        }
    }
}

fn publish(publisher: Publisher, records: &[Outgoing], pace: Duration, hurry: &AtomicBool) -> Result<()> {
    for record in records {
        publisher.send(record)?;
        if !hurry.load(Ordering::Relaxed) {
            thread::sleep(pace);
        }
    }
    publisher.flush(Duration::from_secs(60))?;
    Ok(())
}

fn environment(
    cluster: &Cluster,
    topology: &Path,
    stores: &Path,
    failpoints: &Path,
) -> Vec<(String, String)> {
    let text = |path: &Path| path.display().to_string();
    let variables = [
        ("QUADRILLE_TOPOLOGY", text(topology)),
        ("QUADRILLE_BOOTSTRAP_SERVERS", cluster.bootstrap().to_owned()),
        ("QUADRILLE_SCHEMA_REGISTRY", cluster.registry_url().to_owned()),
        ("QUADRILLE_AUTO_REGISTER", "true".to_owned()),
        ("QUADRILLE_SESSION_TIMEOUT", "6s".to_owned()),
        ("QUADRILLE_TRANSACTION_TIMEOUT", "10s".to_owned()),
        ("QUADRILLE_STORES", text(stores)),
        ("QUADRILLE_STORES_FLUSH", "os".to_owned()),
        ("QUADRILLE_FAILPOINTS", text(failpoints)),
    ];
    variables.map(|(name, value)| (name.to_owned(), value)).into()
}
