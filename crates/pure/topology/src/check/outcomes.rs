//! Does every run of a saga reach an outcome?

use crate::codes;
use crate::diagnostic::{Diagnostic, Report};
use crate::mesh::{Exhausted, Group, Saga, Trigger};
use crate::suggest::listed;

use super::Subject;
use super::races;
use super::runs::{self, Runs, Stopped};

/// Reports events that both complete and fail, or start and end a saga; `true` if there is none.
pub(super) fn check_roles(subject: &Subject<'_>, report: &mut Report) -> bool {
    let mut clear = true;
    for saga in subject.mesh.sagas.values() {
        let roles = [
            ("completes", saga.completes.events(), "fails", saga.fails.as_slice()),
            ("starts", saga.starts.as_slice(), "completes", saga.completes.events()),
            ("starts", saga.starts.as_slice(), "fails", saga.fails.as_slice()),
        ];
        for (one, these, other, those) in roles {
            let Some(event) = these.iter().find(|e| those.contains(e)) else { continue };
            clear = false;
            let message = format!("`{event}` both {one} and {other} saga `{}`", saga.name);
            report.add(
                Diagnostic::new(codes::TWO_ROLES, subject.saga_event(&saga.name, other, event), message)
                    .label(format!("{other} it"))
                    .related(subject.saga_event(&saga.name, one, event), format!("{one} it"))
                    .help("let different events begin it, complete it and fail it"),
            );
        }
    }
    clear
}

/// Tries the runs of each saga. Where a deadline ends what hangs, only completion has to be shown.
pub(super) fn check(subject: &Subject<'_>, report: &mut Report) {
    for saga in
        subject.mesh.sagas.values().filter(|s| !s.starts.is_empty() && !s.completes.events().is_empty())
    {
        let must_end = saga.deadline.is_none() && saga.may_wait.is_none();
        let runs = runs::of(subject.mesh, saga, must_end);
        if !runs.completes && !runs.cut_short {
            never_completes(subject, saga, report);
        }
        if runs.completes {
            races::check(subject, saga, report);
        }
        if must_end {
            check_ends(subject, saga, &runs, report);
        }
        if runs.cut_short {
            let message = format!("saga `{}` has too many possible runs to prove that it ends", saga.name);
            let span = subject.root.place(&["sagas", &saga.name]);
            let help = "give it a deadline, or split it into smaller sagas";
            report.add(Diagnostic::new(codes::NOT_PROVED, span, message).help(help));
        }
    }
}

fn never_completes(subject: &Subject<'_>, saga: &Saga, report: &mut Report) {
    let message = format!("no run of saga `{}` completes it", saga.name);
    let help = "name an event that the last step emits when all goes well";
    let span = subject.saga(&saga.name, "completes");
    report.add(Diagnostic::new(codes::NEVER_COMPLETES, span, message).label("never happens").help(help));
}

fn check_ends(subject: &Subject<'_>, saga: &Saga, runs: &Runs<'_>, report: &mut Report) {
    if let Some(stopped) = &runs.stopped {
        match waiting_join(subject, saga, stopped) {
            Some(diagnostic) => report.add(diagnostic),
            None => no_outcome(subject, saga, stopped, report),
        }
    }
    if let Some(step) = subject.mesh.steps_in(&saga.name).find(|s| s.exhausted == Exhausted::Hold) {
        let message = format!("saga `{}` can wait for ever for `{}`", saga.name, step.name);
        report.add(
            Diagnostic::new(codes::NO_OUTCOME, subject.root.place(&["sagas", &saga.name]), message)
                .label("has no deadline")
                .related(subject.root.place(&["steps", &step.name]), "is held when its tries are exhausted")
                .help(DEADLINE_HELP),
        );
    }
}

const DEADLINE_HELP: &str = "give the saga a deadline, such as `deadline: { after: 15m, then: undo }`, or say why it may wait: \
     `deadline: { never: \"...\" }`";

/// A join that has some of its events in a run that stops, and misses others.
fn waiting_join(subject: &Subject<'_>, saga: &Saga, stopped: &Stopped<'_>) -> Option<Diagnostic> {
    let steps = subject.mesh.steps_in(&saga.name).filter_map(|step| match &step.when {
        Trigger::All(events) => Some((format!("`{}`", step.name), events, subject.step(&step.name, "when"))),
        Trigger::Event(_) => None,
    });
    let end = match &saga.completes {
        Group::All(events) => {
            let place = subject.saga(&saga.name, "completes");
            Some((format!("the end of saga `{}`", saga.name), events, place))
        }
        Group::Any(_) => None,
    };
    for (who, events, place) in steps.chain(end) {
        let (there, missing): (Vec<&String>, Vec<&String>) =
            events.iter().partition(|e| stopped.occurred.contains(e.as_str()));
        if there.is_empty() || missing.is_empty() {
            continue;
        }
        let message = format!("{who} can wait for ever for {}", listed(&missing));
        let label = format!("without {}, though with {}", listed(&missing), listed(&there));
        let when = because(stopped);
        let help = format!("{when}; let that fail the saga, or {DEADLINE_HELP}");
        return Some(Diagnostic::new(codes::WAITS_FOR_EVER, place, message).label(label).help(help));
    }
    None
}

fn no_outcome(subject: &Subject<'_>, saga: &Saga, stopped: &Stopped<'_>, report: &mut Report) {
    let message = format!("saga `{}` can stop without an outcome", saga.name);
    let help = format!("{}; let that complete or fail the saga, or {DEADLINE_HELP}", because(stopped));
    let span = subject.root.place(&["sagas", &saga.name]);
    report.add(Diagnostic::new(codes::NO_OUTCOME, span, message).help(help));
}

fn because(stopped: &Stopped<'_>) -> String {
    match stopped.because.as_slice() {
        [] => "it happens when every step succeeds".into(),
        reasons => format!("it happens when {}", reasons.join(" and ")),
    }
}
