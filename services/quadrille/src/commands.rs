//! The commands, one file each.

mod apply;
mod broker;
mod check;
mod dev;
mod explain;
mod graph;
mod sagas;
mod schema;
mod topics;

use std::process::ExitCode;

use clap::Subcommand;

pub(crate) use check::print_diagnostics;

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
    /// Create the topics, first positions and schemas that a topology needs; a second time changes nothing
    Apply(apply::Apply),
    /// Look into topics and consumer groups of any Kafka cluster
    #[command(subcommand)]
    Topics(topics::Topics),
    /// Look at the sagas of a topology: where they stand, what they wait for, how they came there
    #[command(subcommand)]
    Sagas(sagas::Sagas),
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
            Self::Apply(apply) => apply.run(),
            Self::Topics(topics) => topics.run(),
            Self::Sagas(sagas) => sagas.run(),
            Self::Broker(broker) => broker.run(),
            Self::Schema => schema::run(),
            Self::Explain(explain) => explain.run(),
        }
    }
}
