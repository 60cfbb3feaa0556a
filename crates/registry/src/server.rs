//! Starting and stopping the registry.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::connections::{Bounded, Limits};
use crate::http;
use crate::journal::JournalError;
use crate::service::Service;

/// How long requests under way may take once the registry stops; then their connections are closed.
const GRACE: Duration = Duration::from_secs(2);

/// Where the registry listens and keeps its file.
#[derive(Debug, Clone)]
pub struct Config {
    /// A loopback address; port 0 takes a free one. There is no authentication, so anything else is refused.
    pub listen: SocketAddr,
    /// The folder of the journal, created when missing. One registry at a time.
    pub data: PathBuf,
}

/// Why the registry did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address can be reached from other machines.
    #[error("the embedded registry listens on loopback only, not on {address}")]
    NotLoopback {
        /// What was asked for.
        address: SocketAddr,
    },
    /// The address can't be had.
    #[error("can't listen on {address}: {source}")]
    Listen {
        /// What was asked for.
        address: SocketAddr,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The journal can't be opened.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// A running registry. Dropping it stops it without waiting; what was answered is on disk either way.
#[derive(Debug)]
pub struct Registry {
    address: SocketAddr,
    service: Arc<Service>,
    stop: Option<oneshot::Sender<()>>,
    server: JoinHandle<()>,
}

impl Registry {
    /// Opens the folder and serves. When this returns, requests are answered.
    ///
    /// # Errors
    /// See [`StartError`]; none of them goes away by itself, except an address in use.
    pub async fn start(config: Config) -> Result<Registry, StartError> {
        let address = config.listen;
        if !address.ip().is_loopback() {
            return Err(StartError::NotLoopback { address });
        }
        let service = Arc::new(Service::open(&config.data)?);
        let listen = |source| StartError::Listen { address, source };
        let listener = tokio::net::TcpListener::bind(address).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let (stop, stopped) = oneshot::channel::<()>();
        let router = http::router(service.clone());
        let server = tokio::spawn(async move {
            let until = async move { drop(stopped.await) };
            let listener = Bounded::new(listener, Limits::default());
            let serving = axum::serve(listener, router).with_graceful_shutdown(until);
            if let Err(error) = serving.await {
                tracing::error!(%error, "the embedded registry stopped");
            }
        });
        Ok(Registry { address, service, stop: Some(stop), server })
    }

    /// The base URL for every Confluent client.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The address that is listened on, with the port that was taken.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops: requests under way are answered (for 2 s at most), then the folder is free for another registry.
    pub async fn shutdown(mut self) {
        drop(self.stop.take());
        if tokio::time::timeout(GRACE, &mut self.server).await.is_err() {
            self.server.abort();
            // Aborted is all that can be said of it then.
            let _ = (&mut self.server).await;
        }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.server.abort();
        self.service.close();
    }
}
