//! What can't be undone, and what comes after the pivot.

use crate::codes;
use crate::diagnostic::{Diagnostic, Report};
use crate::flow::can_fail;
use crate::mesh::{Exhausted, Owner, Saga, Step};

use super::Checked;

pub(super) fn check(checked: &Checked<'_>, report: &mut Report) {
    for saga in checked.mesh.sagas.values() {
        for step in checked.mesh.steps_in(&saga.name) {
            if step.effect && step.undo.is_none() && !checked.flow.is_after_pivot(checked.mesh, step) {
                check_effect(checked, saga, step, report);
            }
            if step.pivot {
                check_behind_pivot(checked, saga, step, report);
            }
        }
    }
}

/// Something that could call for the undo that the step doesn't have.
struct Threat {
    why: String,
    place: crate::diagnostic::Span,
    label: String,
}

fn check_effect(checked: &Checked<'_>, saga: &Saga, step: &Step, report: &mut Report) {
    let Some(threat) = threat(checked, saga, step) else { return };
    let message = format!("`{}` has no undo, but {}", step.name, threat.why);
    let help = if step.pivot {
        "a pivot whose outcome is unknown can't be taken back: let `exhausted` be `hold`, or give it an `undo`"
    } else {
        "give it an `undo`, say `effect: none` if it changes nothing, or make it the `pivot`"
    };
    report.add(
        Diagnostic::new(codes::NO_UNDO, checked.root.place(&["steps", &step.name]), message)
            .label("can't be taken back")
            .related(threat.place, threat.label)
            .help(help),
    );
}

fn threat(checked: &Checked<'_>, saga: &Saga, step: &Step) -> Option<Threat> {
    if step.exhausted == Exhausted::Undo {
        return Some(Threat {
            why: "the saga fails when its tries are exhausted, and then it may have happened or not".into(),
            place: checked.step(&step.name, "exhausted"),
            label: "fails the saga".into(),
        });
    }
    if step.pivot {
        return None;
    }
    later_failure(checked, saga, step).or_else(|| foreign_failure(checked, saga)).or_else(|| {
        saga.deadline.as_ref().map(|_| Threat {
            why: format!("the deadline of saga `{}` can undo what was done", saga.name),
            place: checked.saga(&saga.name, "deadline"),
            label: "can pass after the step has run".into(),
        })
    })
}

fn later_failure(checked: &Checked<'_>, saga: &Saga, step: &Step) -> Option<Threat> {
    let later = checked.mesh.steps_in(&saga.name).find(|other| {
        can_fail(other, saga) && checked.flow.can_follow(&step.name, &other.name) && other.name != step.name
    })?;
    Some(Threat {
        why: format!("`{}` runs after it and can still fail the saga", later.name),
        place: checked.root.place(&["steps", &later.name]),
        label: "can fail after it".into(),
    })
}

/// An event from outside that fails the saga can come at any time.
fn foreign_failure(checked: &Checked<'_>, saga: &Saga) -> Option<Threat> {
    let is_foreign = |e: &&String| checked.mesh.events.get(*e).is_some_and(|e| e.owner == Owner::Foreign);
    let event = saga.fails.iter().find(is_foreign)?;
    Some(Threat {
        why: format!("`{event}` comes from outside and can fail the saga at any time"),
        place: checked.saga_event(&saga.name, "fails", event),
        label: "can come after it".into(),
    })
}

fn check_behind_pivot(checked: &Checked<'_>, saga: &Saga, pivot: &Step, report: &mut Report) {
    for step in checked.mesh.steps_in(&saga.name).filter(|s| checked.flow.can_follow(&pivot.name, &s.name)) {
        if can_fail(step, saga) {
            let event = step.forward_outputs().find(|e| saga.fails.iter().any(|f| f == e));
            let place = event
                .map_or_else(|| checked.step(&step.name, "exhausted"), |e| checked.output(&step.name, e));
            let message = format!("`{}` can fail the saga after its pivot `{}`", step.name, pivot.name);
            report.add(
                Diagnostic::new(codes::FAILS_AFTER_PIVOT, place, message)
                    .label("fails the saga")
                    .related(checked.step(&pivot.name, "pivot"), "from here on only forward")
                    .help("move what can fail before the pivot, or do not let it fail the saga"),
            );
        }
        if step.undo.is_some() && checked.flow.is_before(&pivot.name, &step.name) {
            let message = format!("the undo of `{}` never runs", step.name);
            report.add(
                Diagnostic::new(codes::UNDO_AFTER_PIVOT, checked.step(&step.name, "undo"), message)
                    .related(checked.step(&pivot.name, "pivot"), "from here on only forward")
                    .help("remove it"),
            );
        }
    }
}
