//! What cargo knows about this workspace.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::command::{ask, cargo};

/// A member: its name and its folder.
#[derive(Debug)]
pub(crate) struct Crate {
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
}

/// The members below a folder of the repository.
pub(crate) fn members(root: &Path, below: &str) -> Result<Vec<Crate>> {
    let metadata = metadata(root)?;
    let below = root.join(below);
    let mut crates = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let manifest = Path::new(package["manifest_path"].as_str().context("a package without a manifest")?);
        let folder = manifest.parent().context("a manifest without a folder")?;
        if folder.starts_with(&below) {
            let name = package["name"].as_str().context("a package without a name")?.to_owned();
            crates.push(Crate { name, folder: folder.to_owned() });
        }
    }
    Ok(crates)
}

/// A folder for what tasks write, below cargo's target folder.
pub(crate) fn scratch(root: &Path) -> Result<PathBuf> {
    let metadata = metadata(root)?;
    let target = metadata["target_directory"].as_str().context("cargo metadata names no target folder")?;
    let folder = Path::new(target).join("xtask");
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

fn metadata(root: &Path) -> Result<Value> {
    let mut command = cargo(["metadata", "--format-version", "1", "--no-deps"]);
    command.current_dir(root);
    let (good, json, errors) = ask(command)?;
    ensure!(good, "cargo metadata failed\n{errors}");
    Ok(serde_json::from_str(&json)?)
}
