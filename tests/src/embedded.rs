//! Quadrille's own broker and registry, one process for both: `quadrille broker`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};

use crate::cluster::Server;
use crate::folders::program;
use crate::ports::free_port;
use crate::process::{Process, grown_by};

const START_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// One process with its own data folder. Stopped, it keeps its addresses and its data.
#[derive(Debug)]
pub struct Embedded {
    program: PathBuf,
    folder: PathBuf,
    /// Of the broker, the registry and the control endpoint of faults.
    ports: Option<(u16, u16, u16)>,
    process: Option<Process>,
}

impl Embedded {
    /// A process that has never run; its data and its log go to `folder`.
    pub fn new(folder: &Path) -> Result<Embedded> {
        fs::create_dir_all(folder)?;
        Ok(Embedded { program: program("quadrille")?, folder: folder.to_owned(), ports: None, process: None })
    }

    fn launch(&mut self, (port, registry_port, faults_port): (u16, u16, u16)) -> Result<()> {
        let log = self.log();
        let earlier = fs::metadata(&log).map(|meta| meta.len()).unwrap_or(0);
        let mut command = Command::new(&self.program);
        command.args(["broker", "--listen", &format!("127.0.0.1:{port}")]);
        command.args(["--registry", &format!("127.0.0.1:{registry_port}")]);
        command.args(["--faults", &format!("127.0.0.1:{faults_port}")]);
        command.arg("--data").arg(self.folder.join("data"));
        // RUST_LOG of the tests speaks of the tests; a broker that logs every request would be another broker.
        command.env_remove("RUST_LOG");
        let process = Process::spawn("quadrille broker", command, &log)?;
        let ready = format!("faults http://127.0.0.1:{faults_port}/faults\n");
        process.wait_ready(START_LIMIT, || grown_by(&log, earlier).contains(&ready))?;
        self.process = Some(process);
        self.ports = Some((port, registry_port, faults_port));
        Ok(())
    }
}

impl Server for Embedded {
    fn start(&mut self) -> Result<()> {
        if self.process.is_some() {
            bail!("the embedded broker runs already");
        }
        if let Some(ports) = self.ports {
            return self.launch(ports);
        }
        let mut last = None;
        for _ in 0..3 {
            match self.launch((free_port()?, free_port()?, free_port()?)) {
                Err(error) if format!("{error:#}").contains("Address already in use") => last = Some(error),
                other => return other,
            }
        }
        Err(last.unwrap_or_else(|| anyhow!("no attempt was made"))).context("three times a port was taken")
    }

    fn stop(&mut self) -> Result<()> {
        let process = self.process.take().context("the embedded broker does not run")?;
        let status = process.terminate(STOP_LIMIT)?;
        if status.success() { Ok(()) } else { bail!("the embedded broker stopped with {status}") }
    }

    fn kill(&mut self) -> Result<()> {
        self.process.take().context("the embedded broker does not run")?.kill()
    }

    fn process(&self) -> Option<&Process> {
        self.process.as_ref()
    }

    fn bootstrap(&self) -> Option<String> {
        self.ports.map(|(port, ..)| format!("127.0.0.1:{port}"))
    }

    fn registry_url(&self) -> Option<String> {
        self.ports.map(|(_, port, _)| format!("http://127.0.0.1:{port}"))
    }

    fn faults_url(&self) -> Option<String> {
        self.ports.map(|(.., port)| format!("http://127.0.0.1:{port}"))
    }

    fn log(&self) -> PathBuf {
        self.folder.join("quadrille-broker.log")
    }
}
