//! What operators do: `quadrille apply`, `topics` and `sagas`, run as the program that they run.

mod apply;
mod definition;
mod sagas;
mod topics;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use quadrille_tests::folders::{program, run_dir};
use quadrille_tests::{Cluster, Promise};
use quadrille_topology::{Mesh, topology};
use serde_json::Value as Json;

pub(crate) fn promises() -> Vec<Promise> {
    let all = [apply::promises(), definition::promises(), topics::promises(), sagas::promises()];
    all.into_iter().flatten().collect()
}

/// `quadrille` against the servers of a promise.
fn quadrille(cluster: &Cluster, args: &[&str]) -> Result<Command> {
    let mut command = Command::new(program("quadrille")?);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("QUADRILLE_")) {
        command.env_remove(name);
    }
    command.args(args).args(["--bootstrap-servers", cluster.bootstrap()]);
    Ok(command)
}

/// Runs it to its end.
fn run(cluster: &Cluster, args: &[&str]) -> Result<Said> {
    Said::of(&quadrille(cluster, args)?.output()?)
}

/// As [`run`], with the registry.
fn run_with_registry(cluster: &Cluster, args: &[&str]) -> Result<Said> {
    Said::of(&quadrille(cluster, args)?.args(["--schema-registry", cluster.registry_url()]).output()?)
}

/// What a command said, and how it ended.
#[derive(Debug)]
struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Said {
    fn of(output: &Output) -> Result<Self> {
        let (out, err) = (output.stdout.clone(), output.stderr.clone());
        Ok(Self { code: output.status.code(), out: String::from_utf8(out)?, err: String::from_utf8(err)? })
    }

    /// It ended with `code`, and it did not panic.
    fn ended(self, code: i32) -> Result<Self> {
        ensure!(self.code == Some(code) && !self.err.contains("panicked"), "{self:#?}");
        Ok(self)
    }

    /// Standard output, an object a line.
    fn objects(&self) -> Result<Vec<Json>> {
        self.out.lines().map(|line| serde_json::from_str(line).with_context(|| line.to_owned())).collect()
    }
}

/// The shipped order flow under names of its own, as a file with its schemas beside it.
pub(crate) struct Shop {
    pub(crate) file: PathBuf,
    pub(crate) mesh: Mesh,
}

impl Shop {
    /// A mesh that nobody else has; `change` may change its text.
    pub(crate) fn new(cluster: &Cluster, change: impl Fn(String) -> String) -> Result<Shop> {
        let name = cluster.unique("ops");
        let folder = run_dir()?.join(&name);
        let schemas = folder.join("schemas");
        fs::create_dir_all(&schemas)?;
        let shipped = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../schemas"));
        for schema in fs::read_dir(&shipped)? {
            let schema = schema?;
            fs::copy(schema.path(), schemas.join(schema.file_name()))?;
        }
        let mut text = include_str!("../../topology/order.yaml").to_owned();
        text = text.replace("mesh: shop", &format!("mesh: {name}")).replace("../schemas", "schemas");
        text = text.replace("    topic: ", &format!("    topic: {name}-"));
        text = change(text.replace("  orders:\n", &format!("  {name}-orders:\n")));
        let file = folder.join("order.yaml");
        fs::write(&file, &text)?;
        let schema = |path: &str| fs::read_to_string(folder.join(path)).map_err(|e| e.to_string());
        let checked = topology(text.as_bytes(), &schema);
        let mesh = checked.mesh.with_context(|| format!("{:?}", checked.diagnostics))?;
        Ok(Shop { file, mesh })
    }

    pub(crate) fn file(&self) -> Result<&str> {
        self.file.to_str().context("the folder of this run is text")
    }
}
