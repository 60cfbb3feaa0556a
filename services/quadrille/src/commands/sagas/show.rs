//! `quadrille sagas show`

use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use comfy_table::ColumnConstraint;
use quadrille_host::PrefixOption;
use quadrille_ops::avro::Registry;
use quadrille_ops::history::Moment;
use quadrille_ops::own;
use quadrille_ops::sagas::{Sagas, Told};
use quadrille_ops::standing::phase_word;
use quadrille_ops::words;
use quadrille_topology::render::Style;
use serde_json::{Value as Json, json};

use super::open;
use crate::commands::NO;
use crate::connection::{self, Connection};
use crate::{table, terminal};

/// Errors may be long: all of one is in the JSON output.
const INPUT_CHARACTERS: usize = 120;

#[derive(Debug, clap::Args)]
pub(crate) struct Show {
    /// Topology file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Correlation ID of the saga, or the ID of its run
    id: String,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    copy: PrefixOption,
    #[command(flatten)]
    connection: Connection,
}

impl Show {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let Some((_, sagas)) = open(&self.file, &self.copy, &self.connection)? else {
            return Ok(ExitCode::from(NO));
        };
        let mut found = Vec::new();
        for run in sagas.candidates(&self.id) {
            found.extend(sagas.told(run)?);
        }
        if found.is_empty() {
            crate::terminal::say!("quadrille: no saga has the correlation ID or run {}", self.id);
            return Ok(ExitCode::from(NO));
        }
        let tokio = connection::tokio()?;
        let schemas = self.connection.schemas(false)?;
        let mut avro = Registry::new(schemas.as_ref(), tokio.handle().clone());
        for (index, told) in found.iter().enumerate() {
            if self.json {
                terminal::print_json(&as_json(&sagas, told, &mut avro))?;
            } else {
                let gap = if index > 0 { "\n" } else { "" };
                let style = terminal::style(&io::stdout());
                terminal::print(&format!("{gap}{}", text(&sagas, told, style, &mut avro)))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// One step of a run, as far as it has come.
struct Step {
    name: String,
    phase: &'static str,
    since_ms: Option<i64>,
    waits_for: String,
}

/// The steps of an open run, in the order of its flow; those that nothing has set off yet too.
fn steps(sagas: &Sagas, told: &Told) -> Vec<Step> {
    let Some(state) = &told.state else { return Vec::new() };
    let (Some(live), Some(flow)) = (state.live(), sagas.flow_of(state)) else { return Vec::new() };
    let mut steps = Vec::new();
    for step in &flow.steps {
        let activations: Vec<_> = live.activations.values().filter(|a| a.step == step.name).collect();
        if activations.is_empty() {
            let (name, waits_for) = (step.name.clone(), String::new());
            steps.push(Step { name, phase: "not begun", since_ms: None, waits_for });
        }
        steps.extend(activations.iter().map(|activation| {
            Step {
                name: step.name.clone(),
                phase: phase_word(activation.phase),
                since_ms: Some(activation.since_ms),
                waits_for: told
                    .summary
                    .waits
                    .iter()
                    .filter(|wait| wait.step.as_ref() == Some(&step.name))
                    .map(|wait| wait.what.as_str())
                    .collect::<Vec<_>>()
                    .join(", "),
            }
        }));
    }
    steps
}

fn as_json(sagas: &Sagas, told: &Told, avro: &mut Registry) -> Json {
    let steps: Vec<Json> = steps(sagas, told)
        .iter()
        .map(|step| json!({"step": step.name, "phase": step.phase, "since_ms": step.since_ms}))
        .collect();
    let mut history = json!(told.history);
    let moments = told.history.iter().zip(history.as_array_mut().into_iter().flatten());
    for (moment, json) in moments {
        let events = json["events"].as_array_mut().into_iter().flatten();
        for (seen, json) in moment.events.iter().zip(events) {
            if let Some(event) = &seen.payload {
                json["payload"] = own::of_event(event, avro)["payload"].clone();
            }
        }
    }
    json!({
        "summary": told.summary,
        "steps": steps,
        "history": history,
        "outcome": told.outcome,
        "notes": told.notes,
    })
}

fn text(sagas: &Sagas, told: &Told, style: Style, avro: &mut Registry) -> String {
    let now_ms = terminal::now_ms();
    let (mut text, heading) = (head(told, now_ms), heading(style));
    let steps = steps(sagas, told);
    if !steps.is_empty() {
        let mut table = table::new(&["STEP", "PHASE", "SINCE", "WAITS FOR"]);
        for step in &steps {
            let since = step.since_ms.map(|ms| words::distance(ms, now_ms)).unwrap_or_default();
            table.add_row([&step.name, step.phase, &since, &step.waits_for]);
        }
        let _ = write!(text, "\n{}\n{}", heading("Steps"), table::text(&table));
    }
    let rounds = told.history.last().map_or(0, |moment| moment.round);
    for round in told.history.chunk_by(|a, b| a.round == b.round) {
        let title = match round.first() {
            Some(first) if rounds > 1 => format!("History of run {} of {rounds} under this ID", first.round),
            _ => "History".to_owned(),
        };
        let mut table = table::wrapped(&["TIME", "WHAT CAME", "WHAT IT CHANGED", "RECORD"]);
        // A time in two lines cannot be read.
        if let Some(time) = table.column_mut(0) {
            time.set_constraint(ColumnConstraint::ContentWidth);
        }
        for moment in round {
            let source = moment.source.as_deref().unwrap_or_default();
            let changes = moment.changes.join("\n");
            let input = words::shortened(&moment.input, INPUT_CHARACTERS);
            table.add_row([&words::time(moment.at_ms), &input, &changes, source]);
        }
        let _ = write!(text, "\n{}\n{}", heading(&title), table::text(&table));
        let _ = write!(text, "{}", events(round, &heading, avro));
    }
    for note in &told.notes {
        let _ = write!(text, "\nNote: {note}.\n");
    }
    text
}

fn head(told: &Told, now_ms: i64) -> String {
    let (summary, mut text) = (&told.summary, String::new());
    let when = |ms: i64| format!("{} ({})", words::time(ms), words::distance(ms, now_ms));
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "{name:<12}{value}");
    };
    line("saga", summary.correlation_id.clone().unwrap_or_else(|| "?".to_owned()));
    line("flow", summary.flow.clone().unwrap_or_else(|| "?".to_owned()));
    line("run", summary.run.to_string());
    line("definition", summary.definition.clone());
    let because = summary.cause.as_ref().map(|cause| format!(", because of {cause}")).unwrap_or_default();
    line("state", format!("{} since {}{because}", summary.state, when(summary.since_ms)));
    if let Some(started_ms) = summary.started_ms {
        line("started", when(started_ms));
    }
    if let Some(deadline_ms) = summary.deadline_ms {
        line("deadline", when(deadline_ms));
    }
    for (index, wait) in summary.waits.iter().enumerate() {
        let name = if index == 0 { "waits for" } else { "" };
        line(name, format!("{}, since {}", wait.what, when(wait.since_ms)));
    }
    if let Some(outcome) = &told.outcome {
        let took = words::age(outcome.ended_at - outcome.started_at);
        line("outcome", format!("{} ({}), after {took}", outcome.outcome, outcome.cause));
    }
    text
}

fn events(history: &[Moment], heading: &impl Fn(&str) -> String, avro: &mut Registry) -> String {
    let seen: Vec<_> = history.iter().flat_map(|moment| &moment.events).collect();
    if seen.is_empty() {
        return String::new();
    }
    let mut table = table::new(&["EVENT", "FROM", "ID", "PAYLOAD"]);
    for event in seen {
        let payload = match &event.payload {
            Some(payload) => own::of_event(payload, avro)["payload"].to_string(),
            None => String::new(),
        };
        let from = event.step.as_deref().unwrap_or("outside");
        table.add_row([event.event.as_str(), from, &event.id, &payload]);
    }
    format!("\n{}\n{}", heading("Events"), table::text(&table))
}

fn heading(style: Style) -> impl Fn(&str) -> String {
    move |text| match style {
        Style::Colour => format!("\x1b[1;4m{text}\x1b[0m"),
        Style::Plain => text.to_owned(),
    }
}
