//! `quadrille sagas watch`

use std::collections::BTreeMap;
use std::io::{self, IsTerminal};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use quadrille_host::PrefixOption;
use quadrille_ops::board::Board;
use quadrille_ops::reading;
use quadrille_ops::sagas::Sagas;
use quadrille_ops::standing::Summary;
use quadrille_ops::words;
use quadrille_types::RunId;

use super::{counted, open, rows};
use crate::commands::NO;
use crate::connection::{self, Connection};
use crate::interrupt::Interrupt;
use crate::{table, terminal};

/// Another screen without a cursor, and back.
const BEGIN: &str = "\x1b[?1049h\x1b[?25l";
const END: &str = "\x1b[?25h\x1b[?1049l";
/// To the upper left corner; what is written over is cleared line by line, so that nothing flickers.
const HOME: &str = "\x1b[H";
const CLEAR_LINE: &str = "\x1b[K";
const CLEAR_BELOW: &str = "\x1b[J";

#[derive(Debug, clap::Args)]
pub(crate) struct Watch {
    /// Topology file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// How often the table is drawn anew
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = humantime::parse_duration)]
    every: Duration,
    /// Print one JSON object for each change
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    copy: PrefixOption,
    #[command(flatten)]
    connection: Connection,
}

impl Watch {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let Some((settings, sagas)) = open(&self.file, &self.copy, &self.connection)? else {
            return Ok(ExitCode::from(NO));
        };
        let tokio = connection::tokio()?;
        let interrupt = Interrupt::listen(tokio.handle());
        let read = sagas.board()?;
        let on_screen = io::stdout().is_terminal() && !self.json;
        let mut watcher = Watcher {
            sagas: &sagas,
            board: read.board,
            last: BTreeMap::new(),
            json: self.json,
            every: self.every,
            drawn: None,
        };
        let screen = on_screen.then(Screen::begin).transpose()?;
        let mut outcome = watcher.begin(on_screen);
        if outcome.is_ok() {
            reading::follow(&settings, &read.upto, |record| {
                let is_idle = record.is_none();
                if let Some(record) = record {
                    // What is no record of a state topic shows nothing; `sagas list` names it.
                    let _ = watcher.board.take(record);
                }
                outcome = watcher.step(on_screen, is_idle);
                match outcome.is_err() || interrupt.is_wanted() {
                    true => ControlFlow::Break(()),
                    false => ControlFlow::Continue(()),
                }
            })?;
        }
        drop(screen);
        outcome.map(|()| ExitCode::SUCCESS)
    }
}

/// The terminal while it is ours; dropped, it is as it was.
struct Screen;

impl Screen {
    fn begin() -> anyhow::Result<Self> {
        terminal::print(BEGIN)?;
        Ok(Self)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that is gone needs no cursor.
        let _ = terminal::print(END);
    }
}

struct Watcher<'s> {
    sagas: &'s Sagas,
    board: Board,
    /// What was said of each open run.
    last: BTreeMap<RunId, Summary>,
    json: bool,
    every: Duration,
    drawn: Option<Instant>,
}

impl Watcher<'_> {
    fn begin(&mut self, on_screen: bool) -> anyhow::Result<()> {
        if on_screen {
            return self.draw();
        }
        crate::terminal::say!("{}", counted(&self.board.counts()));
        let open: Vec<RunId> = self
            .board
            .runs()
            .iter()
            .filter(|(_, state)| !self.board.standing(state).is_ended())
            .map(|(run, _)| *run)
            .collect();
        open.into_iter().try_for_each(|run| self.say(run))
    }

    /// Lines are written when nothing more comes at once, or a second has passed: a run that moves three times within one
    /// transaction is told once.
    fn step(&mut self, on_screen: bool, is_idle: bool) -> anyhow::Result<()> {
        let is_due = self.drawn.is_none_or(|drawn| drawn.elapsed() >= self.every);
        if on_screen {
            return if is_due { self.draw() } else { Ok(()) };
        }
        if !is_idle && !is_due {
            return Ok(());
        }
        self.drawn = Some(Instant::now());
        let (changed, _) = self.board.refresh();
        changed.into_iter().try_for_each(|run| self.say(run))
    }

    fn say(&mut self, run: RunId) -> anyhow::Result<()> {
        let Some(state) = self.board.state(run) else { return Ok(()) };
        let mut summary = self.sagas.summary(run, state);
        let before = self.last.get(&run);
        if let Some(before) = before {
            summary.flow = summary.flow.or_else(|| before.flow.clone());
            summary.correlation_id = summary.correlation_id.or_else(|| before.correlation_id.clone());
            if before.state == summary.state && before.waits == summary.waits {
                return Ok(());
            }
        }
        match self.json {
            true => terminal::print_json(&summary)?,
            false => terminal::print(&line(before, &summary))?,
        }
        match summary.state.is_ended() {
            true => self.last.remove(&run),
            false => self.last.insert(run, summary),
        };
        Ok(())
    }

    fn draw(&mut self) -> anyhow::Result<()> {
        self.drawn = Some(Instant::now());
        self.board.refresh();
        let now_ms = terminal::now_ms();
        let runs = self.board.runs().iter();
        let open = runs.filter(|(_, state)| !self.board.standing(state).is_ended());
        let mut open: Vec<Summary> = open.map(|(run, state)| self.sagas.summary(*run, state)).collect();
        open.sort_by_key(|summary| (!summary.state.needs_attention(), summary.since_ms, summary.run));
        let (width, height) = crossterm::terminal::size().map_or((80, 24), |(w, h)| (w.into(), h.into()));
        let all: Vec<&Summary> = open.iter().take(height).collect();
        let mut table = rows(&all, now_ms);
        // Lines are cut to the width of the terminal: without styles, a character is a column.
        table.force_no_tty();
        let table = if all.is_empty() { String::new() } else { table::text(&table) };
        let mut lines: Vec<String> = table.lines().map(|line| words::shortened(line, width)).collect();
        let head = format!("{}  {}", words::time(now_ms), counted(&self.board.counts()));
        let head = words::shortened(&head, width);
        let more = format!("... {} open in all; ctrl-c ends", words::grouped(open.len() as i64));
        let room = height.saturating_sub(3);
        if lines.len() > room {
            lines.truncate(room.saturating_sub(1));
            lines.push(more);
        }
        let body = lines.into_iter().fold(String::new(), |text, line| text + &line + CLEAR_LINE + "\r\n");
        terminal::print(&format!("{HOME}{head}{CLEAR_LINE}\r\n{CLEAR_LINE}\r\n{body}{CLEAR_BELOW}"))
    }
}

fn line(before: Option<&Summary>, summary: &Summary) -> String {
    let id = summary.correlation_id.clone().unwrap_or_else(|| summary.run.to_string());
    let moved = match before.map(|before| before.state) {
        Some(before) if before != summary.state => format!("{before} → {}", summary.state),
        _ => summary.state.to_string(),
    };
    let waits = match summary.waits_for() {
        waits if waits.is_empty() => waits,
        waits => format!("  waits for {waits}"),
    };
    let cause = summary.cause.as_ref().map(|cause| format!(" ({cause})")).unwrap_or_default();
    format!("{}  {id}  {moved}{cause}{waits}\n", words::time(summary.since_ms))
}
