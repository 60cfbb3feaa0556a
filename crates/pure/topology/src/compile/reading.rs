//! Where new readers start.

use crate::codes;
use crate::diagnostic::{Diagnostic, Report, Span};
use crate::mesh::{Mesh, StartAt};
use crate::source::TopologySource;
use crate::yaml::Node;

/// Settles `from` of every step and saga. Topics that only the mesh writes to begin with the mesh, so that there
/// `earliest` loses nothing and repeats nothing; for others the file has to say.
pub(super) fn settle_starts(root: &Node, source: &TopologySource, mesh: &mut Mesh, report: &mut Report) {
    let default = source.defaults.from.as_ref().map(|f| f.value.0);
    let default_is_written = root.has(&["defaults", "from"]);
    let steps: Vec<(String, Option<StartAt>)> = mesh
        .steps
        .values()
        .map(|step| {
            let place = |field| root.place(&["steps", &step.name, field]);
            let reads = mesh.topic_read(step).map(|topic| mesh.is_foreign_topic(&topic.name));
            let is_written = default_is_written || root.has(&["steps", &step.name, "from"]);
            let reader = Reader { name: &step.name, reads, written: step.from, default, is_written };
            (step.name.clone(), reader.start(&place, "when", report))
        })
        .collect();
    let sagas: Vec<(String, Option<StartAt>)> = mesh
        .sagas
        .values()
        .map(|saga| {
            let place = |field| root.place(&["sagas", &saga.name, field]);
            let reads = (!mesh.ingested_for(saga).is_empty()).then_some(true);
            let is_written = default_is_written || root.has(&["sagas", &saga.name, "from"]);
            let reader = Reader { name: &saga.name, reads, written: saga.from, default, is_written };
            (saga.name.clone(), reader.start(&place, "starts", report))
        })
        .collect();
    for (name, from) in steps {
        mesh.steps.entry(name).and_modify(|step| step.from = from);
    }
    for (name, from) in sagas {
        mesh.sagas.entry(name).and_modify(|saga| saga.from = from);
    }
}

struct Reader<'m> {
    name: &'m str,
    /// Whether it reads a topic, and if so, whether others write to it.
    reads: Option<bool>,
    written: Option<StartAt>,
    default: Option<StartAt>,
    /// Whether the file says something here or under `defaults`, readable or not.
    is_written: bool,
}

impl Reader<'_> {
    fn start(
        &self,
        place: &dyn Fn(&'static str) -> Span,
        trigger: &'static str,
        report: &mut Report,
    ) -> Option<StartAt> {
        match (self.reads, self.written.or(self.default)) {
            (None, _) if self.written.is_some() => {
                let message = format!("`{}` reads no topic of its own", self.name);
                let help =
                    "remove `from`; a saga's `from` says where the coordinator starts reading foreign events";
                report.add(Diagnostic::new(codes::MANY_FROM, place("from"), message).help(help));
                None
            }
            (None, _) => None,
            (Some(_), Some(start)) => Some(start),
            (Some(false), None) => Some(StartAt::Earliest),
            // A `from` that can't be read is a mistake of its own.
            (Some(true), None) if self.is_written => None,
            (Some(true), None) => {
                let message = format!("where `{}` starts reading what others publish is not said", self.name);
                let help =
                    "add `from: earliest`, `from: now` or `from: <time>` here, or once under `defaults`";
                report.add(Diagnostic::new(codes::FROM_MISSING, place(trigger), message).help(help));
                None
            }
        }
    }
}
