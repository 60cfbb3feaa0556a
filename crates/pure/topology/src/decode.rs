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
use crate::schemas::Limits;
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
    let is_small = check_counts(root, &source, report);
    (source.quadrille.is_some() && is_small).then_some(source)
}

/// The checks look at all steps and events together; `false` if there are too many for that.
fn check_counts(root: &Node, source: &TopologySource, report: &mut Report) -> bool {
    let counts = [
        ("events", source.events.0.len(), Limits::EVENTS_MAX),
        ("steps", source.steps.0.len(), Limits::STEPS_MAX),
        ("sagas", source.sagas.0.len(), Limits::SAGAS_MAX),
    ];
    let mut good = true;
    for (what, count, max) in counts.into_iter().filter(|(_, count, max)| count > max) {
        good = false;
        let message = format!("the file declares {count} {what}, more than {max}");
        let help = "put independent flows into files of their own";
        report.add(Diagnostic::new(codes::TOO_MANY, root.place(&[what]), message).help(help));
    }
    good
}
