//! The whole `main` of a service of steps.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Parser;
use quadrille_host::process::{self, Host};
use quadrille_host::{topology, watchdog};
use quadrille_runtime::Service;
use tokio::sync::watch;

use crate::options::Options;
use crate::service::{self, Running};
use crate::steps::Steps;

/// What the end may take beyond the drain: the last transactions, and leaving the group.
const LEAVING: Duration = Duration::from_secs(20);

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
    process::run(&name, &host, |host| serve(options, steps, host))
}

async fn serve(options: Options, steps: Steps, mut host: Host) -> anyhow::Result<()> {
    let drain = options.drain;
    let starting = start(&options, &steps);
    let service = tokio::select! {
        service = starting => Arc::new(service?),
        signal = host.signals.next() => {
            tracing::info!(target: "quadrille::sdk", signal, "told to end while starting");
            return Ok(());
        }
    };
    let (ready, stuck) = (Arc::clone(&service), Arc::clone(&service));
    host.readiness.set(move || if ready.is_ready() { Ok(()) } else { Err("no partitions yet".to_owned()) });
    watchdog::start(move || stuck.is_stuck().then(|| "a call to Kafka does not return".to_owned()));
    let mut failed = service.failed();
    let failure = tokio::select! {
        signal = host.signals.next() => {
            tracing::info!(target: "quadrille::sdk", signal, "told to end: finishing what runs");
            None
        }
        failure = failure(&mut failed) => Some(failure),
    };
    host.readiness.set(|| Err("ending".to_owned()));
    tokio::select! {
        stopped = stop(service, drain + LEAVING) => stopped?,
        signal = host.signals.next() => bail!("told to end at once by a second {signal}"),
    }
    match failure {
        Some(reason) => bail!("a lane ended: {reason}"),
        None => Ok(()),
    }
}

/// Why the lanes no longer do their work, as soon as that is so.
async fn failure(failed: &mut watch::Receiver<Option<String>>) -> String {
    let reason = failed.wait_for(Option::is_some).await.ok().and_then(|reason| reason.clone());
    reason.unwrap_or_else(|| "nobody had told it to".to_owned())
}

async fn start(options: &Options, steps: &Steps) -> anyhow::Result<Service> {
    let mesh = topology::load(&options.topology)?;
    let running = Running {
        service: options.service.clone(),
        instance: options.instance.clone(),
        lanes: usize::from(options.lanes),
        drain: options.drain,
        http_rewrite: options.http_rewrite.clone(),
        ..Running::new(options.kafka.settings()?, options.registry.schemas()?)
    };
    let service = service::start(&mesh, steps, running).await?;
    tracing::info!(target: "quadrille::sdk", mesh = mesh.name, version = mesh.version, "running");
    Ok(service)
}

/// Stops the service on a thread that may block; what does not end in time ends with the process.
async fn stop(service: Arc<Service>, within: Duration) -> anyhow::Result<()> {
    let stopping = tokio::task::spawn_blocking(move || service.stop());
    tokio::time::timeout(within, stopping).await.context("the lanes did not end in time")??;
    Ok(())
}
