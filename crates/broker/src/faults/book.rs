//! The rules and what has become of them: every decision, without IO. Time is an argument.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::ApiKey;

use super::request::{Kind, Request};
use super::rule::{BadRule, Chance, Effect, Rule};

/// How often a rule has come to something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Count {
    /// Occurrences that the rule was asked about.
    pub matched: u64,
    /// Times the fault happened.
    pub happened: u64,
    /// Of [`Effect::LateEndTxn`]: those that the broker took, so that they ended another transaction than they were meant for.
    pub accepted: u64,
}

/// A rule that strikes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fired {
    pub(crate) rule: String,
    pub(crate) effect: Effect,
}

#[derive(Debug)]
struct Entry {
    rule: Rule,
    count: Count,
    /// Times the rule has struck; the fault may happen later, or never.
    fired: u64,
    /// Whose coordinator has moved and was not looked for since, and when it can be found again.
    moved: BTreeMap<(Kind, String), i64>,
    /// Transactional IDs whose markers are withheld.
    withheld: BTreeSet<String>,
    /// EndTxn requests on their way, by transactional ID.
    late: BTreeMap<String, Bytes>,
}

/// All rules, in the order in which they were added: the first that strikes decides.
#[derive(Debug, Default)]
pub(crate) struct Book {
    entries: Vec<Entry>,
}

impl Book {
    pub(crate) fn add(&mut self, rule: Rule) -> Result<(), BadRule> {
        rule.check()?;
        if self.entries.iter().any(|e| e.rule.name == rule.name) {
            return Err(BadRule::Known(rule.name));
        }
        self.entries.push(Entry {
            rule,
            count: Count::default(),
            fired: 0,
            moved: BTreeMap::new(),
            withheld: BTreeSet::new(),
            late: BTreeMap::new(),
        });
        Ok(())
    }

    /// Whether there was such a rule.
    pub(crate) fn remove(&mut self, name: &str) -> bool {
        let before = self.entries.len();
        self.entries.retain(|e| e.rule.name != name);
        self.entries.len() < before
    }

    pub(crate) fn clear(&mut self) {
        self.entries.clear();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn list(&self) -> Vec<(Rule, Count)> {
        self.entries.iter().map(|e| (e.rule.clone(), e.count)).collect()
    }

    /// What is to become of a request; `None`: what always becomes of it.
    pub(crate) fn on_request(&mut self, request: &Request, now_ms: i64) -> Option<Fired> {
        self.entries.iter_mut().find_map(|entry| {
            let effect = entry.on_request(request, now_ms)?;
            Some(Fired { rule: entry.rule.name.clone(), effect })
        })
    }

    /// What is to happen while the journal is written.
    pub(crate) fn on_write(&mut self, flush: bool) -> Option<Effect> {
        self.entries.iter_mut().find_map(|entry| {
            let meant = match entry.rule.effect {
                Effect::FullDisk => true,
                Effect::SlowFlush { .. } => flush,
                _ => false,
            };
            (meant && entry.strikes()).then(|| entry.happens())
        })
    }

    /// Whether the markers of a transaction that is decided now are withheld.
    pub(crate) fn withhold(&mut self, transactional_id: &str) -> bool {
        self.entries.iter_mut().any(|entry| {
            let strikes = entry.rule.effect == Effect::HangingTransaction
                && fits(entry.rule.transactional_id.as_deref(), Some(transactional_id))
                && entry.strikes();
            if strikes {
                entry.happens();
                entry.withheld.insert(transactional_id.to_owned());
            }
            strikes
        })
    }

    /// Whether the markers of a transaction that was decided before are still withheld.
    pub(crate) fn withholds(&self, transactional_id: &str) -> bool {
        self.entries.iter().any(|entry| entry.withheld.contains(transactional_id))
    }

    /// Keeps an EndTxn on its way.
    pub(crate) fn keep(&mut self, rule: &str, transactional_id: &str, frame: Bytes) {
        if let Some(entry) = self.entry(rule) {
            entry.late.insert(transactional_id.to_owned(), frame);
        }
    }

    /// The EndTxn that arrives now that the transactional ID's owner has begun to write.
    pub(crate) fn arrives(&mut self, request: &Request) -> Option<(String, Bytes)> {
        if !matches!(request.key, ApiKey::Produce | ApiKey::TxnOffsetCommit) {
            return None;
        }
        let id = request.transactional_id.as_deref()?;
        self.entries.iter_mut().find_map(|e| Some((e.rule.name.clone(), e.late.remove(id)?)))
    }

    /// A fault that was begun before has come to its end.
    pub(crate) fn has_happened(&mut self, rule: &str, accepted: bool) {
        if let Some(entry) = self.entry(rule) {
            entry.count.happened += 1;
            entry.count.accepted += u64::from(accepted);
        }
    }

    fn entry(&mut self, rule: &str) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|e| e.rule.name == rule)
    }
}

impl Entry {
    fn on_request(&mut self, request: &Request, now_ms: i64) -> Option<Effect> {
        if let Effect::CoordinatorMoved { away_ms } = self.rule.effect {
            return self.on_moved(request, away_ms, now_ms);
        }
        let on_its_way = || request.transactional_id.as_ref().is_none_or(|id| self.late.contains_key(id));
        if !self.is_for(request) || (self.rule.effect == Effect::LateEndTxn && on_its_way()) {
            return None;
        }
        if !self.strikes() {
            return None;
        }
        match self.rule.effect {
            // These happen when the next answer has overtaken this one, and when the request arrives after all.
            Effect::ReorderResponse | Effect::LateEndTxn => Some(self.rule.effect.clone()),
            _ => Some(self.happens()),
        }
    }

    fn on_moved(&mut self, request: &Request, away_ms: u64, now_ms: i64) -> Option<Effect> {
        let (kind, id) = request.coordinated()?;
        let subject = (kind, id.to_owned());
        if request.key == ApiKey::FindCoordinator {
            if now_ms < *self.moved.get(&subject)? {
                return Some(error(ResponseError::CoordinatorNotAvailable));
            }
            self.moved.remove(&subject);
            return None;
        }
        if !self.is_for(request) {
            return None;
        }
        if !self.moved.contains_key(&subject) {
            if !self.strikes() {
                return None;
            }
            self.moved.insert(subject, now_ms.saturating_add_unsigned(away_ms));
        }
        self.happens();
        Some(error(ResponseError::NotCoordinator))
    }

    fn is_for(&self, request: &Request) -> bool {
        let (rule, api) = (&self.rule, format!("{:?}", request.key));
        (rule.api.is_empty() || rule.api.contains(&api))
            && rule.effect.applies_to(&api)
            && fits(rule.client_id.as_deref(), Some(&request.client_id))
            && fits(rule.transactional_id.as_deref(), request.transactional_id.as_deref())
            && fits(rule.group.as_deref(), request.group.as_deref())
    }

    /// Counts an occurrence, and says whether it is one of those meant.
    fn strikes(&mut self) -> bool {
        self.count.matched += 1;
        let (rule, occurrence) = (&self.rule, self.count.matched);
        let strikes = occurrence >= rule.from
            && (occurrence - rule.from).is_multiple_of(rule.every)
            && rule.times.is_none_or(|times| self.fired < times)
            && rule.chance.is_none_or(|chance| falls(chance, occurrence));
        self.fired += u64::from(strikes);
        strikes
    }

    fn happens(&mut self) -> Effect {
        self.count.happened += 1;
        self.rule.effect.clone()
    }
}

fn error(error: ResponseError) -> Effect {
    Effect::Error { code: error.code(), carried_out: false }
}

/// Whether a value is the one wanted; an ending `*` stands for any ending.
fn fits(wanted: Option<&str>, value: Option<&str>) -> bool {
    let Some(wanted) = wanted else { return true };
    let Some(value) = value else { return false };
    wanted.strip_suffix('*').map_or(value == wanted, |beginning| value.starts_with(beginning))
}

/// SplitMix64 of seed and occurrence: no state, so the decisions of a rule do not depend on other rules.
fn falls(chance: Chance, occurrence: u64) -> bool {
    let mut z = chance.seed.wrapping_add(occurrence.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (z ^ (z >> 31)) % 1_000 < u64::from(chance.per_mille)
}

#[cfg(test)]
mod tests;
