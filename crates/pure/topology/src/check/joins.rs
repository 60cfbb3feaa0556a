//! Joins whose events exclude each other.

use crate::codes;
use crate::diagnostic::{Diagnostic, Report, Span};
use crate::mesh::{Group, Trigger};

use super::Subject;

/// Reports joins that can never be complete; `true` if there is none.
pub(super) fn check(subject: &Subject<'_>, report: &mut Report) -> bool {
    let mut good = true;
    for step in subject.mesh.steps.values() {
        if let Trigger::All(events) = &step.when {
            let place = |event: &str| subject.step_event(&step.name, "when", event);
            good &= check_join(subject, &format!("`{}` can never run", step.name), events, &place, report);
        }
    }
    for saga in subject.mesh.sagas.values() {
        if let Group::All(events) = &saga.completes {
            let place = |event: &str| subject.saga_event(&saga.name, "completes", event);
            good &= check_join(
                subject,
                &format!("saga `{}` can never complete", saga.name),
                events,
                &place,
                report,
            );
        }
    }
    good
}

fn check_join(
    subject: &Subject<'_>,
    consequence: &str,
    events: &[String],
    place: &dyn Fn(&str) -> Span,
    report: &mut Report,
) -> bool {
    let mut good = true;
    for (index, one) in events.iter().enumerate() {
        for other in &events[index + 1..] {
            if subject.flow.events_exclude(one, other) {
                let message = format!("{consequence}: `{one}` and `{other}` exclude each other");
                good = false;
                report.add(
                    Diagnostic::new(codes::NEVER_JOINS, place(other), message)
                        .label("never in the same run")
                        .related(place(one), "as this")
                        .help("wait for one of them, or let two steps wait for one each"),
                );
            }
        }
    }
    good
}
