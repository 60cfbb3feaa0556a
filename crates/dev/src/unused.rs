//! Whether a job can be run on a cluster that was used before.

use std::collections::BTreeSet;

use quadrille_kafka::inspect::Inspector;
use quadrille_kafka::{Partition, Settings};
use quadrille_topology::{Mesh, lower};
use quadrille_types::topics::{Kind, Names};

use crate::Error;

/// How many topics a refusal names.
const NAMED: usize = 3;

/// Fails if a topic of `mesh` holds records. What is known there has no second effect: who publishes it once more would
/// wait for outcomes that do not come. Blocks; the cluster should have been reached before.
pub fn check(settings: &Settings, mesh: &Mesh) -> Result<(), Error> {
    let inspector = Inspector::new(settings)?;
    let (there, names) = (inspector.topics()?, Names::new(&mesh.name));
    // That it was applied is no use of it.
    let topics = lower::topics(mesh).into_iter().filter(|topic| names.kind(&topic.name) != Kind::Definition);
    let ours = topics.filter_map(|topic| there.get_key_value(&topic.name));
    let partitions: Vec<_> = ours
        .flat_map(|(name, count)| (0..*count as i32).map(move |number| Partition::new(name, number)))
        .collect();
    let written = inspector.ends(&partitions)?.into_iter().filter(|(_, ends)| ends.high > ends.low);
    let used: BTreeSet<String> = written.map(|(partition, _)| partition.topic).collect();
    if used.is_empty() { Ok(()) } else { Err(refusal(&mesh.name, &used).into()) }
}

fn refusal(mesh: &str, used: &BTreeSet<String>) -> String {
    let first: Vec<&str> = used.iter().take(NAMED).map(String::as_str).collect();
    let others = match used.len().saturating_sub(NAMED) {
        0 => String::new(),
        others => format!(" and {others} more"),
    };
    format!(
        "nothing was published: mesh {mesh} was used on this cluster before, there are records on topics {}{others}. \
         What is known has no second effect, so the run would wait for outcomes that do not come. Say --prefix NAME \
         to run it under other names, or take another cluster (with --data: another folder)",
        first.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_was_found_and_what_to_do() {
        let text = refusal("shop", &["a", "b", "c", "d"].map(str::to_owned).into());
        assert!(text.contains("mesh shop") && text.contains("topics a, b, c and 1 more."), "{text}");
        assert!(text.contains("--prefix NAME"), "{text}");
    }
}
