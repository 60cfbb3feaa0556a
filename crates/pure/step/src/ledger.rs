//! The activations that a step knows, per partition, so that a foreign producer's copy of an event has no second effect.
//!
//! The truth is the ledger topic, written in the transaction that commits the activation's input; this is its tail in
//! memory. Inside the mesh transactions already drop duplicates, so only steps that a foreign event triggers keep one.

use std::collections::{BTreeSet, VecDeque};

use quadrille_types::ActivationId;

/// The last `window` activations of one partition.
#[derive(Debug)]
pub struct Ledger {
    window: usize,
    order: VecDeque<ActivationId>,
    known: BTreeSet<ActivationId>,
}

impl Ledger {
    /// Remembers `window` activations, at least one.
    pub fn new(window: usize) -> Self {
        Self { window: window.max(1), order: VecDeque::new(), known: BTreeSet::new() }
    }

    /// Remembers `activation` and says whether it was new.
    pub fn insert(&mut self, activation: ActivationId) -> bool {
        if !self.known.insert(activation) {
            return false;
        }
        self.order.push_back(activation);
        if self.order.len() > self.window
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }

    /// Whether `activation` is remembered.
    pub fn knows(&self, activation: &ActivationId) -> bool {
        self.known.contains(activation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quadrille_types::RunId;
    use quadrille_types::ids::Trigger;

    #[test]
    fn remembers_its_window_and_no_more() {
        let activations: Vec<_> =
            (0..4).map(|n| RunId::of("m", "f", &n.to_string()).activation("s", &Trigger::Start)).collect();
        let mut ledger = Ledger::new(3);
        for activation in &activations {
            assert!(ledger.insert(*activation));
        }
        assert!(!ledger.insert(activations[3]), "a copy is not new");
        assert!(!ledger.knows(&activations[0]));
        assert!(activations[1..].iter().all(|a| ledger.knows(a)));
    }
}
