//! `quadrille schema`

use std::process::ExitCode;

use crate::terminal;

/// Prints the JSON Schema of topology files.
pub(crate) fn run() -> anyhow::Result<ExitCode> {
    terminal::print(&quadrille_topology::json_schema())?;
    Ok(ExitCode::SUCCESS)
}
