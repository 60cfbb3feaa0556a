//! Fourth stage: does the flow work? One small pass per kind of mistake; each reads the mesh and adds what it finds.

mod events;
mod gives_up;
mod joins;
mod loops;
mod misplaced;
mod outcomes;
mod partitions;
mod races;
mod reach;
mod undo;

use crate::diagnostic::{Report, Span};
use crate::flow::Flow;
use crate::mesh::Mesh;
use crate::yaml::Node;

/// What every pass reads.
pub(crate) struct Subject<'m> {
    pub(crate) mesh: &'m Mesh,
    pub(crate) flow: Flow,
    root: &'m Node,
}

impl Subject<'_> {
    /// The place of a step's field; of the step's name if it isn't written.
    fn step(&self, step: &str, field: &str) -> Span {
        self.root.place(&["steps", step, field])
    }

    /// The place of an event in a step's field.
    fn step_event(&self, step: &str, field: &str, event: &str) -> Span {
        self.root.place_of(&["steps", step, field], event)
    }

    /// The place where a step names an event as an output.
    fn output(&self, step: &str, event: &str) -> Span {
        let fields = ["emits", "rejects", "exhausted"];
        let named = fields.iter().find_map(|field| self.root.scalar_at(&["steps", step, field], event));
        named.unwrap_or_else(|| self.root.place(&["steps", step]))
    }

    /// The place of a saga's field; of the saga's name if it isn't written.
    fn saga(&self, saga: &str, field: &str) -> Span {
        self.root.place(&["sagas", saga, field])
    }

    /// The place of an event in a saga's field.
    fn saga_event(&self, saga: &str, field: &str, event: &str) -> Span {
        self.root.place_of(&["sagas", saga, field], event)
    }

    /// The place of an event's declaration.
    fn event(&self, event: &str) -> Span {
        self.root.place(&["events", event])
    }
}

/// Checks the flow of a mesh whose names are all known.
pub(crate) fn check(root: &Node, mesh: &Mesh, report: &mut Report) {
    let subject = Subject { mesh, flow: Flow::of(mesh), root };
    events::check(&subject, report);
    gives_up::check(&subject, report);
    partitions::check(&subject, report);
    misplaced::check(&subject, report);
    let roles_are_clear = outcomes::check_roles(&subject, report);
    let reachable = reach::check(&subject, report);
    let loops = loops::check(&subject, &reachable, report);
    if loops || reachable.len() < mesh.steps.len() {
        return;
    }
    // What can't come to an end because of these is not told again.
    let joins_can_complete = joins::check(&subject, report);
    let troubled = undo::check(&subject, report);
    if joins_can_complete && roles_are_clear {
        outcomes::check(&subject, &troubled, report);
    }
}
