//! `quadrille topics tail`

use std::collections::BTreeMap;
use std::io;
use std::ops::ControlFlow;
use std::process::ExitCode;

use quadrille_kafka::Settings;
use quadrille_kafka::inspect::Inspector;
use quadrille_ops::avro::Registry;
use quadrille_ops::reading::{self, Known, Start};
use quadrille_ops::shown::Shown;
use quadrille_types::Record;

use crate::commands::NO;
use crate::connection::{self, Connection};
use crate::interrupt::Interrupt;
use crate::terminal;

/// Records that are shown unless something else is asked for.
const DEFAULT_COUNT: usize = 10;

#[derive(Debug, clap::Args)]
pub(crate) struct Tail {
    /// The topic
    topic: String,
    /// Begin here in each partition: `beginning`, `end` (and wait for what comes), an offset, or -N for N before the end;
    /// without it, the last records by time are shown
    #[arg(long, value_name = "WHERE", allow_hyphen_values = true)]
    from: Option<Start>,
    /// Show so many records, then end; without --from, the last 10 unless this says otherwise
    #[arg(short = 'n', value_name = "COUNT")]
    count: Option<usize>,
    /// Only this partition
    #[arg(long, value_name = "P")]
    partition: Option<i32>,
    /// Go on with what comes, until ctrl-c
    #[arg(long, short)]
    follow: bool,
    /// Print one JSON object per record
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

impl Tail {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let settings = self.connection.kafka()?;
        let inspector = Inspector::new(&settings)?;
        let Some(mut known) = reading::ends_of(&inspector, &self.topic)? else {
            crate::terminal::say!("quadrille: there is no topic {}", self.topic);
            return Ok(ExitCode::from(NO));
        };
        known.retain(|partition, _| self.partition.is_none_or(|wanted| wanted == partition.partition));
        if known.is_empty() {
            crate::terminal::say!("quadrille: topic {} has no such partition with a leader", self.topic);
            return Ok(ExitCode::from(NO));
        }
        let tokio = connection::tokio()?;
        let schemas = self.connection.schemas(false)?;
        let printer = Printer {
            avro: Registry::new(schemas.as_ref(), tokio.handle().clone()),
            json: self.json,
            left: self.count.filter(|_| self.from.is_some()),
            failed: None,
        };
        self.read(&settings, &known, printer, || Interrupt::listen(tokio.handle()))?;
        Ok(ExitCode::SUCCESS)
    }

    fn read(
        &self,
        settings: &Settings,
        known: &Known,
        mut printer: Printer,
        listen: impl Fn() -> Interrupt,
    ) -> anyhow::Result<()> {
        // Whoever begins at the end wants what comes.
        let follow = self.follow || self.from == Some(Start::End);
        let start = match self.from {
            Some(start) => start,
            None => {
                let last = reading::last(settings, known, self.count.unwrap_or(DEFAULT_COUNT))?;
                for record in last {
                    if printer.print(record).is_break() {
                        return printer.done();
                    }
                }
                Start::End
            }
        };
        if follow {
            let interrupt = listen();
            let starts: BTreeMap<_, _> =
                known.iter().map(|(partition, ends)| (partition.clone(), start.offset(ends))).collect();
            reading::follow(settings, &starts, |record| match record {
                _ if interrupt.is_wanted() => ControlFlow::Break(()),
                Some(record) => printer.print(record),
                None => ControlFlow::Continue(()),
            })?;
        } else if self.from.is_some() {
            reading::to_end(settings, known, start, |record| match record {
                Some(record) => printer.print(record),
                None => ControlFlow::Continue(()),
            })?;
        }
        if !follow && printer.left.is_none_or(|left| left > 0) {
            warn_of_open_transactions(known);
        }
        printer.done()
    }
}

/// Says what `read_committed` hides: a transaction that hangs is easily taken for missing records.
fn warn_of_open_transactions(known: &Known) {
    for (partition, ends) in known {
        if ends.high > ends.stable {
            let hidden = ends.high - ends.stable;
            crate::terminal::say!(
                "quadrille: {hidden} offsets of {partition} lie behind an open transaction: not shown"
            );
        }
    }
}

struct Printer {
    avro: Registry,
    json: bool,
    /// How many records are still wanted; none: all.
    left: Option<usize>,
    failed: Option<anyhow::Error>,
}

impl Printer {
    fn print(&mut self, record: Record) -> ControlFlow<()> {
        if self.left == Some(0) {
            return ControlFlow::Break(());
        }
        let shown = Shown::of(record, &mut self.avro);
        let printed = match self.json {
            true => terminal::print_json(&shown.json()),
            false => terminal::print(&shown.text(terminal::dim(terminal::style(&io::stdout())))),
        };
        self.left = self.left.map(|left| left - 1);
        match printed {
            Ok(()) if self.left != Some(0) => ControlFlow::Continue(()),
            printed => {
                self.failed = printed.err();
                ControlFlow::Break(())
            }
        }
    }

    fn done(self) -> anyhow::Result<()> {
        self.failed.map_or(Ok(()), Err)
    }
}
