//! A mesh for a terminal.

use std::fmt::Write as _;

use crate::decode::shown_ms;
use crate::graph::group_text;
use crate::mesh::{Exhausted, Handler, Mesh, Saga, Step};

use super::Style;

/// Who triggers each step and why: one line a step.
#[must_use]
pub fn triggers(mesh: &Mesh, style: Style) -> String {
    let width = mesh.steps.keys().map(String::len).max().unwrap_or_default();
    let mut out = String::new();
    for step in mesh.steps.values() {
        let by = &step.triggered_by;
        let word = format!("{:<13}", by.word());
        let word = if step.is_choreographed() { style.green(&word) } else { style.yellow(&word) };
        let _ = writeln!(out, "  {:<width$}  {word}  {}", step.name, by.reason());
    }
    out
}

/// Everything about a mesh: its sagas, and its steps with who triggers them and why.
#[must_use]
pub fn mesh(mesh: &Mesh, style: Style) -> String {
    let mut out = String::new();
    let hash = mesh.hash.get(..12).unwrap_or(&mesh.hash);
    let _ = writeln!(
        out,
        "{} version {} (definition {hash})",
        style.bold(&format!("mesh {}", mesh.name)),
        mesh.version
    );
    for saga in mesh.sagas.values() {
        let _ = writeln!(out, "\n{}", style.bold(&format!("saga {}", saga.name)));
        saga_text(saga, &mut out);
    }
    for step in mesh.steps.values() {
        let pivot = if step.pivot { "  (pivot: from here on only forward)" } else { "" };
        let _ = writeln!(out, "\n{}{pivot}", style.bold(&format!("step {}", step.name)));
        step_text(mesh, step, style, &mut out);
    }
    let _ = writeln!(out, "\n{}", style.bold("topics"));
    let width = mesh.topics.keys().map(String::len).max().unwrap_or_default();
    for topic in mesh.topics.values() {
        let events: Vec<&str> = mesh.events_on(&topic.name).map(|e| e.name.as_str()).collect();
        let _ =
            writeln!(out, "  {:<width$}  {} partitions  {}", topic.name, topic.partitions, events.join(", "));
    }
    out
}

fn row(out: &mut String, name: &str, value: &str) {
    let _ = writeln!(out, "  {name:<10}{value}");
}

fn saga_text(saga: &Saga, out: &mut String) {
    row(out, "starts", &saga.starts.join(" or "));
    row(out, "completes", &format!("{} -> {}", group_text(&saga.completes), saga.outcomes.completed));
    if !saga.fails.is_empty() {
        let what =
            format!("{} -> undo what was done -> {}", saga.fails.join(" or "), saga.outcomes.compensated);
        row(out, "fails", &what);
    }
    match (&saga.deadline, &saga.may_wait) {
        (Some(deadline), _) => row(
            out,
            "deadline",
            &format!(
                "{} -> undo what was done -> {}",
                shown_ms(deadline.after_ms),
                saga.outcomes.compensated
            ),
        ),
        (None, Some(why)) => row(out, "deadline", &format!("never: {}", super::printable(why))),
        (None, None) => row(out, "deadline", "none: every run ends by itself"),
    }
}

fn step_text(mesh: &Mesh, step: &Step, style: Style, out: &mut String) {
    row(out, "service", &step.service);
    row(out, "when", &step.when.events().join(" and "));
    let by = &step.triggered_by;
    let word = if step.is_choreographed() { style.green(by.word()) } else { style.yellow(by.word()) };
    row(out, "triggered", &format!("{word}: {}", by.reason()));
    row(out, "handler", &handler_text(&step.handler));
    if !step.emits.events().is_empty() {
        row(out, "emits", &with_consequences(mesh, step.emits.events(), &group_text(&step.emits)));
    }
    if !step.rejects.is_empty() {
        row(out, "rejects", &with_consequences(mesh, &step.rejects, &step.rejects.join(" or ")));
    }
    let tries = format!(
        "{} tries, wait {}..{}",
        step.retry.tries,
        shown_ms(step.retry.wait_ms_min),
        shown_ms(step.retry.wait_ms_max)
    );
    let then = match &step.exhausted {
        Exhausted::Hold => "hold".to_owned(),
        Exhausted::Undo => "undo the saga".to_owned(),
        Exhausted::Emit(event) => format!("emit {event}"),
    };
    row(out, "retry", &format!("{tries}, timeout {}; then {then}", shown_ms(step.timeout_ms)));
    match &step.undo {
        Some(undo) => {
            let emits = if undo.emits.is_empty() {
                String::new()
            } else {
                format!(", emits {}", undo.emits.join(" or "))
            };
            let unknown =
                if undo.also_when_unknown { ", also when it is not known whether it happened" } else { "" };
            row(out, "undo", &format!("{}{emits}{unknown}", handler_text(&undo.handler)));
        }
        None if !step.effect => row(out, "undo", "not needed: no effect"),
        None => row(out, "undo", "none"),
    }
}

fn handler_text(handler: &Handler) -> String {
    match handler {
        Handler::Http(url) => format!("POST {}", super::printable(url)),
        Handler::Rust(name) => format!("Rust function {name}"),
    }
}

/// Events, and what each of them leads to.
fn with_consequences(mesh: &Mesh, events: &[String], text: &str) -> String {
    let mut consequences: Vec<String> = Vec::new();
    for event in events {
        consequences.extend(mesh.triggered(event).map(|s| s.name.clone()));
        consequences.extend(mesh.completed_by(event).map(|s| format!("completes {}", s.name)));
        consequences.extend(mesh.failed_by(event).map(|s| format!("fails {}", s.name)));
        consequences.extend(mesh.started_by(event).map(|s| format!("starts {}", s.name)));
    }
    consequences.dedup();
    if consequences.is_empty() {
        format!("{text} -> others")
    } else {
        format!("{text} -> {}", consequences.join(", "))
    }
}
