//! What one participant did for one saga.

use std::collections::BTreeMap;

use crate::evidence::{Action, Effect};
use crate::expect::{Counts, Demand, Word};

/// What one participant did for one saga, by activation.
#[derive(Debug, Default)]
pub(super) struct Tally<'a> {
    activations: BTreeMap<&'a str, Activation>,
}

#[derive(Debug, Default)]
struct Activation {
    dos: u32,
    undos: u32,
    /// An `undo` was recorded, whether it had an effect or not.
    undo_seen: bool,
    after_undo: bool,
}

impl<'a> Tally<'a> {
    /// Counts the lines of one participant, in the order in which it recorded them.
    pub(super) fn of(effects: &[&'a Effect]) -> Self {
        let mut tally = Self::default();
        for effect in effects {
            let activation = tally.activations.entry(effect.activation.as_str()).or_default();
            match effect.action {
                Action::Do if effect.applied => {
                    activation.dos += 1;
                    activation.after_undo |= activation.undo_seen;
                }
                Action::Do => {}
                Action::Undo => {
                    activation.undos += u32::from(effect.applied);
                    activation.undo_seen = true;
                }
            }
        }
        tally
    }

    /// Applied effects and compensations.
    pub(super) fn counts(&self) -> Counts {
        let sum = |number: fn(&Activation) -> u32| self.activations.values().map(number).sum();
        Counts { dos: sum(|a| a.dos), undos: sum(|a| a.undos) }
    }

    /// Whether `demand` is met.
    pub(super) fn meets(&self, demand: Demand) -> bool {
        let met = match demand {
            Demand::Word(Word::Balanced) => true,
            Demand::Word(Word::Never) => self.counts() == Counts { dos: 0, undos: 0 },
            Demand::Counts(counts) => self.counts() == counts,
        };
        met && !(demand.leaves_nothing() && self.open().next().is_some())
    }

    /// Activations that are done more often than undone, or the other way round.
    pub(super) fn open(&self) -> impl Iterator<Item = (&'a str, Counts)> {
        let open = self.activations.iter().filter(|(_, a)| a.dos != a.undos);
        open.map(|(id, a)| (*id, Counts { dos: a.dos, undos: a.undos }))
    }

    /// Activations whose `do` was applied after an `undo` was recorded.
    pub(super) fn after_undo(&self) -> impl Iterator<Item = &'a str> {
        self.activations.iter().filter(|(_, a)| a.after_undo).map(|(id, _)| *id)
    }

    /// Effects that were applied more than once for one activation, and effects of more than `most` activations.
    pub(super) fn repeated(&self, most: u32) -> Vec<String> {
        let mut found = Vec::new();
        for (id, activation) in &self.activations {
            for (action, times) in [(Action::Do, activation.dos), (Action::Undo, activation.undos)] {
                if times > 1 {
                    found.push(format!("{action} of activation {id} applied {times} times"));
                }
            }
        }
        let done = self.activations.values().filter(|a| a.dos > 0).count();
        if done > most as usize {
            found.push(format!("do applied for {done} activations, {most} at most"));
        }
        found
    }
}
