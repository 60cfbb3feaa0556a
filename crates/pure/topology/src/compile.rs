//! Third stage: names resolved, defaults filled in, schemas read, all mistakes collected.

mod events;
pub(crate) mod hash;
mod names;
mod owners;
mod reading;
mod sagas;
mod schemas;
mod steps;
mod triggers;

use crate::diagnostic::Report;
use crate::mesh::Mesh;
use crate::schemas::Schemas;
use crate::source::TopologySource;
use crate::yaml::Node;

use names::Names;

/// Compiles what was written. The mesh is complete even after mistakes, as far as they allow, so that the flow can
/// still be checked; only without mistakes may it be run.
pub(crate) fn compile(
    root: &Node,
    source: &TopologySource,
    files: &dyn Schemas,
    report: &mut Report,
) -> Mesh {
    let names = Names::of(source);
    let mut mesh = Mesh {
        name: source.mesh.as_ref().map_or_else(String::new, |n| n.value.clone()),
        version: source.version.as_ref().map_or(1, |v| v.value),
        hash: String::new(),
        topics: events::topics(source, report),
        events: events::events(source, files, report),
        steps: steps::steps(source, &names, report),
        sagas: sagas::sagas(source, &names, report),
    };
    steps::report_unused_policies(source, report);
    owners::settle_owners(root, source, &mut mesh, report);
    sagas::assign_steps(root, &mut mesh, report);
    triggers::decide(&mut mesh);
    reading::settle_starts(root, source, &mut mesh, report);
    mesh.hash = hash::of(&mesh);
    mesh
}
