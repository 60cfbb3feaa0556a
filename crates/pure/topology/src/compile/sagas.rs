//! Sagas, and which steps belong to them.

use std::collections::{BTreeMap, BTreeSet};

use crate::codes;
use crate::diagnostic::{Diagnostic, Report};
use crate::mesh::{Deadline, Mesh, Outcomes, Owner, Saga, Step};
use crate::source::{DeadlineSource, SagaSource, TopologySource};
use crate::suggest::listed;
use crate::yaml::Node;

use super::names::Names;

pub(super) fn sagas(
    source: &TopologySource,
    names: &Names<'_>,
    report: &mut Report,
) -> BTreeMap<String, Saga> {
    source
        .sagas
        .0
        .iter()
        .map(|(name, written)| (name.value.clone(), saga(&name.value, written, names, report)))
        .collect()
}

fn saga(name: &str, written: &SagaSource, names: &Names<'_>, report: &mut Report) -> Saga {
    let (deadline, may_wait) = match &written.deadline {
        Some(DeadlineSource::After(after)) => {
            let after_ms = after.after.as_ref().map_or(0, |a| a.value.0);
            (
                Some(Deadline {
                    after_ms,
                    then: after.then.as_ref().map_or_else(Default::default, |t| t.value),
                }),
                None,
            )
        }
        Some(DeadlineSource::Never(never)) => (None, Some(never.never.value.clone())),
        None => (None, None),
    };
    let outcome = |written: &Option<crate::diagnostic::Spanned<String>>, default: &str| {
        written.as_ref().map_or(default, |name| name.value.as_str()).to_owned()
    };
    Saga {
        name: name.to_owned(),
        starts: written.starts.as_ref().map(|n| names.events(n, report)).unwrap_or_default(),
        identity: written.identity.as_ref().map_or_else(Default::default, |i| i.value),
        again: written.again.as_ref().map_or_else(Default::default, |a| a.value),
        completes: names.group(written.completes.as_ref(), report),
        fails: written.fails.as_ref().map(|n| names.events(n, report)).unwrap_or_default(),
        outcomes: Outcomes {
            completed: outcome(&written.outcomes.completed, "completed"),
            compensated: outcome(&written.outcomes.compensated, "compensated"),
        },
        deadline,
        may_wait,
        from: written.from.as_ref().map(|f| f.value.0),
    }
}

/// Gives each step the saga whose start leads to it.
pub(super) fn assign_steps(root: &Node, mesh: &mut Mesh, report: &mut Report) {
    let mut members: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for saga in mesh.sagas.values() {
        for step in members_of(mesh, saga) {
            members.entry(step).or_default().push(saga.name.clone());
        }
    }
    for (step, sagas) in members {
        if sagas.len() > 1 {
            let span = root.place(&["steps", &step, "when"]);
            let message = format!("`{step}` belongs to the sagas {}", listed(&sagas));
            let help = "give each saga a step of its own, or make them one saga";
            report.add(Diagnostic::new(codes::TWO_SAGAS, span, message).help(help));
        }
        if let Some(step) = mesh.steps.get_mut(&step) {
            step.saga = sagas.into_iter().next();
        }
    }
}

/// The steps that the saga's start leads to, and those that foreign events trigger which the saga knows: because
/// they end it, or because one of its steps waits for them.
fn members_of(mesh: &Mesh, saga: &Saga) -> BTreeSet<String> {
    let is_foreign = |e: &&String| mesh.events.get(*e).is_some_and(|e| e.owner == Owner::Foreign);
    let ends = saga.completes.events().iter().chain(&saga.fails).filter(is_foreign);
    let mut events: BTreeSet<&str> = saga.starts.iter().chain(ends).map(String::as_str).collect();
    let mut members: BTreeSet<String> = BTreeSet::new();
    loop {
        let is_next = |step: &&Step| {
            !members.contains(&step.name) && step.when.events().iter().any(|e| events.contains(e.as_str()))
        };
        let Some(step) = mesh.steps.values().find(is_next) else { return members };
        members.insert(step.name.clone());
        events.extend(step.forward_outputs());
        events.extend(step.when.events().iter().map(String::as_str));
    }
}
