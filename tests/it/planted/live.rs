//! Faults in a running participant: its fence forgets what it answered.
//!
//! The programs run as they are. Only the store is not: a trigger in it removes each row that the fence writes, as a
//! participant would behave that has none.

use std::fs;
use std::process::Output;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use quadrille_tests::folders::{program, run_dir};
use quadrille_tests::{Promise, promise};
use rusqlite::Connection;

use super::copy::{self, Said};
use super::job::{self, DECLINED, HONEST};

pub(super) fn promises() -> Vec<Promise> {
    let limit = Duration::from_secs(240);
    [
        promise!(alone, a_participant_that_forgets_what_it_did_leaks_it),
        promise!(alone, a_participant_that_forgets_what_it_did_does_it_twice_when_asked_twice),
    ]
    .map(|promise| promise.within(limit))
    .into()
}

const FORGET: &str = "CREATE TRIGGER forget AFTER INSERT ON fence BEGIN DELETE FROM fence; END";

/// The fence's own table, as `crates/fence` makes it.
const FENCE: &str = "CREATE TABLE fence (activation TEXT NOT NULL, action TEXT NOT NULL, key TEXT NOT NULL,
    ran INTEGER NOT NULL, applied INTEGER NOT NULL, reply BLOB NOT NULL, PRIMARY KEY (activation, action))";

/// The payment's own table, without the primary key that would refuse a second charge in the fence's place.
const CHARGES: &str = "CREATE TABLE charges (activation TEXT NOT NULL, order_id TEXT NOT NULL,
    amount_cents INTEGER NOT NULL, refunded INTEGER NOT NULL)";

/// The failpoint in an open transaction. Nobody kills the process that comes to it: it hangs there for ten seconds.
const HANGS: &str = "transaction-open";

/// Four orders have a reservation and a declined card: the participant finds nothing to release.
fn a_participant_that_forgets_what_it_did_leaks_it() -> Result<()> {
    let folder = run_dir()?.join("planted-leaks");
    let stores = folder.join("stores");
    fs::create_dir_all(&stores)?;
    let store = Connection::open(stores.join("stock.db"))?;
    store.execute_batch(FENCE)?;
    store.execute_batch(FORGET)?;
    let said = said(job::run(&folder, &[])?)?;
    let changes = [("effect_once", -4), ("lost", 4), ("leaked", 4)];
    super::found(&said, &changes, &[("leaked", DECLINED), ("lost", DECLINED)])
}

/// The payment service hangs in an open transaction until the broker has aborted it, and so handles a burst of orders
/// again. With its fence that does no harm; without, it charges twice.
fn a_participant_that_forgets_what_it_did_does_it_twice_when_asked_twice() -> Result<()> {
    let said = asked_twice("planted-fenced", false)?;
    said.is_valid(HONEST).context("asked twice, with a fence")?;
    let said = asked_twice("planted-twice", true)?;
    ensure!(said.code == Some(1) && said.word() == "INVALID", "{said:#?}");
    ensure!(said.counters["dup_effect"] > 0 && said.names("dup_effect", "payment: do of"), "{said:#?}");
    Ok(())
}

/// Runs the job with a payment service that is told to hang once. It may forget.
fn asked_twice(name: &str, forgets: bool) -> Result<Said> {
    let folder = run_dir()?.join(name);
    let (data, failpoints) = (folder.join("data"), folder.join("failpoints"));
    fs::create_dir_all(&failpoints)?;
    fs::write(failpoints.join(HANGS), "")?;
    for part in ["topology", "schemas"] {
        copy::folder(&job::topology("..").join(part), &folder.join(part))?;
    }
    let topology = folder.join("topology/order.yaml");
    let dev = fs::read_to_string(topology.with_extension("dev.yaml"))?;
    ensure!(dev.contains("run: [payment]"), "the dev file has no payment: {dev}");
    let hanging = format!(
        "run: [env, QUADRILLE_FAILPOINTS={}, QUADRILLE_TRANSACTION_TIMEOUT=5s, QUADRILLE_X_SOCKET_TIMEOUT_MS=5000, {}]",
        failpoints.display(),
        program("payment")?.display()
    );
    fs::write(topology.with_extension("dev.yaml"), dev.replace("run: [payment]", &hanging))?;
    if forgets {
        // The service makes its tables in the file that it finds.
        let stores = data.join("stores");
        fs::create_dir_all(&stores)?;
        let store = Connection::open(stores.join("payment.db"))?;
        store.execute_batch(FENCE)?;
        store.execute_batch(FORGET)?;
        store.execute_batch(CHARGES)?;
    }
    let said = said(job::run_with(&topology, &data, &[])?)?;
    let hung = fs::read_dir(&failpoints)?
        .flatten()
        .any(|file| file.file_name().to_str().is_some_and(|name| name.starts_with(&format!("{HANGS}.hit."))));
    ensure!(hung, "the payment service did not hang");
    Ok(said)
}

fn said(output: Output) -> Result<Said> {
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    Said::of(output).context(error)
}
