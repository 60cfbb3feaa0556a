//! Reading a mapping field by field.

use crate::codes;
use crate::diagnostic::{Diagnostic, Report, Span, Spanned};
use crate::source::Entries;
use crate::suggest;
use crate::yaml::{Entry, Kind, Node, shorten};

/// A mapping that is being read. Remembers which fields were asked for; [`Fields::close`] reports all others.
pub(crate) struct Fields<'n, 'r> {
    what: &'static str,
    span: Span,
    entries: &'n [Entry],
    asked: Vec<&'static str>,
    pub(crate) report: &'r mut Report,
}

impl<'n, 'r> Fields<'n, 'r> {
    /// Begins to read a mapping; `what` says what it describes, with its article.
    pub(crate) fn open(node: &'n Node, what: &'static str, report: &'r mut Report) -> Option<Self> {
        match &node.kind {
            Kind::Map(entries) => Some(Self { what, span: node.span, entries, asked: Vec::new(), report }),
            _ => {
                let message = format!("{what} is a mapping, this is {}", node.described());
                let help = "write its fields as `field: value`, one below the other, indented";
                report.add(Diagnostic::new(codes::WRONG_SHAPE, node.span, message).help(help));
                report.flow_is_unknown();
                None
            }
        }
    }

    /// Says where the mapping was named, so that what is missing in it is shown there.
    pub(crate) fn named_at(mut self, span: Span) -> Self {
        self.span = span;
        self
    }

    fn find(&mut self, name: &'static str) -> Option<&'n Entry> {
        self.asked.push(name);
        self.entries.iter().find(|e| e.key == name)
    }

    /// A field that may be left out.
    pub(crate) fn optional<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&'n Node, &mut Report) -> Option<T>,
    ) -> Option<T> {
        let entry = self.find(name)?;
        if entry.value.is_nothing() {
            let message = format!("`{name}` has no value");
            let help = format!("give `{name}` a value, or remove it");
            self.report.add(Diagnostic::new(codes::EMPTY, entry.key_span, message).help(help));
            self.flow_needs(name);
            return None;
        }
        read(&entry.value, self.report)
    }

    /// A field that must be there.
    pub(crate) fn required<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&'n Node, &mut Report) -> Option<T>,
    ) -> Option<T> {
        if !self.entries.iter().any(|e| e.key == name) {
            let message = format!("{} needs the field `{name}`", self.what);
            let help = format!("add `{name}: ...`");
            self.report.add(Diagnostic::new(codes::MISSING_FIELD, self.span, message).help(help));
            self.flow_needs(name);
        }
        self.optional(name, read)
    }

    /// A mapping from names that the user chooses.
    pub(crate) fn entries<T>(
        &mut self,
        name: &'static str,
        check_key: impl Fn(&Spanned<String>, &mut Report),
        read: impl Fn(&'n Node, Span, &mut Report) -> Option<T>,
    ) -> Entries<T> {
        let map = self.optional(name, |node, report| match &node.kind {
            Kind::Map(entries) if !entries.is_empty() => Some(entries),
            _ => {
                let message = format!("`{name}` is a mapping from names, this is {}", node.described());
                let help = "write `NAME:` on a line of its own, and its fields indented below it";
                report.add(Diagnostic::new(codes::WRONG_SHAPE, node.span, message).help(help));
                report.flow_is_unknown();
                None
            }
        });
        let report = &mut *self.report;
        let read_entry = |entry: &'n Entry| {
            let key = Spanned::new(entry.key.clone(), entry.key_span);
            check_key(&key, report);
            Some((key, read(&entry.value, entry.key_span, report)?))
        };
        Entries(map.into_iter().flatten().filter_map(read_entry).collect())
    }

    /// As [`Fields::entries`], and the field must be there.
    pub(crate) fn required_entries<T>(
        &mut self,
        name: &'static str,
        check_key: impl Fn(&Spanned<String>, &mut Report),
        read: impl Fn(&'n Node, Span, &mut Report) -> Option<T>,
    ) -> Entries<T> {
        self.required(name, |_, _| Some(()));
        self.entries(name, check_key, read)
    }

    /// Reports every field that was not asked for. `reserved` are words of the language that come later.
    pub(crate) fn close(self, reserved: &[&str]) {
        for entry in self.entries.iter().filter(|e| !self.asked.contains(&e.key.as_str())) {
            let name = shorten(&entry.key);
            if reserved.contains(&entry.key.as_str()) {
                not_yet(&format!("`{name}`"), entry.key_span, "remove it for now", self.report);
                continue;
            }
            let message = format!("{} has no field `{name}`", self.what);
            let help = suggest::help(&entry.key, &self.asked, "remove it");
            self.report.add(Diagnostic::new(codes::UNKNOWN_FIELD, entry.key_span, message).help(help));
            if !["a topic", "a retry policy", "`in_place`", "`defaults`", "`outcomes`"].contains(&self.what) {
                self.report.flow_is_unknown();
            }
        }
    }

    /// Without these fields the flow can't be judged.
    fn flow_needs(&mut self, field: &str) {
        const FLOW: [&str; 13] = [
            "events",
            "steps",
            "sagas",
            "when",
            "emits",
            "rejects",
            "undo",
            "exhausted",
            "starts",
            "completes",
            "fails",
            "all",
            "emit",
        ];
        if FLOW.contains(&field) {
            self.report.flow_is_unknown();
        }
    }
}

/// Reports a word that this version doesn't run yet.
pub(crate) fn not_yet(what: &str, span: Span, help: &str, report: &mut Report) {
    let message = format!("{what} is reserved, this version does not run it yet");
    report.add(Diagnostic::new(codes::NOT_YET, span, message).help(help));
}
