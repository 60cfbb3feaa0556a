//! Events after exhausted tries whose fields can't be had.

use crate::codes;
use crate::diagnostic::{Diagnostic, Report};
use crate::gives_up::{self, Missing};
use crate::mesh::{Exhausted, Step};
use crate::suggest;

use super::Subject;

pub(super) fn check(subject: &Subject<'_>, report: &mut Report) {
    for step in subject.mesh.steps.values() {
        let Exhausted::Emit(event) = &step.exhausted else { continue };
        let Err(missing) = gives_up::fields(subject.mesh, step, event) else { continue };
        for missing in missing {
            report.add(diagnostic(subject, step, event, &missing));
        }
    }
}

fn diagnostic(subject: &Subject<'_>, step: &Step, event: &str, missing: &Missing) -> Diagnostic {
    let field = &missing.field;
    let message =
        format!("`{field}` of `{event}` has no value when the tries of `{}` are exhausted", step.name);
    let names = |events: &[String]| suggest::listed(&events.iter().map(String::as_str).collect::<Vec<_>>());
    let help = match &missing.unlike {
        Some(input) => format!(
            "give `{field}` the type that it has in `{input}`, or let it have a default or be nullable"
        ),
        None if missing.known.is_empty() => format!(
            "let `{field}` have a default or be nullable, since {} has no schema that says what it has",
            names(step.when.events())
        ),
        None => format!(
            "let `{field}` have a default or be nullable, or be a field of {} too",
            names(&missing.known)
        ),
    };
    let place = subject.step_event(&step.name, "exhausted", event);
    Diagnostic::new(codes::GIVEN_UP_WITHOUT, place, message).label("no handler fills it in here").help(help)
}
