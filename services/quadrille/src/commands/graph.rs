//! `quadrille graph`

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use quadrille_topology::{Graph as Drawn, Mesh, render};

use super::{NO, check};
use crate::{files, terminal};

#[derive(Debug, clap::Args)]
pub(crate) struct Graph {
    /// Topology file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// What to draw
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// Write to this file instead of stdout
    #[arg(short, long, value_name = "OUT")]
    output: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// Text for a terminal
    Text,
    /// Mermaid flowchart
    Mermaid,
    /// SVG picture
    Svg,
}

impl Graph {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let topology = files::read(&self.file)?;
        check::print_diagnostics(&topology);
        let Some(mesh) = &topology.checked.mesh else { return Ok(ExitCode::from(NO)) };
        match &self.output {
            None => terminal::print(&self.draw(mesh, terminal::style(&io::stdout())))?,
            Some(path) => std::fs::write(path, self.draw(mesh, render::Style::Plain))
                .with_context(|| format!("{} can't be written", path.display()))?,
        }
        Ok(ExitCode::SUCCESS)
    }

    fn draw(&self, mesh: &Mesh, style: render::Style) -> String {
        match self.format {
            Format::Text => render::mesh(mesh, style),
            Format::Mermaid => render::mermaid(&Drawn::of(mesh)),
            Format::Svg => render::svg(&Drawn::of(mesh)),
        }
    }
}
