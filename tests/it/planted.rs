//! The audit is able to fail: each of many planted faults turns INVALID what was VALID, names whose it is, and changes the
//! counters that it has to change and no others.
//!
//! A small job runs through the programs as they are. What it left behind is copied, record by record into topics of other
//! names, store by store into other folders; the copy without a fault is VALID. Then each fault is planted in a copy of
//! its own, by a plain client or by SQL, and `quadrille-audit` reads it:
//!
//! - [`faults`]: in topics and in stores, on both brokers;
//! - [`live`]: in a running participant, on the embedded broker alone, as they are about the participant and not about a broker;
//! - here: records that vanish while the audit watches, and the data folder that `quadrille dev --data` keeps.

mod copy;
mod faults;
mod job;
mod live;

use std::io::Read as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use quadrille_tests::clients;
use quadrille_tests::cluster::Server as _;
use quadrille_tests::embedded::Embedded;
use quadrille_tests::folders::run_dir;
use quadrille_tests::{Cluster, Promise, promise};
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, ThreadedProducer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use copy::{Copy, Said};
use faults::{Evidence, Fault};
use job::{HONEST, ORDERS, OUTCOMES, Record, STRANGER};

pub(crate) fn promises() -> Vec<Promise> {
    let limit = Duration::from_secs(240);
    let mut promises = vec![
        promise!(on_broker, each_planted_fault_is_found).with_registry().own_broker().within(limit),
        promise!(alone, a_kept_folder_is_valid_until_an_order_is_lost_in_it).within(limit),
    ];
    promises.extend(live::promises());
    promises
}

fn each_planted_fault_is_found(cluster: &Cluster) -> Result<()> {
    let stores = job::on(cluster)?;
    let records = job::records(cluster)?;
    let shop = Shop { cluster, folder: stores.parent().context("no folder")?.to_owned(), stores, records };
    let honest = shop.honest()?;
    let mut wrong = Vec::new();
    for fault in faults::IN_TOPICS.iter().chain(faults::IN_STORES) {
        if let Err(error) = shop.plant(fault, &honest) {
            wrong.push(format!("{}: {error:#}", fault.name));
        }
    }
    ensure!(
        wrong.is_empty(),
        "{} faults were not found, or not as they should:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    shop.a_record_that_vanishes_is_a_phantom()
}

/// What the job left behind.
struct Shop<'a> {
    cluster: &'a Cluster,
    folder: PathBuf,
    stores: PathBuf,
    records: Vec<Record>,
}

impl<'a> Shop<'a> {
    /// The copy without a fault.
    fn honest(&self) -> Result<Copy<'a>> {
        let copy = Copy::of(self.cluster, &self.folder, &self.records)?;
        Said::of(copy.audit(&self.stores)?.output()?)?
            .is_valid(HONEST)
            .context("the copy without a fault")?;
        let outcome = self.records.iter().find(|record| record.topic == OUTCOMES);
        copy.write_and_abort(outcome.context("no outcome")?)?;
        let said = Said::of(copy.audit(&self.stores)?.output()?)?;
        said.is_valid(HONEST).context("a second outcome, in a transaction that was aborted")?;
        Ok(copy)
    }

    fn plant(&self, fault: &Fault, honest: &Copy<'_>) -> Result<()> {
        let stores = self.folder.join(self.cluster.unique("stores"));
        copy::folder(&self.stores, &stores)?;
        let mut evidence = Evidence { records: self.records.clone(), stores };
        (fault.plant)(&mut evidence)?;
        let output = match evidence.records == self.records {
            true => honest.audit(&evidence.stores)?.output()?,
            false => {
                let copy = honest.altered(&self.folder, &evidence.records)?;
                copy.audit(&evidence.stores)?.output()?
            }
        };
        found(&Said::of(output)?, fault.changes, fault.names)
    }

    /// The audit watches while the records come; one is removed before it reads them again.
    fn a_record_that_vanishes_is_a_phantom(&self) -> Result<()> {
        let watched = |vanish: &dyn Fn(&Copy<'_>) -> Result<()>| -> Result<Said> {
            let mut copy = Copy::empty(self.cluster, &self.folder)?;
            let watch = Watch::start(copy.audit(&self.stores)?)?;
            copy.write(&self.records)?;
            vanish(&copy)?;
            watch.finish()
        };
        watched(&|_| Ok(()))?.is_valid(HONEST).context("watched, and nothing vanished")?;
        let first = self.records.iter().find(|record| record.topic == "stock").context("no event")?;
        ensure!(first.offset == 0, "the first record lies at {}", first.offset);
        let said = watched(&|copy| self.remove_first(copy.topic("stock"), first.partition))?;
        found(&said, &[("phantom", 1)], &[("phantom", "stock")]).context("watched, and a record vanished")
    }

    fn remove_first(&self, topic: &str, partition: i32) -> Result<()> {
        let admin: AdminClient<DefaultClientContext> = clients::config(self.cluster).create()?;
        let mut before = TopicPartitionList::new();
        before.add_partition_offset(topic, partition, Offset::Offset(1))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let removed = runtime.block_on(admin.delete_records(&before, &AdminOptions::new()))?;
        removed.elements().iter().try_for_each(|element| Ok(element.error()?))
    }
}

/// The audit found what it should, and nothing else changed in its summary.
fn found(said: &Said, changes: &[(&str, i64)], names: &[(&str, &str)]) -> Result<()> {
    ensure!(said.code == Some(1) && said.word() == "INVALID", "{said:#?}");
    let honest = copy::counters(HONEST);
    let changed: Vec<String> = said
        .counters
        .iter()
        .filter(|(name, number)| {
            let was = honest.get(*name).copied().unwrap_or(0);
            let change = changes.iter().find(|(n, _)| n == name).map_or(0, |(_, change)| *change);
            **number != was + change
        })
        .map(|(name, number)| format!("{name}={number}"))
        .collect();
    ensure!(changed.is_empty(), "{changed:?} are wrong, expected changes {changes:?}\n{}", said.text);
    for (kind, id) in names {
        ensure!(said.names(kind, id), "no {kind} of {id}\n{}", said.text);
    }
    Ok(())
}

/// An audit that watches.
struct Watch {
    child: Child,
}

impl Watch {
    fn start(mut command: Command) -> Result<Self> {
        command.arg("--watch").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut watch = Self { child: command.spawn()? };
        let mut said = [0; 9];
        let stderr = watch.child.stderr.as_mut().context("no standard error")?;
        stderr.read_exact(&mut said).context("it does not watch")?;
        match &said {
            b"watching\n" => Ok(watch),
            other => bail!("{} instead of watching", String::from_utf8_lossy(other)),
        }
    }

    fn finish(mut self) -> Result<Said> {
        drop(self.child.stdin.take());
        let (mut text, mut error) = (Vec::new(), Vec::new());
        // Both are short: neither pipe is filled while the other is read.
        self.child.stdout.as_mut().context("no standard output")?.read_to_end(&mut text)?;
        self.child.stderr.as_mut().context("no standard error")?.read_to_end(&mut error)?;
        Said::of(std::process::Output { status: self.child.wait()?, stdout: text, stderr: error })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // Gone already, unless something failed before.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `quadrille dev --data` keeps everything; another broker on a copy of it shows the same, and what comes later is lost.
fn a_kept_folder_is_valid_until_an_order_is_lost_in_it() -> Result<()> {
    let folder = run_dir()?.join("planted-folder");
    let kept = folder.join("kept");
    let output = job::run(&kept, &[])?;
    ensure!(output.status.success(), "{output:?}");
    let copied = folder.join("copy/data");
    copy::folder(&kept, &copied)?;
    let mut broker = Embedded::new(&folder.join("copy"))?;
    broker.start()?;
    let (bootstrap, registry) =
        (broker.bootstrap().context("no broker")?, broker.registry_url().context("no registry")?);
    let audit = || -> Result<Said> {
        let mut command =
            copy::audit(&bootstrap, &registry, &job::topology("order.expect.yaml"), &copied.join("stores"))?;
        Said::of(command.output()?)
    };
    audit()?.is_valid(HONEST).context("the copy of the folder")?;
    publish_late(&bootstrap)?;
    found(
        &audit()?,
        &[("accepted", 1), ("lost", 1), ("unsettled", 1), ("sagas", 1)],
        &[("lost", STRANGER), ("unsettled", STRANGER)],
    )?;
    broker.stop()
}

/// One more order, from whoever has a Kafka client: in JSON, as README.md shows.
fn publish_late(bootstrap: &str) -> Result<()> {
    let producer: ThreadedProducer<DefaultProducerContext> =
        ClientConfig::new().set("bootstrap.servers", bootstrap).create()?;
    let order = format!(
        r#"{{"order_id":"{STRANGER}","customer_id":"c-1","amount_cents":100,"currency":"EUR",
             "lines":[{{"sku":"RUG","quantity":1,"unit_price_cents":100}}]}}"#
    );
    let headers = [
        ("ce_specversion", "1.0"),
        ("ce_id", "1"),
        ("ce_source", "/me"),
        ("ce_type", "OrderPlaced"),
        ("ce_correlationid", STRANGER),
        ("content-type", "application/json"),
    ];
    let headers = headers
        .into_iter()
        .fold(OwnedHeaders::new(), |all, (key, value)| all.insert(Header { key, value: Some(value) }));
    let record = BaseRecord::to(ORDERS).key(STRANGER).payload(&order).headers(headers);
    producer.send(record).map_err(|(error, _)| error)?;
    clients::drain(&producer)
}
