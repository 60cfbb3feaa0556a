//! Which service owns an event.

use std::collections::BTreeSet;

use crate::codes;
use crate::diagnostic::{Diagnostic, Report, Span};
use crate::mesh::{Event, Mesh, Owner, Step};
use crate::source::TopologySource;
use crate::suggest;
use crate::yaml::Node;

/// Settles the owner of every event: as written, else the service whose steps emit it.
pub(super) fn settle_owners(root: &Node, source: &TopologySource, mesh: &mut Mesh, report: &mut Report) {
    for (name, written) in &source.events.0 {
        let Some(event) = mesh.events.get(&name.value) else { continue };
        let emitters: Vec<&Step> = mesh.emitters(&event.name).collect();
        let owner = match &written.owner {
            Some(written) => {
                if is_known(mesh, &event.owner, written.span, report) {
                    check_written(root, event, &emitters, written.span, report);
                }
                continue;
            }
            None => inferred(root, event, &emitters, report),
        };
        if let (Some(owner), Some(event)) = (owner, mesh.events.get_mut(&name.value)) {
            event.owner = owner;
        }
    }
}

fn check_written(root: &Node, event: &Event, emitters: &[&Step], owner: Span, report: &mut Report) {
    let stranger =
        |step: &&&Step| !matches!(&event.owner, Owner::Service(service) if *service == step.service);
    let Some(step) = emitters.iter().find(stranger) else { return };
    let span = root.place_of(&["steps", &step.name], &event.name);
    let diagnostic = match &event.owner {
        Owner::Foreign => {
            report.flow_is_unknown();
            let message = format!("`{}` emits `{}`, which others own", step.name, event.name);
            Diagnostic::new(codes::FOREIGN_EMITTED, span, message).help(
                "remove `owner: foreign` if the step alone publishes it, or emit an event of the step's own",
            )
        }
        Owner::Service(service) => {
            let message = format!(
                "`{}` runs in service `{}`, but `{service}` owns `{}`",
                step.name, step.service, event.name
            );
            Diagnostic::new(codes::OWNER_UNCLEAR, span, message)
                .help("let one service emit it: move the step, change the owner, or use another event")
        }
    };
    report.add(diagnostic.label("emitted here").related(owner, "owned by another here"));
}

/// Whether the owner runs any step; reports it if not.
fn is_known(mesh: &Mesh, owner: &Owner, span: Span, report: &mut Report) -> bool {
    let Owner::Service(service) = owner else { return true };
    let services: Vec<&str> = mesh.services().into_iter().collect();
    if services.contains(&service.as_str()) {
        return true;
    }
    let message = format!("no step runs in a service called `{}`", crate::yaml::shorten(service));
    let help = suggest::help(service, &services, "write `foreign` if others publish it");
    report.add(Diagnostic::new(codes::UNKNOWN_SERVICE, span, message).help(help));
    false
}

fn inferred(root: &Node, event: &Event, emitters: &[&Step], report: &mut Report) -> Option<Owner> {
    let services: BTreeSet<&str> = emitters.iter().map(|s| s.service.as_str()).collect();
    let first = emitters.first()?;
    if let Some(other) = emitters.iter().find(|s| s.service != first.service) {
        let names: Vec<&str> = services.into_iter().collect();
        let message = format!("`{}` is emitted by the services {}", event.name, suggest::listed(&names));
        report.add(
            Diagnostic::new(
                codes::OWNER_UNCLEAR,
                root.place_of(&["steps", &other.name], &event.name),
                message,
            )
            .label(format!("by `{}` here", other.service))
            .related(
                root.place_of(&["steps", &first.name], &event.name),
                format!("by `{}` here", first.service),
            )
            .help("let one service emit it, or declare an event for each"),
        );
    }
    Some(Owner::Service(first.service.clone()))
}
