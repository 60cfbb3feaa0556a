//! The address for those who operate a service.
//!
//! | path | answers |
//! | --- | --- |
//! | `/metrics` | Prometheus text |
//! | `/livez` | 200 as long as the process answers at all: whether Kafka is there changes nothing, as a restart would not help |
//! | `/readyz` | 200 when the service does its work, else 503 with the reason |

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::task::JoinHandle;

/// How often what histograms have gathered is folded; without it memory grows.
const UPKEEP: Duration = Duration::from_secs(5);

/// Buckets of everything that is measured in seconds.
const SECONDS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// The address cannot be listened on. Retryable once it is free.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} for operations: {source}")]
pub struct Error {
    address: SocketAddr,
    source: std::io::Error,
}

type Check = Box<dyn Fn() -> Result<(), String> + Send + Sync>;

/// Whether the service does its work. Not ready until it is told how to find out; clones share that.
#[derive(Clone, Default)]
pub struct Readiness(Arc<RwLock<Option<Check>>>);

impl std::fmt::Debug for Readiness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Readiness").field(&self.now()).finish()
    }
}

impl Readiness {
    /// From now on `check` says whether the service is ready, and if not, why. It must not block.
    pub fn set(&self, check: impl Fn() -> Result<(), String> + Send + Sync + 'static) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(check));
    }

    /// Whether it is ready now.
    ///
    /// # Errors
    /// Why not.
    pub fn now(&self) -> Result<(), String> {
        match &*self.0.read().unwrap_or_else(PoisonError::into_inner) {
            Some(check) => check(),
            None => Err("starting".to_owned()),
        }
    }
}

/// The server. Ends when it is dropped.
#[derive(Debug)]
pub struct Ops {
    address: SocketAddr,
    tasks: Vec<JoinHandle<()>>,
}

impl Ops {
    /// Listens on `address`; port 0 takes a free one.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn start(address: SocketAddr, readiness: Readiness) -> Result<Self, Error> {
        let failed = |source| Error { address, source };
        let listener = tokio::net::TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let recorder = recorder();
        let kept = recorder.clone();
        let upkeep = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(UPKEEP);
            loop {
                ticks.tick().await;
                kept.run_upkeep();
            }
        });
        let server = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router(recorder, readiness)).await {
                tracing::error!(target: "quadrille::host", %error, "the operations server ended");
            }
        });
        tracing::info!(target: "quadrille::host", %address, "operations: /metrics, /livez, /readyz");
        Ok(Self { address, tasks: vec![upkeep, server] })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Ops {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

fn router(recorder: PrometheusHandle, readiness: Readiness) -> Router {
    let metrics = move || async move { recorder.render() };
    Router::new()
        .route("/metrics", get(metrics))
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state(readiness)
}

async fn ready(State(readiness): State<Readiness>) -> (StatusCode, String) {
    match readiness.now() {
        Ok(()) => (StatusCode::OK, "ok\n".to_owned()),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
    }
}

/// The process's recorder: there can be only one, so that several services in one process share it.
pub fn recorder() -> PrometheusHandle {
    static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();
    let install = || {
        let builder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
            .expect("there are buckets");
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        if metrics::set_global_recorder(recorder).is_err() {
            tracing::warn!(target: "quadrille::host", "another recorder has the metrics: /metrics stays empty");
        }
        handle
    };
    RECORDER.get_or_init(install).clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn get(ops: &Ops, path: &str) -> (u16, String) {
        let response = reqwest::get(format!("http://{}{path}", ops.address())).await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    #[tokio::test]
    async fn a_service_is_alive_at_once_and_ready_when_it_says_so() {
        let readiness = Readiness::default();
        let ops = Ops::start(([127, 0, 0, 1], 0).into(), readiness.clone()).await.unwrap();
        assert_eq!(get(&ops, "/livez").await, (200, "ok\n".to_owned()));
        assert_eq!(get(&ops, "/readyz").await, (503, "starting\n".to_owned()));
        readiness.set(|| Err("no partitions".to_owned()));
        assert_eq!(get(&ops, "/readyz").await, (503, "no partitions\n".to_owned()));
        readiness.set(|| Ok(()));
        assert_eq!(get(&ops, "/readyz").await, (200, "ok\n".to_owned()));
        metrics::counter!("quadrille_test_total").increment(3);
        metrics::histogram!("quadrille_test_seconds").record(0.2);
        let (status, text) = get(&ops, "/metrics").await;
        assert_eq!(status, 200);
        assert!(text.contains("quadrille_test_total 3"), "{text}");
        assert!(text.contains("quadrille_test_seconds_bucket{le=\"0.25\"} 1"), "{text}");
        let taken = Ops::start(ops.address(), Readiness::default()).await.unwrap_err().to_string();
        assert!(taken.starts_with(&format!("cannot listen on {}", ops.address())), "{taken}");
    }
}
