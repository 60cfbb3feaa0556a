//! Steps that can never run.

use std::collections::BTreeSet;

use crate::codes;
use crate::diagnostic::{Diagnostic, Report};
use crate::flow::forward_emitters;
use crate::mesh::{Mesh, Owner};
use crate::suggest::listed;

use super::Subject;

/// Reports unreachable steps and returns the reachable ones.
pub(super) fn check(subject: &Subject<'_>, report: &mut Report) -> BTreeSet<String> {
    let reachable = reachable(subject.mesh);
    for step in subject.mesh.steps.values().filter(|s| !reachable.contains(&s.name)) {
        let missing = step.when.events().iter().find(|e| !is_possible(subject.mesh, e, &reachable));
        let Some(event) = missing else { continue };
        let emitters: Vec<&str> = subject.mesh.emitters(event).map(|s| s.name.as_str()).collect();
        let only_undo = forward_emitters(subject.mesh, event).next().is_none();
        let why = if only_undo { "is emitted only by the undo of" } else { "is emitted only by" };
        let label = format!("`{event}` {why} {}", listed(&emitters));
        let help = if only_undo {
            "what an undo emits triggers nothing; listen to an event of the forward way"
        } else {
            "begin the circle with an event from outside, or with the event of a step that can run"
        };
        let place = subject.step_event(&step.name, "when", event);
        let message = format!("`{}` can never run", step.name);
        report.add(Diagnostic::new(codes::UNREACHABLE, place, message).label(label).help(help));
    }
    reachable
}

fn reachable(mesh: &Mesh) -> BTreeSet<String> {
    let mut reachable = BTreeSet::new();
    loop {
        let next = mesh.steps.values().find(|step| {
            !reachable.contains(&step.name)
                && step.when.events().iter().all(|e| is_possible(mesh, e, &reachable))
        });
        let Some(step) = next else { return reachable };
        reachable.insert(step.name.clone());
    }
}

/// An event that nobody emits is a mistake of its own and not one of every step behind it.
fn is_possible(mesh: &Mesh, event: &str, reachable: &BTreeSet<String>) -> bool {
    mesh.events.get(event).is_none_or(|e| e.owner == Owner::Foreign)
        || mesh.emitters(event).next().is_none()
        || forward_emitters(mesh, event).any(|step| reachable.contains(&step.name))
}
