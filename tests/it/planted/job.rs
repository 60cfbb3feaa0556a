//! A small job, with the usual mix of orders, and what it leaves behind.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context as _, Result, ensure};
use quadrille_tests::Cluster;
use quadrille_tests::clients::{Isolation, for_each_to_end};
use quadrille_tests::folders::{program, run_dir};
use rdkafka::Message as _;
use rdkafka::message::Headers as _;
use serde_json::{Value, json};

/// An order that is completed.
pub(super) const GOOD: &str = "order-000";
/// One whose card is declined: its reservation is taken back.
pub(super) const DECLINED: &str = "order-001";
/// One without stock: its payment is given back.
pub(super) const SOLD_OUT: &str = "order-002";
/// One that nobody sends.
pub(super) const STRANGER: &str = "order-999";
/// A record that is no order.
pub(super) const BROKEN: &str = "broken-0";

/// What the audit says of it.
pub(super) const HONEST: &str = "accepted=43 effect_once=40 dlt=3 lost=0 dup_effect=0 leaked=0 after_undo=0 unsettled=0 phantom=0 \
    | sagas=40 completed=28 compensated=12 stuck=0 dual_outcome=0 | ";

/// Distinct inputs.
pub(super) const SENT: &str = "43";

/// All topics that the audit reads.
pub(super) const TOPICS: [&str; 8] = [
    ORDERS,
    "stock",
    "payments",
    "shipments",
    OUTCOMES,
    "shop.dead.charge",
    "shop.dead.ingest",
    "shop.dead.reserve-stock",
];
pub(super) const ORDERS: &str = "orders";
pub(super) const OUTCOMES: &str = "shop.sagas.outcomes";

/// One record of these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) topic: String,
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) key: Option<Vec<u8>>,
    pub(super) value: Option<Vec<u8>>,
    pub(super) headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Record {
    pub(super) fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers.iter().find(|(n, _)| n == name)?.1.as_deref()
    }

    pub(super) fn set_header(&mut self, name: &str, value: &[u8]) {
        self.headers.retain(|(n, _)| n != name);
        self.headers.push((name.to_owned(), Some(value.to_vec())));
    }

    /// Whether it is of this order.
    pub(super) fn is_of(&self, identity: &str) -> bool {
        self.header("ce_correlationid") == Some(identity.as_bytes())
    }
}

/// Runs the job as a user would. `arguments` say where; the data, with the participants' stores, stays in `folder`.
pub(super) fn run(folder: &Path, arguments: &[&str]) -> Result<Output> {
    run_with(&topology("order.yaml"), folder, arguments)
}

/// The same, with another file of the topology.
pub(super) fn run_with(topology: &Path, folder: &Path, arguments: &[&str]) -> Result<Output> {
    fs::create_dir_all(folder)?;
    let orders = folder.join("orders.jsonl");
    fs::write(&orders, orders_file())?;
    let mut command = Command::new(program("quadrille")?);
    command.arg("dev").arg(topology).arg("--publish").arg(orders);
    command.arg("--data").arg(folder).args(["--flush", "os", "--timeout", "120s"]).args(arguments);
    Ok(command.env("QUADRILLE_STORES_FLUSH", "os").output()?)
}

/// Runs it on `cluster`; the audit of `dev` itself has to find it in order. Gives the folder of the stores.
pub(super) fn on(cluster: &Cluster) -> Result<PathBuf> {
    let folder = run_dir()?.join(cluster.unique("planted"));
    let servers = ["--bootstrap-servers", cluster.bootstrap(), "--schema-registry", cluster.registry_url()];
    let output = run(&folder, &servers)?;
    let (said, why) = (String::from_utf8(output.stdout)?, String::from_utf8_lossy(&output.stderr));
    let line = said.lines().last().with_context(|| why.clone().into_owned())?;
    ensure!(line.starts_with(HONEST) && line.ends_with("| VALID"), "{said}{why}");
    Ok(folder.join("stores"))
}

/// Everything that a `read_committed` reader finds in the topics.
pub(super) fn records(cluster: &Cluster) -> Result<Vec<Record>> {
    let mut records = Vec::new();
    for topic in TOPICS {
        for_each_to_end(cluster, topic, Isolation::ReadCommitted, |message| {
            let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
            let headers = headers.map(|h| (h.key.to_owned(), h.value.map(<[u8]>::to_vec))).collect();
            records.push(Record {
                topic: topic.to_owned(),
                partition: message.partition(),
                offset: message.offset(),
                key: message.key().map(<[u8]>::to_vec),
                value: message.payload().map(<[u8]>::to_vec),
                headers,
            });
            Ok(())
        })?;
    }
    Ok(records)
}

pub(super) fn topology(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../topology").join(file)
}

/// Forty orders, four of each sort, and three records that are none.
fn orders_file() -> String {
    let mut lines = Vec::new();
    for number in 0..40 {
        let identity = format!("order-{number:03}");
        let (customer, sku) = match number % 10 {
            1 => ("DECLINED-1", "CHAIR-3"),
            2 => ("customer-1", "SOLD-OUT-VASE"),
            4 => ("customer-1", "FLAKY-1-CLOCK"),
            5 => ("DECLINED-1", "SOLD-OUT-VASE"),
            _ => ("customer-1", "CHAIR-3"),
        };
        let order = json!({
            "order_id": identity, "customer_id": customer, "amount_cents": 100, "currency": "EUR",
            "lines": [{ "sku": sku, "quantity": 1, "unit_price_cents": 100 }],
        });
        let line = line(&identity, &identity, ("value", order));
        lines.push(line.clone());
        if number % 10 == 3 {
            // Twice more, with event IDs of their own, on any partition.
            for copy in 1..3 {
                let mut again = line.clone();
                again["headers"]["ce_id"] = format!("{identity}-{copy}").into();
                again["partition"] = ((number + copy) % 3).into();
                lines.push(again);
            }
        }
    }
    for (number, bytes) in
        ["bm8gb3JkZXIgMA==", "bm8gb3JkZXIgMQ==", "bm8gb3JkZXIgMg=="].into_iter().enumerate()
    {
        let identity = format!("broken-{number}");
        lines.push(line(&identity, &identity, ("value_base64", bytes.into())));
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}

fn line(identity: &str, id: &str, (field, value): (&str, Value)) -> Value {
    let headers = json!({
        "ce_specversion": "1.0", "ce_id": id, "ce_source": "/shop/web", "ce_type": "OrderPlaced",
        "ce_correlationid": identity,
    });
    json!({ "topic": ORDERS, "key": identity, "headers": headers, field: value })
}
