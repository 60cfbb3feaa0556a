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
    let beside = match mesh.saga_of(step) {
        Some(saga) if step.pivot || is_past_recall(mesh, flow, step) => flow.failing_beside(mesh, saga, step),
        _ => Vec::new(),
    };
    match &step.when {
        // Also for a join: that it waits for its events goes without saying.
        _ if !beside.is_empty() && step.pivot => {
            TriggeredBy::Coordinator(CoordinatorReason::PivotBeside(beside))
        }
        _ if !beside.is_empty() => TriggeredBy::Coordinator(CoordinatorReason::NoUndoBeside(beside)),
        Trigger::All(_) => TriggeredBy::Coordinator(CoordinatorReason::Join),
        Trigger::Event(_) => TriggeredBy::Choreography,
    }
}

/// Whether the step does what can't be undone, while the saga may still have to undo.
fn is_past_recall(mesh: &Mesh, flow: &Flow, step: &Step) -> bool {
    step.effect && step.undo.is_none() && !flow.is_after_pivot(mesh, step)
}
