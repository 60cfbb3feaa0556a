//! The crates below `crates/pure` decide and do not act. Three checks keep it so:
//! their normal dependencies are on a short list, no file of theirs turns the lints off, and the lints are seen to work
//! on a copy with a planted clock.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use crate::command::{ask, cargo};
use crate::workspace::{Crate, members, scratch};

const PLANTED: &str = "\nfn _planted() -> std::time::Instant {\n    std::time::Instant::now()\n}\n";

/// Runs the checks. Without a pure crate there is nothing to check.
pub(crate) fn check(root: &Path) -> Result<()> {
    let crates = members(root, "crates/pure")?;
    let folders = crate_folders(&root.join("crates/pure"))?;
    ensure!(folders == crates.len(), "{folders} crates lie below crates/pure, {} are members", crates.len());
    if crates.is_empty() {
        println!("there is no crate below crates/pure yet");
        return Ok(());
    }
    let allowed = allow_list(root)?;
    for pure in &crates {
        let found = dependencies(pure, &crates)?;
        let strangers: Vec<&String> = found.difference(&allowed).collect();
        ensure!(
            strangers.is_empty(),
            "{} depends on {strangers:?}: not in crates/pure/allowed-dependencies.txt",
            pure.name
        );
        lints_stay_on(&pure.folder)?;
        println!("{}: {} dependencies, all allowed", pure.name, found.len());
    }
    planted_clock_is_refused(root, &crates[0])
}

/// How many folders right below this one are crates.
fn crate_folders(folder: &Path) -> Result<usize> {
    let entries = fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    Ok(entries.iter().filter(|entry| entry.path().join("Cargo.toml").exists()).count())
}

/// One name a line; `#` begins a comment.
fn allow_list(root: &Path) -> Result<BTreeSet<String>> {
    let file = root.join("crates/pure/allowed-dependencies.txt");
    let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let names = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    Ok(names.filter(|name| !name.is_empty()).map(str::to_owned).collect())
}

/// Everything that ends up in a program through this crate, other pure crates aside. Macros run in the compiler only.
fn dependencies(pure: &Crate, all: &[Crate]) -> Result<BTreeSet<String>> {
    let tree =
        ["tree", "--edges", "normal,no-proc-macro", "--prefix", "none", "--format", "{p}", "--package"];
    let mut command = cargo(tree);
    command.arg(&pure.name);
    let (good, lines, errors) = ask(command)?;
    ensure!(good, "cargo tree of {} failed\n{errors}", pure.name);
    let names = lines.lines().filter_map(|line| line.split_whitespace().next());
    let foreign = names.filter(|name| !all.iter().any(|ours| ours.name == *name));
    Ok(foreign.map(str::to_owned).collect())
}

/// Neither an attribute nor a nearer configuration may switch the banned calls off.
fn lints_stay_on(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            lints_stay_on(&path)?;
        } else if name == "clippy.toml" || name == ".clippy.toml" {
            bail!("{} hides crates/pure/clippy.toml", path.display());
        } else if name.ends_with(".rs") {
            let text = fs::read_to_string(&path)?;
            let banned = [
                "clippy::disallowed_methods",
                "clippy::disallowed_types",
                "allow(clippy::all",
                "allow(clippy::style",
            ];
            for word in banned {
                ensure!(
                    !text.contains(word),
                    "{} speaks of {word}: bans hold everywhere here",
                    path.display()
                );
            }
        }
    }
    Ok(())
}

/// Copies the workspace down to its pure crates, writes a call of the clock into one, and expects clippy to refuse exactly that.
fn planted_clock_is_refused(root: &Path, victim: &Crate) -> Result<()> {
    let copy = scratch(root)?.join("planted");
    if copy.exists() {
        fs::remove_dir_all(&copy)?;
    }
    // The whole tree: sources include schemas from beside the crates.
    copy_folder(root, &copy)?;
    let manifest = fs::read_to_string(root.join("Cargo.toml"))?;
    fs::write(copy.join("Cargo.toml"), with_pure_members(&manifest)?)?;

    let (good, errors) = clippy(&copy, victim)?;
    ensure!(good, "the copy of {} is refused before anything is planted\n{errors}", victim.name);
    let library = copy.join(victim.folder.strip_prefix(root)?).join("src/lib.rs");
    let text = fs::read_to_string(&library)?;
    fs::write(&library, text + PLANTED)?;
    let (good, errors) = clippy(&copy, victim)?;
    ensure!(!good, "a planted Instant::now() in a copy of {} is not refused", victim.name);
    let named = errors.contains("use of a disallowed method `std::time::Instant::now`");
    ensure!(named, "a planted Instant::now() is not what clippy refused\n{errors}");
    println!("{}: a planted Instant::now() is refused", victim.name);
    Ok(())
}

fn clippy(copy: &Path, victim: &Crate) -> Result<(bool, String)> {
    // Whatever the pure crates need was fetched when the workspace was checked.
    // The common target folder: what was checked for the workspace need not be checked again.
    let target = copy.ancestors().nth(2).context("the copy lies in the target folder")?;
    let mut command = cargo(["clippy", "--offline", "--quiet", "--package", &victim.name]);
    command.args(["--target-dir".as_ref(), target.as_os_str()]);
    command.args(["--", "-D", "warnings"]).current_dir(copy);
    let (good, _, errors) = ask(command)?;
    Ok((good, errors))
}

/// The root manifest with the pure crates as its only members.
fn with_pure_members(manifest: &str) -> Result<String> {
    let start = manifest.find("\nmembers = [").context("the root manifest has no members")?;
    let length = manifest[start..].find(']').context("the root manifest's members do not end")?;
    let (before, after) = (&manifest[..start], &manifest[start + length + 1..]);
    Ok(format!("{before}\nmembers = [\"crates/pure/*\"]{after}"))
}

/// Copies files and folders, but nothing hidden (the repository's own data) and no cache (cargo's target folder).
fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    if from.join("CACHEDIR.TAG").exists() {
        return Ok(());
    }
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (kind, target) = (entry.file_type()?, to.join(entry.file_name()));
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        } else if kind.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else if kind.is_file() {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_replaced_and_the_rest_stays() {
        let manifest = "[workspace]\nmembers = [\n  \"a\",\n  \"b/*\"\n]\nresolver = \"3\"\n[x]\ny = [1]\n";
        let expected = "[workspace]\nmembers = [\"crates/pure/*\"]\nresolver = \"3\"\n[x]\ny = [1]\n";
        assert_eq!(with_pure_members(manifest).unwrap(), expected);
    }

    #[test]
    fn a_source_that_allows_a_banned_call_is_refused() {
        let folder = std::env::temp_dir().join(format!("quadrille-purity-{}", std::process::id()));
        fs::create_dir_all(folder.join("src")).unwrap();
        fs::write(folder.join("src/lib.rs"), "pub fn pure() {}\n").unwrap();
        let clean = lints_stay_on(&folder);
        fs::write(folder.join("src/lib.rs"), "#![allow(clippy::disallowed_methods)]\n").unwrap();
        let allowed = lints_stay_on(&folder);
        fs::remove_dir_all(&folder).unwrap();
        assert!(clean.is_ok() && allowed.is_err(), "{clean:?} {allowed:?}");
    }
}
