//! Steps that trigger each other in a circle.

use std::collections::BTreeSet;

use crate::codes;
use crate::diagnostic::{Diagnostic, Report};

use super::Subject;

/// Reports each circle of reachable steps once; `true` if there is one.
pub(super) fn check(subject: &Subject<'_>, reachable: &BTreeSet<String>, report: &mut Report) -> bool {
    let mut told: BTreeSet<&str> = BTreeSet::new();
    for name in reachable {
        if told.contains(name.as_str()) || !subject.flow.can_follow(name, name) {
            continue;
        }
        let path = circle(subject, name);
        told.extend(path.iter().map(|(step, _)| *step));
        let mut shown: Vec<&str> = path.iter().map(|(step, _)| *step).collect();
        shown.push(name);
        let message = format!("{} is a loop without bound", shown.join(" -> "));
        let place = path.first().map(|(step, event)| subject.output(step, event)).unwrap_or_default();
        let mut diagnostic = Diagnostic::new(codes::LOOP, place, message)
            .help("let one of the steps emit an event that leads out of the circle instead");
        if let Some((_, event)) = path.last() {
            let back = subject.step_event(name, "when", event);
            diagnostic =
                diagnostic.label("leads back to where it came from").related(back, "the circle closes here");
        }
        report.add(diagnostic);
    }
    !told.is_empty()
}

/// A shortest circle from `start` to itself: each step with the event that leads on.
fn circle<'c>(subject: &'c Subject<'_>, start: &str) -> Vec<(&'c str, &'c str)> {
    let mut paths: Vec<Vec<(&str, &str)>> = Vec::new();
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    let Some(first) = subject.mesh.steps.get(start) else { return Vec::new() };
    let mut steps = vec![(first, Vec::new())];
    while !steps.is_empty() {
        let mut next = Vec::new();
        for (step, path) in steps {
            for event in step.forward_outputs() {
                let mut longer: Vec<(&str, &str)> = path.clone();
                longer.push((&step.name, event));
                for follower in subject.mesh.triggered(event) {
                    if follower.name == start {
                        paths.push(longer.clone());
                    } else if seen.insert(&follower.name) {
                        next.push((follower, longer.clone()));
                    }
                }
            }
        }
        if let Some(path) = paths.pop() {
            return path;
        }
        steps = next;
    }
    Vec::new()
}
