//! Named places where the process dies on demand, so that crash tests can choose the worst moment.
//!
//! With the feature `failpoints`, `QUADRILLE_BROKER_FAILPOINT=NAME` or `NAME:N` aborts the process when the place has been
//! reached for the Nth time, after the line `failpoint NAME` on standard error. Without the feature nothing of this exists.

/// The decision of a transaction is durable, no marker is written.
pub(crate) const TXN_AFTER_PREPARE: &str = "txn-after-prepare";
/// Frames are written, not flushed.
pub(crate) const JOURNAL_BEFORE_FLUSH: &str = "journal-before-flush";
/// Segments are flushed and the next journal is in use, the checkpoint is not in force.
pub(crate) const CHECKPOINT_BEFORE_RENAME: &str = "checkpoint-before-rename";
/// The checkpoint is in force, older files are still there.
pub(crate) const CHECKPOINT_BEFORE_REMOVAL: &str = "checkpoint-before-removal";

#[cfg(feature = "failpoints")]
mod armed {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicI64, Ordering};

    static ARMED: OnceLock<Option<(String, AtomicI64)>> = OnceLock::new();

    fn armed() -> Option<&'static (String, AtomicI64)> {
        let read = || {
            let value = std::env::var("QUADRILLE_BROKER_FAILPOINT").ok()?;
            let (name, count) = value.split_once(':').unwrap_or((&value, "1"));
            Some((name.to_string(), AtomicI64::new(count.parse().ok()?)))
        };
        ARMED.get_or_init(read).as_ref()
    }

    pub(crate) fn is_armed(name: &str) -> bool {
        armed().is_some_and(|(armed, _)| armed == name)
    }

    pub(crate) fn reach(name: &str) {
        if let Some((armed, left)) = armed()
            && armed == name
            && left.fetch_sub(1, Ordering::SeqCst) == 1
        {
            eprintln!("failpoint {name}");
            std::process::abort();
        }
    }
}

#[cfg(feature = "failpoints")]
pub(crate) use armed::{is_armed, reach};

#[cfg(not(feature = "failpoints"))]
pub(crate) fn is_armed(_name: &str) -> bool {
    false
}

#[cfg(not(feature = "failpoints"))]
pub(crate) fn reach(_name: &str) {}
