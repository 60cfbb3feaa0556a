//! Ctrl-c, for commands that go on until somebody ends them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::runtime::Handle;

/// Exit code of a process that SIGINT ended, as shells have it.
const INTERRUPTED: i32 = 130;

/// Says whether somebody pressed ctrl-c.
#[derive(Clone, Debug)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// From now on ctrl-c is a wish, and only a second one an order.
    pub(crate) fn listen(tokio: &Handle) -> Self {
        let pressed = Arc::new(AtomicBool::new(false));
        let interrupt = Self(Arc::clone(&pressed));
        tokio.spawn(async move {
            while tokio::signal::ctrl_c().await.is_ok() {
                if pressed.swap(true, Ordering::Relaxed) {
                    std::process::exit(INTERRUPTED);
                }
            }
        });
        interrupt
    }

    pub(crate) fn is_wanted(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
