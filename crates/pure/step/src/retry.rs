//! Whether a failed attempt is tried again in place, and when.

/// Tries in place: how many, and the bounds between which the wait grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Attempts in all, at least 1.
    pub tries: u32,
    /// Wait before the second attempt, in ms.
    pub wait_min_ms: u64,
    /// Longest wait, in ms.
    pub wait_max_ms: u64,
}

/// A handler's failure, as far as trying again is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Trying again may help, not before `after_ms` if the handler said so.
    Retryable {
        /// From a `Retry-After`, in ms.
        after_ms: Option<u64>,
    },
    /// Trying again is useless.
    Terminal,
}

/// What follows from a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Try again after this many ms.
    Again {
        /// The wait, in ms.
        wait_ms: u64,
    },
    /// Give the record up.
    GiveUp,
}

/// Longest `Retry-After` that is waited for in place, in ms: the record holds its key and a handler's place meanwhile.
pub const RETRY_AFTER_MAX_MS: u64 = 60_000;

impl Policy {
    /// After failed `attempt` (from 1). The wait doubles from attempt to attempt and is drawn evenly from the upper half
    /// below that bound, by `random` (any number): copies that failed together do not come back together.
    pub fn after(&self, attempt: u32, failure: Failure, random: u64) -> Next {
        let Failure::Retryable { after_ms } = failure else { return Next::GiveUp };
        if attempt >= self.tries {
            return Next::GiveUp;
        }
        let doublings = (attempt - 1).min(32);
        let bound = self.wait_min_ms.saturating_mul(1 << doublings).min(self.wait_max_ms);
        let half = bound / 2;
        let wait_ms = half + random % (bound - half + 1);
        Next::Again { wait_ms: wait_ms.max(after_ms.unwrap_or(0).min(RETRY_AFTER_MAX_MS)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: Policy = Policy { tries: 5, wait_min_ms: 100, wait_max_ms: 1_000 };
    const RETRYABLE: Failure = Failure::Retryable { after_ms: None };

    #[test]
    fn waits_grow_to_their_bound() {
        let bounds = [(1, 50, 100), (2, 100, 200), (3, 200, 400), (4, 400, 800)];
        for (attempt, low, high) in bounds {
            for random in [0, 1, 49, 50, 1_000_003, u64::MAX] {
                let Next::Again { wait_ms } = POLICY.after(attempt, RETRYABLE, random) else {
                    panic!("attempt {attempt} is not the last")
                };
                assert!((low..=high).contains(&wait_ms), "attempt {attempt}: {wait_ms}");
            }
        }
        let long = Policy { tries: u32::MAX, ..POLICY };
        assert_eq!(long.after(4_000, RETRYABLE, 0), Next::Again { wait_ms: 500 });
    }

    #[test]
    fn the_last_try_and_a_terminal_failure_give_up() {
        assert_eq!(POLICY.after(5, RETRYABLE, 0), Next::GiveUp);
        assert_eq!(POLICY.after(1, Failure::Terminal, 0), Next::GiveUp);
        assert_eq!(Policy { tries: 1, ..POLICY }.after(1, RETRYABLE, 0), Next::GiveUp);
    }

    #[test]
    fn a_handlers_own_wait_counts_up_to_a_bound() {
        let after = |after_ms| Failure::Retryable { after_ms: Some(after_ms) };
        assert_eq!(POLICY.after(1, after(5_000), 0), Next::Again { wait_ms: 5_000 });
        assert_eq!(POLICY.after(1, after(1), 0), Next::Again { wait_ms: 50 });
        assert_eq!(POLICY.after(1, after(u64::MAX), 0), Next::Again { wait_ms: RETRY_AFTER_MAX_MS });
    }
}
