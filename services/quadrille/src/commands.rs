//! The commands, one file each.

mod broker;
mod check;
mod dev;
mod explain;
mod graph;
mod schema;

use std::process::ExitCode;

use clap::Subcommand;

/// Exit code of a command whose answer is "no".
pub(crate) const NO: u8 = 1;
/// Exit code of a command that could not answer.
pub(crate) const UNANSWERED: u8 = 2;

/// What `quadrille` can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Check topology files: every mistake at once, and who triggers each step
    Check(check::Check),
    /// Run a whole mesh on this machine: broker, registry, coordinator, steps
    Dev(dev::Dev),
    /// Draw a topology: who triggers what and why
    Graph(graph::Graph),
    /// Run a Kafka-protocol broker and a schema registry on this machine, for development and tests
    Broker(broker::Broker),
    /// Print the JSON Schema of topology files, for editors
    Schema,
    /// Explain the code of a mistake
    Explain(explain::Explain),
}

impl Command {
    /// Runs the command.
    ///
    /// # Errors
    /// When it can't answer: exit code 2.
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Check(check) => check.run(),
            Self::Dev(dev) => dev.run(),
            Self::Graph(graph) => graph.run(),
            Self::Broker(broker) => broker.run(),
            Self::Schema => schema::run(),
            Self::Explain(explain) => explain.run(),
        }
    }
}
