//! `sagas`.

use crate::diagnostic::{Report, Span};
use crate::mesh::{Again, Identity, Then};
use crate::schemas::Limits;
use crate::source::{AfterSource, DeadlineSource, NeverSource, OutcomesSource, SagaSource};
use crate::yaml::{Kind, Node};

use super::{Fields, values};

/// Words of the language for a saga that this version doesn't run yet.
const LATER: [&str; 6] = ["states", "timers", "compensation", "parts", "items", "locks"];

pub(super) fn saga(node: &Node, key: Span, report: &mut Report) -> Option<SagaSource> {
    let mut fields = Fields::open(node, "a saga", report)?.named_at(key);
    let identities = [("correlation", Identity::Correlation)];
    let agains = [("ignore", Again::Ignore)];
    let source = SagaSource {
        starts: fields.required("starts", values::names),
        identity: fields.optional("identity", |n, r| values::word(n, &identities, &["payload"], r)),
        again: fields.optional("again", |n, r| values::word(n, &agains, &["refuse", "new_run"], r)),
        completes: fields.required("completes", |n, r| values::group(n, "`completes`", r)),
        fails: fields.optional("fails", values::names),
        outcomes: fields.optional("outcomes", outcomes).unwrap_or_default(),
        deadline: fields.optional("deadline", deadline),
        from: fields.optional("from", values::from),
    };
    fields.close(&LATER);
    Some(source)
}

fn outcomes(node: &Node, report: &mut Report) -> Option<OutcomesSource> {
    let mut fields = Fields::open(node, "`outcomes`", report)?;
    let source = OutcomesSource {
        completed: fields.optional("completed", values::name),
        compensated: fields.optional("compensated", values::name),
    };
    fields.close(&[]);
    Some(source)
}

fn deadline(node: &Node, report: &mut Report) -> Option<DeadlineSource> {
    let mut fields = Fields::open(node, "a deadline", report)?;
    if matches!(&node.kind, Kind::Map(entries) if entries.iter().any(|e| e.key == "never")) {
        let never = fields.optional("never", values::text);
        fields.close(&[]);
        return never.map(|never| DeadlineSource::Never(NeverSource { never }));
    }
    let bounds = (Limits::DEADLINE_MS_MIN, Limits::DEADLINE_MS_MAX);
    let after = fields.required("after", |n, r| values::duration(n, bounds.0, bounds.1, r));
    let then = fields.required("then", then);
    fields.close(&["stops_for"]);
    Some(DeadlineSource::After(AfterSource { after, then }))
}

fn then(node: &Node, report: &mut Report) -> Option<crate::diagnostic::Spanned<Then>> {
    if matches!(node.kind, Kind::Map(_)) {
        super::fields::not_yet("`then` with fields", node.span, "write `then: undo`", report);
        return None;
    }
    values::word(node, &[("undo", Then::Undo)], &["hold", "emit"], report)
}
