//! The coordinator and the steps with HTTP handlers, in this process.

use std::collections::BTreeSet;

use quadrille_coordinator::{Coordinator, CoordinatorConfig, CoordinatorSpec};
use quadrille_kafka::Settings;
use quadrille_runtime::Service;
use quadrille_schema::Schemas;
use quadrille_sdk::Steps;
use quadrille_sdk::service::{Running, start};
use quadrille_topology::Mesh;
use quadrille_topology::mesh::Handler;
use tokio::sync::watch;

use crate::Error;

/// The parts of a mesh that run here.
pub struct Local {
    coordinator: Coordinator,
    services: Vec<(String, Service)>,
}

impl Local {
    /// Starts the coordinator and the services in `names`; their handlers are called at the rewritten addresses.
    pub async fn start(
        mesh: &Mesh,
        settings: &Settings,
        schemas: &Schemas,
        names: &BTreeSet<&str>,
        rewrite: &[(String, String)],
    ) -> Result<Self, Error> {
        let config = CoordinatorConfig {
            settings: settings.clone(),
            schemas: schemas.clone(),
            spec: CoordinatorSpec::of(mesh),
            instance: None,
        };
        let tokio = tokio::runtime::Handle::current();
        let coordinator = tokio::task::spawn_blocking(move || Coordinator::start(config, &tokio)).await??;
        let mut services = Vec::new();
        for name in names {
            let running = Running {
                service: Some((*name).to_owned()),
                http_rewrite: rewrite.to_vec(),
                ..Running::new(settings.clone(), Some(schemas.clone()))
            };
            services.push(((*name).to_owned(), start(mesh, &Steps::new(), running).await?));
        }
        Ok(Self { coordinator, services })
    }

    /// Why a part has ended that should not have, or must be ended.
    pub fn failure(&self) -> Option<String> {
        let services = self.services.iter().map(|(name, service)| (name.as_str(), service.failed()));
        let ended = |(name, failed): (&str, watch::Receiver<Option<String>>)| {
            failed.borrow().as_ref().map(|why| format!("{name}: {why}"))
        };
        let stuck =
            self.coordinator.is_stuck() || self.services.iter().any(|(_, service)| service.is_stuck());
        services
            .chain([("coordinator", self.coordinator.failed())])
            .find_map(ended)
            .or_else(|| stuck.then(|| "a call to Kafka does not come back".to_owned()))
    }

    /// Whether every part has its partitions.
    pub fn is_ready(&self) -> bool {
        self.coordinator.is_ready() && self.services.iter().all(|(_, service)| service.is_ready())
    }

    /// Finishes what is in work and leaves.
    pub async fn stop(self) -> Result<(), Error> {
        tokio::task::spawn_blocking(move || {
            self.services.iter().for_each(|(_, service)| service.stop());
            self.coordinator.stop();
        })
        .await?;
        Ok(())
    }
}

/// Services all of whose handlers are HTTP: they need no program of their own.
pub fn http_services(mesh: &Mesh) -> BTreeSet<&str> {
    let is_http = |handler: &Handler| matches!(handler, Handler::Http(_));
    let all_http = |service: &&str| {
        mesh.steps_of(service).all(|step| {
            is_http(&step.handler) && step.undo.as_ref().is_none_or(|undo| is_http(&undo.handler))
        })
    };
    mesh.services().into_iter().filter(all_http).collect()
}
