//! Which inputs the dead letters are of.

use std::collections::{BTreeMap, BTreeSet};

use crate::evidence::{DeadLetter, Evidence, Input, Position};
use crate::expect::Expectations;

/// Dead letters, by what they are of.
#[derive(Debug)]
pub(super) struct Letters<'a> {
    /// Inputs that cannot be read, and whether each has a dead letter.
    pub(super) refused: BTreeMap<&'a Position, bool>,
    /// All other dead letters.
    pub(super) others: Vec<&'a DeadLetter>,
}

/// Matches dead letters with the inputs that cannot be read.
///
/// A dead letter names the position of the record that failed. That may be the position of a copy: the mesh moves a
/// record that lies on a wrong partition. So letters whose origin is in no input topic are matched by their bytes, and of
/// equal inputs only as many as one dead-letter topic has letters, however many steps refused them.
pub(super) fn sort<'a>(evidence: &'a Evidence, expectations: &Expectations) -> Letters<'a> {
    let unread = || evidence.inputs.iter().filter(|input| input.identity.is_none());
    let mut refused: BTreeMap<&Position, bool> = unread().map(|input| (&input.at, false)).collect();
    let mut others = Vec::new();
    for letter in &evidence.dead_letters {
        match letter.origin.as_ref().and_then(|origin| refused.get_mut(origin)) {
            Some(dead) => *dead = true,
            None => others.push(letter),
        }
    }
    let is_input = |topic: &str| expectations.inputs.iter().any(|input| input.topic == topic);
    let moved = |letter: &&DeadLetter| !letter.origin.as_ref().is_some_and(|origin| is_input(&origin.topic));
    let mut spare = copies(others.iter().copied().filter(moved));
    let open: Vec<&Input> = unread().filter(|input| !refused[&input.at]).collect();
    for input in open {
        if let Some(left) = spare.get_mut(&input.content).filter(|left| **left > 0) {
            *left -= 1;
            refused.insert(&input.at, true);
        }
    }
    Letters { refused, others }
}

/// Letters that should not be there: one that is there twice, one of a record that is not there, one with other bytes.
/// Each with the identity that it names, or its position.
pub(super) fn faults(evidence: &Evidence, expectations: &Expectations) -> Vec<(String, String)> {
    let inputs: BTreeMap<&Position, &Input> =
        evidence.inputs.iter().map(|input| (&input.at, input)).collect();
    let mut known: BTreeSet<(&str, &Position)> = BTreeSet::new();
    let mut found = Vec::new();
    for letter in &evidence.dead_letters {
        let Some(origin) = &letter.origin else { continue };
        let mut blame = |why: String| {
            let id = letter.identity.clone().unwrap_or_else(|| letter.at.to_string());
            found.push((id, format!("dead letter {}: {why}", letter.at)));
        };
        let topic = letter.at.topic.as_str();
        let may_repeat = expectations.dead_letters_may_repeat.iter().any(|name| name == topic);
        if !known.insert((topic, origin)) && !may_repeat {
            blame(format!("{origin} has one there already"));
        }
        match inputs.get(origin) {
            Some(input) if input.content != letter.content => {
                blame(format!("its bytes are not those of {origin}"))
            }
            None if is_missing(origin, evidence, expectations) => blame(format!("{origin} is not there")),
            _ => {}
        }
    }
    found
}

/// Whether a place that holds no input is one that was read.
fn is_missing(at: &Position, evidence: &Evidence, expectations: &Expectations) -> bool {
    let began = evidence.began.get(&(at.topic.clone(), at.partition)).copied().unwrap_or(0);
    expectations.inputs.iter().any(|input| input.topic == at.topic) && at.offset >= began
}

/// By content: how many letters the dead-letter topic with most of them has.
fn copies<'a>(letters: impl Iterator<Item = &'a DeadLetter>) -> BTreeMap<u64, u64> {
    let mut by_topic: BTreeMap<(u64, &str), u64> = BTreeMap::new();
    for letter in letters {
        *by_topic.entry((letter.content, &letter.at.topic)).or_default() += 1;
    }
    let mut most: BTreeMap<u64, u64> = BTreeMap::new();
    for ((content, _), count) in by_topic {
        let most = most.entry(content).or_default();
        *most = count.max(*most);
    }
    most
}
