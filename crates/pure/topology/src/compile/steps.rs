//! Steps, as far as each can be compiled by itself.

use std::collections::BTreeMap;

use crate::codes;
use crate::diagnostic::{Diagnostic, Report, Span, Spanned};
use crate::mesh::{Exhausted, Group, Handler, Retry, Step, Trigger, TriggeredBy, Undo};
use crate::schemas::Limits;
use crate::source::{
    ExhaustedSource, HandlerSource, RetryRef, RetrySource, StepSource, TopologySource, TriggerSource,
};

use super::names::Names;

/// The service of steps that name none.
pub(crate) const GENERIC_SERVICE: &str = "steps";

const RETRY_DEFAULT: Retry = Retry { tries: 3, wait_ms_min: 100, wait_ms_max: 2000 };

pub(super) fn steps(
    source: &TopologySource,
    names: &Names<'_>,
    report: &mut Report,
) -> BTreeMap<String, Step> {
    let mut steps = BTreeMap::new();
    for (name, written) in &source.steps.0 {
        if let Some(step) = step(name, written, source, names, report) {
            steps.insert(name.value.clone(), step);
        }
    }
    steps
}

fn step(
    name: &Spanned<String>,
    written: &StepSource,
    source: &TopologySource,
    names: &Names<'_>,
    report: &mut Report,
) -> Option<Step> {
    check_service(written, report);
    let when = match &written.when {
        Some(TriggerSource::Event(event)) => names.event(event, report).map(Trigger::Event),
        Some(TriggerSource::All(events)) => Some(trigger_of_all(names.events(events, report))),
        None => None,
    };
    let emits = names.group(written.emits.as_ref(), report);
    let rejects = written.rejects.as_ref().map(|n| names.events(n, report)).unwrap_or_default();
    let exhausted = exhausted(written, names, report);
    let undo = undo(written, names, report);
    let retry = written.retry.as_ref().or(source.defaults.retry.as_ref());
    let timeout = written.timeout.as_ref().or(source.defaults.timeout.as_ref());
    check_roles(name, written, &emits, &rejects, report);
    Some(Step {
        name: name.value.clone(),
        service: written.service.as_ref().map_or(GENERIC_SERVICE, |s| s.value.as_str()).to_owned(),
        when: when?,
        triggered_by: TriggeredBy::Choreography,
        saga: None,
        handler: written.handler.as_ref().map_or_else(|| Handler::Rust(String::new()), handler),
        emits,
        rejects,
        undo,
        retry: retry.map_or(RETRY_DEFAULT, |r| policy(r, source, names, report)),
        exhausted,
        timeout_ms: timeout.map_or(Limits::TIMEOUT_MS_DEFAULT, |t| t.value.0),
        concurrency: written.concurrency.as_ref().map_or(Limits::CONCURRENCY_DEFAULT, |c| c.value as u32),
        from: written.from.as_ref().map(|f| f.value.0),
        pivot: written.pivot.as_ref().is_some_and(|p| p.value),
        effect: written.effect.is_none(),
        guarantee: written.guarantee.as_ref().map_or_else(Default::default, |g| g.value),
    })
}

/// `all` of one event is that event.
fn trigger_of_all(mut events: Vec<String>) -> Trigger {
    if events.len() == 1 { Trigger::Event(events.remove(0)) } else { Trigger::All(events) }
}

fn handler(written: &HandlerSource) -> Handler {
    match written {
        HandlerSource::Http(url) => Handler::Http(url.value.clone()),
        HandlerSource::Rust(name) => Handler::Rust(name.value.clone()),
    }
}

fn undo(written: &StepSource, names: &Names<'_>, report: &mut Report) -> Option<Undo> {
    let undo = written.undo.as_ref()?;
    Some(Undo {
        handler: undo.handler.as_ref().map_or_else(|| Handler::Rust(String::new()), handler),
        emits: undo.emits.as_ref().map(|n| names.events(n, report)).unwrap_or_default(),
        also_when_unknown: undo.also_when_unknown.as_ref().is_some_and(|a| a.value),
    })
}

fn exhausted(written: &StepSource, names: &Names<'_>, report: &mut Report) -> Exhausted {
    match written.exhausted.as_ref().map(|e| &e.value) {
        None | Some(ExhaustedSource::Hold) => Exhausted::Hold,
        Some(ExhaustedSource::Undo) => Exhausted::Undo,
        Some(ExhaustedSource::Emit(event)) => {
            names.event(event, report).map_or(Exhausted::Hold, Exhausted::Emit)
        }
    }
}

fn policy(written: &RetryRef, source: &TopologySource, names: &Names<'_>, report: &mut Report) -> Retry {
    match written {
        RetryRef::Inline(policy) => retry(policy),
        RetryRef::Named(name) => match source.retries.0.iter().find(|(known, _)| known.value == name.value) {
            Some((_, policy)) => retry(policy),
            None => {
                names.unknown_policy(name, report);
                RETRY_DEFAULT
            }
        },
    }
}

fn retry(written: &RetrySource) -> Retry {
    let Some(in_place) = &written.in_place else { return RETRY_DEFAULT };
    let wait = in_place.wait.as_ref().map(|w| w.value);
    Retry {
        tries: in_place.tries.as_ref().map_or(RETRY_DEFAULT.tries, |t| t.value as u32),
        wait_ms_min: wait.map_or(RETRY_DEFAULT.wait_ms_min, |w| w.0),
        wait_ms_max: wait.map_or(RETRY_DEFAULT.wait_ms_max, |w| w.1),
    }
}

/// A Rust handler is compiled into its author's service; the generic one has none.
fn check_service(written: &StepSource, report: &mut Report) {
    if written.service.as_ref().is_some_and(|s| s.value != GENERIC_SERVICE) {
        return;
    }
    let undo = written.undo.as_ref().and_then(|u| u.handler.as_ref());
    for handler in written.handler.iter().chain(undo) {
        if let HandlerSource::Rust(name) = handler {
            let message =
                format!("the generic service `{GENERIC_SERVICE}` has no Rust handler `{}`", name.value);
            let help = "name the service that has it: add `service: NAME` to the step";
            report.add(Diagnostic::new(codes::RUST_NEEDS_SERVICE, name.span, message).help(help));
        }
    }
}

fn check_roles(
    name: &Spanned<String>,
    written: &StepSource,
    emits: &Group,
    rejects: &[String],
    report: &mut Report,
) {
    let Some(both) = emits.events().iter().find(|e| rejects.contains(e)) else { return };
    let span_in = |names: Option<&crate::source::Names>| -> Span {
        names.and_then(|n| n.spans().find(|(n, _)| *n == both.as_str())).map_or(name.span, |(_, span)| span)
    };
    let message = format!("`{both}` means both success and refusal of `{}`", name.value);
    report.add(
        Diagnostic::new(codes::TWO_ROLES, span_in(written.rejects.as_ref()), message)
            .label("as a refusal here")
            .related(span_in(written.emits.as_ref().map(|g| &g.names)), "as a success here")
            .help("declare one event for the success and another for the refusal"),
    );
}

/// Reports policies that no step and no default names. A misspelt name counts as the closest one.
pub(super) fn report_unused_policies(source: &TopologySource, report: &mut Report) {
    let policies = || source.retries.0.iter().map(|(name, _)| name.value.as_str());
    let from_steps = source.steps.0.iter().filter_map(|(_, step)| step.retry.as_ref());
    let named = from_steps.chain(source.defaults.retry.as_ref()).filter_map(|r| match r {
        RetryRef::Named(name) => Some(name.value.as_str()),
        RetryRef::Inline(_) => None,
    });
    let used: Vec<&str> = named.filter_map(|name| crate::suggest::closest(name, policies())).collect();
    for (name, _) in source.retries.0.iter().filter(|(name, _)| !used.contains(&name.value.as_str())) {
        let message = format!("no step uses the retry policy `{}`", name.value);
        let help = format!("add `retry: {}` to a step, or remove the policy", name.value);
        report.add(Diagnostic::new(codes::UNUSED_POLICY, name.span, message).help(help));
    }
}
