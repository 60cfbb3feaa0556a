//! Which handler may run now: at most `limit` beside each other, one at a time per key, in the order of the log.

use std::collections::{BTreeMap, VecDeque};

/// Work that waits for its turn.
#[derive(Debug)]
pub struct Schedule<K, W> {
    limit: usize,
    running: usize,
    waiting: usize,
    ready: VecDeque<(K, W)>,
    /// Keys that have work running or ready, with what waits behind it.
    busy: BTreeMap<K, VecDeque<W>>,
}

impl<K: Ord + Clone, W> Schedule<K, W> {
    /// Room for `limit` handlers, at least one.
    pub fn new(limit: usize) -> Self {
        Self { limit: limit.max(1), running: 0, waiting: 0, ready: VecDeque::new(), busy: BTreeMap::new() }
    }

    /// Adds work behind all other of the same key.
    pub fn offer(&mut self, key: K, work: W) {
        self.waiting += 1;
        match self.busy.get_mut(&key) {
            Some(queue) => queue.push_back(work),
            None => {
                self.busy.insert(key.clone(), VecDeque::new());
                self.ready.push_back((key, work));
            }
        }
    }

    /// The next work that may run. Whoever takes it calls [`done`](Self::done) with its key afterwards.
    pub fn start(&mut self) -> Option<(K, W)> {
        if self.running == self.limit {
            return None;
        }
        let next = self.ready.pop_front()?;
        self.running += 1;
        self.waiting -= 1;
        Some(next)
    }

    /// The work running for `key` has ended; what waits behind it becomes ready.
    pub fn done(&mut self, key: &K) {
        self.running = self.running.saturating_sub(1);
        let Some(queue) = self.busy.get_mut(key) else { return };
        match queue.pop_front() {
            Some(work) => self.ready.push_back((key.clone(), work)),
            None => {
                self.busy.remove(key);
            }
        }
    }

    /// Drops all waiting work that matches; what runs goes on.
    pub fn forget(&mut self, mut matches: impl FnMut(&W) -> bool) {
        for queue in self.busy.values_mut() {
            queue.retain(|work| !matches(work));
        }
        for (key, work) in std::mem::take(&mut self.ready) {
            if !matches(&work) {
                self.ready.push_back((key, work));
            } else if let Some(next) = self.busy.get_mut(&key).and_then(VecDeque::pop_front) {
                self.ready.push_back((key, next));
            } else {
                self.busy.remove(&key);
            }
        }
        self.waiting = self.ready.len() + self.busy.values().map(VecDeque::len).sum::<usize>();
    }

    /// Work that is running.
    pub fn running(&self) -> usize {
        self.running
    }

    /// Work that has not begun.
    pub fn waiting(&self) -> usize {
        self.waiting
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn keys_run_beside_each_other_and_one_key_in_order() {
        let mut schedule = Schedule::new(2);
        for (key, work) in [("a", 1), ("a", 2), ("b", 3), ("c", 4)] {
            schedule.offer(key, work);
        }
        assert_eq!(schedule.start(), Some(("a", 1)));
        assert_eq!(schedule.start(), Some(("b", 3)));
        assert_eq!(schedule.start(), None, "the limit is two");
        schedule.done(&"a");
        assert_eq!(schedule.start(), Some(("c", 4)), "a key goes to the end of the line");
        schedule.done(&"b");
        assert_eq!(schedule.start(), Some(("a", 2)));
        assert_eq!((schedule.running(), schedule.waiting()), (2, 0));
    }

    #[test]
    fn forgotten_work_never_starts_and_a_running_key_stays_locked() {
        let mut schedule = Schedule::new(4);
        for (key, work) in [("a", 1), ("a", 2), ("b", 3), ("b", 4)] {
            schedule.offer(key, work);
        }
        assert_eq!(schedule.start(), Some(("a", 1)));
        schedule.forget(|work| *work != 4);
        assert_eq!(schedule.waiting(), 1);
        assert_eq!(schedule.start(), Some(("b", 4)), "what is not forgotten moves up");
        schedule.offer("a", 5);
        assert_eq!(schedule.start(), None, "a is still running");
        schedule.done(&"a");
        assert_eq!(schedule.start(), Some(("a", 5)));
    }

    proptest! {
        #[test]
        fn order_per_key_holds_and_all_work_runs(keys in prop::collection::vec(0..5_u8, 0..60), limit in 1..6_usize) {
            let mut schedule = Schedule::new(limit);
            for (index, key) in keys.iter().enumerate() {
                schedule.offer(*key, index);
            }
            let (mut running, mut begun) = (VecDeque::new(), Vec::new());
            loop {
                while let Some(next) = schedule.start() {
                    prop_assert!(running.iter().all(|(key, _)| *key != next.0));
                    running.push_back(next);
                }
                prop_assert!(running.len() <= limit);
                let Some((key, work)) = running.pop_front() else { break };
                begun.push((key, work));
                schedule.done(&key);
            }
            prop_assert_eq!(begun.len(), keys.len());
            for key in 0..5 {
                let order: Vec<_> = begun.iter().filter(|(k, _)| *k == key).map(|(_, work)| *work).collect();
                prop_assert!(order.is_sorted());
            }
        }
    }
}
