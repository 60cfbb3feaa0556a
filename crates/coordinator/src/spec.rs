//! What the coordinator must know of the topology.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use quadrille_saga::Flow;
use quadrille_topology::Mesh;
use quadrille_topology::lower;
use quadrille_topology::mesh::{Body, Correlation, Owner};
use quadrille_types::Definition;
use quadrille_types::topics::{INGEST, Names};

/// One mesh, as its coordinator sees it.
#[derive(Clone, Debug)]
pub struct CoordinatorSpec {
    /// Names of the mesh's topics and groups.
    pub names: Names,
    /// The definition that runs.
    pub definition: Definition,
    /// Partitions of facts, journal, state and outcomes.
    pub saga_partitions: u32,
    /// The flows, by name.
    pub flows: BTreeMap<String, Flow>,
    /// Services that write facts, the ingest lanes among them.
    pub fact_writers: BTreeSet<String>,
    /// Partitions of each step's control topic.
    pub step_partitions: BTreeMap<String, u32>,
    /// Events of others, by topic.
    pub foreign: BTreeMap<String, Vec<Foreign>>,
    /// How long an ended saga is remembered, in ms.
    pub keep_ended_ms: i64,
    /// Largest value of an event that facts carry, in bytes.
    pub kept_bytes_max: usize,
    /// How many events each of those topics carries, ours included.
    pub events_in: BTreeMap<String, usize>,
}

/// An event that others publish.
#[derive(Clone, Debug)]
pub struct Foreign {
    /// Its name.
    pub event: String,
    /// The flow that it starts or belongs to.
    pub flow: String,
    /// Whether it starts a run.
    pub starts: bool,
    /// The correlation ID is the record's key, whatever its headers say.
    pub by_key: bool,
    /// A later command needs its value.
    pub carried: bool,
    /// Its Avro schema; none: JSON.
    pub schema: Option<String>,
}

impl CoordinatorSpec {
    /// The coordinator's view of `mesh`.
    pub fn of(mesh: &Mesh) -> Self {
        let mut fact_writers: BTreeSet<String> = mesh.services().into_iter().map(str::to_owned).collect();
        fact_writers.insert(INGEST.to_owned());
        let flows = mesh.sagas.values().map(|saga| (saga.name.clone(), lower::flow(mesh, saga)));
        let partitions = |step| lower::step_partitions(mesh, step);
        let foreign = foreign(mesh);
        let count = |topic: &String| (topic.clone(), mesh.events_on(topic).count());
        Self {
            names: Names::new(&mesh.name),
            definition: lower::definition(mesh),
            saga_partitions: lower::SAGA_PARTITIONS,
            flows: flows.collect(),
            fact_writers,
            step_partitions: mesh.steps.values().map(|step| (step.name.clone(), partitions(step))).collect(),
            keep_ended_ms: lower::KEEP_MS,
            kept_bytes_max: lower::kept_bytes_max(mesh),
            events_in: foreign.keys().map(count).collect(),
            foreign,
        }
    }

    /// The same, but ended sagas are remembered for `keep`.
    #[must_use]
    pub fn keeping_ended(mut self, keep: Duration) -> Self {
        self.keep_ended_ms = i64::try_from(keep.as_millis()).unwrap_or(i64::MAX);
        self.flows.values_mut().for_each(|flow| flow.keep_ms = self.keep_ended_ms);
        self
    }

    /// Facts topics, all of them.
    pub fn facts(&self) -> BTreeSet<String> {
        self.fact_writers.iter().map(|service| self.names.facts(service)).collect()
    }
}

fn foreign(mesh: &Mesh) -> BTreeMap<String, Vec<Foreign>> {
    let kept = mesh.events_kept();
    let mut topics: BTreeMap<String, Vec<Foreign>> = BTreeMap::new();
    for saga in mesh.sagas.values() {
        for name in mesh.ingested_for(saga) {
            let Some(event) = mesh.events.get(name).filter(|event| event.owner == Owner::Foreign) else {
                continue;
            };
            topics.entry(event.topic.clone()).or_default().push(Foreign {
                event: name.to_owned(),
                flow: saga.name.clone(),
                starts: saga.starts.iter().any(|start| start == name),
                by_key: event.correlation == Correlation::Key,
                carried: kept.contains(name),
                schema: match &event.body {
                    Body::Avro(avro) => Some(avro.schema.clone()),
                    Body::Json => None,
                },
            });
        }
    }
    topics
}
