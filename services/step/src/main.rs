//! `step`: runs the steps of a topology whose handlers are HTTP endpoints, in any language.
//!
//! What an endpoint gets and may answer stands at the root of `quadrille-http-handler`; flags, environment and exit
//! codes are those of every service of steps: `step --help`.

use std::process::ExitCode;

use quadrille_sdk::Steps;

/// The service that a step belongs to unless the topology file says otherwise.
const GENERIC: &str = "steps";

fn main() -> ExitCode {
    quadrille_sdk::run(Steps::new().service(GENERIC))
}
