//! What every broker and every registry must do: each check on the embedded ones and on the real ones.

use std::iter;

use anyhow::{Context, Result, bail};
use quadrille_conformance as broker;
use quadrille_registry_conformance as registry;
use quadrille_tests::{Cluster, Kind, Promise};

pub(crate) fn promises() -> Vec<Promise> {
    let brokers = broker::CHECKS.iter().map(of_broker);
    brokers.chain(registry::CHECKS.iter().map(of_registry)).collect()
}

fn of_broker(check: &'static broker::Check) -> Promise {
    Promise::on_broker(&format!("conformance::{}", check.name), move |cluster| {
        let context = broker::Context { bootstrap: cluster.bootstrap().to_owned() };
        let known = on(cluster, Kind::Kafka, check.apache_kafka);
        judge((check.run)(&context), known)
    })
}

fn of_registry(check: &'static registry::Check) -> Promise {
    let promise = Promise::on_registry(&format!("conformance::schemas::{}", check.name), move |cluster| {
        let context = registry::Context::new(cluster.registry_url())?;
        let known = on(cluster, Kind::Registry, check.apicurio);
        let once = || (check.run)(&context);
        judge(if cluster.kind() == Kind::Registry { answered(once) } else { once() }, known)
    });
    if check.exclusive { promise.undisturbed() } else { promise }
}

fn on(cluster: &Cluster, kind: Kind, difference: Option<&'static str>) -> Option<&'static str> {
    difference.filter(|_| cluster.kind() == kind)
}

/// Apicurio 3.3.3 leaves about one of 400 requests that it refuses with 405 unanswered: three in a row are no accident.
fn answered(check: impl Fn() -> Result<()>) -> Result<()> {
    let missed = |outcome: &Result<()>| outcome.as_ref().is_err_and(registry::unanswered);
    let mut outcomes = iter::repeat_with(check).take(3).skip_while(missed);
    outcomes.next().context("three times a request was not answered")?
}

/// A difference that is listed must be there: one that has gone away is noticed.
fn judge(outcome: Result<()>, known: Option<&str>) -> Result<()> {
    match (outcome, known) {
        (outcome, None) => outcome,
        (Err(_), Some(_)) => Ok(()),
        (Ok(()), Some(known)) => bail!("it passes, though it is listed as a difference: {known}"),
    }
}
