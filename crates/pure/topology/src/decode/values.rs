//! Reading single values: names, numbers, durations, times, words.

use crate::codes::{self, Code};
use crate::diagnostic::{Diagnostic, Report, Span, Spanned};
use crate::mesh::StartAt;
use crate::schemas::Limits;
use crate::source::{FromSource, Group, Millis, MillisRange, Names, Setting, TriggerSource};
use crate::suggest;
use crate::yaml::{Kind, Node};

use super::fields::{Fields, not_yet};

/// Reports `node` under `code` and leaves the value out.
pub(crate) fn wrong<T>(
    code: Code,
    span: Span,
    message: String,
    help: &str,
    report: &mut Report,
) -> Option<T> {
    report.add(Diagnostic::new(code, span, message).help(help));
    None
}

/// Any text on one line.
pub(crate) fn text(node: &Node, report: &mut Report) -> Option<Spanned<String>> {
    match &node.kind {
        Kind::Scalar { text, .. } if text.trim().is_empty() => wrong(
            codes::EMPTY,
            node.span,
            "the name is empty".into(),
            "write a name, or remove the field",
            report,
        ),
        Kind::Scalar { text, .. } => Some(Spanned::new(text.clone(), node.span)),
        _ => {
            report.flow_is_unknown();
            let message = format!("one value is wanted here, this is {}", node.described());
            wrong(codes::WRONG_SHAPE, node.span, message, "write a single value", report)
        }
    }
}

/// A name that the file gives to something.
pub(crate) fn name(node: &Node, report: &mut Report) -> Option<Spanned<String>> {
    let name = text(node, report)?;
    name_text(&name, report);
    Some(name)
}

/// Reports a name that can't be used in topics, groups, headers and metrics.
pub(crate) fn name_text(name: &Spanned<String>, report: &mut Report) {
    let mut chars = name.value.chars();
    let good = chars.next().is_some_and(|c| c.is_ascii_alphabetic())
        && chars.all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
        && name.value.len() <= 100;
    if !good {
        bad_name(name, "a name is a letter, then letters, digits, `-` and `_`, at most 100 in all", report);
    }
}

/// Reports a name that Kafka or the mesh would not take as a topic of events.
pub(crate) fn topic_name(name: &Spanned<String>, report: &mut Report) {
    let good = name.value.chars().next().is_some_and(|c| c.is_ascii_alphanumeric() || c == '_')
        && name.value.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
        && !name.value.starts_with("__")
        && name.value.len() <= 100;
    if !good {
        bad_name(
            name,
            "a topic name is letters, digits, `-`, `_` and `.`, at most 100 in all, not beginning with `__`",
            report,
        );
    }
}

fn bad_name(name: &Spanned<String>, help: &str, report: &mut Report) {
    let message = format!("`{}` can't be used as a name here", crate::yaml::shorten(&name.value));
    report.add(Diagnostic::new(codes::BAD_NAME, name.span, message).help(help));
}

/// The topic of an event.
pub(crate) fn topic(node: &Node, report: &mut Report) -> Option<Spanned<String>> {
    let name = text(node, report)?;
    topic_name(&name, report);
    Some(name)
}

/// A whole number between bounds.
pub(crate) fn count(node: &Node, min: u64, max: u64, report: &mut Report) -> Option<Spanned<u64>> {
    let Kind::Scalar { text, plain: true } = &node.kind else {
        let message = format!("a whole number is wanted here, this is {}", node.described());
        return wrong(codes::WRONG_SHAPE, node.span, message, "write a number without quotes", report);
    };
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match text.parse::<u64>() {
        Ok(number) if digits && (min..=max).contains(&number) => Some(Spanned::new(number, node.span)),
        _ => {
            let message = format!("{} is not a whole number from {min} to {max}", node.described());
            wrong(
                codes::BAD_COUNT,
                node.span,
                message,
                &format!("write a number from {min} to {max}"),
                report,
            )
        }
    }
}

/// The version of the language.
pub(crate) fn format_version(node: &Node, report: &mut Report) -> Option<Spanned<u64>> {
    match &node.kind {
        Kind::Scalar { text, .. } if text == "1" => Some(Spanned::new(1, node.span)),
        _ => {
            let message =
                format!("this program reads version 1 of the language, the file says {}", node.described());
            wrong(
                codes::BAD_VERSION,
                node.span,
                message,
                "write `quadrille: 1`, or use a newer program",
                report,
            )
        }
    }
}

/// `true` or `false`.
pub(crate) fn truth(node: &Node, report: &mut Report) -> Option<Spanned<bool>> {
    match &node.kind {
        Kind::Scalar { text, plain: true } if text == "true" => Some(Spanned::new(true, node.span)),
        Kind::Scalar { text, plain: true } if text == "false" => Some(Spanned::new(false, node.span)),
        _ => {
            let message = format!("`true` or `false` is wanted here, this is {}", node.described());
            wrong(codes::WRONG_SHAPE, node.span, message, "write `true` or `false`", report)
        }
    }
}

/// One of a few words; `later` are words of the language that come later.
pub(crate) fn word<T: Copy>(
    node: &Node,
    words: &[(&str, T)],
    later: &[&str],
    report: &mut Report,
) -> Option<Spanned<T>> {
    let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    let written = text(node, report)?;
    if let Some((_, value)) = words.iter().find(|(word, _)| *word == written.value) {
        return Some(Spanned::new(*value, written.span));
    }
    if later.contains(&written.value.as_str()) {
        let help = format!("write {} for now", suggest::listed(&known));
        not_yet(&format!("`{}`", written.value), written.span, &help, report);
        return None;
    }
    let message = format!("{} is not a word that can stand here", node.described());
    let help = suggest::help(&written.value, &known, "use another word");
    wrong(codes::UNKNOWN_WORD, written.span, message, &help, report)
}

/// A duration between bounds, such as `15m`.
pub(crate) fn duration(node: &Node, min: u64, max: u64, report: &mut Report) -> Option<Spanned<Millis>> {
    let written = text(node, report)?;
    let millis = bounded(&written, written.value.trim(), min, max, report)?;
    Some(Spanned::new(Millis(millis), written.span))
}

/// A range such as `100ms..2s`, or one duration for both ends.
pub(crate) fn duration_range(node: &Node, max: u64, report: &mut Report) -> Option<Spanned<MillisRange>> {
    let written = text(node, report)?;
    let (low, high) = written.value.split_once("..").unwrap_or((&written.value, &written.value));
    let low = bounded(&written, low.trim(), 1, max, report)?;
    let high = bounded(&written, high.trim(), 1, max, report)?;
    if low > high {
        let message = format!("`{}` runs backwards", written.value);
        let help = format!("write the shorter wait first: `{}..{}`", shown_ms(high), shown_ms(low));
        return wrong(codes::BAD_DURATION, written.span, message, &help, report);
    }
    Some(Spanned::new(MillisRange(low, high), written.span))
}

fn bounded(written: &Spanned<String>, part: &str, min: u64, max: u64, report: &mut Report) -> Option<u64> {
    let Some(millis) = parse_ms(part) else {
        let message = format!("`{}` is not a duration", crate::yaml::shorten(part));
        let help = "write a whole number and a unit: ms, s, m, h or d, such as `100ms`, `15m`, `60d`";
        return wrong(codes::BAD_DURATION, written.span, message, help, report);
    };
    if !(min..=max).contains(&millis) {
        let message = format!("{} is outside of what is possible here", shown_ms(millis));
        let help = format!("write a duration from {} to {}", shown_ms(min), shown_ms(max));
        return wrong(codes::BAD_DURATION, written.span, message, &help, report);
    }
    Some(millis)
}

fn parse_ms(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let factor = UNITS.iter().find(|(name, _)| *name == unit)?.1;
    number.parse::<u64>().ok()?.checked_mul(factor)
}

const UNITS: [(&str, u64); 5] =
    [("d", 24 * 3600 * 1000), ("h", 3600 * 1000), ("m", 60 * 1000), ("s", 1000), ("ms", 1)];

/// A duration as the language writes it: the largest unit that divides it.
pub(crate) fn shown_ms(millis: u64) -> String {
    let (unit, factor) =
        UNITS.iter().find(|(_, f)| millis.is_multiple_of(*f) && millis > 0).unwrap_or(&("ms", 1));
    format!("{}{unit}", millis / factor)
}

/// Where to start reading.
pub(crate) fn from(node: &Node, report: &mut Report) -> Option<Spanned<FromSource>> {
    let written = text(node, report)?;
    let start = match written.value.as_str() {
        "earliest" => StartAt::Earliest,
        "now" => StartAt::Now,
        time => match time.parse::<jiff::Timestamp>() {
            Ok(time) => StartAt::TimeMs(time.as_millisecond()),
            Err(_) => {
                let message = format!("{} is neither `earliest`, `now` nor a time", node.described());
                let help = "write an RFC 3339 time with its offset, such as `2027-01-31T08:00:00Z`";
                return wrong(codes::BAD_TIME, written.span, message, help, report);
            }
        },
    };
    Some(Spanned::new(FromSource(start), written.span))
}

/// The value of a topic setting.
pub(crate) fn setting(node: &Node, _: Span, report: &mut Report) -> Option<Spanned<Setting>> {
    text(node, report).map(|t| Spanned::new(Setting(t.value), t.span))
}

/// One name, or any one of a list.
pub(crate) fn names(node: &Node, report: &mut Report) -> Option<Names> {
    let Kind::List(items) = &node.kind else {
        return text(node, report).map(|name| Names { names: vec![name] });
    };
    if items.is_empty() {
        report.flow_is_unknown();
        return wrong(
            codes::EMPTY,
            node.span,
            "the list is empty".into(),
            "name at least one, or remove the field",
            report,
        );
    }
    if items.len() > Limits::NAMES_MAX {
        report.flow_is_unknown();
        let message = format!("the list names {} events, more than {}", items.len(), Limits::NAMES_MAX);
        return wrong(codes::TOO_MANY, node.span, message, "split the flow", report);
    }
    let mut names: Vec<Spanned<String>> = Vec::new();
    for item in items {
        let Some(name) = text(item, report) else { continue };
        match names.iter().find(|n| n.value == name.value) {
            Some(first) => report.add(
                Diagnostic::new(codes::LISTED_TWICE, name.span, format!("`{}` is listed twice", name.value))
                    .label("again here")
                    .related(first.span, "first here")
                    .help("remove one, or name another"),
            ),
            None => names.push(name),
        }
    }
    (!names.is_empty()).then_some(Names { names })
}

/// One name, any one of a list, or `all` of several.
pub(crate) fn group(node: &Node, what: &'static str, report: &mut Report) -> Option<Group> {
    if !matches!(node.kind, Kind::Map(_)) {
        return names(node, report).map(|names| Group { all: false, names });
    }
    let mut fields = Fields::open(node, what, report)?;
    let names = fields.required("all", names);
    fields.close(&["any", "each", "at_least"]);
    names.map(|names| Group { all: true, names })
}

/// The trigger of a step: one event, or `all` of several.
pub(crate) fn trigger(node: &Node, report: &mut Report) -> Option<TriggerSource> {
    match &node.kind {
        Kind::Map(_) => {
            let mut fields = Fields::open(node, "a trigger", report)?;
            let later = ["any", "each", "at_least", "after", "every", "timer"];
            let is_later = matches!(&node.kind, Kind::Map(entries) if entries.iter().any(|e| later.contains(&e.key.as_str())));
            let names = if is_later { fields.optional("all", names) } else { fields.required("all", names) };
            fields.close(&later);
            if names.is_none() {
                report.flow_is_unknown();
            }
            names.map(TriggerSource::All)
        }
        Kind::List(_) => {
            not_yet(
                "a trigger of any one of several events",
                node.span,
                "name one event, or write `{ all: [...] }`",
                report,
            );
            report.flow_is_unknown();
            None
        }
        Kind::Scalar { .. } => text(node, report).map(TriggerSource::Event),
    }
}

/// An absolute HTTP URL.
pub(crate) fn url(node: &Node, report: &mut Report) -> Option<Spanned<String>> {
    let url = text(node, report)?;
    let rest = url.value.strip_prefix("http://").or_else(|| url.value.strip_prefix("https://"));
    let host = rest.map(|r| r.split(['/', '?', '#']).next().unwrap_or_default());
    let good = host.is_some_and(|h| !h.is_empty() && !h.starts_with(':'))
        && !url.value.contains(char::is_whitespace);
    if !good {
        let message = format!("{} is not an absolute HTTP URL", node.described());
        return wrong(codes::BAD_URL, url.span, message, "write it as `http://host:port/path`", report);
    }
    Some(url)
}

/// Milliseconds of one try.
pub(crate) fn timeout(node: &Node, report: &mut Report) -> Option<Spanned<Millis>> {
    duration(node, 1, Limits::TIMEOUT_MS_MAX, report)
}
