//! The whole `main` of a service of steps.

use std::process::ExitCode;

use clap::Parser;
use quadrille_host::{lifecycle, process, topology};
use quadrille_runtime::Service;
use tokio::sync::watch;

use crate::options::Options;
use crate::service::{self, Running};
use crate::steps::Steps;

#[derive(Debug, Parser)]
#[command(version, about = "Runs the steps of one service of a topology")]
struct Cli {
    #[command(flatten)]
    options: Options,
}

/// Runs `steps` until the process is asked to end (SIGTERM, SIGINT): then it takes no more work, finishes what it has
/// begun, and leaves. This is the whole `main` of a service; see [`Options`] for its flags and variables and
/// [`quadrille_host::process`] for its exit codes.
pub fn run(steps: Steps) -> ExitCode {
    run_with(Cli::parse().options, steps)
}

/// As [`run`], with options that an author's own `main` has parsed.
pub fn run_with(options: Options, steps: Steps) -> ExitCode {
    let name =
        options.service.as_ref().or(steps.service.as_ref()).cloned().unwrap_or_else(|| "service".into());
    let host = options.host.clone();
    process::run(&name, &host, |host| {
        let drain = options.drain;
        lifecycle::serve(start(options, steps), drain, host)
    })
}

/// The lanes, as the life of a process sees them.
struct Lanes(Service);

impl lifecycle::Running for Lanes {
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

async fn start(options: Options, steps: Steps) -> anyhow::Result<Lanes> {
    let mesh = topology::load(&options.topology)?.prefixed(options.copy.prefix.as_ref());
    let running = Running {
        service: options.service.clone(),
        instance: options.instance.clone(),
        lanes: usize::from(options.lanes),
        drain: options.drain,
        http_rewrite: options.http_rewrite.clone(),
        ..Running::new(options.kafka.settings()?, options.registry.schemas()?)
    };
    let service = service::start(&mesh, &steps, running).await?;
    tracing::info!(target: "quadrille::sdk", mesh = mesh.name, version = mesh.version, "running");
    Ok(Lanes(service))
}
