//! `quadrille`: the command line. Data goes to stdout, everything else to stderr.
//!
//! Exit codes: 0 good, 1 the answer is "no" (a file has mistakes), 2 the question could not be answered (a file
//! can't be read, an internal error, wrong usage).

mod commands;
mod connection;
mod files;
mod interrupt;
mod table;
mod terminal;

use std::process::ExitCode;

use clap::Parser;

use commands::Command;

/// Event-driven business flows on Kafka, as a topology file says.
#[derive(Debug, Parser)]
#[command(name = "quadrille", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    match Cli::parse().command.run() {
        Ok(code) => code,
        Err(error) if terminal::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            crate::terminal::say!("quadrille: {error:#}");
            ExitCode::from(commands::UNANSWERED)
        }
    }
}
