//! `defaults` and `retries`.

use crate::diagnostic::{Report, Span};
use crate::schemas::Limits;
use crate::source::{DefaultsSource, InPlaceSource, RetryRef, RetrySource};
use crate::yaml::{Kind, Node};

use super::{Fields, values};

pub(super) fn defaults(node: &Node, report: &mut Report) -> Option<DefaultsSource> {
    let mut fields = Fields::open(node, "`defaults`", report)?;
    let source = DefaultsSource {
        from: fields.optional("from", values::from),
        retry: fields.optional("retry", retry_ref),
        timeout: fields.optional("timeout", values::timeout),
    };
    fields.close(&["breaker", "rate"]);
    Some(source)
}

/// A policy by name, or written out.
pub(super) fn retry_ref(node: &Node, report: &mut Report) -> Option<RetryRef> {
    match node.kind {
        Kind::Map(_) => policy(node, node.span, report).map(RetryRef::Inline),
        _ => values::text(node, report).map(RetryRef::Named),
    }
}

pub(super) fn policy(node: &Node, key: Span, report: &mut Report) -> Option<RetrySource> {
    let mut fields = Fields::open(node, "a retry policy", report)?.named_at(key);
    let source = RetrySource { in_place: fields.required("in_place", in_place) };
    fields.close(&["later"]);
    Some(source)
}

fn in_place(node: &Node, report: &mut Report) -> Option<InPlaceSource> {
    let mut fields = Fields::open(node, "`in_place`", report)?;
    let source = InPlaceSource {
        tries: fields.required("tries", |n, r| values::count(n, 1, Limits::TRIES_MAX, r)),
        wait: fields.required("wait", |n, r| values::duration_range(n, Limits::WAIT_MS_MAX, r)),
    };
    fields.close(&[]);
    Some(source)
}
