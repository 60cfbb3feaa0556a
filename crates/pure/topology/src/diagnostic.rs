//! What the compiler says about a file: one [`Diagnostic`] per mistake, collected in a [`Report`].

use serde::Serialize;

use crate::codes::{self, Code};

/// A place in the file. Lines and columns count from 1; columns count characters, offsets count bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize)]
pub struct Span {
    /// Line of the first character.
    pub line: u32,
    /// Column of the first character.
    pub column: u32,
    /// Byte offset of the first character.
    #[serde(skip)]
    pub start: usize,
    /// Byte offset behind the last character.
    #[serde(skip)]
    pub end: usize,
}

/// A value together with the place it was written at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spanned<T> {
    /// What was written.
    pub value: T,
    /// Where.
    pub span: Span,
}

impl<T> Spanned<T> {
    pub(crate) fn new(value: T, span: Span) -> Self {
        Self { value, span }
    }
}

/// Whether a finding stops the file from being used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The file can't be used.
    Error,
    /// The file can be used; something in it has no effect.
    Warning,
}

/// A place with a few words on what is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Label {
    /// Where.
    #[serde(flatten)]
    pub span: Span,
    /// What is there; may be empty.
    #[serde(rename = "label")]
    pub text: String,
}

/// One mistake: what is wrong, where, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// Stable code; `quadrille explain` prints its paragraph.
    pub code: Code,
    /// Error or warning, fixed per code.
    pub severity: Severity,
    /// One sentence without a full stop.
    pub message: String,
    /// The place to look at first.
    #[serde(flatten)]
    pub primary: Label,
    /// Other places that belong to the mistake.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub related: Vec<Label>,
    /// A shortest run that shows it, one sentence for each thing that happens; empty where no run is needed to see it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub run: Vec<String>,
    /// What to do.
    pub help: String,
}

impl Diagnostic {
    pub(crate) fn new(code: Code, span: Span, message: impl Into<String>) -> Self {
        let severity = codes::severity(code);
        let primary = Label { span, text: String::new() };
        Self {
            code,
            severity,
            message: message.into(),
            primary,
            related: Vec::new(),
            run: Vec::new(),
            help: String::new(),
        }
    }

    pub(crate) fn label(mut self, text: impl Into<String>) -> Self {
        self.primary.text = text.into();
        self
    }

    pub(crate) fn related(mut self, span: Span, text: impl Into<String>) -> Self {
        self.related.push(Label { span, text: text.into() });
        self
    }

    pub(crate) fn run(mut self, run: Vec<String>) -> Self {
        self.run = run;
        self
    }

    pub(crate) fn help(mut self, text: impl Into<String>) -> Self {
        self.help = text.into();
        self
    }
}

/// Diagnostics shown for one file; a hostile file could otherwise print a million.
pub const DIAGNOSTICS_MAX: usize = 100;

/// Collects the diagnostics of all stages.
#[derive(Debug, Default)]
pub(crate) struct Report {
    diagnostics: Vec<Diagnostic>,
    left_out: usize,
    flow_unknown: bool,
}

impl Report {
    pub(crate) fn add(&mut self, diagnostic: Diagnostic) {
        if self.diagnostics.len() < DIAGNOSTICS_MAX {
            self.diagnostics.push(diagnostic);
        } else {
            self.left_out += 1;
        }
    }

    /// Whether further diagnostics are only counted, so that they needn't be worked out.
    pub(crate) fn is_full(&self) -> bool {
        self.diagnostics.len() >= DIAGNOSTICS_MAX
    }

    /// Says that something is missing without which the flow can't be judged, so that the flow checks would
    /// report the consequences of a mistake as further mistakes.
    pub(crate) fn flow_is_unknown(&mut self) {
        self.flow_unknown = true;
    }

    pub(crate) fn is_flow_known(&self) -> bool {
        !self.flow_unknown
    }

    pub(crate) fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(|d| d.severity == Severity::Error)
    }

    /// All diagnostics in the order of the file, and how many more there were.
    pub(crate) fn finish(mut self) -> (Vec<Diagnostic>, usize) {
        self.diagnostics.sort_by_key(|d| (d.primary.span.start, d.code));
        self.diagnostics.dedup();
        (self.diagnostics, self.left_out)
    }
}
