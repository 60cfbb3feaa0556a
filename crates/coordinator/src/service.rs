//! Both parts of the coordinator as one service.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use quadrille_kafka::restore::Restorer;
use quadrille_kafka::{Error, Settings, start};
use quadrille_runtime::processor::{Processor, ProcessorConfig, Running};
use quadrille_schema::{SchemaSource, Schemas};
use quadrille_types::outcome::SCHEMA;
use quadrille_types::topics::{INGEST, Names};
use tokio::sync::watch;

use crate::fold::Fold;
use crate::ingest::Ingest;
use crate::spec::CoordinatorSpec;

/// Group and service name of the fold.
pub const COORDINATOR: &str = "coordinator";

/// What a coordinator needs to run.
pub struct CoordinatorConfig {
    /// The cluster.
    pub settings: Settings,
    /// The registry.
    pub schemas: Schemas,
    /// What to run.
    pub spec: CoordinatorSpec,
    /// Name of this instance, only if it is stable over restarts and nobody else has it.
    pub instance: Option<String>,
}

/// A running coordinator.
pub struct Coordinator {
    parts: Vec<Running>,
    failed: watch::Receiver<Option<String>>,
    transaction_timeout: Duration,
}

impl Coordinator {
    /// Starts both parts. Blocks until Kafka and the registry have answered; refuses to start otherwise. Call it outside
    /// of async tasks.
    pub fn start(config: CoordinatorConfig, tokio: &tokio::runtime::Handle) -> Result<Self, Error> {
        let spec = Arc::new(config.spec);
        start::admit(&config.settings, &spec.names, &spec.definition)?;
        start::topics(&config.settings, &spec.names, &needed_topics(&spec))?;
        let subject = format!("{}-quadrille.SagaOutcome", spec.names.outcomes());
        let outcomes = tokio
            .block_on(config.schemas.register(&subject, &SchemaSource::new(SCHEMA)))
            .map_err(|e| Error::Setting(format!("the schema of outcomes cannot be registered: {e}")))?;
        let (report, failed) = watch::channel(None);
        let instance = config.instance.clone().unwrap_or_else(|| format!("{:016x}", fastrand::u64(..)));
        let part = |service: &str, topics, processor: Box<dyn Processor>| {
            let part = ProcessorConfig {
                settings: config.settings.clone(),
                group: spec.names.group(service),
                topics,
                id: Names::lane(&spec.names.group(service), &instance, 0),
                is_static: config.instance.is_some(),
            };
            Running::start(part, processor, report.clone())
        };
        let mut parts = Vec::new();
        if !spec.foreign.is_empty() {
            let ingest = Ingest::new(Arc::clone(&spec), &config.schemas, tokio.clone())?;
            parts.push(part(INGEST, spec.foreign.keys().cloned().collect(), Box::new(ingest))?);
        }
        let restorer = Restorer::new(&config.settings, &spec.names.group(COORDINATOR))?;
        let fold = Fold::new(Arc::clone(&spec), restorer, outcomes);
        parts.push(part(COORDINATOR, spec.facts(), Box::new(fold))?);
        Ok(Self { parts, failed, transaction_timeout: config.settings.transaction_timeout })
    }

    /// Changes to the reason when a part has ended that should not have: the process should end too.
    pub fn failed(&self) -> watch::Receiver<Option<String>> {
        self.failed.clone()
    }

    /// Whether each part has its partitions, be they none, and has restored them.
    pub fn is_ready(&self) -> bool {
        self.failed.borrow().is_none() && self.parts.iter().all(Running::is_ready)
    }

    /// A call to Kafka that has taken longer than any can: the process must end.
    pub fn is_stuck(&self) -> bool {
        let limit = self.transaction_timeout + Duration::from_secs(10);
        self.parts.iter().any(|part| part.blocked().is_some_and(|blocked| blocked > limit))
    }

    /// Commits what is processed and leaves the groups. Blocks.
    pub fn stop(&self) {
        self.parts.iter().for_each(Running::stop);
    }
}

fn needed_topics(spec: &CoordinatorSpec) -> BTreeMap<String, u32> {
    let own = [
        spec.names.state(),
        spec.names.journal(),
        spec.names.outcomes(),
        spec.names.unmatched(),
        spec.names.dead(INGEST),
    ];
    let keyed_by_saga = own.into_iter().chain(spec.facts());
    let mut topics: BTreeMap<String, u32> =
        keyed_by_saga.map(|topic| (topic, spec.saga_partitions)).collect();
    topics.extend(spec.step_partitions.iter().map(|(step, count)| (spec.names.control(step), *count)));
    topics
}
