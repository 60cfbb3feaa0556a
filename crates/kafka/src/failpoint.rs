//! Places where a test may kill the process.
//!
//! They do nothing unless the environment variable `QUADRILLE_FAILPOINTS` names a folder. Then a process that reaches
//! failpoint `name` while the folder holds a file `name` takes that file (renames it to `name.hit.<pid>`, so exactly one
//! process does) and waits there for its end, at most ten seconds. A test arms a point by making the file, learns from
//! its new name whom to kill, and thereby knows that the fault happened.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

/// The variable that names the folder.
pub const VARIABLE: &str = "QUADRILLE_FAILPOINTS";

const WAIT: Duration = Duration::from_secs(10);

fn folder() -> Option<&'static PathBuf> {
    static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();
    FOLDER.get_or_init(|| std::env::var_os(VARIABLE).map(PathBuf::from)).as_ref()
}

/// Whether failpoints are on in this process.
pub fn enabled() -> bool {
    folder().is_some()
}

/// Takes failpoint `name`, if it is armed, without waiting there.
pub fn take(name: &str) -> bool {
    let Some(folder) = folder() else { return false };
    let hit = folder.join(format!("{name}.hit.{}", std::process::id()));
    std::fs::rename(folder.join(name), hit).is_ok()
}

/// Waits for the end at failpoint `name`, if it is armed.
pub fn reached(name: &str) {
    if take(name) {
        std::thread::sleep(WAIT);
    }
}
