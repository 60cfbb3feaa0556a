//! Where things lie: a cache that all runs share, and a folder for this run.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::{Context, Result, anyhow, ensure};

/// Cargo's target folder: the one this binary was built into.
pub fn target_dir() -> Result<PathBuf> {
    let binary = env::current_exe()?;
    let marked = binary.ancestors().skip(1).find(|folder| folder.join("CACHEDIR.TAG").exists());
    marked.map(Path::to_owned).ok_or_else(|| anyhow!("{} lies in no target folder", binary.display()))
}

/// A program of this workspace, built into the same target folder and profile as this binary.
pub fn program(name: &str) -> Result<PathBuf> {
    let binary = env::current_exe()?;
    // Tests lie in `<target>/<profile>/deps`, programs one above.
    let folder = binary.parent().context("this binary lies in no folder")?;
    let profile = if folder.ends_with("deps") { folder.parent().unwrap_or(folder) } else { folder };
    let program = profile.join(name);
    ensure!(
        program.is_file(),
        "{} is missing: build it with `cargo build --workspace --bins`, or run `cargo xtask test`",
        program.display()
    );
    Ok(program)
}

/// What is fetched once and kept over runs: `$QUADRILLE_CACHE`, or `quadrille-cache` in the target folder.
pub fn cache_dir() -> Result<PathBuf> {
    let folder = match env::var_os("QUADRILLE_CACHE") {
        Some(folder) => PathBuf::from(folder),
        None => target_dir()?.join("quadrille-cache"),
    };
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    Ok(folder.canonicalize()?)
}

/// The cached folder `name`, made by `make` when it is missing or was made for another `stamp`.
///
/// Runs at the same time wait for each other, and a run that was killed half-way leaves nothing behind that counts:
/// `make` fills a folder aside, which then takes the name.
pub fn cached(name: &str, stamp: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let cache = cache_dir()?;
    let folder = cache.join(name);
    let lock = File::create(cache.join(format!("{name}.lock")))?;
    lock.lock().with_context(|| format!("cannot lock {name} in {}", cache.display()))?;
    if fs::read_to_string(folder.join("stamp")).is_ok_and(|found| found == stamp) {
        return Ok(folder);
    }
    let aside = cache.join(format!("{name}.new"));
    remove(&aside)?;
    fs::create_dir_all(&aside)?;
    make(&aside)?;
    fs::write(aside.join("stamp"), stamp)?;
    remove(&folder)?;
    fs::rename(&aside, &folder)?;
    Ok(folder)
}

/// The folder of this run: data and logs of all that it starts.
///
/// It is removed by [`remove_run`]; what earlier runs kept is removed when the next one begins.
pub fn run_dir() -> Result<&'static Path> {
    static RUN: OnceLock<Result<Run, String>> = OnceLock::new();
    let run = RUN.get_or_init(|| Run::begin().map_err(|error| format!("{error:#}")));
    run.as_ref().map(|run| run.folder.as_path()).map_err(|error| anyhow!("no folder for this run: {error}"))
}

/// Removes the folder of this run.
pub fn remove_run() -> Result<()> {
    remove(run_dir()?)
}

struct Run {
    folder: PathBuf,
    // Held until the process ends: a run whose lock is free is over.
    _lock: File,
}

impl Run {
    fn begin() -> Result<Run> {
        let runs = target_dir()?.join("quadrille-runs");
        fs::create_dir_all(&runs)?;
        let door = File::create(runs.join("lock"))?;
        door.lock()?;
        for entry in fs::read_dir(&runs)? {
            let old = entry?.path();
            let over = File::open(old.join("lock")).is_ok_and(|lock| lock.try_lock().is_ok());
            if old.is_dir() && over {
                remove(&old)?;
            }
        }
        let folder = runs.join(std::process::id().to_string());
        remove(&folder)?;
        fs::create_dir_all(&folder)?;
        let lock = File::create(folder.join("lock"))?;
        lock.lock()?;
        Ok(Run { folder, _lock: lock })
    }
}

fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}
