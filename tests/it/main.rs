//! What Quadrille promises, end to end, on every broker: one module for each promise.

mod conformance;
mod differential;
mod faults;
mod gives_up;
mod gives_up_killed;
mod guarantees;
mod harness;
mod kill;
mod lanes;
mod late_commit;
mod linking;
mod main_job;
mod ops;
mod planted;
mod python;
mod round_trip;
mod saga;
mod schemas;
mod standalone;
mod startup;

use std::process::ExitCode;

use quadrille_tests::Promise;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    harness::be_the_victim();
    log();
    quadrille_tests::run(promises())
}

/// All of them.
fn promises() -> Vec<Promise> {
    let promises = [
        harness::promises(),
        standalone::promises(),
        conformance::promises(),
        differential::promises(),
        faults::promises(),
        gives_up::promises(),
        gives_up_killed::promises(),
        guarantees::promises(),
        linking::promises(),
        kill::promises(),
        lanes::promises(),
        late_commit::promises(),
        main_job::promises(),
        schemas::promises(),
        round_trip::promises(),
        saga::promises(),
        startup::promises(),
        ops::promises(),
        planted::promises(),
        python::promises(),
    ];
    promises.into_iter().flatten().collect()
}

/// `RUST_LOG=quadrille=debug` shows what services run in this process say. The Kafka client is silent by default: promises
/// about fencing and refusals make it report errors that are meant to be.
fn log() {
    let filter = EnvFilter::try_from_default_env();
    let filter = filter.unwrap_or_else(|_| EnvFilter::new("error,rdkafka=off,librdkafka=off"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}
