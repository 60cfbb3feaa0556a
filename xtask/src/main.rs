//! Tasks of this workspace, as `cargo xtask TASK`. A task is a list of stages; each prints what it runs.

mod command;
mod counts;
mod purity;
mod test;
mod workspace;

use std::env;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use crate::command::cargo;
use crate::test::{Only, Wanted};

const USAGE: &str = "\
cargo xtask test [--only lint|unit|it] [-- FILTER…]   everything that must hold: lints, unit tests, promises end to end
cargo xtask fetch                                     fetch all that the tests need, and run nothing";

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    match run(&args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all went well; what did not is already printed.
fn run(args: &[String]) -> Result<bool> {
    if args.iter().take_while(|arg| *arg != "--").any(|arg| ["--help", "-h", "help"].contains(&arg.as_str()))
    {
        println!("{USAGE}");
        return Ok(true);
    }
    let root = enter_root()?;
    match args.split_first() {
        Some((task, rest)) if task == "test" => Ok(test::run(&root, &wanted(rest)?)),
        Some((task, [])) if task == "fetch" => {
            command::run(cargo([
                "run",
                "--quiet",
                "--package",
                "quadrille-tests",
                "--bin",
                "fetch-test-parts",
            ]))?;
            Ok(true)
        }
        _ => bail!("which task?\n{USAGE}"),
    }
}

/// Works from the repository root, wherever it was called. A relative target folder keeps its meaning.
fn enter_root() -> Result<PathBuf> {
    if let Some(target) = env::var_os("CARGO_TARGET_DIR") {
        command::set_target_dir(std::path::absolute(target)?);
    }
    let xtask = env::var_os("CARGO_MANIFEST_DIR").context("call it as `cargo xtask`")?;
    let root = Path::new(&xtask).parent().context("xtask lies in the repository root")?;
    env::set_current_dir(root).with_context(|| format!("cannot enter {}", root.display()))?;
    Ok(root.to_owned())
}

fn wanted(args: &[String]) -> Result<Wanted> {
    let (options, filter) = match args.iter().position(|arg| arg == "--") {
        Some(at) => (&args[..at], args[at + 1..].to_vec()),
        None => (args, Vec::new()),
    };
    let only = match options {
        [] => None,
        [option, value] if option == "--only" => Some(match value.as_str() {
            "lint" => Only::Lint,
            "unit" => Only::Unit,
            "it" => Only::It,
            other => bail!("--only {other}?\n{USAGE}"),
        }),
        other => bail!("what is {other:?}?\n{USAGE}"),
    };
    Ok(Wanted { only, filter })
}
