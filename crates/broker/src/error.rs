//! Why a broker could not start or go on.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Result of what the broker does with its files and sockets.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A broker that can't start, or that had to stop. None of these is retryable without a change from outside.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The listen address is reachable from other machines; this broker has no authentication.
    #[error("listen address {0} is not a loopback address: this broker serves its own machine only")]
    NotLoopback(SocketAddr),
    /// The address can't be bound.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// Another process has the data folder open.
    #[error("data folder {0} is in use by another broker")]
    InUse(PathBuf),
    /// A file operation failed.
    #[error("{path}: {source}")]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Acknowledged data is damaged. Nothing was changed; the folder needs a backup or has to be given up.
    #[error(
        "{path}: damaged at byte {position}: {reason}; refusing to start, since acknowledged data would be lost"
    )]
    Corrupt {
        /// The damaged file.
        path: PathBuf,
        /// Byte position of the first damage.
        position: u64,
        /// What is wrong there.
        reason: String,
    },
    /// The runtime's threads could not be started.
    #[error("cannot start threads: {0}")]
    Threads(io::Error),
}

impl Error {
    pub(crate) fn file(path: &Path) -> impl FnOnce(io::Error) -> Error + '_ {
        move |source| Error::File { path: path.to_path_buf(), source }
    }

    pub(crate) fn corrupt(path: &Path, position: u64, reason: impl Into<String>) -> Error {
        Error::Corrupt { path: path.to_path_buf(), position, reason: reason.into() }
    }
}
