//! What Quadrille promises, end to end, on every broker: one module for each promise.

mod conformance;
mod harness;
mod lanes;
mod registry;
mod round_trip;
mod saga;
mod standalone;

use std::process::ExitCode;

fn main() -> ExitCode {
    harness::be_the_victim();
    // RUST_LOG=quadrille=debug shows what services run in this process say.
    tracing_subscriber::fmt().with_env_filter(tracing_subscriber::EnvFilter::from_default_env()).init();
    let promises = [
        harness::promises(),
        standalone::promises(),
        conformance::promises(),
        lanes::promises(),
        registry::promises(),
        round_trip::promises(),
        saga::promises(),
    ];
    quadrille_tests::run(promises.into_iter().flatten().collect())
}
