//! Where a run stands, and what it waits for, in words.

use std::fmt;

use quadrille_saga::Flow;
use quadrille_saga::state::{End, Ended, Live, Phase, State, Status};
use quadrille_saga::view::{self, For, Wait};
use quadrille_types::{Definition, RunId};
use serde::Serialize;

use crate::words;

/// Where a run stands, for people. In the order in which they need attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// A compensation failed for good: a person is needed.
    Stuck,
    /// Nothing is outstanding, no timer runs, and no outcome is in reach: a person is needed.
    Stalled,
    /// A step's tries are exhausted: it waits for a redrive, while the deadline's clock runs.
    Held,
    /// What was done is being undone.
    Undoing,
    /// Something failed; it waits for what is outstanding before it undoes.
    Failing,
    /// Going forward.
    Running,
    /// Only what follows from its start is here, not the start.
    Forming,
    /// It was given up with its definition: nothing follows from it any more.
    Abandoned,
    /// It ended well.
    Completed,
    /// It ended with everything undone.
    Compensated,
    /// It had ended, was forgotten, and came again as a copy.
    Forgotten,
}

impl Standing {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Stuck,
        Self::Stalled,
        Self::Held,
        Self::Undoing,
        Self::Failing,
        Self::Running,
        Self::Forming,
        Self::Abandoned,
        Self::Completed,
        Self::Compensated,
        Self::Forgotten,
    ];

    /// Where `state` stands while `active` is the definition in force; none: nobody knows.
    pub fn of(state: &State, active: Option<&Definition>) -> Self {
        match state {
            State::Live(live) if active.is_some_and(|active| live.head.lineage.definition != *active) => {
                Self::Abandoned
            }
            State::Ended(Ended { end: End::Forgotten, .. }) => Self::Forgotten,
            State::Ended(Ended { end: End::Completed, .. }) => Self::Completed,
            State::Ended(Ended { end: End::Compensated, .. }) => Self::Compensated,
            State::Live(live) => Self::of_live(live),
        }
    }

    fn of_live(live: &Live) -> Self {
        match live.head.status {
            _ if live.is_stuck() => Self::Stuck,
            _ if live.head.stalled => Self::Stalled,
            Status::Undoing => Self::Undoing,
            _ if live.any(Phase::Exhausted) => Self::Held,
            _ if live.head.failing.is_some() => Self::Failing,
            Status::Running => Self::Running,
            Status::Forming => Self::Forming,
        }
    }

    /// Its outcome is there.
    pub fn is_ended(self) -> bool {
        matches!(self, Self::Completed | Self::Compensated | Self::Forgotten)
    }

    /// Somebody should look.
    pub fn needs_attention(self) -> bool {
        matches!(self, Self::Stuck | Self::Stalled | Self::Held)
    }

    /// The word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Stuck => "stuck",
            Self::Stalled => "stalled",
            Self::Held => "held",
            Self::Undoing => "undoing",
            Self::Failing => "failing",
            Self::Running => "running",
            Self::Forming => "forming",
            Self::Abandoned => "abandoned",
            Self::Completed => "completed",
            Self::Compensated => "compensated",
            Self::Forgotten => "forgotten",
        }
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// A run in one line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// The run.
    pub run: RunId,
    /// Its flow; an ended run no longer says it.
    pub flow: Option<String>,
    /// Its identity; an ended run no longer says it.
    pub correlation_id: Option<String>,
    /// Where it stands.
    pub state: Standing,
    /// Since when, in ms since 1970.
    pub since_ms: i64,
    /// What decided about it, once something did: an event, `deadline`, or `… exhausted`.
    pub cause: Option<String>,
    /// When it started, in ms since 1970.
    pub started_ms: Option<i64>,
    /// When its deadline is due, in ms since 1970, while the timer runs.
    pub deadline_ms: Option<i64>,
    /// `<version>/<hash>` of its definition; of an ended run only the version.
    pub definition: String,
    /// What it waits for, but for the deadline: what a person must do first, then what comes by itself.
    pub waits: Vec<Waiting>,
}

/// One thing that a run waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Waiting {
    /// What, in words.
    #[serde(rename = "for")]
    pub what: String,
    /// The step that it is about.
    pub step: Option<String>,
    /// Since when, in ms since 1970.
    pub since_ms: i64,
}

impl Summary {
    /// `state` of `run` in one line, while `active` is the definition in force. `flow` is the run's definition; without it,
    /// nothing is said of what it waits for.
    pub fn of(run: RunId, state: &State, flow: Option<&Flow>, active: Option<&Definition>) -> Self {
        let standing = Standing::of(state, active);
        match state {
            State::Live(live) => {
                let flow = flow.filter(|_| standing != Standing::Abandoned);
                Self { state: standing, ..Self::of_live(run, state, live, flow) }
            }
            State::Ended(ended) => Self {
                run,
                flow: None,
                correlation_id: None,
                state: standing,
                since_ms: ended.at_ms,
                cause: None,
                started_ms: None,
                deadline_ms: None,
                definition: ended.definition_version.to_string(),
                waits: Vec::new(),
            },
        }
    }

    fn of_live(run: RunId, state: &State, live: &Live, flow: Option<&Flow>) -> Self {
        let head = &live.head;
        let mut waits = flow.map(|flow| view::waits(flow, state)).unwrap_or_default();
        waits.sort_by_key(|wait| urgency(&wait.what));
        Self {
            run,
            flow: Some(head.lineage.flow.clone()),
            correlation_id: Some(head.lineage.correlation_id.clone()),
            state: Standing::of_live(live),
            since_ms: head.since_ms,
            cause: head.failing.as_ref().map(ToString::to_string),
            started_ms: head.started_at_ms,
            deadline_ms: head.deadline_ms.filter(|_| head.timer_set),
            definition: head.lineage.definition.to_string(),
            waits: waits.iter().filter_map(Waiting::of).collect(),
        }
    }

    /// What it waits for, in one phrase: the first of several, and how many more.
    pub fn waits_for(&self) -> String {
        match self.waits.as_slice() {
            [] => String::new(),
            [one] => one.what.clone(),
            [first, more @ ..] => format!("{} (+{})", first.what, more.len()),
        }
    }

    /// Whether `text` names this run: its correlation ID, or its ID.
    pub fn is_named(&self, text: &str) -> bool {
        self.correlation_id.as_deref() == Some(text) || self.run.to_string() == text
    }
}

impl Waiting {
    /// None for the deadline: a run does not need it.
    pub fn of(wait: &Wait) -> Option<Self> {
        let (step, what) = match &wait.what {
            For::Deadline { .. } => return None,
            For::Start => (None, "its start event".to_owned()),
            For::Nothing => (None, "nothing that will come by itself".to_owned()),
            For::Answer { step, .. } => (Some(step), format!("{step} to answer")),
            For::Redrive { step, .. } => (Some(step), format!("a redrive of {step}")),
            For::Undo { step, .. } => (Some(step), format!("{step} to be undone")),
            For::UndoRedrive { step, .. } => (Some(step), format!("a redrive of the undo of {step}")),
            For::Events { step, missing } if missing.is_empty() => {
                (Some(step), format!("{step}: until nothing beside it can fail"))
            }
            For::Events { step, missing } => (Some(step), format!("{} for {step}", missing.join(", "))),
        };
        Some(Self { what, step: step.cloned(), since_ms: wait.since_ms })
    }
}

fn urgency(what: &For) -> u8 {
    match what {
        For::UndoRedrive { .. } => 0,
        For::Redrive { .. } => 1,
        For::Nothing => 2,
        For::Start | For::Answer { .. } | For::Undo { .. } => 3,
        For::Events { .. } => 4,
        For::Deadline { .. } => 5,
    }
}

/// The word for a phase of an activation.
pub const fn phase_word(phase: Phase) -> &'static str {
    match phase {
        Phase::Gathering => "gathering",
        Phase::Open => "open",
        Phase::Succeeded => "succeeded",
        Phase::Rejected => "rejected",
        Phase::Exhausted => "exhausted",
        Phase::Undoing => "undoing",
        Phase::UndoFailed => "undo failed",
        Phase::Undone => "undone",
        Phase::GivenUp => "given up",
    }
}

/// The word for the status of a live run.
pub const fn status_word(status: Status) -> &'static str {
    match status {
        Status::Forming => "forming",
        Status::Running => "running",
        Status::Undoing => "undoing",
    }
}

/// The word for an end.
pub const fn end_word(end: End) -> &'static str {
    match end {
        End::Completed => "completed",
        End::Compensated => "compensated",
        End::Forgotten => "forgotten",
    }
}

/// When the deadline is, for people.
pub fn deadline(summary: &Summary, now_ms: i64) -> String {
    summary.deadline_ms.map(|due_ms| words::distance(due_ms, now_ms)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use quadrille_saga::replay;
    use quadrille_types::journal::Entry;

    use super::*;
    use crate::testing::*;

    fn summary(entries: &[Entry]) -> Summary {
        let state = replay(&order(), entries).unwrap();
        Summary::of(run(), &state, Some(&order()), Some(&order().definition))
    }

    #[test]
    fn each_run_has_one_word_and_says_what_it_waits_for() {
        let declined = [started(1), emitted(2, "reserve", "StockReserved")];
        let with = |more: Entry| declined.iter().cloned().chain([more]).collect::<Vec<_>>();
        let failed = with(rejected(3, "charge", "CardDeclined"));
        let cases = [
            (vec![started(1)], Standing::Running, "reserve to answer (+1)"),
            (declined.to_vec(), Standing::Running, "charge to answer (+1)"),
            (with(gave_up(3, "charge")), Standing::Held, "a redrive of charge (+1)"),
            (vec![started(1), rejected(2, "charge", "CardDeclined")], Standing::Failing, "reserve to answer"),
            (failed.clone(), Standing::Undoing, "reserve to be undone"),
            (
                failed.iter().cloned().chain([undo_gave_up(4, "reserve")]).collect(),
                Standing::Stuck,
                "a redrive of the undo of reserve",
            ),
            (failed.iter().cloned().chain([undone(4, "reserve")]).collect(), Standing::Compensated, ""),
        ];
        for (entries, state, waits) in cases {
            let summary = summary(&entries);
            assert_eq!((summary.state, summary.waits_for().as_str()), (state, waits));
        }
    }

    #[test]
    fn a_run_says_what_it_is_until_it_has_ended() {
        let live = summary(&[started(5)]);
        assert!(live.is_named("4711") && live.is_named(&run().to_string()) && !live.is_named("47"));
        assert_eq!((live.flow.as_deref(), live.definition.as_str()), (Some("order"), "7/c0ffee"));
        assert_eq!((live.started_ms, live.deadline_ms), (Some(0), Some(900_000)));
        assert_eq!(deadline(&live, 899_000), "in 1s");
        let entries = [
            started(1),
            emitted(2, "reserve", "StockReserved"),
            emitted(3, "charge", "PaymentTaken"),
            emitted(4, "ship", "OrderShipped"),
        ];
        let ended = summary(&entries);
        assert_eq!((ended.state, ended.since_ms), (Standing::Completed, 4));
        assert_eq!((ended.correlation_id, ended.definition.as_str()), (None, "7"));
    }

    #[test]
    fn what_needs_attention_comes_first() {
        let mut sorted = Standing::ALL;
        sorted.sort();
        assert_eq!(sorted, Standing::ALL);
        let last = Standing::ALL.iter().rposition(|standing| standing.needs_attention());
        assert_eq!(last, Some(2));
        assert!(Standing::ALL[8..].iter().all(|standing| standing.is_ended()));
    }
}
