//! Whatever clients do, good or bad, a sequence of operations gives the same history on the embedded broker and on Apache Kafka.
//!
//! `QUADRILLE_SEED` names the first of the seeds, `QUADRILLE_DIFFERENTIAL` how many there are: 200 is the long form.

use std::env;
use std::time::Duration;

use anyhow::{Result, bail};
use quadrille_differential::compare;
use quadrille_tests::{Cluster, Promise, promise};

const SEEDS: u64 = 20;

pub(crate) fn promises() -> Vec<Promise> {
    let limit = Duration::from_secs(30) * u32::try_from(seeds()).unwrap_or(u32::MAX);
    vec![promise!(on_both, any_operations_have_the_same_history).within(limit)]
}

fn any_operations_have_the_same_history(embedded: &Cluster, kafka: &Cluster) -> Result<()> {
    let first = number("QUADRILLE_SEED").unwrap_or(1);
    let mut differences = Vec::new();
    for seed in first..first + seeds() {
        let names = embedded.unique("differential");
        if let Err(error) = compare(embedded.bootstrap(), kafka.bootstrap(), &names, seed) {
            differences.push(format!("{error:#}"));
        }
    }
    if differences.is_empty() { Ok(()) } else { bail!("{}", differences.join("\n\n")) }
}

fn seeds() -> u64 {
    number("QUADRILLE_DIFFERENTIAL").unwrap_or(SEEDS)
}

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok()?.parse().ok()
}
