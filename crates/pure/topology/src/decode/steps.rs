//! `steps`.

use crate::codes;
use crate::diagnostic::{Diagnostic, Report, Span, Spanned};
use crate::mesh::Guarantee;
use crate::schemas::Limits;
use crate::source::{EffectSource, ExhaustedSource, HandlerSource, StepSource, UndoSource};
use crate::yaml::{Kind, Node};

use super::{Fields, defaults, values};

/// Words of the language for a step that this version doesn't run yet.
const LATER: [&str; 8] = ["if", "each", "external", "rate", "breaker", "priority", "unordered", "locks"];

pub(super) fn step(node: &Node, key: Span, report: &mut Report) -> Option<StepSource> {
    let mut fields = Fields::open(node, "a step", report)?.named_at(key);
    let guarantees = [("exactly_once", Guarantee::ExactlyOnce), ("at_least_once", Guarantee::AtLeastOnce)];
    let source = StepSource {
        service: fields.optional("service", values::name),
        when: fields.required("when", values::trigger),
        handler: fields.required("handler", handler),
        emits: fields.optional("emits", |n, r| values::group(n, "`emits`", r)),
        rejects: fields.optional("rejects", values::names),
        undo: fields.optional("undo", undo),
        retry: fields.optional("retry", defaults::retry_ref),
        exhausted: fields.optional("exhausted", exhausted),
        timeout: fields.optional("timeout", values::timeout),
        concurrency: fields.optional("concurrency", |n, r| values::count(n, 1, Limits::CONCURRENCY_MAX, r)),
        from: fields.optional("from", values::from),
        pivot: fields.optional("pivot", values::truth),
        effect: fields.optional("effect", |n, r| values::word(n, &[("none", EffectSource::None)], &[], r)),
        guarantee: fields.optional("guarantee", |n, r| values::word(n, &guarantees, &[], r)),
    };
    fields.close(&LATER);
    Some(source)
}

fn handler(node: &Node, report: &mut Report) -> Option<HandlerSource> {
    let mut fields = Fields::open(node, "a handler", report)?;
    let http = fields.optional("http", values::url);
    let rust = fields.optional("rust", values::name);
    let written = matches!(&node.kind, Kind::Map(entries) if entries.iter().any(|e| e.key == "http" || e.key == "rust"));
    fields.close(&["kafka", "wasm"]);
    match (http, rust) {
        (Some(url), None) => Some(HandlerSource::Http(url)),
        (None, Some(name)) => Some(HandlerSource::Rust(name)),
        (None, None) if written => None,
        (http, _) => {
            let which = if http.is_some() { "both `http` and `rust`" } else { "neither `http` nor `rust`" };
            let message = format!("a handler is reached in one way, this has {which}");
            let help = "write `http: URL` or `rust: NAME`";
            values::wrong(codes::WRONG_SHAPE, node.span, message, help, report)
        }
    }
}

fn undo(node: &Node, report: &mut Report) -> Option<UndoSource> {
    let mut fields = Fields::open(node, "`undo`", report)?;
    let source = UndoSource {
        handler: fields.required("handler", handler),
        emits: fields.optional("emits", values::names),
        also_when_unknown: fields.optional("also_when_unknown", values::truth),
    };
    fields.close(&["retry", "timeout"]);
    Some(source)
}

fn exhausted(node: &Node, report: &mut Report) -> Option<Spanned<ExhaustedSource>> {
    let source = match &node.kind {
        Kind::Scalar { text, .. } if text == "hold" => ExhaustedSource::Hold,
        Kind::Scalar { text, .. } if text == "undo" => ExhaustedSource::Undo,
        Kind::Map(_) => {
            let mut fields = Fields::open(node, "`exhausted`", report)?;
            let event = fields.required("emit", values::text);
            fields.close(&[]);
            ExhaustedSource::Emit(event?)
        }
        _ => {
            let message = format!("{} is not what can follow exhausted tries", node.described());
            let help = "write `hold`, `undo` or `{ emit: EVENT }`";
            report.add(Diagnostic::new(codes::UNKNOWN_WORD, node.span, message).help(help));
            return None;
        }
    };
    Some(Spanned::new(source, node.span))
}
