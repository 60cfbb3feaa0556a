//! Two Kafka-protocol brokers are told the same; whatever a client can observe must be the same on both.
//!
//! A seed gives a sequence of operations ([`plan`]): topics come, grow and go, idempotent and transactional producers write
//! with good, repeated, missing and stale sequences and epochs, groups join, commit and leave, readers of both isolation
//! levels look. Many are mistakes on purpose: what is refused, and how, is part of what a broker promises. [`compare`] does
//! each operation on both brokers in turn and compares the answers, and at the end everything that is left: records with
//! offsets, producers, sequences and markers, aborted transactions, watermarks, committed offsets, groups.
//!
//! The requests are raw frames, so that no client library smooths anything over. What brokers choose freely is not compared: producer and
//! member IDs are replaced by the order in which they came, times of markers and texts of messages are left out. Apache Kafka
//! writes the markers of a transaction after it has acknowledged its end, and creates and deletes topics likewise: each such
//! operation is followed until it is done.

mod client;
mod groups;
mod operate;
mod plan;
mod producers;
mod reads;
mod records;
mod remains;
mod settle;
mod side;
mod topics;

pub use plan::{OPERATIONS, Operation, plan};

use std::fmt::Write;

use anyhow::{Context, Result, bail};

use side::Side;

/// Does the operations of a seed on two brokers (`host:port` each), with names that begin with `names`.
///
/// # Errors
/// The seed, the operation and both answers where they differ; or a broker that does not answer.
pub fn compare(first: &str, second: &str, names: &str, seed: u64) -> Result<()> {
    let (mut a, mut b) = (Side::connect(first, names)?, Side::connect(second, names)?);
    let mut history = String::new();
    for (at, operation) in plan(seed).iter().enumerate() {
        let place = || format!("seed {seed}, operation {at}: {operation:?}");
        let here = a.operate(operation).with_context(|| format!("{}, on {first}", place()))?;
        let there = b.operate(operation).with_context(|| format!("{}, on {second}", place()))?;
        if here != there {
            bail!("{}\n  {first}: {here}\n  {second}: {there}\nbefore:\n{history}", place());
        }
        writeln!(history, "  {operation:?}: {here}")?;
    }
    let here = a.remains().with_context(|| format!("seed {seed}, on {first}"))?;
    let there = b.remains().with_context(|| format!("seed {seed}, on {second}"))?;
    match first_difference(&here, &there) {
        None => Ok(()),
        Some((mine, yours)) => {
            bail!("seed {seed}, what remains:\n  {first}: {mine}\n  {second}: {yours}\nafter:\n{history}")
        }
    }
}

fn first_difference<'a>(here: &'a [String], there: &'a [String]) -> Option<(&'a str, &'a str)> {
    let longest = here.len().max(there.len());
    let line = |lines: &'a [String], at: usize| lines.get(at).map_or("nothing more", String::as_str);
    (0..longest).map(|at| (line(here, at), line(there, at))).find(|(mine, yours)| mine != yours)
}
