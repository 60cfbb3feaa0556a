//! Ends a process whose threads hang in a call that nothing can free.

use std::process;
use std::time::Duration;

/// How often it looks.
const INTERVAL: Duration = Duration::from_secs(1);

/// How long the orderly end may take before the process is ended the hard way.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Looks every second, on a thread of its own, until `stuck` gives a reason: then the process ends with exit code 1.
/// Whatever supervises it starts another one, and what was in work is done again from what is committed.
pub fn start(stuck: impl Fn() -> Option<String> + Send + 'static) {
    let body = move || {
        loop {
            std::thread::sleep(INTERVAL);
            if let Some(reason) = stuck() {
                end(&reason);
            }
        }
    };
    std::thread::Builder::new()
        .name("watchdog".into())
        .spawn(body)
        .expect("the system has room for a thread");
}

fn end(reason: &str) -> ! {
    tracing::error!(target: "quadrille::host", reason, "the process is stuck and ends");
    // The hooks that run at the exit of a process may hang on the very thread that is stuck.
    std::thread::spawn(|| {
        std::thread::sleep(LAST_WORDS);
        process::abort();
    });
    process::exit(1)
}
