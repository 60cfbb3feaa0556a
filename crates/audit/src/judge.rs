//! Evidence and expectations to a verdict. Pure: the same evidence always gives the same verdict.

mod effects;
mod events;
mod letters;
mod saga;

use std::collections::{BTreeMap, BTreeSet};

use crate::evidence::{Evidence, Note, Seen};
use crate::expect::Expectations;
use saga::Saga;

/// What can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// An input that neither had its effect once nor lies in a dead-letter topic.
    Lost,
    /// An effect that was applied more than once.
    DupEffect,
    /// An effect that stands although the outcome demands that nothing is left.
    Leaked,
    /// A `do` that was recorded after its `undo`.
    AfterUndo,
    /// A saga without an outcome, or with one while something was still open.
    Unsettled,
    /// A record that the concurrent reader saw and the final reading lacks.
    Phantom,
    /// A saga with more than one outcome.
    DualOutcome,
    /// Something that fits nowhere: an effect or outcome that no input explains, an event that no effect explains or that
    /// is missing, a dead letter of nothing, a record that cannot be read.
    Unexplained,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Lost,
        Self::DupEffect,
        Self::Leaked,
        Self::AfterUndo,
        Self::Unsettled,
        Self::Phantom,
        Self::DualOutcome,
        Self::Unexplained,
    ];

    /// Name of the counter.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::DupEffect => "dup_effect",
            Self::Leaked => "leaked",
            Self::AfterUndo => "after_undo",
            Self::Unsettled => "unsettled",
            Self::Phantom => "phantom",
            Self::DualOutcome => "dual_outcome",
            Self::Unexplained => "unexplained",
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offence {
    /// Identity of the saga, or position of the record.
    pub id: String,
    /// What was found.
    pub why: String,
}

/// What is known beside the evidence.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rules {
    /// How many distinct inputs were sent, where the caller knows: those that never reached a topic leave no trace there.
    pub sent: Option<u64>,
    /// How much later than the outcome a participant's line may be, in ms: 0 where all ran on one machine, since its
    /// clock read both times and the participant's was read first; else the most that the clocks may differ.
    pub clock_slack_ms: i64,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Distinct inputs.
    pub accepted: u64,
    /// Identities with exactly the effects that their outcome demands.
    pub effect_once: u64,
    /// Other inputs that lie in a dead-letter topic.
    pub dlt: u64,
    /// Sagas.
    pub sagas: u64,
    /// Outcomes by name: the declared ones first, completed and compensated in front.
    pub outcomes: Vec<(String, u64)>,
    /// Sagas whose undo failed for good.
    pub stuck: u64,
    /// All that is wrong.
    pub offences: BTreeMap<Kind, Vec<Offence>>,
}

impl Verdict {
    /// Whether nothing is wrong.
    pub fn is_valid(&self) -> bool {
        self.offences.values().all(Vec::is_empty)
    }

    /// How many of one kind are wrong.
    pub fn count(&self, kind: Kind) -> u64 {
        self.offences.get(&kind).map_or(0, |found| found.len() as u64)
    }

    /// Notes something that is wrong.
    fn blame(&mut self, kind: Kind, id: impl Into<String>, why: impl Into<String>) {
        self.offences.entry(kind).or_default().push(Offence { id: id.into(), why: why.into() });
    }
}

/// Compares what was read with what was expected.
pub fn judge(evidence: &Evidence, expectations: &Expectations, rules: Rules) -> Verdict {
    let mut verdict = Verdict { outcomes: outcome_counts(evidence, expectations), ..Verdict::default() };
    let letters = letters::sort(evidence, expectations);
    for (at, dead) in &letters.refused {
        verdict.accepted += 1;
        if *dead {
            verdict.dlt += 1;
        } else {
            verdict.blame(Kind::Lost, at.to_string(), "cannot be read and lies in no dead-letter topic");
        }
    }
    for (identity, saga) in saga::by_identity(evidence, &letters) {
        judge_saga(&mut verdict, identity, &saga, expectations, rules);
    }
    for (id, why) in letters::faults(evidence, expectations) {
        verdict.blame(Kind::Unexplained, id, why);
    }
    judge_records(&mut verdict, evidence, expectations);
    judge_totals(&mut verdict, rules);
    verdict
}

fn judge_saga(
    verdict: &mut Verdict,
    identity: &str,
    saga: &Saga<'_>,
    expectations: &Expectations,
    rules: Rules,
) {
    if saga.accepted || !saga.outcomes.is_empty() {
        verdict.sagas += 1;
    }
    if !saga.accepted && (!saga.outcomes.is_empty() || !saga.effects.is_empty()) {
        verdict.blame(Kind::Unexplained, identity, saga.without_input());
    }
    for (kind, why) in saga.faults(expectations) {
        verdict.blame(kind, identity, why);
    }
    for why in saga.untold(expectations) {
        verdict.blame(Kind::Unexplained, identity, why);
    }
    if let Some(why) = saga.unsettled(rules.clock_slack_ms) {
        verdict.blame(Kind::Unsettled, identity, why);
    }
    if saga.outcomes.is_empty() && saga.letters.iter().any(|letter| letter.undo) {
        verdict.stuck += 1;
    }
    if !saga.accepted {
        return;
    }
    verdict.accepted += 1;
    match saga.unmet(expectations) {
        None => verdict.effect_once += 1,
        Some(_) if !saga.letters.is_empty() => verdict.dlt += 1,
        Some(why) => verdict.blame(Kind::Lost, identity, why),
    }
}

fn judge_records(verdict: &mut Verdict, evidence: &Evidence, expectations: &Expectations) {
    if let Some(seen) = &evidence.seen {
        judge_sight(verdict, seen, &evidence.read);
    }
    for (at, why) in &evidence.unreadable {
        verdict.blame(Kind::Unexplained, at.to_string(), why.clone());
    }
    let known: BTreeSet<&str> = expectations.participants.iter().map(String::as_str).collect();
    for effect in evidence.effects.iter().filter(|effect| !known.contains(effect.participant.as_str())) {
        let why = format!("effect of {}, which no outcome knows", effect.participant);
        verdict.blame(Kind::Unexplained, effect.identity.clone(), why);
    }
}

/// A record that was visible stays, and one that is there was visible to whoever read past it.
fn judge_sight(verdict: &mut Verdict, seen: &Seen, read: &BTreeSet<Note>) {
    for note in seen.notes.difference(read) {
        verdict.blame(
            Kind::Phantom,
            note.at.to_string(),
            "seen by the concurrent reader, gone or another one now",
        );
    }
    let watched = |note: &&Note| seen.watched.contains(&(note.at.topic.clone(), note.at.partition));
    for note in read.difference(&seen.notes).filter(watched) {
        verdict.blame(
            Kind::Unexplained,
            note.at.to_string(),
            "not seen by the concurrent reader, which read past it",
        );
    }
}

fn judge_totals(verdict: &mut Verdict, rules: Rules) {
    let accepted = verdict.accepted;
    if accepted == 0 {
        verdict.blame(Kind::Unexplained, "inputs", "there is none, so nothing is proved");
    }
    if let Some(sent) = rules.sent.filter(|sent| *sent != accepted) {
        verdict.blame(
            Kind::Unexplained,
            "inputs",
            format!("{sent} were sent, and the topics hold {accepted}"),
        );
    }
}

/// Number of records by outcome; sagas with two outcomes count for both.
fn outcome_counts(evidence: &Evidence, expectations: &Expectations) -> Vec<(String, u64)> {
    let mut counts: BTreeMap<&str, u64> =
        expectations.outcomes.keys().map(|name| (name.as_str(), 0)).collect();
    for outcome in &evidence.outcomes {
        *counts.entry(outcome.name.as_str()).or_default() += 1;
    }
    let rank = |name: &str| match name {
        "completed" => 0,
        "compensated" => 1,
        name if expectations.outcomes.contains_key(name) => 2,
        _ => 3,
    };
    let mut counts: Vec<_> = counts.into_iter().map(|(name, count)| (name.to_owned(), count)).collect();
    counts.sort_by_key(|(name, _)| rank(name));
    counts
}
