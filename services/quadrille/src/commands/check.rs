//! `quadrille check`

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use quadrille_topology::{Diagnostic, Mesh, Severity, render};
use serde::Serialize;

use super::{NO, UNANSWERED};
use crate::files::{self, Topology};
use crate::terminal;

#[derive(Debug, clap::Args)]
pub(crate) struct Check {
    /// Topology files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Print a JSON array, one object per file
    #[arg(long)]
    json: bool,
}

impl Check {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let mut reports = Vec::new();
        let mut code = 0;
        for path in &self.files {
            match files::read(path) {
                Ok(topology) => {
                    code = code.max(if topology.checked.mesh.is_some() { 0 } else { NO });
                    if self.json {
                        reports.push(serde_json::to_value(Report::of(&topology))?);
                    } else {
                        print(&topology)?;
                    }
                }
                Err(error) => {
                    crate::terminal::say!("quadrille: {:#}", anyhow::Error::from(error));
                    code = UNANSWERED;
                }
            }
        }
        if self.json {
            terminal::print(&format!("{}\n", serde_json::to_string_pretty(&reports)?))?;
        }
        Ok(ExitCode::from(code))
    }
}

/// Prints the verdict on one file: mistakes to stderr, what the mesh does to stdout.
fn print(topology: &Topology) -> anyhow::Result<()> {
    print_diagnostics(topology);
    let file = &topology.file;
    let Some(mesh) = &topology.checked.mesh else { return Ok(()) };
    let style = terminal::style(&io::stdout());
    let counts = [(mesh.events.len(), "event"), (mesh.steps.len(), "step"), (mesh.sagas.len(), "saga")];
    let counts: Vec<String> = counts.iter().map(|(n, what)| counted(*n, what)).collect();
    let verdict = format!("{file}: good: mesh {}, {}\n", mesh.name, counts.join(", "));
    terminal::print(&format!("{verdict}{}", render::triggers(mesh, style)))
}

/// Prints all mistakes and warnings of a file to stderr.
pub(crate) fn print_diagnostics(topology: &Topology) {
    let style = terminal::style(&io::stderr());
    let checked = &topology.checked;
    for diagnostic in &checked.diagnostics {
        crate::terminal::say!("{}", render::diagnostic(diagnostic, &topology.file, &topology.text, style));
    }
    if checked.left_out > 0 {
        crate::terminal::say!("... and {} more\n", checked.left_out);
    }
    let errors =
        checked.diagnostics.iter().filter(|d| d.severity == Severity::Error).count() + checked.left_out;
    if errors > 0 {
        let flow = if checked.flow_checked { "" } else { "; the flow is checked once these are corrected" };
        crate::terminal::say!("{}: {}{flow}", topology.file, counted(errors, "mistake"));
    }
}

fn counted(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// One file in the JSON output.
#[derive(Serialize)]
struct Report<'t> {
    file: &'t str,
    good: bool,
    mesh: Option<MeshReport<'t>>,
    diagnostics: &'t [Diagnostic],
    left_out: usize,
    flow_checked: bool,
}

#[derive(Serialize)]
struct MeshReport<'t> {
    name: &'t str,
    version: u64,
    hash: &'t str,
    steps: Vec<StepReport<'t>>,
}

#[derive(Serialize)]
struct StepReport<'t> {
    name: &'t str,
    service: &'t str,
    triggered: &'static str,
    reason: String,
}

impl<'t> Report<'t> {
    fn of(topology: &'t Topology) -> Self {
        let checked = &topology.checked;
        Self {
            file: &topology.file,
            good: checked.mesh.is_some(),
            mesh: checked.mesh.as_ref().map(MeshReport::of),
            diagnostics: &checked.diagnostics,
            left_out: checked.left_out,
            flow_checked: checked.flow_checked,
        }
    }
}

impl<'t> MeshReport<'t> {
    fn of(mesh: &'t Mesh) -> Self {
        let steps = mesh.steps.values().map(|step| StepReport {
            name: &step.name,
            service: &step.service,
            triggered: step.triggered_by.word(),
            reason: step.triggered_by.reason(),
        });
        Self { name: &mesh.name, version: mesh.version, hash: &mesh.hash, steps: steps.collect() }
    }
}
