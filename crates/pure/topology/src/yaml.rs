//! First stage: bytes to a tree of nodes with spans, refusing hostile files before anything is expanded.
//!
//! The tree is built from the parser's events, so that an alias is seen (and refused) as a token, every key has
//! a place, and a mistake in one entry doesn't hide the next. Scalars stay text: what a field means decides
//! whether `no` is a name or a truth value, never the YAML version.

use std::collections::BTreeMap;

use granit_parser::{Event, Parser, ScalarStyle, ScanError};

use crate::codes;
use crate::diagnostic::{Diagnostic, Report, Span};
use crate::schemas::Limits;

/// A node of the file.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) span: Span,
    pub(crate) kind: Kind,
}

/// What a node is.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    /// Text, and whether it was written without quotes.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// One `key: value` of a mapping.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_span: Span,
    pub(crate) value: Node,
}

impl Node {
    /// What the node is, in words for a message.
    pub(crate) fn described(&self) -> String {
        match &self.kind {
            Kind::Scalar { text, plain: true } if is_null(text) => "nothing".into(),
            Kind::Scalar { text, plain: true } => format!("`{}`", shorten(text)),
            Kind::Scalar { text, plain: false } => format!("the text \"{}\"", shorten(text)),
            Kind::List(_) => "a list".into(),
            Kind::Map(_) => "a mapping".into(),
        }
    }

    pub(crate) fn is_nothing(&self) -> bool {
        matches!(&self.kind, Kind::Scalar { text, plain: true } if is_null(text))
    }

    /// The place of the deepest node along `path` that the file has.
    pub(crate) fn place(&self, path: &[&str]) -> Span {
        self.walk(path).0
    }

    /// Whether the file has a node at `path`.
    pub(crate) fn has(&self, path: &[&str]) -> bool {
        self.walk(path).1.is_some()
    }

    /// The place of the scalar `text` below `path`; without one, the place of `path`.
    pub(crate) fn place_of(&self, path: &[&str], text: &str) -> Span {
        self.scalar_at(path, text).unwrap_or_else(|| self.place(path))
    }

    /// The place of the scalar `text` below `path`.
    pub(crate) fn scalar_at(&self, path: &[&str], text: &str) -> Option<Span> {
        self.walk(path).1.and_then(|n| n.find_scalar(text))
    }

    /// A key's own place is shown for a mapping below it, so that the caret marks a name and not a block.
    fn walk(&self, path: &[&str]) -> (Span, Option<&Node>) {
        let mut node = self;
        let mut span = self.span;
        for step in path {
            let Kind::Map(entries) = &node.kind else { return (span, None) };
            let Some(entry) = entries.iter().find(|e| e.key == *step) else { return (span, None) };
            node = &entry.value;
            span = if matches!(node.kind, Kind::Scalar { .. }) { node.span } else { entry.key_span };
        }
        (span, Some(node))
    }

    fn find_scalar(&self, wanted: &str) -> Option<Span> {
        match &self.kind {
            Kind::Scalar { text, .. } => (text == wanted).then_some(self.span),
            Kind::List(items) => items.iter().find_map(|n| n.find_scalar(wanted)),
            Kind::Map(entries) => entries.iter().find_map(|e| e.value.find_scalar(wanted)),
        }
    }
}

fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null")
}

/// Text for a message: one line, at most 40 characters.
pub(crate) fn shorten(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    if line.chars().count() > 40 || line.len() < text.trim_end().len() {
        return line.chars().take(37).chain("...".chars()).collect();
    }
    line.to_owned()
}

/// Reads the bytes of a file into its tree and the text it was read from.
pub(crate) fn parse(bytes: &[u8], report: &mut Report) -> Option<Node> {
    match text_of(bytes).and_then(|text| Builder::new(text).build()) {
        Ok((node, duplicates)) => {
            duplicates.into_iter().for_each(|d| report.add(d));
            Some(node)
        }
        Err(diagnostic) => {
            report.add(*diagnostic);
            None
        }
    }
}

/// The text of a file that is small enough, UTF-8 and without control characters.
fn text_of(bytes: &[u8]) -> Result<&str, Box<Diagnostic>> {
    let start = Span { line: 1, column: 1, start: 0, end: 0 };
    if bytes.len() > Limits::FILE_BYTES_MAX {
        let message = format!("the file has {} bytes, more than 1 MiB", bytes.len());
        let help = "split the mesh into several files, one flow each";
        return Err(Box::new(Diagnostic::new(codes::TOO_LARGE, start, message).help(help)));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let at = span_at_end(&String::from_utf8_lossy(&bytes[..error.valid_up_to()]));
        let message = format!("byte {} is not UTF-8 text", error.valid_up_to());
        Box::new(Diagnostic::new(codes::NOT_TEXT, at, message).help("save the file as UTF-8 text"))
    })?;
    if let Some((offset, c)) = text.char_indices().find(|(_, c)| is_forbidden(*c)) {
        let at = span_at_end(&text[..offset]);
        let message = format!("the file contains the control character U+{:04X}", u32::from(c));
        return Err(Box::new(Diagnostic::new(codes::NOT_TEXT, at, message).help("remove the character")));
    }
    Ok(text)
}

fn is_forbidden(c: char) -> bool {
    c.is_control() && !matches!(c, '\t' | '\n' | '\r')
}

fn span_at_end(text: &str) -> Span {
    let line = text.matches('\n').count() + 1;
    let column = text.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    Span { line: line as u32, column: column as u32, start: text.len(), end: text.len() }
}

struct Builder<'t> {
    text: &'t str,
    open: Vec<Open>,
    root: Option<Node>,
    documents: usize,
    duplicates: Vec<Diagnostic>,
}

/// A list or mapping whose end has not been seen.
enum Open {
    List { span: Span, items: Vec<Node> },
    Map { span: Span, entries: Vec<Entry>, keys: BTreeMap<String, Span>, key: Option<(String, Span)> },
}

type Stop = Box<Diagnostic>;

impl<'t> Builder<'t> {
    fn new(text: &'t str) -> Self {
        Self { text, open: Vec::new(), root: None, documents: 0, duplicates: Vec::new() }
    }

    fn build(mut self) -> Result<(Node, Vec<Diagnostic>), Stop> {
        let options = granit_parser::options! {
            emit_comments: false,
            emit_unresolved_aliases: true,
            disallow_directives: true,
            flow_nesting_limit: Limits::DEPTH_MAX + 1,
            block_nesting_limit: Limits::DEPTH_MAX + 1,
        };
        for next in Parser::new_from_str_with_options(self.text, options) {
            let (event, span) = next.map_err(|error| self.syntax_error(&error))?;
            let span = self.span(&span);
            self.take(event, span)?;
        }
        let nothing = Span { line: 1, column: 1, start: 0, end: 0 };
        let empty = Diagnostic::new(codes::NOT_A_TOPOLOGY, nothing, "the file is empty")
            .help("start with `quadrille: 1` and `mesh: NAME`");
        let root = self.root.filter(|node| !node.is_nothing()).ok_or(empty)?;
        Ok((root, self.duplicates))
    }

    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Stop> {
        match event {
            Event::DocumentStart(..) => self.count_document(span),
            Event::Alias(_) | Event::UnresolvedAlias(_) => Err(refused("an alias", span)),
            Event::Scalar(_, _, anchor, tag) if anchor != 0 || tag.is_some() => {
                Err(refused(if anchor != 0 { "an anchor" } else { "a tag" }, span))
            }
            Event::SequenceStart(_, anchor, tag) | Event::MappingStart(_, anchor, tag)
                if anchor != 0 || tag.is_some() =>
            {
                Err(refused(if anchor != 0 { "an anchor" } else { "a tag" }, span))
            }
            Event::Scalar(text, style, ..) => {
                let plain = style == ScalarStyle::Plain;
                self.put(Node { span, kind: Kind::Scalar { text: text.into_owned(), plain } })
            }
            Event::SequenceStart(..) => self.enter(Open::List { span, items: Vec::new() }, span),
            Event::MappingStart(..) => {
                self.enter(Open::Map { span, entries: Vec::new(), keys: BTreeMap::new(), key: None }, span)
            }
            Event::SequenceEnd | Event::MappingEnd => self.leave(span),
            _ => Ok(()),
        }
    }

    fn count_document(&mut self, span: Span) -> Result<(), Stop> {
        self.documents += 1;
        if self.documents == 1 {
            return Ok(());
        }
        let message = "the file holds more than one YAML document";
        let help = "keep one document per file: remove the `---` line and what follows it";
        Err(Box::new(Diagnostic::new(codes::NOT_A_TOPOLOGY, span, message).help(help)))
    }

    fn enter(&mut self, open: Open, span: Span) -> Result<(), Stop> {
        if self.open.len() >= Limits::DEPTH_MAX {
            return Err(too_deep(span));
        }
        self.open.push(open);
        Ok(())
    }

    fn leave(&mut self, end: Span) -> Result<(), Stop> {
        let closed = match self.open.pop() {
            Some(Open::List { span, items }) => Node { span: upto(span, end), kind: Kind::List(items) },
            Some(Open::Map { span, entries, .. }) => Node { span: upto(span, end), kind: Kind::Map(entries) },
            None => return Ok(()),
        };
        self.put(closed)
    }

    /// Puts a finished node where it belongs: as item, key, value or root.
    fn put(&mut self, node: Node) -> Result<(), Stop> {
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Open::List { items, .. }) => items.push(node),
            Some(Open::Map { entries, keys, key, .. }) => match key.take() {
                None => *key = Some(key_of(node)?),
                Some((name, at)) => match keys.get(&name) {
                    Some(first) => self.duplicates.push(duplicate(&name, at, *first)),
                    None => {
                        keys.insert(name.clone(), at);
                        entries.push(Entry { key: name, key_span: at, value: node });
                    }
                },
            },
        }
        Ok(())
    }

    fn syntax_error(&self, error: &ScanError) -> Stop {
        let at = error.marker();
        let start = at.byte_offset().unwrap_or_default().min(self.text.len());
        let span = Span { line: at.line() as u32, column: at.col() as u32 + 1, start, end: start };
        use granit_parser::ErrorKind::RecursionLimitExceeded;
        if matches!(error.kind(), RecursionLimitExceeded) {
            return too_deep(span);
        }
        let help = "check the indentation (spaces, no tabs), the quotes and the brackets on this line and the one before";
        Box::new(Diagnostic::new(codes::SYNTAX, span, format!("not YAML: {}", error.info())).help(help))
    }

    fn span(&self, span: &granit_parser::Span) -> Span {
        let range = span.byte_range().unwrap_or(0..0);
        Span {
            line: span.start.line() as u32,
            column: span.start.col() as u32 + 1,
            start: range.start.min(self.text.len()),
            end: range.end.min(self.text.len()),
        }
    }
}

fn upto(start: Span, end: Span) -> Span {
    Span { end: end.end.max(start.end), ..start }
}

fn key_of(node: Node) -> Result<(String, Span), Stop> {
    match node.kind {
        Kind::Scalar { text, .. } if text == "<<" => Err(refused("a merge key", node.span)),
        Kind::Scalar { text, .. } => Ok((text, node.span)),
        _ => {
            let diagnostic = Diagnostic::new(codes::SYNTAX, node.span, "a key must be a plain word")
                .help("a list or mapping can't be a key: quote a name that starts with `[` or `{`");
            Err(Box::new(diagnostic))
        }
    }
}

fn refused(what: &str, span: Span) -> Stop {
    let message = format!("{what} is not allowed in a topology file");
    let help =
        "write the value out where it is needed; the file is read by people and by machines that must agree";
    Box::new(Diagnostic::new(codes::ALIAS, span, message).help(help))
}

fn too_deep(span: Span) -> Stop {
    let message = format!("nested deeper than {} levels", Limits::DEPTH_MAX);
    let help = "no field of the language nests that deep: look for brackets or indentation that never end";
    Box::new(Diagnostic::new(codes::TOO_DEEP, span, message).help(help))
}

fn duplicate(name: &str, at: Span, first: Span) -> Diagnostic {
    Diagnostic::new(codes::DUPLICATE, at, format!("`{}` is written twice", shorten(name)))
        .label("again here")
        .related(first, "first here")
        .help("keep one of the two, or give one another name")
}
