//! What still runs by the definition that is to be replaced.

use std::collections::{BTreeMap, BTreeSet};

use quadrille_kafka::inspect::Inspector;
use quadrille_kafka::{Error, Partition, Settings};
use quadrille_ops::lag;
use quadrille_ops::sagas::Sagas;
use quadrille_saga::State;
use quadrille_topology::mesh::Owner;
use quadrille_topology::{Mesh, lower};
use quadrille_types::definition::{AtWork, Step};
use quadrille_types::topics::{Kind, Names};
use quadrille_types::{Definition, RunId};

/// Group of the coordinator's fold.
const COORDINATOR: &str = "coordinator";

/// Looks at the cluster, as far as `step` depends on it: sagas of other definitions than `mine`, records of the mesh that
/// nobody has read yet, members. Whoever starts something afterwards is not seen.
///
/// Sagas of a definition before the `active` one were abandoned with it and are in nobody's way.
pub(crate) fn look(
    settings: &Settings,
    mesh: &Mesh,
    active: Option<&Definition>,
    mine: &Definition,
    step: Step,
) -> Result<AtWork, Error> {
    let mut at_work = AtWork::default();
    if step == Step::None {
        return Ok(at_work);
    }
    let (names, inspector) = (Names::new(&mesh.name), Inspector::new(settings)?);
    let topics = inspector.topics()?;
    if topics.contains_key(&names.state()) {
        at_work.sagas = live(settings, mesh, active, mine)?;
    }
    if step == Step::Next {
        at_work.unread = unread(settings, &inspector, &to_be_read(mesh, &names, &topics), &topics)?;
        let prefix = names.group("");
        at_work.members = inspector.members(&prefix)?;
        // A copy of another mesh may have this one's name as its prefix.
        at_work.members.retain(|group, _| {
            let service = group[prefix.len()..].trim_end_matches(".at-least-once");
            !service.contains('.')
        });
    }
    Ok(at_work)
}

fn live(
    settings: &Settings,
    mesh: &Mesh,
    active: Option<&Definition>,
    mine: &Definition,
) -> Result<usize, Error> {
    let read = Sagas::new(settings, mesh).board()?;
    if let Some(strange) = read.strange.first() {
        return Err(Error::Topic(format!("the state of a saga cannot be read: {strange}")));
    }
    let other = |(_, state): &(&RunId, &State)| {
        let definition = state.live().map(|live| &live.head.lineage.definition);
        definition.is_some_and(|of| of != mine && active.is_none_or(|active| of == active))
    };
    Ok(read.board.runs().iter().filter(other).count())
}

/// What lies where, by group that is to read it: facts, commands, events that the mesh emits. They carry a definition, or
/// lead to some. Whatever else others publish belongs to whichever definition reads it.
fn to_be_read(
    mesh: &Mesh,
    names: &Names,
    topics: &BTreeMap<String, u32>,
) -> BTreeMap<String, BTreeSet<String>> {
    let emitted = |topic: &str| mesh.events_on(topic).any(|event| matches!(event.owner, Owner::Service(_)));
    let carries = |topic: &str| match names.kind(topic) {
        Kind::Facts | Kind::Control => true,
        Kind::Events => emitted(topic),
        _ => false,
    };
    let positions = lower::first_positions(mesh).into_iter().map(|position| (position.group, position.topic));
    // A service that the new definition lacks has left facts too.
    let facts = topics.keys().filter(|topic| names.kind(topic) == Kind::Facts);
    let facts = facts.map(|topic| (names.group(COORDINATOR), topic.clone()));
    let mut groups: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (group, topic) in positions.chain(facts).filter(|(_, topic)| carries(topic)) {
        groups.entry(group).or_default().insert(topic);
    }
    groups
}

fn unread(
    settings: &Settings,
    inspector: &Inspector,
    groups: &BTreeMap<String, BTreeSet<String>>,
    topics: &BTreeMap<String, u32>,
) -> Result<u64, Error> {
    let mut unread = 0;
    for (group, read) in groups {
        let there = read.iter().filter_map(|topic| Some((topic, *topics.get(topic)?)));
        let partitions: Vec<_> = there
            .flat_map(|(topic, count)| (0..count as i32).map(move |number| Partition::new(topic, number)))
            .collect();
        let lags = lag::of_group(settings, inspector, group, &partitions)?;
        unread += lags.iter().filter_map(|lag| lag.lag).sum::<i64>();
    }
    Ok(u64::try_from(unread).unwrap_or_default())
}
