//! Events that nobody emits, uses or follows.

use crate::codes;
use crate::diagnostic::{Diagnostic, Report};
use crate::mesh::{Event, Mesh, Owner};

use super::Subject;

pub(super) fn check(subject: &Subject<'_>, report: &mut Report) {
    for event in subject.mesh.events.values() {
        let emitted = subject.mesh.emitters(&event.name).next().is_some();
        match (&event.owner, emitted, is_awaited(subject.mesh, event)) {
            (Owner::Foreign, _, false) if !emitted => nobody_uses(subject, event, report),
            (Owner::Service(_), false, false) => nobody_uses(subject, event, report),
            _ => {}
        }
        if !emitted && is_awaited(subject.mesh, event) && !is_published_by_others(subject, event) {
            nobody_emits(subject, event, report);
        }
    }
    dead_ends(subject, report);
}

/// An owner that isn't written counts as foreign while nobody emits the event, so ask the file.
fn is_published_by_others(subject: &Subject<'_>, event: &Event) -> bool {
    subject.root.scalar_at(&["events", &event.name, "owner"], "foreign").is_some()
}

fn is_awaited(mesh: &Mesh, event: &Event) -> bool {
    let name = event.name.as_str();
    mesh.triggered(name).next().is_some()
        || mesh.started_by(name).next().is_some()
        || mesh.completed_by(name).next().is_some()
        || mesh.failed_by(name).next().is_some()
}

fn nobody_uses(subject: &Subject<'_>, event: &Event, report: &mut Report) {
    let message = format!("nothing emits `{0}` and nothing waits for `{0}`", event.name);
    let help = "remove it, or name it in a step or a saga";
    report.add(Diagnostic::new(codes::NOBODY_USES, subject.event(&event.name), message).help(help));
}

fn nobody_emits(subject: &Subject<'_>, event: &Event, report: &mut Report) {
    let message = format!("no step emits `{}`", event.name);
    let help = "add `owner: foreign` if it comes from outside the mesh, or let a step emit it";
    let mut diagnostic = Diagnostic::new(codes::NOBODY_EMITS, subject.event(&event.name), message).help(help);
    if let Some(step) = subject.mesh.triggered(&event.name).next() {
        let place = subject.step_event(&step.name, "when", &event.name);
        diagnostic = diagnostic.related(place, format!("`{}` waits for it", step.name));
    }
    report.add(diagnostic);
}

/// Every event that the forward way emits has to lead somewhere. What an undo emits is a record of it and may be
/// read by nobody.
fn dead_ends(subject: &Subject<'_>, report: &mut Report) {
    for step in subject.mesh.steps.values() {
        for name in step.forward_outputs() {
            let Some(event) = subject.mesh.events.get(name) else { continue };
            if event.foreign_readers || is_awaited(subject.mesh, event) {
                continue;
            }
            let message = format!("`{name}` leads nowhere");
            let help = match &step.saga {
                Some(saga) => format!(
                    "name it in `completes` or `fails` of saga `{saga}`, let a step listen to it, or add \
                     `readers: foreign` to the event if somebody outside the mesh acts on it"
                ),
                None => "let a step listen to it, or add `readers: foreign` to the event".to_owned(),
            };
            let place = subject.output(&step.name, name);
            report.add(
                Diagnostic::new(codes::DEAD_END, place, message)
                    .label("no step, `completes` or `fails` names it")
                    .help(help),
            );
        }
    }
}
