//! Which inputs have come to their end: each identity by an outcome or by a dead letter.

use std::collections::{BTreeMap, BTreeSet};

/// The identities that are waited for, and what has become of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Awaited {
    open: BTreeSet<String>,
    total: usize,
    outcomes: BTreeMap<String, usize>,
    dead: usize,
}

impl Awaited {
    /// Waits for these.
    pub fn new(identities: impl IntoIterator<Item = String>) -> Self {
        let open: BTreeSet<_> = identities.into_iter().collect();
        Self { total: open.len(), open, ..Self::default() }
    }

    /// An outcome was seen.
    pub fn outcome(&mut self, identity: &str, outcome: &str) {
        *self.outcomes.entry(outcome.to_owned()).or_default() += 1;
        self.open.remove(identity);
    }

    /// A dead letter was seen. It ends only what is nothing else: an order whose garbage copy died still has its outcome
    /// to come.
    pub fn dead(&mut self, identity: &str, is_garbage: bool) {
        self.dead += 1;
        if is_garbage {
            self.open.remove(identity);
        }
    }

    /// How many identities there are.
    pub fn total(&self) -> usize {
        self.total
    }

    /// How many of them have come to their end.
    pub fn done(&self) -> usize {
        self.total - self.open.len()
    }

    /// Outcomes seen, by name.
    pub fn outcomes(&self) -> &BTreeMap<String, usize> {
        &self.outcomes
    }

    /// Dead letters seen.
    pub fn dead_letters(&self) -> usize {
        self.dead
    }

    /// Some that are still open.
    pub fn examples(&self) -> Vec<&str> {
        self.open.iter().take(10).map(String::as_str).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_ends_once_by_outcome_or_as_garbage() {
        let mut awaited = Awaited::new(["a", "a", "b", "c"].map(str::to_owned));
        assert_eq!((awaited.done(), awaited.total()), (0, 3));
        awaited.outcome("a", "completed");
        awaited.dead("b", false);
        assert_eq!((awaited.done(), awaited.examples()), (1, vec!["b", "c"]));
        awaited.dead("c", true);
        awaited.dead("c", true);
        awaited.outcome("b", "compensated");
        assert_eq!((awaited.done(), awaited.dead_letters()), (3, 3));
    }
}
