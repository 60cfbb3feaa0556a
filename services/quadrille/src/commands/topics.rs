//! `quadrille topics`

mod lag;
mod list;
mod tail;

use std::process::ExitCode;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Topics {
    /// Topics with their partitions and offsets: records, and the marks that transactions leave
    List(list::List),
    /// The last records of a topic, decoded
    Tail(tail::Tail),
    /// What consumer groups have not read yet, and how old it is
    Lag(lag::Lag),
}

impl Topics {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::List(list) => list.run(),
            Self::Tail(tail) => tail.run(),
            Self::Lag(lag) => lag.run(),
        }
    }
}
