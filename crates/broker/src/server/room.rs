//! Memory for what is large, over all connections together: frames that arrive, answers that leave.
//!
//! Each connection may hold [`SMALL`] bytes of frames and of answers without asking, so small requests never wait for others'
//! large ones. What goes beyond is taken out of one budget: a frame waits for room, a fetch brings less.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes that a connection may hold without asking; what librdkafka sends at most by default (1 MB) has room in it.
pub(crate) const SMALL: usize = 1_280 * 1_024;
const UNIT: usize = 64 * 1_024;

/// The budget.
#[derive(Debug)]
pub(crate) struct Room {
    units: Arc<Semaphore>,
    most: usize,
    /// Bytes of frames and answers that connections hold now, small ones included.
    held: AtomicUsize,
}

/// A part of the budget, given back when dropped.
pub(crate) type Held = OwnedSemaphorePermit;

impl Room {
    pub(crate) fn new(bytes: usize) -> Room {
        let most = bytes / UNIT;
        Room { units: Arc::new(Semaphore::new(most)), most, held: AtomicUsize::new(0) }
    }

    /// Waits until there is room for `bytes` more; a frame that no budget has room for gets all of it.
    pub(crate) async fn grow(&self, held: &mut Option<Held>, bytes: usize) {
        let now = held.as_ref().map_or(0, Held::num_permits);
        let wanted = bytes.div_ceil(UNIT).min(self.most).saturating_sub(now);
        let wanted = u32::try_from(wanted).unwrap_or(u32::MAX);
        let Ok(more) = Arc::clone(&self.units).acquire_many_owned(wanted).await else { return };
        match held {
            Some(held) => held.merge(more),
            None => *held = Some(more),
        }
    }

    /// How much of an answer of `bytes` there is room for now.
    pub(crate) fn part_of(&self, bytes: usize) -> (usize, Option<Held>) {
        let Some(more) = bytes.checked_sub(SMALL).filter(|more| *more > 0) else { return (bytes, None) };
        let units = u32::try_from(more.div_ceil(UNIT)).unwrap_or(u32::MAX);
        match Arc::clone(&self.units).try_acquire_many_owned(units) {
            Ok(held) => (bytes, Some(held)),
            Err(_) => (SMALL, None),
        }
    }

    /// Bytes held now.
    pub(crate) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }
}

/// What one connection holds, for the count.
#[derive(Debug)]
pub(crate) struct Load<'a> {
    room: &'a Room,
    bytes: usize,
}

impl<'a> Load<'a> {
    pub(crate) fn new(room: &'a Room) -> Self {
        Load { room, bytes: 0 }
    }

    pub(crate) fn set(&mut self, bytes: usize) {
        if bytes >= self.bytes {
            self.room.held.fetch_add(bytes - self.bytes, Ordering::Relaxed);
        } else {
            self.room.held.fetch_sub(self.bytes - bytes, Ordering::Relaxed);
        }
        self.bytes = bytes;
    }
}

impl Drop for Load<'_> {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_large_shares_a_budget() {
        let room = Room::new(4 * UNIT);
        assert_eq!(room.part_of(SMALL).0, SMALL, "small answers never ask");
        let (whole, first) = room.part_of(SMALL + 3 * UNIT);
        assert_eq!((whole, first.is_some()), (SMALL + 3 * UNIT, true));
        assert_eq!(room.part_of(SMALL + 2 * UNIT).0, SMALL, "the budget is used up");
        drop(first);
        assert_eq!(room.part_of(SMALL + 2 * UNIT).0, SMALL + 2 * UNIT);
    }

    #[tokio::test]
    async fn a_frame_waits_for_room() {
        let room = Room::new(4 * UNIT);
        let (mut one, mut two) = (None, None);
        room.grow(&mut one, 2 * UNIT).await;
        room.grow(&mut one, 3 * UNIT).await;
        assert_eq!(one.as_ref().map(Held::num_permits), Some(3));
        let waits = tokio::time::timeout(std::time::Duration::from_millis(20), room.grow(&mut two, 2 * UNIT));
        assert!(waits.await.is_err(), "it had to wait");
        drop(one);
        room.grow(&mut two, 9 * UNIT).await;
        assert_eq!(two.map(|held| held.num_permits()), Some(4), "never more than there is");
    }
}
