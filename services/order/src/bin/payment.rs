//! `payment`: the steps of service `payment` of the order example.

use std::process::ExitCode;

use clap::Parser;
use quadrille_order::payment;
use quadrille_participant::StoreOptions;

/// Charges and refunds
#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    store: StoreOptions,
    #[command(flatten)]
    quadrille: quadrille_sdk::Options,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.store.open("payment", payment::TABLES) {
        Ok(participant) => quadrille_sdk::run_with(cli.quadrille, payment::steps(participant)),
        Err(error) => {
            eprintln!("payment: {error}");
            ExitCode::FAILURE
        }
    }
}
