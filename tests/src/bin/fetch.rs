//! Fetches all that the tests need into the cache folder, and runs nothing.

use anyhow::Result;
use quadrille_tests::{folders, pool, process};

fn main() -> Result<()> {
    process::die_with_parent()?;
    pool::fetch()?;
    println!("all that the tests need is in {}", folders::cache_dir()?.display());
    folders::remove_run()
}
