//! What each journal entry changed in its run: time travel in words.
//!
//! The journal is folded with the transition function itself; what is told is the difference that each entry made. A run
//! that was forgotten may have begun anew under the same ID: each beginning counts a round.

use quadrille_saga::state::{Activation, Live, State};
use quadrille_saga::transition::{Action, Flag, Unmatched};
use quadrille_saga::{Flow, next};
use quadrille_types::fact::{Body, EventRef, Outcome};
use quadrille_types::journal::{Entry, Input, TimerKind};
use serde::Serialize;

use crate::standing::{phase_word, status_word};
use crate::words;

/// One applied input, and what it led to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Moment {
    /// Which of the runs under this ID, from 1: one that was forgotten may begin anew.
    pub round: usize,
    /// When it was applied, in ms since 1970.
    pub at_ms: i64,
    /// The input, in words.
    pub input: String,
    /// Where the record lay that brought it about.
    pub source: Option<String>,
    /// What is different since.
    pub changes: Vec<String>,
    /// Events that it tells of.
    pub events: Vec<Seen>,
}

/// An event of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Seen {
    /// Its name.
    pub event: String,
    /// `ce_id`.
    pub id: String,
    /// The step that emitted it; none: it came from outside.
    pub step: Option<String>,
    /// The payload, where it travels along.
    #[serde(skip)]
    pub payload: Option<EventRef>,
}

/// What a journal tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// Its entries, the oldest first.
    pub moments: Vec<Moment>,
    /// The state that they lead to; none: the run is forgotten, or never was.
    pub state: Option<State>,
    /// The last state that there was.
    pub last: Option<State>,
}

/// The history of one run from its journal. Each round is told by `flow` as of its own definition.
pub fn of<'e>(flow: &Flow, entries: impl IntoIterator<Item = &'e Entry>) -> History {
    let (mut flow, mut history, mut round) = (flow.clone(), History::default(), 0);
    for entry in entries {
        if history.state.as_ref().is_some_and(|state| begins_anew(state, &entry.input)) {
            history.state = None;
        }
        if history.state.is_none()
            && let Input::Fact(fact) = &entry.input
        {
            flow.definition = fact.lineage.definition.clone();
            round += 1;
        }
        history.moments.push(moment(&flow, &mut history.state, entry, round));
        history.last = history.state.clone().or(history.last);
    }
    history
}

/// Only what changes something is in the journal, and to a run that has ended a start changes nothing: it was forgotten in
/// between. Journals of earlier builds do not say so.
fn begins_anew(state: &State, input: &Input) -> bool {
    let starts = matches!(input, Input::Fact(fact) if matches!(fact.body, Body::Started(_)));
    state.ended().is_some() && starts
}

fn moment(flow: &Flow, state: &mut Option<State>, entry: &Entry, round: usize) -> Moment {
    let before = state.clone();
    let transition = next(flow, state, &entry.input, entry.now_ms);
    let mut changes = differences(before.as_ref(), state.as_ref());
    changes.extend(transition.actions.iter().filter_map(|action| act(action, entry.now_ms)));
    let (input, source, events) = tell(&entry.input);
    Moment { round, at_ms: entry.now_ms, input, source, changes, events }
}

fn tell(input: &Input) -> (String, Option<String>, Vec<Seen>) {
    let fact = match input {
        Input::Fact(fact) => fact,
        Input::Timer(timer) => match timer.kind {
            TimerKind::Deadline => return ("the deadline passed".to_owned(), None, Vec::new()),
        },
        Input::Forgotten(_) => return ("its time had come".to_owned(), None, Vec::new()),
    };
    let (input, step, events): (_, _, &[EventRef]) = match &fact.body {
        Body::Started(event) => (format!("{} started it", event.event), None, std::slice::from_ref(event)),
        Body::Observed(event) => (format!("{} was seen", event.event), None, std::slice::from_ref(event)),
        Body::Step(result) => {
            let (word, events) = answer(&result.result);
            let tries =
                if result.attempts > 1 { format!(" at try {}", result.attempts) } else { String::new() };
            (format!("{} {word}{tries}", result.step), Some(&result.step), events)
        }
        Body::Known(known) => (format!("{} knew it from before", known.step), None, &[]),
    };
    let seen = |event: &EventRef| Seen {
        event: event.event.clone(),
        id: event.id.clone(),
        step: step.cloned(),
        payload: event.payload.is_some().then(|| event.clone()),
    };
    (input, Some(fact.source.to_string()), events.iter().map(seen).collect())
}

fn answer(outcome: &Outcome) -> (String, &[EventRef]) {
    let names = |events: &[EventRef]| {
        let names: Vec<&str> = events.iter().map(|event| event.event.as_str()).collect();
        if names.is_empty() { String::new() } else { format!(": {}", names.join(", ")) }
    };
    match outcome {
        Outcome::Succeeded { events, .. } => (format!("succeeded{}", names(events)), events),
        Outcome::Rejected { events } => (format!("rejected{}", names(events)), events),
        Outcome::Undone { events } => (format!("is undone{}", names(events)), events),
        Outcome::Exhausted { reason, message, event, .. } => {
            let event = event.as_slice();
            (format!("gave up ({reason}: {message}){}", names(event)), event)
        }
        Outcome::UndoExhausted { reason, message } => {
            (format!("could not be undone ({reason}: {message})"), &[])
        }
    }
}

/// What an action means for people. Timers that are cleared and facts that changed nothing more say nothing.
fn act(action: &Action, now_ms: i64) -> Option<String> {
    Some(match action {
        Action::Do(command) => format!("{} is commanded", command.step),
        Action::Undo(command) => format!("the undo of {} is commanded", command.step),
        Action::SetTimer(timer) => format!("deadline {}", words::distance(timer.due_ms, now_ms)),
        Action::ClearTimer(_) => return None,
        Action::End(outcome) => format!("ended {} ({})", outcome.outcome, outcome.cause),
        Action::Flag(Flag::Held { step, .. }) => format!("{step} waits for a redrive"),
        Action::Flag(Flag::Stuck { step, .. }) => format!("stuck: the undo of {step} waits for a redrive"),
        Action::Flag(Flag::Overdue) => "overdue: it goes on, a pivot was commanded".to_owned(),
        Action::Flag(Flag::Stalled) => "stalled: nothing will come by itself".to_owned(),
        Action::Unmatched(Unmatched::Forgotten) => {
            "ended as forgotten: a copy of a start whose run had ended".to_owned()
        }
        Action::Unmatched(reason) => format!("does not fit: {reason}"),
    })
}

fn differences(before: Option<&State>, after: Option<&State>) -> Vec<String> {
    match (before, after) {
        (None, Some(State::Live(live))) => {
            let mut changes = vec![format!("a new run: {}", status_word(live.head.status))];
            changes.extend(live.activations.values().map(new));
            changes
        }
        (Some(State::Live(before)), Some(State::Live(after))) => moved(before, after),
        (Some(_), None) => vec!["forgotten".to_owned()],
        _ => Vec::new(),
    }
}

fn moved(before: &Live, after: &Live) -> Vec<String> {
    let mut changes = Vec::new();
    if before.head.status != after.head.status {
        changes.push(format!("{} → {}", status_word(before.head.status), status_word(after.head.status)));
    }
    if let (None, Some(cause)) = (&before.head.failing, &after.head.failing) {
        changes.push(format!("fails: {cause}"));
    }
    for (id, activation) in &after.activations {
        changes.extend(match before.activations.get(id) {
            None => Some(new(activation)),
            Some(earlier) => step_moved(earlier, activation),
        });
    }
    changes
}

fn new(activation: &Activation) -> String {
    format!("{}: {}", activation.step, phase_word(activation.phase))
}

fn step_moved(before: &Activation, after: &Activation) -> Option<String> {
    let step = &after.step;
    if before.phase != after.phase {
        return Some(format!("{step}: {} → {}", phase_word(before.phase), phase_word(after.phase)));
    }
    let new = after.inputs.iter().filter(|input| !before.inputs.contains(input));
    let new: Vec<&str> = new.map(|input| input.event.as_str()).collect();
    (!new.is_empty()).then(|| format!("{step}: has {}", new.join(", ")))
}

#[cfg(test)]
mod tests {
    use quadrille_saga::replay;

    use super::*;
    use crate::testing::*;

    fn told(entries: &[Entry]) -> Vec<String> {
        let history = of(&order(), entries);
        assert_eq!(history.state, replay(&order(), entries), "history is a replay");
        history.moments.iter().map(|m| format!("{}: {}", m.input, m.changes.join("; "))).collect()
    }

    /// Lines in which an order of steps would only be that of their IDs are compared by what they contain.
    fn assert_told(lines: &[String], expected: &[(&str, &[&str])]) {
        assert_eq!(lines.len(), expected.len(), "{lines:#?}");
        for (line, (begins, parts)) in lines.iter().zip(expected) {
            assert!(line.starts_with(begins), "{line} does not begin with {begins}");
            for part in *parts {
                assert!(line.contains(part), "{line} lacks {part}");
            }
        }
    }

    #[test]
    fn a_completed_run_tells_how_it_came_about() {
        let entries = [
            started(1),
            emitted(2, "reserve", "StockReserved"),
            emitted(3, "charge", "PaymentTaken"),
            emitted(4, "ship", "OrderShipped"),
        ];
        assert_told(
            &told(&entries),
            &[
                ("OrderPlaced started it: a new run: running", &["charge: open", "deadline in 14m 59s"]),
                ("reserve succeeded: StockReserved: ", &["reserve: open → succeeded"]),
                ("charge succeeded: PaymentTaken: ", &["charge: open → succeeded", "ship is commanded"]),
                ("ship succeeded: OrderShipped: ", &["ended completed (OrderShipped)"]),
            ],
        );
    }

    #[test]
    fn a_run_that_is_undone_tells_why_and_what() {
        let entries = [
            started(1),
            emitted(2, "reserve", "StockReserved"),
            rejected(3, "charge", "CardDeclined"),
            undo_gave_up(4, "reserve"),
            undone(5, "reserve"),
        ];
        assert_told(
            &told(&entries),
            &[
                ("OrderPlaced started it", &[]),
                ("reserve succeeded", &[]),
                (
                    "charge rejected: CardDeclined: ",
                    &["running → undoing", "fails: CardDeclined", "the undo of reserve is commanded"],
                ),
                ("reserve could not be undone (terminal: no such charge)", &["stuck: the undo of reserve"]),
                ("reserve is undone", &["ended compensated (CardDeclined)"]),
            ],
        );
    }

    #[test]
    fn a_run_that_began_anew_is_told_apart_from_the_forgotten_one() {
        let first = [
            started(1),
            emitted(2, "reserve", "StockReserved"),
            emitted(3, "charge", "PaymentTaken"),
            emitted(4, "ship", "OrderShipped"),
        ];
        let rounds = |entries: &[Entry]| -> Vec<usize> {
            of(&order(), entries).moments.iter().map(|moment| moment.round).collect()
        };
        let again = [forgotten(5), started(6), known(7, "charge")];
        let all = [first.as_slice(), &again].concat();
        assert_eq!(rounds(&all), [1, 1, 1, 1, 1, 2, 2]);
        assert_told(
            &told(&all)[4..],
            &[
                ("its time had come: forgotten", &[]),
                ("OrderPlaced started it: a new run: running", &["charge: open"]),
                ("charge knew it from before: ended as forgotten", &[]),
            ],
        );
        let history = of(&order(), &all[..5]);
        assert_eq!((history.state, history.last), (None, replay(&order(), &first)));

        let earlier_build = [first.as_slice(), &again[1..2]].concat();
        assert_eq!(rounds(&earlier_build), [1, 1, 1, 1, 2]);
        let mut other = order();
        other.definition.version += 1;
        assert_eq!(of(&other, &all).moments, of(&order(), &all).moments, "each by its own definition");
    }

    #[test]
    fn timers_and_repeated_facts_are_told_too() {
        let entries = [started(1), gave_up(2, "charge"), gave_up(3, "charge"), overdue(900_000)];
        assert_told(
            &told(&entries),
            &[
                ("OrderPlaced started it", &[]),
                ("charge gave up (exhausted: gateway down)", &["charge waits for a redrive"]),
                ("charge gave up", &["does not fit: duplicate"]),
                ("the deadline passed: ", &["fails: deadline"]),
            ],
        );
        let moments = of(&order(), &entries).moments;
        assert_eq!(moments[0].source.as_deref(), Some("orders/2/1"));
        assert_eq!((moments[0].events[0].event.as_str(), &moments[0].events[0].step), ("OrderPlaced", &None));
    }
}
