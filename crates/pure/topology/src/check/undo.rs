//! What can't be undone, and what comes after the pivot.

use std::collections::BTreeSet;

use crate::codes;
use crate::diagnostic::{Diagnostic, Report, Span};
use crate::flow::can_fail;
use crate::mesh::{Exhausted, Owner, Saga, Step};

use super::Subject;

/// Returns the sagas with a mistake.
pub(super) fn check(subject: &Subject<'_>, report: &mut Report) -> BTreeSet<String> {
    let mut troubled = BTreeSet::new();
    for saga in subject.mesh.sagas.values() {
        for step in subject.mesh.steps_in(&saga.name) {
            let mut good = true;
            if step.effect && step.undo.is_none() && !subject.flow.is_after_pivot(subject.mesh, step) {
                good &= check_effect(subject, saga, step, report);
            }
            if step.pivot {
                good &= check_given_up(subject, step, report);
                good &= check_behind_pivot(subject, saga, step, report);
            }
            if !good {
                troubled.insert(saga.name.clone());
            }
        }
    }
    troubled
}

/// Whether a pivot is held when its tries are exhausted.
fn check_given_up(subject: &Subject<'_>, pivot: &Step, report: &mut Report) -> bool {
    let message = match pivot.exhausted {
        Exhausted::Hold => return true,
        Exhausted::Undo => format!("the pivot `{}` can't be undone when its tries are exhausted", pivot.name),
        Exhausted::Emit(_) => {
            format!("the pivot `{}` can't be given up when its tries are exhausted", pivot.name)
        }
    };
    report.add(
        Diagnostic::new(codes::PIVOT_UNDONE, exhausted(subject, pivot), message)
            .label("it may have had its effect")
            .related(subject.step(&pivot.name, "pivot"), "from here on only forward")
            .help("let `exhausted` be `hold`: the pivot is tried again until it succeeds or refuses"),
    );
    false
}

/// Something that could call for the undo that the step doesn't have.
struct Threat {
    why: String,
    place: Span,
    label: String,
}

fn check_effect(subject: &Subject<'_>, saga: &Saga, step: &Step, report: &mut Report) -> bool {
    let Some(threat) = threat(subject, saga, step) else { return true };
    let message = format!("`{}` has no undo, but {}", step.name, threat.why);
    let help = if fails_unknown(saga, step) {
        "give it an `undo`, say `effect: none` if it changes nothing, or make it the `pivot` and let `exhausted` be `hold`"
    } else {
        "give it an `undo`, say `effect: none` if it changes nothing, or make it the `pivot`"
    };
    report.add(
        Diagnostic::new(codes::NO_UNDO, subject.root.place(&["steps", &step.name]), message)
            .label("can't be taken back")
            .related(threat.place, threat.label)
            .help(help),
    );
    false
}

fn threat(subject: &Subject<'_>, saga: &Saga, step: &Step) -> Option<Threat> {
    if step.pivot {
        return None;
    }
    if fails_unknown(saga, step) {
        return Some(Threat {
            why: "the saga fails when its tries are exhausted, and then it may have happened or not".into(),
            place: exhausted(subject, step),
            label: "fails the saga".into(),
        });
    }
    later_failure(subject, saga, step).or_else(|| foreign_failure(subject, saga)).or_else(|| {
        saga.deadline.as_ref().map(|_| Threat {
            why: format!("the deadline of saga `{}` can undo what was done", saga.name),
            place: subject.saga(&saga.name, "deadline"),
            label: "can pass after the step has run".into(),
        })
    })
}

/// The place of what follows exhausted tries.
fn exhausted(subject: &Subject<'_>, step: &Step) -> Span {
    match &step.exhausted {
        Exhausted::Emit(event) => subject.step_event(&step.name, "exhausted", event),
        Exhausted::Hold | Exhausted::Undo => subject.step(&step.name, "exhausted"),
    }
}

/// Whether its exhausted tries fail the saga.
fn fails_unknown(saga: &Saga, step: &Step) -> bool {
    match &step.exhausted {
        Exhausted::Hold => false,
        Exhausted::Undo => true,
        Exhausted::Emit(event) => saga.fails.contains(event),
    }
}

fn later_failure(subject: &Subject<'_>, saga: &Saga, step: &Step) -> Option<Threat> {
    let later = subject.mesh.steps_in(&saga.name).find(|other| {
        can_fail(other, saga) && subject.flow.can_follow(&step.name, &other.name) && other.name != step.name
    })?;
    Some(Threat {
        why: format!("`{}` runs after it and can still fail the saga", later.name),
        place: subject.root.place(&["steps", &later.name]),
        label: "can fail after it".into(),
    })
}

/// An event from outside that fails the saga can come at any time.
fn foreign_failure(subject: &Subject<'_>, saga: &Saga) -> Option<Threat> {
    let is_foreign = |e: &&String| subject.mesh.events.get(*e).is_some_and(|e| e.owner == Owner::Foreign);
    let event = saga.fails.iter().find(is_foreign)?;
    Some(Threat {
        why: format!("`{event}` comes from outside and can fail the saga at any time"),
        place: subject.saga_event(&saga.name, "fails", event),
        label: "can come after it".into(),
    })
}

fn check_behind_pivot(subject: &Subject<'_>, saga: &Saga, pivot: &Step, report: &mut Report) -> bool {
    let mut good = true;
    for step in subject.mesh.steps_in(&saga.name).filter(|s| subject.flow.can_follow(&pivot.name, &s.name)) {
        if can_fail(step, saga) {
            good = false;
            let event = step.forward_outputs().find(|e| saga.fails.iter().any(|f| f == e));
            let place = event
                .map_or_else(|| subject.step(&step.name, "exhausted"), |e| subject.output(&step.name, e));
            let message = format!("`{}` can fail the saga after its pivot `{}`", step.name, pivot.name);
            report.add(
                Diagnostic::new(codes::FAILS_AFTER_PIVOT, place, message)
                    .label("fails the saga")
                    .related(subject.step(&pivot.name, "pivot"), "from here on only forward")
                    .help("move what can fail before the pivot, or do not let it fail the saga"),
            );
        }
        if step.undo.is_some() && subject.flow.is_before(&pivot.name, &step.name) {
            let message = format!("the undo of `{}` never runs", step.name);
            report.add(
                Diagnostic::new(codes::UNDO_AFTER_PIVOT, subject.step(&step.name, "undo"), message)
                    .related(subject.step(&pivot.name, "pivot"), "from here on only forward")
                    .help("remove it"),
            );
        }
    }
    good
}
