//! All stages in a row.

use crate::diagnostic::{Diagnostic, Report};
use crate::mesh::Mesh;
use crate::schemas::Schemas;
use crate::{check, compile, decode, yaml};

/// What became of a file.
#[derive(Debug, Clone)]
pub struct Checked {
    /// The mesh, if the file has no mistake.
    pub mesh: Option<Mesh>,
    /// Mistakes and warnings in the order of the file, at most
    /// [`DIAGNOSTICS_MAX`](crate::diagnostic::DIAGNOSTICS_MAX).
    pub diagnostics: Vec<Diagnostic>,
    /// How many more there were.
    pub left_out: usize,
    /// Whether the flow was checked; it isn't where mistakes leave it unknown, and then there are mistakes.
    pub flow_checked: bool,
}

/// Reads, compiles and checks a topology file.
#[must_use]
pub fn topology(bytes: &[u8], files: &dyn Schemas) -> Checked {
    let mut report = Report::default();
    let mut flow_checked = false;
    let mesh = yaml::parse(bytes, &mut report).and_then(|root| {
        let source = decode::decode(&root, &mut report)?;
        let mesh = compile::compile(&root, &source, files, &mut report);
        if report.is_flow_known() {
            check::check(&root, &mesh, &mut report);
            flow_checked = true;
        }
        Some(mesh)
    });
    let mesh = mesh.filter(|_| !report.has_errors());
    let (diagnostics, left_out) = report.finish();
    Checked { mesh, diagnostics, left_out, flow_checked }
}
