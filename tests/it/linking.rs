//! What the command line needs on the machine where it runs: the C library.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use quadrille_tests::Promise;
use quadrille_tests::folders::{program, run_dir};
use quadrille_tests::process::run_to_end;

pub(crate) fn promises() -> Vec<Promise> {
    vec![Promise::alone("links_nothing_but_libc", links_nothing_but_libc)]
}

/// The C library's own parts, the compiler's, the loader and the kernel's page.
const ALLOWED: [&str; 7] = ["libc", "libm", "libgcc_s", "libdl", "libpthread", "librt", "linux-vdso"];

fn links_nothing_but_libc() -> Result<()> {
    let log = run_dir()?.join("ldd.log");
    let mut ldd = Command::new("ldd");
    ldd.arg(program("quadrille")?);
    run_to_end("ldd", ldd, &log, Duration::from_secs(60))?;
    let lines = fs::read_to_string(&log)?;
    ensure!(libraries(&lines)?.contains("libc"), "this is no list of libraries: {lines}");
    let strangers = strangers(&lines)?;
    ensure!(strangers.is_empty(), "linked to {strangers:?}");
    // The check is able to fail.
    let planted = format!("{lines}\tlibssl.so.3 => /usr/lib/x86_64-linux-gnu/libssl.so.3 (0x00007f12)\n");
    ensure!(self::strangers(&planted)? == BTreeSet::from(["libssl".to_owned()]), "libssl passes: {planted}");
    Ok(())
}

fn strangers(ldd: &str) -> Result<BTreeSet<String>> {
    let mut found = libraries(ldd)?;
    found.retain(|name| !ALLOWED.contains(&name.as_str()) && !name.starts_with("ld-linux"));
    Ok(found)
}

/// The names in lines as `\tlibc.so.6 => /lib/libc.so.6 (0x…)` or `\t/lib64/ld-linux-x86-64.so.2 (0x…)`.
fn libraries(ldd: &str) -> Result<BTreeSet<String>> {
    let name = |line: &str| -> Result<String> {
        let path = line.split_whitespace().next().context("an empty line")?;
        let file = Path::new(path).file_name().with_context(|| line.to_owned())?.to_string_lossy();
        let (name, _) = file.split_once(".so").with_context(|| format!("no library: {line}"))?;
        Ok(name.to_owned())
    };
    ldd.lines().map(name).collect()
}
