//! `trip-participants`: those who book flights, hotels and cars in the trip example, `topology/trip.yaml`.
//!
//! `/flights/book`, `/flights/cancel`, and the same for `hotels` and `cars`; all of them on every address, or those of the
//! providers that are named. They share a store.
//!
//! What they decide depends on the trip alone, so that a run can be repeated: a destination that begins with `XF` has no
//! flight left, with `XH` no hotel room, with `XC` no car.

mod provider;

use std::net::SocketAddr;

use axum::Router;
use clap::Parser;
use quadrille_participant::{StoreOptions, serve};

use provider::Provider;

/// Books flights, hotels and cars
#[derive(Debug, Parser)]
struct Cli {
    /// Where to listen; port 0 takes a free one
    #[arg(
        long,
        env = "QUADRILLE_LISTEN",
        value_name = "HOST:PORT,…",
        value_delimiter = ',',
        default_value = "127.0.0.1:7101,127.0.0.1:7102,127.0.0.1:7103"
    )]
    listen: Vec<SocketAddr>,
    #[command(flatten)]
    store: StoreOptions,
    /// Who books here; default: all
    #[arg(value_parser = ["flight", "hotel", "car"])]
    providers: Vec<String>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let mut router = Router::new();
    let named = |provider: &&Provider| {
        cli.providers.is_empty() || cli.providers.iter().any(|name| name == provider.participant)
    };
    for provider in provider::ALL.iter().filter(named) {
        let participant = cli.store.open(provider.participant, provider::TABLES)?;
        router = router.nest(provider.path, provider.router(participant));
    }
    Ok(serve("trip-participants", &cli.listen, router).await?)
}
