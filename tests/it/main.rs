//! What Quadrille promises, end to end, on every broker: one module for each promise.

mod harness;
mod registry;
mod round_trip;

use std::process::ExitCode;

fn main() -> ExitCode {
    harness::be_the_victim();
    let promises = [harness::promises(), registry::promises(), round_trip::promises()];
    quadrille_tests::run(promises.into_iter().flatten().collect())
}
