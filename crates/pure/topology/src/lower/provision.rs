//! What must be there before anything runs: topics, and where each group begins.

use std::collections::BTreeMap;

use quadrille_types::topics::{INGEST, Names};
use quadrille_types::upkeep;

use super::service::{SAGA_PARTITIONS, guarantee, step_partitions};
use crate::mesh::{Mesh, StartAt};

/// Service and group of the coordinator's fold.
const COORDINATOR: &str = "coordinator";

/// A topic as it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Name.
    pub name: String,
    /// Partitions.
    pub partitions: u32,
    /// Settings, as Kafka names them.
    pub settings: BTreeMap<String, String>,
}

/// Where a consumer group begins on a topic that it has never read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstPosition {
    /// The group.
    pub group: String,
    /// The topic.
    pub topic: String,
    /// Its partitions.
    pub partitions: u32,
    /// Where.
    pub from: StartAt,
}

/// Every topic of the mesh, by name.
pub fn topics(mesh: &Mesh) -> Vec<Topic> {
    let names = Names::new(&mesh.name);
    let mut topics: Vec<_> = mesh
        .topics
        .values()
        .map(|topic| Topic {
            name: topic.name.clone(),
            partitions: topic.partitions,
            settings: topic.settings.clone(),
        })
        .collect();
    let services = mesh.services();
    let facts = services.iter().copied().chain([INGEST]).map(|service| names.facts(service));
    let by_saga = facts.chain([names.journal(), names.outcomes(), names.unmatched()]);
    let by_saga = by_saga.chain([names.state(), names.dead(INGEST)]);
    topics.extend(by_saga.map(|name| own(&names, name, SAGA_PARTITIONS)));
    topics.push(own(&names, names.definition(), 1));
    for step in mesh.steps.values() {
        let partitions = step_partitions(mesh, step);
        let of_step = [names.control(&step.name), names.dead(&step.name), names.ledger(&step.name)];
        topics.extend(of_step.map(|name| own(&names, name, partitions)));
    }
    topics.sort_by(|a, b| a.name.cmp(&b.name));
    topics
}

/// Where each group of the mesh begins.
pub fn first_positions(mesh: &Mesh) -> Vec<FirstPosition> {
    let names = Names::new(&mesh.name);
    let mut positions = Vec::new();
    for step in mesh.steps.values() {
        let group = guarantee(step).group(&names, &step.service);
        let partitions = step_partitions(mesh, step);
        // Commands are never older than the step.
        let control = names.control(&step.name);
        positions.push(FirstPosition {
            group: group.clone(),
            topic: control,
            partitions,
            from: StartAt::Earliest,
        });
        if let Some(topic) = mesh.topic_read(step) {
            positions.push(FirstPosition {
                group,
                topic: topic.name.clone(),
                partitions: topic.partitions,
                from: step.from.unwrap_or(StartAt::Earliest),
            });
        }
    }
    for service in mesh.services().into_iter().chain([INGEST]) {
        positions.push(FirstPosition {
            group: names.group(COORDINATOR),
            topic: names.facts(service),
            partitions: SAGA_PARTITIONS,
            from: StartAt::Earliest,
        });
    }
    positions.extend(ingest(mesh, &names));
    positions.sort_by(|a, b| (&a.group, &a.topic).cmp(&(&b.group, &b.topic)));
    positions.dedup_by(|later, first| (&later.group, &later.topic) == (&first.group, &first.topic));
    positions
}

fn ingest(mesh: &Mesh, names: &Names) -> Vec<FirstPosition> {
    let mut positions = Vec::new();
    for saga in mesh.sagas.values() {
        let events = mesh.ingested_for(saga);
        let topics = events.iter().filter_map(|event| mesh.topics.get(&mesh.events.get(*event)?.topic));
        positions.extend(topics.map(|topic| FirstPosition {
            group: names.group(INGEST),
            topic: topic.name.clone(),
            partitions: topic.partitions,
            from: saga.from.unwrap_or(StartAt::Earliest),
        }));
    }
    positions
}

/// A topic that the mesh has for itself.
fn own(names: &Names, name: String, partitions: u32) -> Topic {
    let settings = upkeep::settings(names.kind(&name));
    let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Topic { name, partitions, settings: settings.collect() }
}
