//! `saga-coordinator`: folds the facts of a mesh into sagas.
//!
//! Configured by flags and environment as every service of the mesh is; see `--help` and `quadrille_host::options`.
//! Any number of instances share the sagas; each may end at any moment.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use quadrille_coordinator::{Coordinator, CoordinatorConfig, CoordinatorSpec};
use quadrille_host::{
    HostOptions, KafkaOptions, PrefixOption, RegistryOptions, lifecycle, process, topology,
};
use tokio::sync::watch;

/// Nothing is in work between two transactions, so the end waits for one of them at most.
const DRAIN: Duration = Duration::from_secs(5);

#[derive(Clone, Debug, Parser)]
#[command(name = "saga-coordinator", version, about)]
struct Options {
    /// The topology file
    #[arg(long, env = "QUADRILLE_TOPOLOGY", value_name = "FILE")]
    topology: PathBuf,
    /// Ordinal of this instance, only if it is stable over restarts and nobody else has it
    #[arg(long, env = "QUADRILLE_INSTANCE", value_name = "ORDINAL")]
    instance: Option<String>,
    /// How long an ended saga is remembered, with 64 bytes at most
    ///
    /// It bounds what the state topic and this process's memory hold. A copy of a start event that comes later begins the
    /// saga again, until a step that the event triggers says that it knows the copy: then it ends as forgotten, with no
    /// second effect, outcome or undo. Where no step remembers the copy, it is a new saga. What waits for a start event that
    /// does not come is forgotten after the same time, but not within an hour.
    #[arg(long, env = "QUADRILLE_KEEP_ENDED", value_name = "DURATION", default_value = "7days", value_parser = humantime::parse_duration)]
    keep_ended: Duration,
    #[command(flatten)]
    kafka: KafkaOptions,
    #[command(flatten)]
    copy: PrefixOption,
    #[command(flatten)]
    registry: RegistryOptions,
    #[command(flatten)]
    host: HostOptions,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let host = options.host.clone();
    process::run("saga-coordinator", &host, |host| lifecycle::serve(start(options), DRAIN, host))
}

async fn start(options: Options) -> anyhow::Result<Running> {
    let mesh = topology::load(&options.topology)?.prefixed(options.copy.prefix.as_ref());
    let schemas = options.registry.schemas()?.context("outcomes are Avro: say --schema-registry")?;
    let config = CoordinatorConfig {
        settings: options.kafka.settings()?,
        schemas,
        spec: CoordinatorSpec::of(&mesh).keeping_ended(options.keep_ended),
        instance: options.instance,
    };
    let tokio = tokio::runtime::Handle::current();
    let coordinator = tokio::task::spawn_blocking(move || Coordinator::start(config, &tokio)).await??;
    tracing::info!(target: "quadrille::saga", mesh = mesh.name, version = mesh.version, "running");
    Ok(Running(coordinator))
}

struct Running(Coordinator);

impl lifecycle::Running for Running {
    fn is_ready(&self) -> bool {
        self.0.is_ready()
    }

    fn is_stuck(&self) -> bool {
        self.0.is_stuck()
    }

    fn failed(&self) -> watch::Receiver<Option<String>> {
        self.0.failed()
    }

    fn stop(&self) {
        self.0.stop();
    }
}
