//! Words that only a saga could act on, and two pivots.

use crate::codes;
use crate::diagnostic::{Diagnostic, Report};
use crate::mesh::{Exhausted, Step, Trigger};

use super::Subject;

pub(super) fn check(subject: &Subject<'_>, report: &mut Report) {
    for step in subject.mesh.steps.values().filter(|s| s.saga.is_none()) {
        check_outside_saga(subject, step, report);
    }
    for saga in subject.mesh.sagas.values() {
        let mut pivots = subject.mesh.steps_in(&saga.name).filter(|s| s.pivot);
        let Some(first) = pivots.next() else { continue };
        for second in pivots {
            let message =
                format!("saga `{}` has two pivots, `{}` and `{}`", saga.name, first.name, second.name);
            report.add(
                Diagnostic::new(codes::TWO_PIVOTS, subject.step(&second.name, "pivot"), message)
                    .label("one pivot")
                    .related(subject.step(&first.name, "pivot"), "the other")
                    .help("keep the one from which on nothing can be taken back"),
            );
        }
    }
}

fn check_outside_saga(subject: &Subject<'_>, step: &Step, report: &mut Report) {
    if matches!(step.when, Trigger::All(_)) {
        let message = format!("`{}` waits for several events, but belongs to no saga", step.name);
        let help = "start a saga with one of the events, so that it is known which belong together";
        let span = subject.step(&step.name, "when");
        report.add(Diagnostic::new(codes::JOIN_OUTSIDE_SAGA, span, message).help(help));
    }
    let fields = [
        ("undo", step.undo.is_some()),
        ("pivot", step.pivot),
        ("effect", !step.effect),
        ("exhausted", step.exhausted == Exhausted::Undo),
    ];
    for (field, _) in fields.iter().filter(|(_, written)| *written) {
        let message =
            format!("`{field}` of `{}` has no effect, since the step belongs to no saga", step.name);
        let help = "start a saga with an event that leads to this step, or remove the field";
        let span = subject.step(&step.name, field);
        report.add(Diagnostic::new(codes::NO_EFFECT_OUTSIDE_SAGA, span, message).help(help));
    }
}
