//! Others take part without any code of ours: a Python client starts sagas, and another reads all that comes of them;
//! a third uses the registry.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use quadrille_audit::evidence::Action;
use quadrille_audit::stores::Stores;
use quadrille_tests::folders::{program, run_dir};
use quadrille_tests::process::{Process, tail};
use quadrille_tests::python::Python;
use quadrille_tests::wait::eventually;
use quadrille_tests::{Cluster, Promise, promise};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

/// Orders, `python-0` to `python-19`: two are out of stock (3, 4) and two have a declined card (5, 6).
const ORDERS: usize = 20;
const UNDONE: [&str; 4] = ["python-3", "python-4", "python-5", "python-6"];

/// Sent three times: on four partitions, murmur2 and the Python client's default (CRC32) disagree about its key.
const THRICE: &str = "python-8";

const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn promises() -> Vec<Promise> {
    vec![
        promise!(on_broker, a_plain_python_client_starts_sagas_and_reads_their_events)
            .own_broker()
            .with_registry()
            .with_python()
            .within(Duration::from_secs(240)),
        promise!(on_registry, the_python_client_uses_the_registry)
            .with_python()
            .within(Duration::from_secs(240)),
    ]
}

/// What each step asserts stands in `tests/python/registry.py`.
fn the_python_client_uses_the_registry(cluster: &Cluster) -> Result<()> {
    let python = Python::kit().map_err(|why| anyhow::anyhow!("no Python: {why}"))?;
    let folder = run_dir()?.join(cluster.unique("python-registry"));
    fs::create_dir_all(&folder)?;
    let (out, log) = (folder.join("registry.jsonl"), folder.join("registry.log"));
    let args = ["--registry", cluster.registry_url(), "--out", out.to_str().context("a folder is text")?];
    python.run("registry.py", &args, &log, 2 * PATIENCE)?;
    let shown = fs::read_to_string(&out)?;
    ensure!(shown.lines().count() == 6, "{shown}");
    Ok(())
}

fn a_plain_python_client_starts_sagas_and_reads_their_events(cluster: &Cluster) -> Result<()> {
    let shop = Shop::start(cluster)?;
    let sent: Vec<Sent> = shop.python("order.py", &order_args())?;
    it_lies_on_two_partitions(&sent)?;
    shop.wait_until_all_is_read()?;
    let events: Vec<Event> = shop
        .python("events.py", &["stock", "payments", "shipments", "shop.sagas.outcomes"].map(str::to_owned))?;
    let folder = shop.stop()?;

    let trails = trails(&sent, &events)?;
    for (order, trail) in &trails {
        trail.is_whole(order).with_context(|| format!("{order}: {trail:#?}"))?;
    }
    charged_once(&folder)
}

/// What `order.py` says of a record that the broker has.
#[derive(Debug, Deserialize)]
struct Sent {
    order: String,
    ce_id: String,
    partition: i32,
    traceparent: Option<String>,
}

/// What `events.py` says of an event that it decoded.
#[derive(Debug, Deserialize)]
struct Event {
    r#where: String,
    key: String,
    /// Name of the Avro record.
    record: String,
    headers: BTreeMap<String, String>,
    value: Json,
}

impl Event {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// `quadrille dev` with the shipped order flow.
struct Shop<'a> {
    cluster: &'a Cluster,
    folder: PathBuf,
    dev: Process,
}

impl<'a> Shop<'a> {
    fn start(cluster: &'a Cluster) -> Result<Self> {
        let folder = run_dir()?.join(cluster.unique("python"));
        fs::create_dir_all(&folder)?;
        let mut command = Command::new(program("quadrille")?);
        command.arg("dev").arg(shipped("topology/order.yaml")).arg("--data").arg(&folder);
        command.args(["--bootstrap-servers", cluster.bootstrap()]);
        command.args(["--schema-registry", cluster.registry_url()]);
        let log = folder.join("dev.log");
        let dev = Process::spawn("quadrille dev", command, &log)?;
        dev.wait_ready(PATIENCE, || fs::read_to_string(&log).is_ok_and(|said| said.contains("\nrunning ")))?;
        Ok(Self { cluster, folder, dev })
    }

    /// Runs a program of `tests/python` and reads what it left.
    fn python<T: DeserializeOwned>(&self, script: &str, args: &[String]) -> Result<Vec<T>> {
        let python = Python::kit().map_err(|why| anyhow::anyhow!("no Python: {why}"))?;
        let out = self.folder.join(script).with_extension("jsonl");
        let out = out.to_str().context("the folder of this run is text")?;
        let servers = [
            ["--bootstrap", self.cluster.bootstrap()],
            ["--registry", self.cluster.registry_url()],
            ["--out", out],
        ];
        let all: Vec<&str> =
            servers.as_flattened().iter().copied().chain(args.iter().map(String::as_str)).collect();
        python.run(script, &all, &self.folder.join(script).with_extension("log"), 2 * PATIENCE)?;
        let lines = fs::read_to_string(out)?;
        lines.lines().map(|line| serde_json::from_str(line).with_context(|| line.to_owned())).collect()
    }

    /// Nothing is unread by any group, copies of orders that have ended included: two looks in a row find the same ends,
    /// and no lag.
    fn wait_until_all_is_read(&self) -> Result<()> {
        let mut before = None;
        eventually(PATIENCE, "every group has read everything", || {
            let lags = self.lags()?;
            let behind: Vec<&Json> = lags.iter().filter(|lag| lag["lag"] != 0).collect();
            ensure!(behind.is_empty(), "{behind:?}\n{}", tail(self.dev.log(), 20));
            let quiet = before.replace(lags.clone()).is_some_and(|before| before == lags);
            ensure!(quiet, "something was still written");
            Ok(())
        })
    }

    fn lags(&self) -> Result<Vec<Json>> {
        let mut command = Command::new(program("quadrille")?);
        command.args(["topics", "lag", "--json", "--bootstrap-servers", self.cluster.bootstrap()]);
        let output = command.output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout)?;
        let lags: Vec<Json> = text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
        for (group, topic) in [("shop.payment", "orders"), ("shop.payment", "shop.control.charge")] {
            let reads = lags.iter().any(|lag| lag["group"] == group && lag["topic"] == topic);
            ensure!(reads, "{group} does not read {topic}: {lags:?}");
        }
        Ok(lags)
    }

    /// Ends it as Ctrl-C does; its data stays in the folder.
    fn stop(self) -> Result<PathBuf> {
        let status = self.dev.interrupt(PATIENCE)?;
        ensure!(status.success(), "{status}\n{}", tail(self.dev.log(), 20));
        Ok(self.folder)
    }
}

fn order_args() -> Vec<String> {
    let schema = shipped("schemas/order_placed.avsc").display().to_string();
    let orders = ORDERS.to_string();
    ["--topic", "orders", "--schema", &schema, "--thrice", THRICE, "--orders", &orders]
        .map(str::to_owned)
        .to_vec()
}

/// One copy is where the mesh looks for its key, two are where it does not.
fn it_lies_on_two_partitions(sent: &[Sent]) -> Result<()> {
    let ids: BTreeSet<&str> = sent.iter().map(|record| record.ce_id.as_str()).collect();
    ensure!(sent.len() == ORDERS + 2 && ids.len() == sent.len(), "{sent:?}");
    let mut copies: Vec<i32> =
        sent.iter().filter(|record| record.order == THRICE).map(|record| record.partition).collect();
    copies.sort_unstable();
    let right = quadrille_types::partition::of_key(THRICE.as_bytes(), 4) as i32;
    let elsewhere: Vec<i32> = copies.iter().copied().filter(|partition| *partition != right).collect();
    ensure!(copies.len() == 3 && elsewhere.len() == 2 && elsewhere[0] == elsewhere[1], "{copies:?}");
    Ok(())
}

/// What belongs to one order.
#[derive(Debug, Default)]
struct Trail<'a> {
    sent: Vec<&'a Sent>,
    events: Vec<&'a Event>,
}

fn trails<'a>(sent: &'a [Sent], events: &'a [Event]) -> Result<BTreeMap<&'a str, Trail<'a>>> {
    let mut trails: BTreeMap<&str, Trail<'_>> = BTreeMap::new();
    for record in sent {
        trails.entry(&record.order).or_default().sent.push(record);
    }
    ensure!(trails.len() == ORDERS, "{} orders", trails.len());
    for event in events {
        let trail = trails.get_mut(event.header("ce_correlationid"));
        trail.with_context(|| format!("nobody sent the order of {event:?}"))?.events.push(event);
    }
    Ok(trails)
}

impl Trail<'_> {
    fn is_whole(&self, order: &str) -> Result<()> {
        let mut found: Vec<&str> = self.events.iter().map(|event| event.record.as_str()).collect();
        found.sort_unstable();
        let all = found.len();
        found.dedup();
        ensure!(found.len() == all, "an event came twice");

        let outcome = self.events.iter().find(|event| event.record == "SagaOutcome").context("no outcome")?;
        let expected = if UNDONE.contains(&order) { "compensated" } else { "completed" };
        ensure!(outcome.value["outcome"] == expected, "{expected} was expected");
        if expected == "completed" {
            ensure!(found == ["OrderShipped", "PaymentTaken", "SagaOutcome", "StockReserved"], "{found:?}");
        }
        for event in &self.events {
            self.fits(order, event, &outcome.value["run"]).with_context(|| event.r#where.clone())?;
        }
        Ok(())
    }

    fn fits(&self, order: &str, event: &Event, run: &Json) -> Result<()> {
        ensure!(event.header("ce_specversion") == "1.0");
        ensure!(
            event.header("ce_type") == event.record && event.header("content-type") == "application/avro"
        );
        ensure!(event.key == order && event.header("quadrille-flow") == "order");
        ensure!(run == event.header("quadrille-run"), "not of run {run}");
        let identity = if event.record == "SagaOutcome" { "correlation_id" } else { "order_id" };
        ensure!(event.value[identity] == order);

        let cause = event.header("ce_causationid");
        let by_order = self.sent.iter().any(|record| record.ce_id == cause);
        let by_event = self.events.iter().any(|event| event.header("ce_id") == cause);
        ensure!(by_order || by_event, "nothing of this order has the ID of its cause");
        self.is_in_the_trace(event)
    }

    /// All copies of an order come out of one trace, or out of none.
    fn is_in_the_trace(&self, event: &Event) -> Result<()> {
        let (found, sent) = (event.headers.get("traceparent"), self.sent[0].traceparent.as_ref());
        ensure!(found == sent, "its traceparent is {found:?}, and {sent:?} was sent");
        Ok(())
    }
}

/// The books of the payment service: one charge for each order that was not refused.
fn charged_once(folder: &Path) -> Result<()> {
    let stores = Stores { folder: folder.join("stores"), ..Stores::default() };
    let effects = stores.read(&["payment".to_owned()])?;
    let of_it: Vec<_> = effects.iter().filter(|effect| effect.identity == THRICE).collect();
    let [charge] = of_it.as_slice() else {
        bail!("{THRICE} is in the books {} times: {of_it:?}", of_it.len())
    };
    ensure!(charge.action == Action::Do && charge.applied, "{charge:?}");
    let orders: BTreeSet<&str> = effects.iter().map(|effect| effect.identity.as_str()).collect();
    ensure!(orders.len() == ORDERS, "{orders:?}");
    Ok(())
}

fn shipped(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}
