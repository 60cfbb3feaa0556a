//! `trip-participants`: those who book flights, hotels and cars in the trip example, `topology/trip.yaml`.
//!
//! `/flights/book`, `/flights/cancel`, and the same for `hotels` and `cars`; all of them on every address. The stores are
//! `flight.db`, `hotel.db` and `car.db`.
//!
//! What they decide depends on the trip alone, so that a run can be repeated: a destination that begins with `XF` has no
//! flight left, with `XH` no hotel room, with `XC` no car.

mod provider;

use std::net::SocketAddr;

use axum::Router;
use clap::Parser;
use quadrille_participant::{StoreOptions, serve};

/// Books flights, hotels and cars
#[derive(Debug, Parser)]
struct Cli {
    /// Where to listen; port 0 takes a free one
    #[arg(
        long,
        env = "TRIP_LISTEN",
        value_name = "HOST:PORT,…",
        value_delimiter = ',',
        default_value = "127.0.0.1:7101,127.0.0.1:7102,127.0.0.1:7103"
    )]
    listen: Vec<SocketAddr>,
    #[command(flatten)]
    store: StoreOptions,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let mut router = Router::new();
    for provider in &provider::ALL {
        let participant = cli.store.open(provider.participant, provider::TABLES)?;
        router = router.nest(provider.path, provider.router(participant));
    }
    Ok(serve("trip-participants", &cli.listen, router).await?)
}
