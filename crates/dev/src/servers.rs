//! Broker and registry: the embedded ones, or those of the user.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use crate::Error;

/// What the mesh runs on.
pub struct Servers {
    /// `host:port` of the brokers.
    pub bootstrap: String,
    /// URL of the registry.
    pub registry: String,
    embedded: Option<(quadrille_broker::Broker, quadrille_registry::Registry)>,
}

impl Servers {
    /// Others' servers.
    pub fn of(bootstrap: String, registry: String) -> Self {
        Self { bootstrap, registry, embedded: None }
    }

    /// Starts the embedded ones on free ports, with their data below `folder`.
    pub async fn embedded(folder: &Path, flush: quadrille_broker::Flush) -> Result<Self, Error> {
        let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let mut config = quadrille_broker::Config::new(free, folder.join("kafka"));
        config.flush = flush;
        let broker = quadrille_broker::Broker::start(config)?;
        let config = quadrille_registry::Config { listen: free, data: folder.join("registry") };
        let registry = quadrille_registry::Registry::start(config).await?;
        Ok(Self {
            bootstrap: broker.bootstrap().to_string(),
            registry: registry.url(),
            embedded: Some((broker, registry)),
        })
    }

    /// Whether they are the embedded ones.
    pub fn are_embedded(&self) -> bool {
        self.embedded.is_some()
    }

    /// Why the embedded broker serves nobody any more.
    pub fn failure(&self) -> Option<String> {
        let failure = self.embedded.as_ref()?.0.failure()?;
        Some(format!("the embedded broker cannot write: {failure}"))
    }

    /// Puts the embedded ones away.
    pub async fn stop(self) -> Result<(), Error> {
        if let Some((broker, registry)) = self.embedded {
            registry.shutdown().await;
            broker.shutdown().await?;
        }
        Ok(())
    }
}
