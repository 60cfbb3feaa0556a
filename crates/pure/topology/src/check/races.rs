//! Sagas that could complete while a step of them can still fail.

use crate::codes;
use crate::diagnostic::{Diagnostic, Report};
use crate::flow::can_fail;
use crate::mesh::{Group, Saga, Step};

use super::Subject;

/// Reports steps that can fail a saga and that its completion doesn't wait for.
pub(super) fn check(subject: &Subject<'_>, saga: &Saga, report: &mut Report) {
    let ends: Vec<Vec<&str>> = match &saga.completes {
        Group::All(events) => vec![events.iter().map(String::as_str).collect()],
        Group::Any(events) => events.iter().map(|e| vec![e.as_str()]).collect(),
    };
    for step in subject.mesh.steps_in(&saga.name).filter(|s| can_fail(s, saga)) {
        let settles = |end: &Vec<&str>| end.iter().any(|event| subject.flow.is_settled_at(&step.name, event));
        if let Some(end) = ends.iter().find(|end| !settles(end)) {
            report_race(subject, saga, end, step, report);
        }
    }
}

fn report_race(subject: &Subject<'_>, saga: &Saga, end: &[&str], step: &Step, report: &mut Report) {
    let event = step.forward_outputs().find(|e| saga.fails.iter().any(|f| f == e));
    let place =
        event.map_or_else(|| subject.step(&step.name, "exhausted"), |e| subject.output(&step.name, e));
    let last = end.last().copied().unwrap_or_default();
    let message = format!("saga `{}` can complete while `{}` can still fail it", saga.name, step.name);
    report.add(
        Diagnostic::new(codes::RACE, subject.saga_event(&saga.name, "completes", last), message)
            .label("does not wait for it")
            .related(place, "fails the saga")
            .help(format!(
                "wait for the success of `{}` too, with `all: [...]` here or in a step",
                step.name
            )),
    );
}
