//! What names stand for.

use crate::codes;
use crate::diagnostic::{Diagnostic, Report, Spanned};
use crate::source::{self, Group as GroupSource, TopologySource};
use crate::{mesh, suggest};

/// The names that the file declares.
pub(super) struct Names<'s> {
    events: Vec<&'s str>,
    policies: Vec<&'s str>,
}

impl<'s> Names<'s> {
    pub(super) fn of(source: &'s TopologySource) -> Self {
        Self {
            events: source.events.0.iter().map(|(name, _)| name.value.as_str()).collect(),
            policies: source.retries.0.iter().map(|(name, _)| name.value.as_str()).collect(),
        }
    }

    /// The event of a name. For a misspelt one the closest is taken, so that its mistake hides no other.
    pub(super) fn event(&self, written: &Spanned<String>, report: &mut Report) -> Option<String> {
        let name = written.value.as_str();
        if self.events.contains(&name) {
            return Some(name.to_owned());
        }
        if report.is_full() {
            report.flow_is_unknown();
            report.add(Diagnostic::new(codes::UNKNOWN_EVENT, written.span, String::new()));
            return None;
        }
        let message = format!("no event is called `{}`", crate::yaml::shorten(name));
        let help = suggest::help(name, &self.events, "declare it under `events`");
        report.add(Diagnostic::new(codes::UNKNOWN_EVENT, written.span, message).help(help));
        let meant = suggest::closest(name, self.events.iter().copied()).map(str::to_owned);
        if meant.is_none() {
            report.flow_is_unknown();
        }
        meant
    }

    pub(super) fn events(&self, written: &source::Names, report: &mut Report) -> Vec<String> {
        let mut events: Vec<String> = Vec::new();
        for event in written.names.iter().filter_map(|n| self.event(n, report)) {
            if !events.contains(&event) {
                events.push(event);
            }
        }
        events
    }

    pub(super) fn group(&self, written: Option<&GroupSource>, report: &mut Report) -> mesh::Group {
        match written {
            None => mesh::Group::none(),
            Some(group) if group.all => mesh::Group::All(self.events(&group.names, report)),
            Some(group) => mesh::Group::Any(self.events(&group.names, report)),
        }
    }

    /// Reports a retry policy that doesn't exist.
    pub(super) fn unknown_policy(&self, written: &Spanned<String>, report: &mut Report) {
        let message = format!("no retry policy is called `{}`", crate::yaml::shorten(&written.value));
        let help = suggest::help(&written.value, &self.policies, "declare it under `retries`");
        report.add(Diagnostic::new(codes::UNKNOWN_POLICY, written.span, message).help(help));
    }
}
