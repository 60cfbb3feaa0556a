//! What the saga transition runs by.

use quadrille_saga::definition::{
    Compensation, Deadline, Ending, Exhausted, Flow, Needs, Step as SagaStep, Then, Undo, When,
};

use super::definition;
use crate::mesh::{self, Group, Mesh, Saga, Step};

/// How long an ended run is remembered unless the coordinator's options say otherwise, in ms: seven days.
pub const KEEP_MS: i64 = 7 * 24 * 60 * 60 * 1_000;

/// The flow of `saga`.
pub fn flow(mesh: &Mesh, saga: &Saga) -> Flow {
    Flow {
        name: saga.name.clone(),
        definition: definition(mesh),
        starts: saga.starts.clone(),
        completes: Ending {
            events: saga.completes.events().to_vec(),
            needs: match saga.completes {
                Group::Any(_) => Needs::Any,
                Group::All(_) => Needs::All,
            },
            outcome: saga.outcomes.completed.clone(),
        },
        fails: Ending {
            events: saga.fails.clone(),
            needs: Needs::Any,
            outcome: saga.outcomes.compensated.clone(),
        },
        deadline: saga.deadline.as_ref().map(|deadline| Deadline {
            after_ms: i64::try_from(deadline.after_ms).unwrap_or(i64::MAX),
            then: Then::Undo,
        }),
        compensation: Compensation::Reverse,
        keep_ms: KEEP_MS,
        steps: mesh.steps_in(&saga.name).map(step).collect(),
    }
}

fn step(step: &Step) -> SagaStep {
    SagaStep {
        name: step.name.clone(),
        when: match (&step.when, step.is_choreographed()) {
            (mesh::Trigger::Event(event), true) => When::Seen(event.clone()),
            (trigger, _) => When::All(trigger.events().to_vec()),
        },
        emits: step.emits.events().to_vec(),
        emits_all: matches!(step.emits, Group::All(_)),
        rejects: step.rejects.clone(),
        undo: step
            .undo
            .as_ref()
            .map(|undo| Undo { emits: undo.emits.clone(), also_when_unknown: undo.also_when_unknown }),
        pivot: step.pivot,
        exhausted: match &step.exhausted {
            mesh::Exhausted::Hold => Exhausted::Hold,
            mesh::Exhausted::Undo => Exhausted::Undo,
            mesh::Exhausted::Emit(event) => Exhausted::Emit(event.clone()),
        },
    }
}
