//! A diagnostic for people: message, file:line:column, the source line with a caret, what to do.

use std::fmt::Write as _;

use crate::diagnostic::{Diagnostic, Label, Severity};

use super::{Style, printable};

/// Characters of a source line that are shown; a longer line is cut around the caret.
const WIDTH: usize = 100;

/// Renders one diagnostic of `file`, whose text is `source`.
#[must_use]
pub fn diagnostic(diagnostic: &Diagnostic, file: &str, source: &str, style: Style) -> String {
    let heading = match diagnostic.severity {
        Severity::Error => style.red(&format!("error[{}]", diagnostic.code)),
        Severity::Warning => style.yellow(&format!("warning[{}]", diagnostic.code)),
    };
    let at = diagnostic.primary.span;
    let mut labels: Vec<(&Label, bool)> = diagnostic.related.iter().map(|label| (label, false)).collect();
    labels.push((&diagnostic.primary, true));
    labels.sort_by_key(|(label, _)| label.span);
    let lines: Vec<&str> = source.split('\n').collect();
    let gutter = labels.iter().map(|(l, _)| l.span.line.to_string().len()).max().unwrap_or(1);
    let pad = " ".repeat(gutter);
    let bar = style.cyan("|");

    let mut out = format!("{heading}: {}\n", style.bold(&printable(&diagnostic.message)));
    let _ = writeln!(out, "{pad}{} {}:{}:{}", style.cyan("-->"), printable(file), at.line, at.column);
    let mut last: Option<u32> = None;
    for (label, primary) in labels {
        let line = lines.get(label.span.line.saturating_sub(1) as usize).copied().unwrap_or_default();
        let view = View::of(line, label);
        if last != Some(label.span.line) {
            let gap = if last.is_some_and(|l| l + 1 < label.span.line) { "..." } else { "" };
            if last.is_none() {
                let _ = writeln!(out, "{pad} {bar}");
            } else if !gap.is_empty() {
                let _ = writeln!(out, "{}", style.cyan(gap));
            }
            let number = format!("{:>gutter$}", label.span.line);
            let _ = writeln!(out, "{} {bar} {}", style.cyan(&number), view.text);
            last = Some(label.span.line);
        }
        let mark = if primary { "^" } else { "-" }.repeat(view.length);
        let marked = format!("{mark} {}", printable(&label.text));
        let marked = if primary { style.red(marked.trim_end()) } else { style.cyan(marked.trim_end()) };
        let _ = writeln!(out, "{pad} {bar} {}{marked}", " ".repeat(view.column));
    }
    if !diagnostic.run.is_empty() {
        let _ = writeln!(out, "{pad} {} run: {}", style.cyan("="), printable(&diagnostic.run.join(", ")));
    }
    if !diagnostic.help.is_empty() {
        let _ = writeln!(out, "{pad} {} help: {}", style.cyan("="), printable(&diagnostic.help));
    }
    out
}

/// The visible part of a source line, and where in it the label is.
struct View {
    text: String,
    column: usize,
    length: usize,
}

impl View {
    fn of(line: &str, label: &Label) -> Self {
        let line = line.strip_suffix('\r').unwrap_or(line);
        let line = line.strip_prefix('\u{FEFF}').unwrap_or(line);
        let chars: Vec<char> = line.chars().collect();
        let column = (label.span.column as usize).saturating_sub(1).min(chars.len());
        let first = if chars.len() <= WIDTH { 0 } else { column.saturating_sub(WIDTH / 2) };
        let last = (first + WIDTH).min(chars.len());
        let shown: String = chars[first..last].iter().collect();
        let before = if first > 0 { "..." } else { "" };
        let after = if last < chars.len() { "..." } else { "" };
        let bytes = label.span.end.saturating_sub(label.span.start);
        let rest: String = chars[column..last].iter().collect();
        let on_line = rest.char_indices().take_while(|(at, _)| *at < bytes).count();
        let trimmed = on_line.min(rest.trim_end().chars().count());
        Self {
            text: format!("{before}{}{after}", printable(&shown)).trim_end().to_owned(),
            column: column - first + before.len(),
            length: trimmed.max(1),
        }
    }
}
