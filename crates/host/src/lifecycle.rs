//! From the start of a service to its end: ready, healthy, told to end, drained.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::sync::watch;

use crate::process::Host;
use crate::watchdog;

/// What the end may take beyond the drain: the last transactions, and leaving the group.
const LEAVING: Duration = Duration::from_secs(20);

/// Something that runs until it is stopped.
pub trait Running: Send + Sync + 'static {
    /// Whether it does its work.
    fn is_ready(&self) -> bool;

    /// Whether a call blocks for longer than any may: the process has to end then.
    fn is_stuck(&self) -> bool;

    /// Changes to the reason when a part of it has ended by itself.
    fn failed(&self) -> watch::Receiver<Option<String>>;

    /// Finishes what is in work. Blocks.
    fn stop(&self);
}

/// Runs what `starting` starts until a signal comes or a part of it fails, and stops it, within `drain` and a little.
///
/// # Errors
/// It does not start, a part of it has ended by itself, or it did not stop in time.
pub async fn serve<R: Running>(
    starting: impl Future<Output = anyhow::Result<R>>,
    drain: Duration,
    mut host: Host,
) -> anyhow::Result<()> {
    let service = tokio::select! {
        service = starting => Arc::new(service?),
        signal = host.signals.next() => {
            tracing::info!(target: "quadrille::host", signal, "told to end while starting");
            return Ok(());
        }
    };
    let (ready, stuck) = (Arc::clone(&service), Arc::clone(&service));
    host.readiness.set(move || if ready.is_ready() { Ok(()) } else { Err("no partitions yet".to_owned()) });
    watchdog::start(move || stuck.is_stuck().then(|| "a call to Kafka does not return".to_owned()));
    let mut failed = service.failed();
    let failure = tokio::select! {
        signal = host.signals.next() => {
            tracing::info!(target: "quadrille::host", signal, "told to end: finishing what runs");
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
        Some(reason) => bail!("a part of it ended: {reason}"),
        None => Ok(()),
    }
}

/// Why it no longer does its work, as soon as that is so.
async fn failure(failed: &mut watch::Receiver<Option<String>>) -> String {
    let reason = failed.wait_for(Option::is_some).await.ok().and_then(|reason| reason.clone());
    reason.unwrap_or_else(|| "nobody had told it to".to_owned())
}

/// Stops it on a thread that may block; what does not end in time ends with the process.
async fn stop<R: Running>(service: Arc<R>, within: Duration) -> anyhow::Result<()> {
    let stopping = tokio::task::spawn_blocking(move || service.stop());
    tokio::time::timeout(within, stopping).await.context("it did not end in time")??;
    Ok(())
}
