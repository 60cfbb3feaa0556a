//! `exhausted: { emit: EVENT }` while instances of the step die by `kill -9`: one event, one dead letter and one fact for each
//! input; and the audit says so, and notices an event too many.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use quadrille_audit::stores::Stores;
use quadrille_audit::{Expectations, Kind, Rules, Verdict, report};
use quadrille_kafka::Settings;
use quadrille_provision::How;
use quadrille_tests::clients::{Isolation, PATIENCE, config, read_to_end, read_values};
use quadrille_tests::fleet::{Fleet, Members};
use quadrille_tests::folders::run_dir;
use quadrille_tests::wait::eventually;
use quadrille_tests::{Cluster, Promise, promise};
use quadrille_types::fact::{Body, Fact, Outcome};
use quadrille_types::topics::Names;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};

/// Orders that are published with each kill.
const AT_ONCE: usize = 40;

const FAILPOINT: &str = "transaction-open";

pub(crate) fn promises() -> Vec<Promise> {
    vec![
        promise!(on_broker, what_killed_instances_gave_up_is_told_once)
            .with_registry()
            .within(Duration::from_secs(300)),
    ]
}

fn what_killed_instances_gave_up_is_told_once(cluster: &Cluster) -> Result<()> {
    let mut shop = Shop::open(cluster)?;
    for at_failpoint in [true, false, true, false] {
        shop.kill(at_failpoint)?;
    }
    shop.publish(AT_ONCE)?;
    eventually(Duration::from_secs(120), "every order has its outcome", || {
        let found = read_values(cluster, &shop.names.outcomes())?.len();
        ensure!(found >= shop.published, "{found} of {}", shop.published);
        Ok(())
    })?;
    shop.steps.stop()?;
    shop.coordinator.stop()?;
    shop.check_once()?;

    let verdict = shop.audit()?;
    let all = shop.published as u64;
    ensure!(verdict.is_valid() && verdict.effect_once == all, "{}", report::offenders(&verdict));
    shop.tell_again()?;
    let verdict = shop.audit()?;
    let (found, wrong) = (verdict.count(Kind::Unexplained), Kind::ALL.map(|kind| verdict.count(kind)));
    ensure!(found == 1 && wrong.iter().sum::<u64>() == 1, "{}", report::offenders(&verdict));
    Ok(())
}

struct Shop<'a> {
    cluster: &'a Cluster,
    names: Names,
    folder: PathBuf,
    failpoints: PathBuf,
    steps: Fleet,
    coordinator: Fleet,
    published: usize,
}

impl Shop<'_> {
    fn open(cluster: &Cluster) -> Result<Shop<'_>> {
        let name = cluster.unique("shop");
        let folder = run_dir()?.join(&name);
        let failpoints = folder.join("failpoints");
        fs::create_dir_all(&failpoints)?;
        let topology = folder.join("shop.yaml");
        fs::write(&topology, include_str!("gives_up_killed.yaml").replace("MESH", &name))?;
        let mesh = quadrille_host::topology::load(&topology)?;
        quadrille_provision::apply(&Settings::new(cluster.bootstrap(), [])?, &mesh, How::new(1))?;

        let mut environment = environment(cluster, &topology);
        let mut coordinator = Fleet::new(&folder, environment.clone(), Members::Static)?;
        coordinator.add("saga-coordinator", 1)?;
        environment.push(("QUADRILLE_FAILPOINTS".to_owned(), failpoints.display().to_string()));
        let mut steps = Fleet::new(&folder, environment, Members::Static)?;
        steps.add("step", 2)?;
        coordinator.wait_ready()?;
        steps.wait_ready()?;
        Ok(Shop { cluster, names: Names::new(&name), folder, failpoints, steps, coordinator, published: 0 })
    }

    /// Publishes orders and kills an instance that is at work on them: within a transaction, or wherever it is.
    fn kill(&mut self, at_failpoint: bool) -> Result<()> {
        let victim = if at_failpoint {
            fs::write(self.failpoints.join(FAILPOINT), "")?;
            self.publish(AT_ONCE)?;
            self.at_failpoint()?
        } else {
            self.publish(AT_ONCE)?;
            fastrand::usize(0..self.steps.len())
        };
        self.steps.kill(victim)?;
        self.steps.start(victim)
    }

    fn at_failpoint(&self) -> Result<usize> {
        let pid = eventually(Duration::from_secs(120), "an instance is within a transaction", || {
            for entry in fs::read_dir(&self.failpoints)? {
                let entry = entry?;
                let name = entry.file_name();
                if let Some(pid) = name.to_str().and_then(|n| n.strip_prefix(&format!("{FAILPOINT}.hit."))) {
                    fs::remove_file(entry.path())?;
                    return Ok(pid.parse()?);
                }
            }
            bail!("none is")
        })?;
        self.steps.with_pid(pid).context("the process that took it is none of ours")
    }

    fn publish(&mut self, orders: usize) -> Result<()> {
        let producer: ThreadedProducer<DefaultProducerContext> = config(self.cluster).create()?;
        let topic = format!("{}-orders", self.names.mesh());
        for number in self.published..self.published + orders {
            let (key, value) = (key(number), format!("{{\"number\":{number}}}"));
            let record = BaseRecord::to(&topic).key(&key).payload(&value);
            producer.send(record).map_err(|(error, _)| error)?;
        }
        self.published += orders;
        Ok(producer.flush(PATIENCE)?)
    }

    fn payments(&self) -> String {
        format!("{}-payments", self.names.mesh())
    }

    /// One event, one dead letter, and one fact for each order.
    fn check_once(&self) -> Result<()> {
        let orders: Vec<String> = (0..self.published).map(key).collect();
        for topic in [self.payments(), self.names.dead("charge")] {
            let records = read_to_end(self.cluster, &topic, Isolation::ReadCommitted)?;
            let mut keys: Vec<_> = records.into_iter().map(|record| record.key).collect();
            keys.sort_unstable();
            ensure!(keys == orders, "{topic} has {} records for {} orders", keys.len(), orders.len());
        }
        let mut runs = BTreeSet::new();
        let facts = read_values(self.cluster, &self.names.facts("steps"))?;
        for fact in &facts {
            let fact: Fact = quadrille_types::format::decode(fact)?;
            let Body::Step(step) = &fact.body else { bail!("{fact:?}") };
            ensure!(matches!(&step.result, Outcome::Exhausted { event: Some(_), .. }), "{fact:?}");
            runs.insert(fact.lineage.run);
        }
        ensure!(facts.len() == self.published && runs.len() == self.published, "{} facts", facts.len());
        Ok(())
    }

    fn audit(&self) -> Result<Verdict> {
        let (mesh, payments, dead) = (self.names.mesh(), self.payments(), self.names.dead("charge"));
        let expectations = format!(
            "{{ flow: order, inputs: [{{ topic: {mesh}-orders }}], outcomes_topic: {}, participants: [payment],
                dead_letters: {{ prefix: {mesh}.dead. }}, events: [{payments}], gives_up: {{ PaymentUnclear: {dead} }},
                outcomes: {{ completed: {{ payment: {{ do: 1 }} }}, compensated: {{ payment: never }} }} }}",
            self.names.outcomes(),
        );
        let stores = Stores { folder: self.folder.clone(), ..Stores::default() };
        // Nobody was charged.
        let columns = "seq, participant, activation, correlation_id, action, applied, at_ms, pid";
        rusqlite::Connection::open(stores.file("payment"))?
            .execute(&format!("CREATE TABLE IF NOT EXISTS effects ({columns})"), [])?;
        let audit = quadrille_audit::Config {
            kafka: vec![("bootstrap.servers".to_owned(), self.cluster.bootstrap().to_owned())],
            registry: self.cluster.registry_url().to_owned(),
            expectations: Expectations::parse(&expectations)?,
            stores,
            rules: Rules { sent: Some(self.published as u64), ..Rules::default() },
            patience: 2 * PATIENCE,
        };
        Ok(quadrille_audit::run(&audit, None)?)
    }

    /// The event of one order once more, as nobody should write it.
    fn tell_again(&self) -> Result<()> {
        let producer: ThreadedProducer<DefaultProducerContext> = config(self.cluster).create()?;
        let kind = OwnedHeaders::new().insert(Header { key: "ce_type", value: Some("PaymentUnclear") });
        let (topic, key) = (self.payments(), key(0));
        let record = BaseRecord::to(&topic).key(&key).payload("{}").headers(kind);
        producer.send(record).map_err(|(error, _)| error)?;
        Ok(producer.flush(PATIENCE)?)
    }
}

fn key(number: usize) -> String {
    format!("order-{number:04}")
}

fn environment(cluster: &Cluster, topology: &Path) -> Vec<(String, String)> {
    let topology = topology.display().to_string();
    let variables = [
        ("QUADRILLE_TOPOLOGY", topology.as_str()),
        ("QUADRILLE_BOOTSTRAP_SERVERS", cluster.bootstrap()),
        ("QUADRILLE_SCHEMA_REGISTRY", cluster.registry_url()),
        ("QUADRILLE_AUTO_REGISTER", "true"),
        ("QUADRILLE_SESSION_TIMEOUT", "6s"),
        ("QUADRILLE_TRANSACTION_TIMEOUT", "10s"),
    ];
    variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}
