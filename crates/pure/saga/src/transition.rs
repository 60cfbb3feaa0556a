//! The transition function and what it asks of its caller.

use std::collections::BTreeSet;
use std::fmt;

use quadrille_types::command::Command;
use quadrille_types::fact::{Body, Fact};
use quadrille_types::ids::ActivationId;
use quadrille_types::journal::{Entry, Input, Timer};

use crate::after_end;
use crate::answers::fault;
use crate::definition::Flow;
use crate::run::Run;
use crate::state::{Cause, End, Ended, Live, State};

/// What one input led to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transition {
    /// Which records of the state are different now.
    pub changed: Changed,
    /// What to do, in this order, in the transaction that writes the state.
    pub actions: Vec<Action>,
}

/// Which records of a run's state are different now. [`crate::changelog::records`] writes them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// The head.
    pub head: bool,
    /// These activations; those that the state no longer has are gone.
    pub activations: BTreeSet<ActivationId>,
}

/// Something for the caller to do. Commands are nearly all there is, so their size costs nothing.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Command a step to have its effect.
    Do(Command),
    /// Command a step to compensate.
    Undo(Command),
    /// Give this timer back as [`Input::Timer`] once it is due, also after a restart.
    SetTimer(Timer),
    /// The timer is no longer needed. One that fires all the same changes nothing.
    ClearTimer(Timer),
    /// The run has its outcome: emit it, once.
    End(Outcome),
    /// Tell operators.
    Flag(Flag),
    /// The fact, or a part of it, does not fit: keep it where operators see it, if [`Unmatched::is_kept`].
    Unmatched(Unmatched),
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Which end.
    pub end: End,
    /// The file's name for it.
    pub outcome: String,
    /// What decided it.
    pub cause: Cause,
    /// When the start event was written, in ms since 1970.
    pub started_at_ms: i64,
    /// W3C `traceparent` of what decided it, or else of what the run began with.
    pub traceparent: Option<String>,
    /// W3C `tracestate` beside it.
    pub tracestate: Option<String>,
}

/// What operators should know. Each is raised once for what it is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Flag {
    /// Every try of an activation failed; it waits for a redrive.
    Held {
        /// Name of the step.
        step: String,
        /// The activation.
        activation: ActivationId,
    },
    /// A compensation failed for good; it waits for a redrive, and what is to be undone after it waits too.
    Stuck {
        /// Name of the step.
        step: String,
        /// The activation.
        activation: ActivationId,
    },
    /// The deadline passed when a pivot was commanded or done: the run goes on.
    Overdue,
    /// Nothing is outstanding, no timer runs, and no outcome is in reach.
    Stalled,
}

/// Why a fact does not fit the run that it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unmatched {
    /// Known already.
    Duplicate,
    /// The run is not known, or not the step, or not the event.
    Unknown,
    /// It starts a run of a definition other than the one at hand, or is about one that has ended.
    Definition,
    /// The run was given up with its definition: whatever comes changes nothing.
    Abandoned,
    /// A record that could not be read starts and triggers nothing.
    Unreadable,
    /// It says something else than an earlier fact, or answers what nobody asked. The earlier fact counts.
    Contradictory,
    /// It comes after the decision that it would have changed.
    Late,
    /// It would make the run fail, but a pivot was already commanded.
    AfterPivot,
    /// A copy of the start event of a run that had ended and was forgotten.
    Forgotten,
}

impl Unmatched {
    /// Whether the fact deserves a record.
    pub const fn is_kept(self) -> bool {
        !matches!(self, Self::Duplicate)
    }

    /// The word in headers and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Duplicate => "duplicate",
            Self::Unknown => "unknown",
            Self::Definition => "definition",
            Self::Abandoned => "abandoned",
            Self::Unreadable => "unreadable",
            Self::Contradictory => "contradictory",
            Self::Late => "late",
            Self::AfterPivot => "after-pivot",
            Self::Forgotten => "forgotten",
        }
    }
}

impl fmt::Display for Unmatched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Changed {
    /// Whether nothing is different.
    pub fn is_empty(&self) -> bool {
        !self.head && self.activations.is_empty()
    }
}

/// Applies `input` to `state`, the state of the run that it names (`None`: not known), at `now_ms` (ms since 1970).
///
/// `flow` is the definition at hand. A live run that follows another one was abandoned with it: it stays as it is. Total:
/// every input is applied, or answered with [`Action::Unmatched`], or (a timer that no longer fits) ignored.
pub fn next(flow: &Flow, state: &mut Option<State>, input: &Input, now_ms: i64) -> Transition {
    match (state, input) {
        (state, Input::Forgotten(_)) => forget(state),
        (None | Some(State::Ended(_)), Input::Timer(_)) => Transition::default(),
        (Some(State::Live(live)), input) if live.head.lineage.definition != flow.definition => {
            abandoned(input)
        }
        (Some(State::Ended(ended)), Input::Fact(fact)) => after_end::fact(flow, ended, fact),
        (state @ None, Input::Fact(fact)) => begin(flow, state, fact, now_ms),
        (state @ Some(State::Live(_)), input) => proceed(flow, state, input, now_ms),
    }
}

/// The state that `entries`, the journal of one run from its beginning, lead to.
pub fn replay<'a>(flow: &Flow, entries: impl IntoIterator<Item = &'a Entry>) -> Option<State> {
    let mut state = None;
    for entry in entries {
        next(flow, &mut state, &entry.input, entry.now_ms);
    }
    state
}

/// Nothing is known of the run any more.
fn forget(state: &mut Option<State>) -> Transition {
    let mut transition = Transition::default();
    if let Some(state) = state.take() {
        transition.changed.head = true;
        transition.changed.activations.extend(state.live().iter().flat_map(|live| live.activations.keys()));
    }
    transition
}

/// A run whose definition was replaced while it lived has no outcome and no undo by another one's rules.
fn abandoned(input: &Input) -> Transition {
    let actions = match input {
        Input::Fact(Fact { body: Body::Known(_), .. }) => vec![Action::Unmatched(Unmatched::Duplicate)],
        Input::Fact(_) => vec![Action::Unmatched(Unmatched::Abandoned)],
        Input::Timer(_) | Input::Forgotten(_) => Vec::new(),
    };
    Transition { actions, ..Transition::default() }
}

/// The first fact about a run. It makes a run if it changes something; if not, it leaves no trace but its record.
fn begin(flow: &Flow, state: &mut Option<State>, fact: &Fact, now_ms: i64) -> Transition {
    let unmatched =
        |reason| Transition { changed: Changed::default(), actions: vec![Action::Unmatched(reason)] };
    if fact.lineage.flow != flow.name || fact.lineage.definition != flow.definition {
        return unmatched(Unmatched::Definition);
    }
    if matches!(fact.body, Body::Observed(ref event) if !flow.is_start(&event.event)) {
        return unmatched(Unmatched::Unknown);
    }
    if let Body::Known(known) = &fact.body {
        return match fault(flow, fact.lineage.run, known) {
            Some(reason) => unmatched(reason),
            None => known_again(state, Ended::forgotten(flow.definition.version, now_ms)),
        };
    }
    let mut live = Live::new(fact, now_ms);
    let mut run = Run::new(flow, &mut live, Some(fact), now_ms);
    run.fact(fact);
    if matches!(fact.body, Body::Step(_))
        && !run.changed.is_empty()
        && run.may_be_forgotten(fact.source_time_ms)
    {
        run.unmatched(Unmatched::Late);
    }
    let (mut transition, ending) = run.done();
    if transition.changed.is_empty() {
        return transition;
    }
    transition.changed.head = true;
    *state = Some(State::Live(Box::new(live)));
    close(state, &mut transition, ending, now_ms);
    transition
}

/// A step has answered for this run before, so it was known, and has ended. What comes after is a copy, too.
fn known_again(state: &mut Option<State>, ended: Ended) -> Transition {
    *state = Some(State::Ended(ended));
    let changed = Changed { head: true, ..Changed::default() };
    Transition { changed, actions: vec![Action::Unmatched(Unmatched::Forgotten)] }
}

fn proceed(flow: &Flow, state: &mut Option<State>, input: &Input, now_ms: i64) -> Transition {
    let Some(State::Live(live)) = state else { return Transition::default() };
    let cause = match input {
        Input::Fact(fact) => Some(fact),
        Input::Timer(_) | Input::Forgotten(_) => None,
    };
    let mut run = Run::new(flow, live, cause, now_ms);
    match input {
        Input::Fact(fact) => run.fact(fact),
        Input::Timer(timer) => run.timer(timer),
        Input::Forgotten(_) => {}
    }
    let (mut transition, ending) = run.done();
    close(state, &mut transition, ending, now_ms);
    transition
}

/// Replaces a run that has its outcome by what is left of it.
fn close(state: &mut Option<State>, transition: &mut Transition, ending: Option<End>, now_ms: i64) {
    if let (Some(end), Some(State::Live(live))) = (ending, state.as_ref()) {
        transition.changed.head = true;
        transition.changed.activations.extend(live.activations.keys());
        *state = Some(State::Ended(crate::state::Ended::of(live, end, now_ms)));
    }
}
