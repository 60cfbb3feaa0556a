//! The orders of a run: what goes wrong with each follows from its number, so that a seed is all that a report needs.

use std::time::Duration;

use anyhow::Result;
use fastrand::Rng;
use quadrille_events::Codecs;
use quadrille_kafka::publish::Outgoing;
use quadrille_schema::Schemas;
use quadrille_topology::Mesh;
use serde_json::{Value, json};

const EVENT: &str = "OrderPlaced";

/// Of so many orders each kind of trouble comes once.
const CYCLE: usize = 25;

/// What is published and what has to come to an end.
pub(super) struct Orders {
    /// In order of publication.
    pub(super) records: Vec<Outgoing>,
    /// All identities.
    pub(super) identities: Vec<String>,
}

/// Orders whose card is declined while the reservation waits in a retry.
pub(super) fn is_refused_in_a_retry(number: usize) -> bool {
    matches!(number % CYCLE, 4 | 5)
}

/// What an order is called.
pub(super) fn identity(number: usize) -> String {
    format!("order-{number:05}")
}

/// `count` inputs; some of them are sent three times, on any partition.
pub(super) fn orders(mesh: &Mesh, schemas: &Schemas, count: usize, rng: &mut Rng) -> Result<Orders> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let events = [EVENT].into();
    let codecs = runtime.block_on(Codecs::connect(mesh, Some(schemas), &events, Duration::from_secs(60)))?;
    let topic = &mesh.events[EVENT].topic;
    let partitions = mesh.topics[topic].partitions as i32;
    let mut placed = Vec::new();
    for number in 0..count {
        let value = match number % CYCLE {
            24 => b"no order".to_vec(),
            _ => codecs.encode(EVENT, &order(number, rng))?.value,
        };
        let copies = if matches!(number % CYCLE, 7 | 8) { 3 } else { 1 };
        for copy in 0..copies {
            let partition = (copy > 0).then(|| rng.i32(0..partitions));
            let later = if copy > 0 { rng.usize(0..40) } else { 0 };
            placed.push((number + later, record(topic, number, partition, value.clone(), rng)));
        }
    }
    // Stable: a first copy stays before the others of its order.
    placed.sort_by_key(|(when, _)| *when);
    let records = placed.into_iter().map(|(_, record)| record).collect();
    Ok(Orders { records, identities: (0..count).map(identity).collect() })
}

fn order(number: usize, rng: &mut Rng) -> Value {
    let (customer, sku) = match number % CYCLE {
        1 | 2 => ("customer", "SOLD-OUT-VASE"),
        3 => ("DECLINED-customer", "LAMP-1"),
        4 => ("DECLINED-customer", "FLAKY-2-MIRROR"),
        5 => ("DECLINED-customer", "FLAKY-3-MIRROR"),
        6 => ("DECLINED-customer", "SOLD-OUT-VASE"),
        9 | 10 => ("customer", "FLAKY-2-CLOCK"),
        _ => ("customer", "CHAIR-3"),
    };
    let (quantity, price) = (rng.i64(1..5), rng.i64(1..400) * 100);
    json!({
        "order_id": identity(number),
        "customer_id": format!("{customer}-{}", rng.u32(0..1000)),
        "lines": [{ "sku": sku, "quantity": quantity, "unit_price_cents": price }],
        "amount_cents": quantity * price,
        "currency": "EUR",
    })
}

fn record(topic: &str, number: usize, partition: Option<i32>, value: Vec<u8>, rng: &mut Rng) -> Outgoing {
    let identity = identity(number);
    let id = format!("{:032x}", rng.u128(..));
    let headers = [
        ("ce_specversion", "1.0"),
        ("ce_id", &id),
        ("ce_source", "/shop/web"),
        ("ce_type", EVENT),
        ("ce_correlationid", &identity),
    ];
    let headers = headers.map(|(name, value)| (name.to_owned(), Some(value.as_bytes().to_vec())));
    Outgoing {
        topic: topic.to_owned(),
        partition,
        key: Some(identity.into_bytes()),
        value: Some(value),
        headers: headers.into(),
    }
}
