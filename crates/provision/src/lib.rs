//! Makes a cluster ready for a mesh, and a definition the active one.
//!
//! In this order: whether the definition may become active is decided; the topics that are there are checked; those that
//! are missing are created; each group gets its first position, once; the definition becomes active. So a refusal has
//! changed nothing, and what is active has all that it needs. Doing it again changes nothing: topics that are there are
//! kept, positions that are there stay. A topic with another number of partitions is refused, since keys would move away
//! from their sagas.
//!
//! Of two who apply at the same time one wins: a change names the definition that it follows, and of two that follow the
//! same the first in the topic counts (see [`quadrille_types::definition`]). The other reads its change back, finds that it
//! does not count, and fails; topics that it has created stay. A service that starts between the look at the members and
//! the change is not seen: its records are dead-lettered as `unknown-definition`, until it is started anew.

mod at_work;

use std::collections::BTreeMap;
use std::time::Duration;

use quadrille_kafka::topics::{self, From, Topic};
use quadrille_kafka::{Settings, connect, definition};
use quadrille_topology::Mesh;
use quadrille_topology::lower;
use quadrille_topology::mesh::StartAt;
use quadrille_types::Definition;
use quadrille_types::definition::{self as decide, Step, Unfit};
use quadrille_types::topics::Names;

/// How long Kafka may take to answer.
const START: Duration = Duration::from_secs(10);

/// Why nothing, or not all of it, was done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The definition may not become active. Nothing was changed.
    #[error("mesh {mesh}: {unfit}")]
    Unfit {
        /// The mesh.
        mesh: String,
        /// Why.
        unfit: Unfit,
    },
    /// Kafka, or its topics.
    #[error(transparent)]
    Kafka(#[from] quadrille_kafka::Error),
}

/// How it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct How {
    /// Copies of each partition of a new topic; -1 takes the brokers' default.
    pub replication: i32,
    /// Give up what still runs by another definition: its sagas get no outcome by themselves.
    pub abandon: bool,
}

impl How {
    /// With so many copies; nothing is given up.
    pub fn new(replication: i32) -> Self {
        Self { replication, abandon: false }
    }
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Topics that were created.
    pub created: Vec<String>,
    /// Topics that the mesh needs.
    pub topics: usize,
    /// Positions that were written.
    pub positions: usize,
    /// The definition that is active now.
    pub definition: Definition,
    /// Whether it was not before.
    pub activated: bool,
    /// What is no reason to refuse, for people.
    pub warnings: Vec<String>,
}

/// Creates what `mesh` needs, and makes its definition active. Blocks.
///
/// # Errors
/// [`Error`].
pub fn apply(settings: &Settings, mesh: &Mesh, how: How) -> Result<Report, Error> {
    connect::check(settings, START)?;
    let (names, mine) = (Names::new(&mesh.name), lower::definition(mesh));
    let active = definition::active(settings, &names)?;
    let step = decide_step(settings, mesh, active.as_ref(), &mine, how.abandon)?;
    let topics: Vec<_> = lower::topics(mesh)
        .into_iter()
        .map(|topic| Topic { name: topic.name, partitions: topic.partitions, config: topic.settings })
        .collect();
    let warnings = topics::check_existing(settings, &names, &topics)?;
    let created = topics::create(settings, &topics, how.replication)?;
    let positions = write_first_positions(settings, mesh)?;
    if step != Step::None {
        definition::activate(settings, &names, &mine, active.as_ref())?;
    }
    Ok(Report {
        created,
        topics: topics.len(),
        positions,
        definition: mine,
        activated: step != Step::None,
        warnings,
    })
}

fn decide_step(
    settings: &Settings,
    mesh: &Mesh,
    active: Option<&Definition>,
    mine: &Definition,
    abandon: bool,
) -> Result<Step, Error> {
    let unfit = |unfit| Error::Unfit { mesh: mesh.name.clone(), unfit };
    let step = decide::step(active, mine).map_err(unfit)?;
    let at_work = at_work::look(settings, mesh, active, mine, step)?;
    decide::may(step, &at_work, abandon).map_err(unfit)?;
    Ok(step)
}

fn write_first_positions(settings: &Settings, mesh: &Mesh) -> Result<usize, Error> {
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
    Ok(positions)
}
