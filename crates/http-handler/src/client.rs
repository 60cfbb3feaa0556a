//! The HTTP client that all endpoints of a service share.

use std::time::Duration;

use reqwest::redirect::Policy;

/// Longest wait for a connection: shorter than most steps' time, so that a machine that is gone is told from one that
/// is slow.
const CONNECT: Duration = Duration::from_secs(5);

/// Idle connections kept for each host.
const IDLE_PER_HOST: usize = 64;

/// The client cannot be built. Not retryable.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up the HTTP client: {0}")]
pub struct BuildError(reqwest::Error);

/// A client; clones share its connections.
#[derive(Clone, Debug)]
pub struct Client(pub(crate) reqwest::Client);

impl Client {
    /// A client that follows no redirects and heeds no proxy of the environment: the topology file says where a handler
    /// is, and nothing else does.
    ///
    /// # Errors
    /// [`BuildError`].
    pub fn new() -> Result<Self, BuildError> {
        let client = reqwest::Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT)
            .pool_max_idle_per_host(IDLE_PER_HOST)
            .user_agent(concat!("quadrille/", env!("CARGO_PKG_VERSION")))
            .build();
        client.map(Self).map_err(BuildError)
    }
}
