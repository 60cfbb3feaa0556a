//! Who triggers each step, and why.
//!
//! A step is choreographed if and only if its trigger is one event, and it need not wait for others to be past
//! failing. All else goes through the coordinator.

use crate::flow::Flow;
use crate::mesh::{CoordinatorReason, Mesh, Step, Trigger, TriggeredBy};

pub(super) fn decide(mesh: &mut Mesh) {
    let flow = Flow::of(mesh);
    let decided: Vec<(String, TriggeredBy)> =
        mesh.steps.values().map(|step| (step.name.clone(), who(mesh, &flow, step))).collect();
    for (name, by) in decided {
        if let Some(step) = mesh.steps.get_mut(&name) {
            step.triggered_by = by;
        }
    }
}

fn who(mesh: &Mesh, flow: &Flow, step: &Step) -> TriggeredBy {
    if matches!(step.when, Trigger::All(_)) {
        return TriggeredBy::Coordinator(CoordinatorReason::Join);
    }
    let Some(saga) = mesh.saga_of(step) else { return TriggeredBy::Choreography };
    let cannot_be_undone = step.effect && step.undo.is_none() && !flow.is_after_pivot(mesh, step);
    let beside = flow.failing_beside(mesh, saga, step);
    match (step.pivot, cannot_be_undone) {
        _ if beside.is_empty() => TriggeredBy::Choreography,
        (true, _) => TriggeredBy::Coordinator(CoordinatorReason::PivotBeside(beside)),
        (false, true) => TriggeredBy::Coordinator(CoordinatorReason::NoUndoBeside(beside)),
        (false, false) => TriggeredBy::Choreography,
    }
}
