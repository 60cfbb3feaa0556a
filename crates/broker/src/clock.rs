//! The broker's clock: wall time that never steps backwards while the process lives.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970, anchored once, so that deadlines don't move when the system clock is set.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    anchor: Instant,
    anchor_ms: i64,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Clock { anchor: Instant::now(), anchor_ms: wall_ms() }
    }

    pub(crate) fn now_ms(&self) -> i64 {
        self.anchor_ms + i64::try_from(self.anchor.elapsed().as_millis()).unwrap_or(i64::MAX / 2)
    }

    /// The instant of `at_ms`, or now if it has passed.
    pub(crate) fn instant(&self, at_ms: i64) -> tokio::time::Instant {
        let since = u64::try_from(at_ms.saturating_sub(self.anchor_ms)).unwrap_or(0);
        tokio::time::Instant::from_std(self.anchor) + Duration::from_millis(since)
    }
}

/// Milliseconds since 1970 as the system has it now.
pub(crate) fn wall_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX))
}
