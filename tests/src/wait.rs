//! Waiting for something to become true, with a deadline and a reason.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// Between two looks. Short against everything that is waited for, long against the cost of a look.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Calls `probe` until it gives `Ok`, at least once, for at most `limit`.
///
/// An `Err` of the probe says why it is not so yet; the last one is the reason in the error after the deadline.
pub fn eventually<T>(limit: Duration, what: &str, mut probe: impl FnMut() -> Result<T>) -> Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        match probe() {
            Ok(value) => return Ok(value),
            Err(reason) if Instant::now() >= deadline => {
                return Err(reason).with_context(|| format!("not within {limit:?}: {what}"));
            }
            Err(_) => thread::sleep(LOOK_EVERY),
        }
    }
}
