//! What was found for one identity.

use std::collections::BTreeMap;

use super::Kind;
use super::effects::Tally;
use super::letters::Letters;
use crate::evidence::{DeadLetter, Effect, Event, Evidence, Outcome};
use crate::expect::{Counts, Expectations};

/// What was found for one identity.
#[derive(Debug, Default)]
pub(super) struct Saga<'a> {
    pub(super) accepted: bool,
    pub(super) outcomes: Vec<&'a Outcome>,
    pub(super) letters: Vec<&'a DeadLetter>,
    pub(super) events: Vec<&'a Event>,
    /// Lines by participant, in the order in which it recorded them.
    pub(super) effects: BTreeMap<&'a str, Vec<&'a Effect>>,
}

/// Everything by the identity that it belongs to.
pub(super) fn by_identity<'a>(evidence: &'a Evidence, letters: &Letters<'a>) -> BTreeMap<&'a str, Saga<'a>> {
    let mut sagas: BTreeMap<&str, Saga<'_>> = BTreeMap::new();
    for identity in evidence.inputs.iter().filter_map(|input| input.identity.as_deref()) {
        sagas.entry(identity).or_default().accepted = true;
    }
    for outcome in &evidence.outcomes {
        sagas.entry(&outcome.identity).or_default().outcomes.push(outcome);
    }
    for letter in &letters.others {
        if let Some(identity) = &letter.identity {
            sagas.entry(identity).or_default().letters.push(letter);
        }
    }
    for event in &evidence.events {
        sagas.entry(&event.identity).or_default().events.push(event);
    }
    for effect in &evidence.effects {
        let saga = sagas.entry(&effect.identity).or_default();
        saga.effects.entry(&effect.participant).or_default().push(effect);
    }
    for effects in sagas.values_mut().flat_map(|saga| saga.effects.values_mut()) {
        effects.sort_by_key(|effect| effect.seq);
    }
    sagas
}

impl<'a> Saga<'a> {
    fn tally(&self, participant: &str) -> Tally<'a> {
        self.effects.get(participant).map_or_else(Tally::default, |effects| Tally::of(effects))
    }

    /// What is wrong, apart from what is missing.
    pub(super) fn faults(&self, expectations: &Expectations) -> Vec<(Kind, String)> {
        let mut found = Vec::new();
        for participant in &expectations.participants {
            let tally = self.tally(participant);
            let repeated = tally.repeated(expectations.most(participant));
            found.extend(repeated.into_iter().map(|why| (Kind::DupEffect, format!("{participant}: {why}"))));
            found.extend(tally.after_undo().map(|activation| {
                (Kind::AfterUndo, format!("{participant}: do of activation {activation} after its undo"))
            }));
            found.extend(self.leaked(participant, &tally, expectations));
        }
        if self.outcomes.len() > 1 {
            let names: Vec<_> = self.outcomes.iter().map(|o| format!("{} at {}", o.name, o.at)).collect();
            found.push((Kind::DualOutcome, names.join(", ")));
        }
        found
    }

    fn leaked(
        &self,
        participant: &str,
        tally: &Tally<'a>,
        expectations: &Expectations,
    ) -> Vec<(Kind, String)> {
        let demand = |outcome: &&Outcome| expectations.outcomes.get(&outcome.name)?.get(participant).copied();
        let Some(outcome) = self
            .outcomes
            .iter()
            .find(|outcome| demand(outcome).is_some_and(|demand| demand.leaves_nothing()))
        else {
            return Vec::new();
        };
        let leak = |(activation, Counts { dos, undos })| {
            let why = format!("{participant}: activation {activation} has do {dos}, undo {undos}");
            (Kind::Leaked, format!("{why} although {}", outcome.name))
        };
        tally.open().map(leak).collect()
    }

    /// Why the saga is not settled, if it is not.
    ///
    /// A participant reads its clock just before its transaction ends. Only then can its answer reach the coordinator,
    /// which reads its own clock after that, when it decides the outcome. So on one machine no line of a settled saga
    /// is later than its outcome, whether it had an effect or not; one that is later shows a call that was still open.
    pub(super) fn unsettled(&self, clock_slack_ms: i64) -> Option<String> {
        let Some(outcome) = self.outcomes.iter().min_by_key(|outcome| outcome.ended_at_ms) else {
            return self.accepted.then(|| "no outcome".to_owned());
        };
        let latest = self.effects.values().flatten().max_by_key(|effect| effect.at_ms)?;
        let late_ms = latest.at_ms - outcome.ended_at_ms;
        (late_ms > clock_slack_ms).then(|| {
            let Effect { participant, action, .. } = latest;
            format!("{participant}: {action} recorded {late_ms} ms after the outcome {}", outcome.name)
        })
    }

    /// Why the effects are not exactly those that every outcome record demands, if they are not.
    pub(super) fn unmet(&self, expectations: &Expectations) -> Option<String> {
        if self.outcomes.is_empty() {
            return Some(format!("no outcome, {}, no dead letter", self.traces()));
        }
        self.outcomes.iter().find_map(|outcome| {
            let Some(demands) = expectations.outcomes.get(&outcome.name) else {
                return Some(format!("the outcome {} is not declared", outcome.name));
            };
            demands.iter().find_map(|(participant, demand)| {
                let tally = self.tally(participant);
                let Counts { dos, undos } = tally.counts();
                (!tally.meets(*demand)).then(|| {
                    format!("{} demands {participant}: {demand}; found do {dos}, undo {undos}", outcome.name)
                })
            })
        })
    }

    /// What there is although nobody sent an input.
    pub(super) fn without_input(&self) -> String {
        let outcomes: Vec<_> = self.outcomes.iter().map(|outcome| outcome.name.as_str()).collect();
        format!("no input, but {} and outcomes [{}]", self.traces(), outcomes.join(", "))
    }

    fn traces(&self) -> String {
        match self.effects.values().map(Vec::len).sum::<usize>() {
            0 => "no effect".to_owned(),
            lines => format!("{lines} lines in the stores"),
        }
    }
}
