//! Does every run of a saga reach an outcome?

use std::collections::BTreeSet;

use quadrille_saga::explore::{Answer, Blocked, Found, Move, explore};

use crate::codes;
use crate::diagnostic::{Diagnostic, Report};
use crate::flow::forward_emitters;
use crate::lower;
use crate::mesh::{Exhausted, Group, Mesh, Owner, Saga, Trigger};
use crate::schemas::Limits;
use crate::suggest::listed;

use super::Subject;
use super::races;

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

/// Explores each saga's flow with the transition that also runs it. `troubled`: the sagas whose undo or pivot is told
/// to be wrong already, so that what follows from that is not told again.
pub(super) fn check(subject: &Subject<'_>, troubled: &BTreeSet<String>, report: &mut Report) {
    let mut work_left = Limits::WORK_MAX;
    for saga in
        subject.mesh.sagas.values().filter(|s| !s.starts.is_empty() && !s.completes.events().is_empty())
    {
        let flow = lower::flow(subject.mesh, saga);
        let final_steps = subject.mesh.steps_in(&saga.name).filter(|s| s.effect && s.undo.is_none());
        let irrevocable = final_steps.map(|s| s.name.as_str()).collect();
        let found = explore(&flow, &irrevocable, work_left);
        work_left = work_left.saturating_sub(found.work);
        let outcome = Outcomes { subject, saga, found: &found };
        outcome.check(troubled.contains(&saga.name), report);
    }
}

/// What exploring a saga has shown.
struct Outcomes<'c, 'm> {
    subject: &'c Subject<'m>,
    saga: &'c Saga,
    found: &'c Found,
}

impl Outcomes<'_, '_> {
    fn check(&self, troubled: bool, report: &mut Report) {
        let may_wait = self.saga.may_wait.is_some();
        if self.found.completes {
            races::check(self.subject, self.saga, report);
        } else if !self.found.cut_short {
            self.never_completes(report);
        }
        if let Some(blocked) = self.found.blocked.as_ref().filter(|_| !may_wait) {
            match self.waiting_join(blocked) {
                _ if (troubled || !self.found.completes) && self.saga.deadline.is_some() => {}
                Some(diagnostic) => report.add(diagnostic),
                None => self.no_outcome(blocked, report),
            }
        }
        if !may_wait && self.saga.deadline.is_none() {
            self.check_held(report);
        }
        if !troubled {
            self.check_standing(report);
            self.check_pivot(report);
        }
        if self.found.cut_short && !(may_wait && self.found.completes) {
            self.not_proved(report);
        }
    }

    fn not_proved(&self, report: &mut Report) {
        let message = format!("saga `{}` has too many possible runs to prove that it ends", self.saga.name);
        let span = self.subject.root.place(&["sagas", &self.saga.name]);
        let help = "split it into smaller sagas, or let fewer steps of it run beside each other";
        report.add(Diagnostic::new(codes::NOT_PROVED, span, message).help(help));
    }

    fn never_completes(&self, report: &mut Report) {
        let message = format!("no run of saga `{}` completes it", self.saga.name);
        let help = "name an event that the last step emits when all goes well";
        let span = self.subject.saga(&self.saga.name, "completes");
        report.add(Diagnostic::new(codes::NEVER_COMPLETES, span, message).label("never happens").help(help));
    }

    fn check_held(&self, report: &mut Report) {
        let (subject, saga) = (self.subject, self.saga);
        let holds = |step: &str| subject.mesh.steps.get(step).is_some_and(|s| s.exhausted == Exhausted::Hold);
        let Some((step, path)) = self.found.held.iter().find(|(step, _)| holds(step)) else { return };
        let message = format!("saga `{}` can wait for ever for `{step}`", saga.name);
        report.add(
            Diagnostic::new(codes::NO_OUTCOME, subject.root.place(&["sagas", &saga.name]), message)
                .label("has no deadline")
                .related(subject.root.place(&["steps", step]), "is held when its tries are exhausted")
                .run(told(path))
                .help(DEADLINE_HELP),
        );
    }

    /// A join that has some of its events in a run that stops, and misses others.
    fn waiting_join(&self, blocked: &Blocked) -> Option<Diagnostic> {
        let (subject, saga) = (self.subject, self.saga);
        let steps = subject.mesh.steps_in(&saga.name).filter_map(|step| match &step.when {
            Trigger::All(events) => {
                Some((format!("`{}`", step.name), events, subject.step(&step.name, "when")))
            }
            Trigger::Event(_) => None,
        });
        let end = match &saga.completes {
            Group::All(events) => {
                let place = subject.saga(&saga.name, "completes");
                Some((format!("the end of saga `{}`", saga.name), events, place))
            }
            Group::Any(_) => None,
        };
        let occurred = occurred(&blocked.path);
        for (who, events, place) in steps.chain(end) {
            let (there, missing): (Vec<&String>, Vec<&String>) =
                events.iter().partition(|e| occurred.contains(e.as_str()));
            if there.is_empty() || missing.is_empty() {
                continue;
            }
            let message = format!("{who} can wait for ever for {}", listed(&missing));
            let label = format!("without {}, though with {}", listed(&missing), listed(&there));
            let help = self.way_out(blocked, "let that fail the saga");
            let diagnostic = Diagnostic::new(codes::WAITS_FOR_EVER, place, message);
            return Some(diagnostic.label(label).run(told(&blocked.path)).help(help));
        }
        None
    }

    fn no_outcome(&self, blocked: &Blocked, report: &mut Report) {
        let message = format!("saga `{}` can stop without an outcome", self.saga.name);
        let help = self.way_out(blocked, "let that complete or fail the saga");
        let span = self.subject.root.place(&["sagas", &self.saga.name]);
        report.add(Diagnostic::new(codes::NO_OUTCOME, span, message).run(told(&blocked.path)).help(help));
    }

    fn way_out(&self, blocked: &Blocked, what: &str) -> String {
        let because = self.because(blocked);
        if self.saga.deadline.is_some() {
            let why = "a deadline ends no run whose pivot has succeeded";
            format!("{because}; {why}: let what comes after the pivot complete the saga in every case")
        } else {
            format!("{because}; {what}, or {DEADLINE_HELP}")
        }
    }

    /// What is not as it is when all goes well.
    fn because(&self, blocked: &Blocked) -> String {
        let occurred = occurred(&blocked.path);
        let mut reasons: Vec<String> = blocked.path.iter().filter_map(reason).collect();
        let awaited = self.subject.mesh.steps_in(&self.saga.name).flat_map(|s| s.when.events());
        let missing: BTreeSet<&str> = awaited
            .chain(self.saga.completes.events())
            .map(String::as_str)
            .filter(|e| !occurred.contains(e) && is_outside(self.subject.mesh, self.saga, e))
            .collect();
        reasons.extend(missing.into_iter().map(|event| format!("`{event}` does not come from outside")));
        match reasons.as_slice() {
            [] => "it happens when every step succeeds".into(),
            reasons => format!("it happens when {}", reasons.join(" and ")),
        }
    }

    /// An effect that stands although its saga is undone, which nothing in the order of the steps gives away.
    fn check_standing(&self, report: &mut Report) {
        let Some((step, path)) = self.found.standing.first_key_value() else { return };
        let message = format!("`{step}` has no undo, but the saga can fail after it has run");
        let help = "give it an `undo`, say `effect: none` if it changes nothing, or make it the `pivot`";
        report.add(
            Diagnostic::new(codes::NO_UNDO, self.subject.root.place(&["steps", step]), message)
                .label("can't be taken back")
                .run(told(path))
                .help(help),
        );
    }

    fn check_pivot(&self, report: &mut Report) {
        let Some((step, path)) = &self.found.two_pivots else { return };
        if self.subject.mesh.steps_in(&self.saga.name).filter(|s| s.pivot).count() > 1 {
            return;
        }
        let message = format!("the pivot `{step}` can run twice in one run of saga `{}`", self.saga.name);
        let help =
            "let one event trigger it, which occurs once: the one that the last of the steps before it emits";
        report.add(
            Diagnostic::new(codes::PIVOT_TWICE, self.subject.step(step, "when"), message)
                .label("occurs twice")
                .related(self.subject.step(step, "pivot"), "from here on only forward")
                .run(told(path))
                .help(help),
        );
    }
}

const DEADLINE_HELP: &str = "give the saga a deadline, such as `deadline: { after: 15m, then: undo }`, or say why it may wait: \
     `deadline: { never: \"...\" }`";

fn occurred(path: &[Move]) -> BTreeSet<&str> {
    path.iter().flat_map(Move::events).map(String::as_str).collect()
}

/// A run, in the words of the file.
fn told(path: &[Move]) -> Vec<String> {
    path.iter().map(sentence).collect()
}

fn sentence(step: &Move) -> String {
    match step {
        Move::Starts(event) => format!("`{event}` starts it"),
        Move::Observed(event) => format!("`{event}` comes from outside"),
        Move::Deadline => "the deadline passes".into(),
        Move::Answers { step, answer } => match answer {
            Answer::Success { events, .. } if events.is_empty() => format!("`{step}` succeeds"),
            Answer::Success { events, .. } => format!("`{step}` answers with `{}`", events.join("`, `")),
            Answer::Rejection(event) => format!("`{step}` answers with `{event}`"),
            Answer::Exhausted => format!("`{step}` exhausts its tries"),
            Answer::GaveUp(event) => format!("`{step}` exhausts its tries, which emits `{event}`"),
            Answer::Undone(_) => format!("`{step}` is undone"),
            Answer::NotUndone => format!("the undo of `{step}` exhausts its tries"),
        },
    }
}

/// The sentence of what is not as it is when all goes well.
fn reason(step: &Move) -> Option<String> {
    let usual = match step {
        Move::Starts(_) => true,
        Move::Answers { answer, .. } => {
            matches!(answer, Answer::Success { first: true, .. } | Answer::Undone(_))
        }
        Move::Observed(_) | Move::Deadline => false,
    };
    (!usual).then(|| sentence(step))
}

/// Whether an event comes from outside the saga in the middle of it.
fn is_outside(mesh: &Mesh, saga: &Saga, event: &str) -> bool {
    let foreign = mesh.events.get(event).is_some_and(|e| e.owner == Owner::Foreign);
    let emitted_elsewhere = || forward_emitters(mesh, event).any(|s| s.saga.as_deref() != Some(&saga.name));
    !saga.starts.iter().any(|s| s == event) && (foreign || emitted_elsewhere())
}
