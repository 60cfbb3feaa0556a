//! `quadrille broker`: the embedded broker and the embedded registry in one process.
//!
//! Standard output has two lines, or three with `--faults`, and no more, once clients can connect; programs may read them:
//!
//! ```text
//! kafka 127.0.0.1:19092
//! registry http://127.0.0.1:18081
//! faults http://127.0.0.1:19999/faults
//! ```
//!
//! Below the data folder, `kafka` is the broker's and `registry` the registry's.

mod faults;

use std::io::{self, IsTerminal};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use clap::ValueEnum;
use quadrille_registry::Registry;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::terminal;

const NOTICE: &str = "quadrille: a Kafka-protocol broker and a schema registry for development and tests, on loopback only; \
     for real work use Apache Kafka";

/// What is logged unless `RUST_LOG` says otherwise.
const LOGGED: &str = "warn,quadrille=info";

#[derive(Debug, clap::Args)]
pub(crate) struct Broker {
    /// Where Kafka clients connect: a loopback address; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9092", value_parser = loopback)]
    listen: SocketAddr,
    /// Where the registry's clients connect: a loopback address; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8081", value_parser = loopback)]
    registry: SocketAddr,
    /// Folder of the data, created if absent; one process at a time
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// What an acknowledged record survives
    #[arg(long, value_enum, default_value_t = Flush::Commit)]
    flush: Flush,
    /// Where faults can be asked for, in tests of clients: a loopback address; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", value_parser = loopback)]
    faults: Option<SocketAddr>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Flush {
    /// A power cut: it is on the device
    Commit,
    /// The death of the process, not that of the machine: it is with the operating system
    Os,
}

impl Broker {
    /// Serves until SIGTERM or SIGINT, or until it cannot write.
    ///
    /// # Errors
    /// An address or the data folder can't be had, or what was written can't be put away at the end.
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        crate::terminal::say!("{NOTICE}");
        log_to_stderr();
        let broker = self.start_broker()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let registry = self.start_registry().await?;
            // Whoever has read the addresses may send a signal at once.
            let signals = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
            let mut addresses = format!("kafka {}\nregistry {}\n", broker.bootstrap(), registry.url());
            if let Some(listen) = self.faults {
                let address = faults::serve(listen, broker.faults().clone()).await?;
                addresses += &format!("faults http://{address}/faults\n");
            }
            terminal::print(&addresses)?;
            let failure = tokio::select! {
                () = first_of(signals) => None,
                failure = failure_of(&broker) => Some(failure),
            };
            registry.shutdown().await;
            if let Some(failure) = failure {
                bail!("the broker cannot write, and ends: {failure}. What was acknowledged is kept");
            }
            broker.shutdown().await.context("the broker did not end in order")
        })?;
        Ok(ExitCode::SUCCESS)
    }

    // The errors say their causes themselves: a chain of them would say everything twice.
    fn start_broker(&self) -> anyhow::Result<quadrille_broker::Broker> {
        let mut config = quadrille_broker::Config::new(self.listen, self.data.join("kafka"));
        config.flush = match self.flush {
            Flush::Commit => quadrille_broker::Flush::Commit,
            Flush::Os => quadrille_broker::Flush::Os,
        };
        quadrille_broker::Broker::start(config).map_err(|error| anyhow!("the broker does not start: {error}"))
    }

    async fn start_registry(&self) -> anyhow::Result<Registry> {
        let config = quadrille_registry::Config { listen: self.registry, data: self.data.join("registry") };
        Registry::start(config).await.map_err(|error| anyhow!("the registry does not start: {error}"))
    }
}

fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text.parse().map_err(|_| "write it as 127.0.0.1:9092".to_owned())?;
    if !address.ip().is_loopback() {
        return Err("other machines can reach it, and there is no authentication: use 127.0.0.1".to_owned());
    }
    Ok(address)
}

fn log_to_stderr() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(LOGGED));
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    subscriber.with_ansi(io::stderr().is_terminal()).init();
}

async fn failure_of(broker: &quadrille_broker::Broker) -> String {
    let mut look = tokio::time::interval(Duration::from_millis(200));
    loop {
        look.tick().await;
        if let Some(failure) = broker.failure() {
            return failure;
        }
    }
}

async fn first_of((mut terminate, mut interrupt): (Signal, Signal)) {
    tokio::select! {
        _ = terminate.recv() => tracing::info!("SIGTERM: ending"),
        _ = interrupt.recv() => tracing::info!("SIGINT: ending"),
    }
}
