//! Who holds a partition, written down beside its offset: whether the last owner left cleanly is seen by the next.
//!
//! Each offset commit carries metadata. A member that comes to its partitions claims them (`owned:<its ID>`), and one that
//! leaves releases them (`released:<its ID>`). Who finds another's claim continues after an owner that did not leave
//! cleanly: a takeover, counted in `quadrille_takeovers_total`. A claim or a release writes the offset that is committed
//! already, under the same fencing as any other commit, so it moves none: where the member does not know for certain what
//! is committed, it does not write.

use std::collections::BTreeMap;

use crate::group::{Member, Membership};
use crate::transaction::{Failure, Offsets};
use crate::writer::Writer;

const OWNED: &str = "owned:";
const RELEASED: &str = "released:";

/// The metadata of a commit by `id`.
pub(crate) fn mark(id: &str, released: bool) -> String {
    format!("{}{id}", if released { RELEASED } else { OWNED })
}

/// What a member knows of the partitions that it holds.
#[derive(Debug, Default)]
pub struct Holding {
    /// What is committed.
    committed: Offsets,
    /// Nothing is known: it was just assigned, or a burst was in doubt.
    must_look: bool,
}

impl Holding {
    /// Other partitions are held from now on, or what is committed is in doubt.
    pub fn reset(&mut self) {
        self.committed.clear();
        self.must_look = true;
    }

    /// Nothing is held any more.
    pub fn gone(&mut self) {
        self.committed.clear();
        self.must_look = false;
    }

    /// These offsets were committed.
    pub fn committed(&mut self, offsets: &Offsets) {
        self.committed.extend(offsets.iter().map(|(partition, offset)| (partition.clone(), *offset)));
    }

    /// Whether [`claim`](Self::claim) has something to do.
    pub fn must_claim(&self) -> bool {
        self.must_look
    }

    /// Reads what is committed for the member's partitions, and claims those that are not claimed by it. Tried once for
    /// each [`reset`](Self::reset): it decides nothing. After an error `writer` must be prepared.
    pub fn claim(&mut self, writer: &mut Writer, member: &Member) -> Result<(), Failure> {
        self.must_look = false;
        let found = match member.marked(&member.assignment()) {
            Ok(found) => found,
            Err(error) => {
                tracing::info!(target: "quadrille::kafka", %error, "whose the partitions were stays unknown");
                return Ok(());
            }
        };
        let mine = writer.mark();
        let unclaimed: Offsets = found
            .iter()
            .filter(|(_, (_, found))| *found != mine)
            .map(|(partition, (offset, _))| (partition.clone(), *offset))
            .collect();
        if !unclaimed.is_empty() {
            writer.burst(&[], &unclaimed, &member.membership())?;
        }
        let taken = found.values().filter(|(_, found)| is_of_another(found, &mine)).count();
        metrics::counter!("quadrille_takeovers_total").increment(taken as u64);
        if taken > 0 {
            tracing::info!(target: "quadrille::kafka", partitions = taken, "taken over from who did not leave");
        }
        let offsets = found.into_iter().map(|(partition, (offset, _))| (partition, offset));
        self.committed = offsets.collect::<BTreeMap<_, _>>();
        Ok(())
    }

    /// Releases what is held, while `membership` is still valid. After an error `writer` must be prepared.
    pub fn release(&mut self, writer: &mut Writer, membership: &Membership<'_>) -> Result<(), Failure> {
        let committed = std::mem::take(&mut self.committed);
        if committed.is_empty() { Ok(()) } else { writer.release(&committed, membership) }
    }
}

fn is_of_another(found: &str, mine: &str) -> bool {
    found.starts_with(OWNED) && found != mine
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_anothers_claim_is_a_takeover() {
        let mine = mark("shop.payment.1.0", false);
        let another = mark("shop.payment.0.0", false);
        let released = mark("shop.payment.0.0", true);
        let cases = [(another.as_str(), true), (&mine, false), (&released, false), ("", false), ("x", false)];
        for (found, is) in cases {
            assert_eq!(is_of_another(found, &mine), is, "{found}");
        }
    }
}
