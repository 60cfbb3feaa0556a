//! Second stage: the tree to source structs. Every field is asked for by name; what nobody asked for is a mistake.
//! A wrong value is reported and left out, so that the next mistake is found too.

mod defaults;
mod events;
mod fields;
mod sagas;
mod steps;
mod values;

use crate::codes;
use crate::diagnostic::{Diagnostic, Report};
use crate::source::TopologySource;
use crate::yaml::{Kind, Node};

pub(crate) use fields::Fields;
pub(crate) use values::shown_ms;

/// Reads the tree as a topology; `None` if it is no mapping or of another version of the language.
pub(crate) fn decode(root: &Node, report: &mut Report) -> Option<TopologySource> {
    if !matches!(root.kind, Kind::Map(_)) {
        let message = format!("a topology is a mapping, this is {}", root.described());
        let help = "start with `quadrille: 1` and `mesh: NAME`";
        report.add(Diagnostic::new(codes::NOT_A_TOPOLOGY, root.span, message).help(help));
        return None;
    }
    let mut fields = Fields::open(root, "a topology", report)?;
    let quadrille = fields.required("quadrille", values::format_version);
    let source = TopologySource {
        quadrille,
        mesh: fields.required("mesh", values::name),
        version: fields.optional("version", |n, r| values::count(n, 1, u64::from(u32::MAX), r)),
        schemas: fields.optional("schemas", values::text),
        defaults: fields.optional("defaults", defaults::defaults).unwrap_or_default(),
        topics: fields.entries("topics", values::topic_name, events::topic),
        events: fields.required_entries("events", values::name_text, events::event),
        retries: fields.entries("retries", values::name_text, defaults::policy),
        steps: fields.entries("steps", values::name_text, steps::step),
        sagas: fields.entries("sagas", values::name_text, sagas::saga),
    };
    fields.close(&["processes", "states", "versions", "external"]);
    source.quadrille.is_some().then_some(source)
}
