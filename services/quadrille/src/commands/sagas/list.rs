//! `quadrille sagas list`

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::PossibleValue;
use quadrille_host::PrefixOption;
use quadrille_ops::sagas::{Sagas, complete};
use quadrille_ops::standing::{Standing, Summary};
use quadrille_ops::words;

use super::{counted, open, rows};
use crate::commands::NO;
use crate::connection::Connection;
use crate::{table, terminal};

#[derive(Debug, clap::Args)]
pub(crate) struct List {
    /// Topology file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Sagas that stand here only
    #[arg(long, value_enum, default_value = "open")]
    state: Wanted,
    /// So many at most, those that need attention first, then the oldest
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
    /// Print one JSON object per saga
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    copy: PrefixOption,
    #[command(flatten)]
    connection: Connection,
}

/// Which sagas are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Open,
    Ended,
    All,
    Only(Standing),
}

impl Wanted {
    fn takes(self, standing: Standing) -> bool {
        match self {
            Self::Open => !standing.is_ended(),
            Self::Ended => standing.is_ended(),
            Self::All => true,
            Self::Only(only) => only == standing,
        }
    }

    const ALL: [Self; 14] = {
        let mut all = [Self::Open; 14];
        (all[1], all[2]) = (Self::Ended, Self::All);
        let mut index = 0;
        while index < Standing::ALL.len() {
            all[index + 3] = Self::Only(Standing::ALL[index]);
            index += 1;
        }
        all
    };
}

impl clap::ValueEnum for Wanted {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(match self {
            Self::Open => "open",
            Self::Ended => "ended",
            Self::All => "all",
            Self::Only(standing) => standing.word(),
        }))
    }
}

impl List {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let Some((_, sagas)) = open(&self.file, &self.copy, &self.connection)? else {
            return Ok(ExitCode::from(NO));
        };
        let read = sagas.board()?;
        for strange in &read.strange {
            crate::terminal::say!("quadrille: {strange}");
        }
        let runs = read.board.runs().iter();
        let wanted = runs.filter(|(_, state)| self.state.takes(read.board.standing(state)));
        let mut found: Vec<Summary> = wanted.map(|(run, state)| sagas.summary(*run, state)).collect();
        found.sort_by_key(order);
        let more = found.len().saturating_sub(self.limit);
        found.truncate(self.limit);
        tell_ended(&sagas, &mut found)?;
        self.print(&found)?;
        if more > 0 {
            crate::terminal::say!("... and {} more: --limit shows more", words::grouped(more as i64));
        }
        crate::terminal::say!("{}", counted(&read.board.counts()));
        Ok(ExitCode::SUCCESS)
    }

    fn print(&self, found: &[Summary]) -> anyhow::Result<()> {
        match (self.json, found.is_empty()) {
            (true, _) => found.iter().try_for_each(terminal::print_json),
            (false, true) => Ok(()),
            (false, false) => {
                let all: Vec<_> = found.iter().collect();
                terminal::print(&table::text(&rows(&all, terminal::now_ms())))
            }
        }
    }
}

/// What needs attention first, the oldest first; ended ones the other way round.
fn order(summary: &Summary) -> (bool, u8, i64, Reverse<i64>) {
    let ended = summary.state.is_ended();
    let urgency = if summary.state.needs_attention() { summary.state as u8 } else { u8::MAX };
    match ended {
        true => (true, 0, 0, Reverse(summary.since_ms)),
        false => (false, urgency, summary.since_ms, Reverse(0)),
    }
}

/// An ended saga is 64 bytes in the state topic; the rest is in its outcome.
fn tell_ended(sagas: &Sagas, found: &mut [Summary]) -> anyhow::Result<()> {
    if !found.iter().any(|summary| summary.state.is_ended()) {
        return Ok(());
    }
    let outcomes: BTreeMap<_, _> = sagas.outcomes()?;
    for summary in found.iter_mut().filter(|summary| summary.state.is_ended()) {
        if let Some(outcome) = outcomes.get(&summary.run) {
            complete(summary, outcome);
        }
    }
    Ok(())
}
