//! Topics that must share an owner have equal partition counts.

use crate::codes;
use crate::diagnostic::{Diagnostic, Report};
use crate::mesh::{Step, Topic};

use super::Subject;

/// All topics that the steps of one service read: its lanes own partition N of each of them together.
pub(super) fn check(subject: &Subject<'_>, report: &mut Report) {
    let mesh = subject.mesh;
    for service in mesh.services() {
        let reads: Vec<(&Step, &Topic)> =
            mesh.steps_of(service).filter_map(|step| Some((step, mesh.topic_read(step)?))).collect();
        let Some((first, widest)) = reads.iter().max_by_key(|(_, topic)| topic.partitions) else { continue };
        let mut told: Vec<&str> = Vec::new();
        for (step, topic) in reads.iter().filter(|(_, topic)| topic.partitions != widest.partitions) {
            if told.contains(&topic.name.as_str()) {
                continue;
            }
            told.push(&topic.name);
            let message = format!(
                "service `{service}` reads `{}` with {} partitions and `{}` with {}",
                topic.name, topic.partitions, widest.name, widest.partitions
            );
            let help = format!(
                "give both topics the same `partitions` under `topics`, or put `{}` and `{}` into different services",
                step.name, first.name
            );
            report.add(
                Diagnostic::new(codes::UNEQUAL_PARTITIONS, subject.step(&step.name, "when"), message)
                    .label(format!("reads `{}`", topic.name))
                    .related(subject.step(&first.name, "when"), format!("reads `{}`", widest.name))
                    .help(help),
            );
        }
    }
}
