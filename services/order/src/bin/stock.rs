//! `stock`: the HTTP endpoints of the order example.

use std::net::SocketAddr;

use clap::Parser;
use quadrille_order::stock;
use quadrille_participant::{StoreOptions, serve};

/// Reserves and releases stock
#[derive(Parser)]
struct Cli {
    /// Where to listen; port 0 takes a free one
    #[arg(long, env = "STOCK_LISTEN", value_name = "HOST:PORT", default_value = "127.0.0.1:7001")]
    listen: SocketAddr,
    #[command(flatten)]
    store: StoreOptions,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let participant = cli.store.open("stock", stock::TABLES)?;
    Ok(serve("stock", &[cli.listen], stock::router(participant)).await?)
}
