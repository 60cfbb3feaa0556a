//! Makes a cluster ready for a mesh: its topics with their settings, and the first position of each group, once.
//!
//! Doing it again changes nothing: topics that are there are checked and kept, positions that are there stay. A topic
//! with another number of partitions is refused, since keys would move away from their sagas.

use std::collections::BTreeMap;
use std::time::Duration;

use quadrille_kafka::topics::{self, From, Topic};
use quadrille_kafka::{Error, Settings, connect};
use quadrille_topology::Mesh;
use quadrille_topology::lower;
use quadrille_topology::mesh::StartAt;

/// How long Kafka may take to answer.
const START: Duration = Duration::from_secs(10);

/// What was done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Topics that were created.
    pub created: Vec<String>,
    /// Topics that the mesh needs.
    pub topics: usize,
    /// Positions that were written.
    pub positions: usize,
}

/// Creates what `mesh` needs. `replication` -1 takes the brokers' default. Blocks.
pub fn apply(settings: &Settings, mesh: &Mesh, replication: i32) -> Result<Report, Error> {
    connect::check(settings, START)?;
    let topics: Vec<_> = lower::topics(mesh)
        .into_iter()
        .map(|topic| Topic { name: topic.name, partitions: topic.partitions, config: topic.settings })
        .collect();
    let created = topics::create(settings, &topics, replication)?;
    let mut groups: BTreeMap<String, Vec<(Topic, From)>> = BTreeMap::new();
    for position in lower::first_positions(mesh) {
        let topic = Topic { name: position.topic, partitions: position.partitions, config: BTreeMap::new() };
        let from = match position.from {
            StartAt::Earliest => From::Earliest,
            StartAt::Now => From::Now,
            StartAt::TimeMs(ms) => From::Time(ms),
        };
        groups.entry(position.group).or_default().push((topic, from));
    }
    let mut positions = 0;
    for (group, from) in &groups {
        positions += topics::write_first_positions(settings, group, from)?;
    }
    Ok(Report { created, topics: topics.len(), positions })
}
