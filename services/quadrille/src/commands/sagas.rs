//! `quadrille sagas`

mod list;
mod show;
mod watch;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use quadrille_host::PrefixOption;
use quadrille_kafka::{Settings, topics};
use quadrille_ops::sagas::Sagas as Read;
use quadrille_ops::standing::{Standing, Summary, deadline};
use quadrille_ops::words;

use crate::connection::Connection;
use crate::{files, table};

/// A topic of the mesh is there, or `apply` was never run.
const PATIENCE: Duration = Duration::from_secs(1);

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Sagas {
    /// Sagas with where they stand and what they wait for; open ones unless --state says otherwise
    List(list::List),
    /// Everything about one saga: steps, what it waits for, its history and outcome
    Show(show::Show),
    /// Sagas as they move; a table on a terminal, else a line for each change
    Watch(watch::Watch),
}

impl Sagas {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::List(list) => list.run(),
            Self::Show(show) => show.run(),
            Self::Watch(watch) => watch.run(),
        }
    }
}

/// The sagas of a copy of the mesh in `file`, whose topics are there; none: the file has mistakes.
fn open(
    file: &Path,
    copy: &PrefixOption,
    connection: &Connection,
) -> anyhow::Result<Option<(Settings, Read)>> {
    let Some(mesh) = files::mesh(file, copy)? else { return Ok(None) };
    let settings = connection.kafka()?;
    let sagas = Read::new(&settings, &mesh);
    let needed = sagas.topics();
    topics::check(&settings, needed.iter().map(|(name, count)| (name.as_str(), *count)), PATIENCE)?;
    let sagas = sagas.under_active()?;
    Ok(Some((settings, sagas)))
}

/// A row for each saga.
fn rows(summaries: &[&Summary], now_ms: i64) -> comfy_table::Table {
    let headings = ["ID", "STATE", "FOR", "WAITS FOR", "SINCE", "DEADLINE", "BECAUSE OF", "FLOW", "RUN"];
    let mut table = table::new(&headings);
    for summary in summaries {
        let since = summary.waits.first().map(|wait| wait.since_ms);
        table.add_row([
            words::shortened(summary.correlation_id.as_deref().unwrap_or("?"), 40),
            summary.state.to_string(),
            words::age(now_ms - summary.since_ms),
            summary.waits_for(),
            since.map(|since_ms| words::age(now_ms - since_ms)).unwrap_or_default(),
            deadline(summary, now_ms),
            summary.cause.clone().unwrap_or_default(),
            summary.flow.clone().unwrap_or_default(),
            summary.run.to_string().chars().take(8).collect(),
        ]);
    }
    table
}

/// `3 open: 1 stuck, 2 running; 997 ended: 800 completed, 197 compensated`.
fn counted(counts: &std::collections::BTreeMap<Standing, usize>) -> String {
    let part = |ended: bool| {
        let these = || counts.iter().filter(move |(standing, _)| standing.is_ended() == ended);
        let total: usize = these().map(|(_, count)| count).sum();
        let each: Vec<String> = these().map(|(standing, count)| format!("{count} {standing}")).collect();
        let word = if ended { "ended" } else { "open" };
        if total == 0 { format!("0 {word}") } else { format!("{total} {word}: {}", each.join(", ")) }
    };
    format!("{}; {}", part(false), part(true))
}
