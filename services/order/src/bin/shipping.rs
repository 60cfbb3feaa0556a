//! `shipping`: the steps of service `shipping` of the order example.

use std::process::ExitCode;

use clap::Parser;
use quadrille_order::shipping;
use quadrille_participant::StoreOptions;

/// Ships what is reserved and paid
#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    store: StoreOptions,
    #[command(flatten)]
    quadrille: quadrille_sdk::Options,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.store.open("shipping", shipping::TABLES) {
        Ok(participant) => quadrille_sdk::run_with(cli.quadrille, shipping::steps(participant)),
        Err(error) => {
            eprintln!("shipping: {error}");
            ExitCode::FAILURE
        }
    }
}
