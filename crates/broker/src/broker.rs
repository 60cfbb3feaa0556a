//! Starting and stopping.

use std::fs::{self, File, TryLockError};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::Runtime;

use crate::clock::Clock;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::faults::Faults;
use crate::server;
use crate::state::shared::{run_flusher, run_timekeeper};
use crate::state::{Shared, recovery};

/// Counters of a running broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stats {
    /// Flushes of the journal to the device (`fdatasync`).
    pub device_flushes: u64,
    /// Bytes that went through the journal since the data folder was created.
    pub bytes_appended: u64,
    /// Open connections.
    pub connections: usize,
    /// Bytes of requests and answers that connections hold.
    pub buffered_bytes: usize,
}

/// A running broker with threads of its own; usable from blocking and from async code.
///
/// Dropping it stops it at once, as a kill would: everything acknowledged is kept, the next start replays the journal.
/// [`Broker::shutdown`] and [`Broker::stop`] leave a checkpoint, so that the next start is quick.
#[derive(Debug)]
pub struct Broker {
    shared: Arc<Shared>,
    address: SocketAddr,
    runtime: Option<Runtime>,
    flusher: Option<JoinHandle<()>>,
    _lock: File,
}

impl Broker {
    /// Recovers the data folder and begins to listen; returns when clients can connect.
    ///
    /// # Errors
    /// [`Error::NotLoopback`], [`Error::Listen`], [`Error::InUse`], [`Error::Corrupt`] and file errors; see there.
    pub fn start(config: Config) -> Result<Broker> {
        if !config.listen.ip().is_loopback() {
            return Err(Error::NotLoopback(config.listen));
        }
        let listen_error = |source| Error::Listen { address: config.listen, source };
        let lock = lock_folder(&config.data)?;
        let listener = TcpListener::bind(config.listen).map_err(listen_error)?;
        listener.set_nonblocking(true).map_err(listen_error)?;
        let address = listener.local_addr().map_err(listen_error)?;
        let (config, clock) = (Arc::new(config), Clock::start());
        let core = recovery::open(&config, clock.now_ms())?;
        let shared = Arc::new(Shared::new(core, clock, address.port()));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("broker")
            .enable_all()
            .build()
            .map_err(Error::Threads)?;
        let for_flusher = Arc::clone(&shared);
        let flusher = std::thread::Builder::new()
            .name("broker-flusher".into())
            .spawn(move || run_flusher(&for_flusher))
            .map_err(Error::Threads)?;
        let listener = {
            let _inside = runtime.enter();
            tokio::net::TcpListener::from_std(listener).map_err(|source| Error::Listen { address, source })?
        };
        runtime.spawn(server::run(Arc::clone(&shared), listener));
        runtime.spawn(run_timekeeper(Arc::clone(&shared)));
        Ok(Broker { shared, address, runtime: Some(runtime), flusher: Some(flusher), _lock: lock })
    }

    /// The address for a client's `bootstrap.servers`.
    pub fn bootstrap(&self) -> String {
        self.address.to_string()
    }

    /// Why the broker serves nobody any more, if it cannot write: the disk is full, say. Everything acknowledged is kept; whoever
    /// started it should end it, and start again when the cause is gone.
    pub fn failure(&self) -> Option<String> {
        self.shared.failure()
    }

    /// Faults on demand.
    pub fn faults(&self) -> &Faults {
        &self.shared.config.faults
    }

    /// Counters so far.
    pub fn stats(&self) -> Stats {
        let (device_flushes, bytes_appended) = self.shared.counts();
        let connections = self.shared.connections.load(Ordering::Relaxed);
        let buffered_bytes = self.shared.room.held();
        Stats { device_flushes, bytes_appended, connections, buffered_bytes }
    }

    /// Stops serving, flushes and takes a checkpoint.
    ///
    /// # Errors
    /// A file error; everything acknowledged is kept all the same.
    pub async fn shutdown(self) -> Result<()> {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let stop = move || {
            let _ = sender.send(self.stop()); // the caller may have given up waiting
        };
        std::thread::Builder::new().name("broker-stop".into()).spawn(stop).map_err(Error::Threads)?;
        receiver.await.unwrap_or(Ok(()))
    }

    /// [`Broker::shutdown`] for blocking code.
    ///
    /// # Errors
    /// As [`Broker::shutdown`].
    pub fn stop(mut self) -> Result<()> {
        self.end_threads();
        self.shared.close()
    }

    fn end_threads(&mut self) {
        self.shared.request_stop();
        if let Some(runtime) = self.runtime.take() {
            // Frees the port before this returns; on a thread of its own, since async code may not wait for a runtime.
            let end = move || runtime.shutdown_timeout(Duration::from_secs(2));
            let ended = std::thread::Builder::new().name("broker-stop".into()).spawn(end);
            let _ = ended.map(JoinHandle::join); // without a thread the runtime was dropped with the closure
        }
        if let Some(flusher) = self.flusher.take() {
            let _ = flusher.join(); // a panic there has been reported by the thread itself
        }
        self.shared.await_helpers();
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.end_threads();
    }
}

fn lock_folder(data: &Path) -> Result<File> {
    fs::create_dir_all(data).map_err(Error::file(data))?;
    let path = data.join("lock");
    let file = File::create(&path).map_err(Error::file(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::InUse(data.to_path_buf())),
        Err(TryLockError::Error(error)) => Err(Error::file(&path)(error)),
    }
}
