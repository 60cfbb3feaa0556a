//! Python with the clients that others write with: a private environment, made once.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::folders::{cached, run_dir};
use crate::process::run_to_end;

/// A Kafka client, a registry client and an Avro codec that share no code with Quadrille's; all come as wheels.
const PACKAGES: [&str; 6] = [
    "confluent-kafka==2.16.1",
    "fastavro==1.13.1",
    // Of the registry client; its own list of them asks for what package indexes may not have yet.
    "attrs==26.1.0",
    "authlib==1.9.9",
    "cachetools==8.0.1",
    "httpx==0.28.1",
];
const INSTALL_LIMIT: Duration = Duration::from_secs(240);

/// The interpreter of the private environment.
#[derive(Clone, Debug)]
pub struct Python {
    binary: PathBuf,
}

impl Python {
    /// The environment of this run. An error means that it cannot be had on this machine, and says why.
    pub fn kit() -> Result<&'static Python, &'static String> {
        static KIT: OnceLock<Result<Python, String>> = OnceLock::new();
        KIT.get_or_init(|| Python::prepare().map_err(|error| format!("{error:#}"))).as_ref()
    }

    fn prepare() -> Result<Python> {
        // What is installed fits the interpreter that installed it.
        let stamp = format!("{} for {}", PACKAGES.join(" "), interpreter()?);
        let folder = cached("python", &stamp, install)
            .with_context(|| format!("Python has no {}", PACKAGES.join(" and no ")))?;
        Ok(Python { binary: folder.join("venv/bin/python") })
    }

    /// Runs a program of `tests/python`; its output goes to `log`.
    pub fn run(&self, script: &str, args: &[&str], log: &Path, limit: Duration) -> Result<()> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python").join(script);
        let mut command = Command::new(&self.binary);
        command.env("PYTHONDONTWRITEBYTECODE", "1").arg(&script).args(args);
        run_to_end(&script.display().to_string(), command, log, limit)
    }
}

/// Version and place of `python3`.
fn interpreter() -> Result<String> {
    let mut command = Command::new("python3");
    command.args(["-c", "import sys, venv, ensurepip; print(sys.version, sys.base_prefix)"]);
    let output = command.output().context("no python3 on the PATH")?;
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    ensure!(output.status.success(), "python3 has no venv with pip: {said}");
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn install(folder: &Path) -> Result<()> {
    let log = run_dir()?.join("python-install.log");
    let mut venv = Command::new("python3");
    venv.args(["-m", "venv"]).arg(folder.join("venv"));
    run_to_end("python3 -m venv", venv, &log, INSTALL_LIMIT)?;
    let mut pip = Command::new(folder.join("venv/bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--only-binary", ":all:"]).args(PACKAGES);
    run_to_end("pip install", pip, &log, INSTALL_LIMIT)
}
