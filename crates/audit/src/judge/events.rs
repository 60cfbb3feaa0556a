//! Whether the events say what the participants' stores say, and what the dead letters say.

use super::saga::Saga;
use crate::evidence::{Action, DeadLetter, Effect};
use crate::expect::Expectations;

impl Saga<'_> {
    /// Where a participant's events and the lines of its log differ in number.
    ///
    /// Fewer events than lines are no fault where the saga has a dead letter: a step that is given up has not told what
    /// its last call may have done. Nor are they where there is no outcome, which is a fault of its own.
    pub(super) fn untold(&self, expectations: &Expectations) -> Vec<String> {
        let mut found = Vec::new();
        for (participant, publishes) in &expectations.publishes {
            let does: Vec<&str> = publishes.does.iter().map(String::as_str).collect();
            let undo: Vec<&str> = publishes.undo.iter().map(String::as_str).collect();
            let rejects: Vec<&str> = publishes.rejects.iter().map(String::as_str).collect();
            let is_done = |effect: &Effect| effect.action == Action::Do && effect.applied;
            let is_undo = |effect: &Effect| effect.action == Action::Undo;
            let is_rejected = |effect: &Effect| effect.action == Action::Do && !effect.applied;
            found.extend(self.differ(participant, &does, "do", is_done));
            found.extend(self.differ(participant, &undo, "undo", is_undo));
            found.extend(self.differ(participant, &rejects, "rejected do", is_rejected));
        }
        found.extend(
            expectations.gives_up.iter().filter_map(|(event, topic)| self.not_given_up(event, topic)),
        );
        found
    }

    /// Where the events that follow when a step gives up and the letters of what it gave up differ in number: both are
    /// written in one transaction.
    fn not_given_up(&self, event: &str, topic: &str) -> Option<String> {
        let of_step = |letter: &&&DeadLetter| letter.at.topic == topic && letter.tried && !letter.undo;
        let letters = self.letters.iter().filter(of_step).count();
        let events: Vec<_> =
            self.events.iter().filter(|e| e.kind == event).map(|e| e.at.to_string()).collect();
        let (count, places) = (events.len(), events.join(", "));
        (count != letters)
            .then(|| format!("given up {letters} times in {topic}, but {count} events {event} [{places}]"))
    }

    fn differ(
        &self,
        participant: &str,
        types: &[&str],
        what: &str,
        is: impl Fn(&Effect) -> bool,
    ) -> Option<String> {
        if types.is_empty() {
            return None;
        }
        let lines = self.effects.get(participant);
        let lines = lines.map_or(0, |lines| lines.iter().filter(|line| is(line)).count());
        let events: Vec<_> =
            self.events.iter().filter(|event| types.contains(&event.kind.as_str())).collect();
        let excused = events.len() < lines && (!self.letters.is_empty() || self.outcomes.is_empty());
        if events.len() == lines || excused {
            return None;
        }
        let places: Vec<_> = events.iter().map(|event| event.at.to_string()).collect();
        let (count, types, places) = (events.len(), types.join(" or "), places.join(", "));
        Some(format!("{participant}: {what} {lines} in its store, but {count} events {types} [{places}]"))
    }
}
