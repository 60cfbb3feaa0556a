//! The broker as a process of its own.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use quadrille_broker::{Broker, Config, Flush};

const DATA: &str = "QUADRILLE_TEST_BROKER_DATA";
const LISTEN: &str = "QUADRILLE_TEST_BROKER_LISTEN";
const FLUSH_OS: &str = "QUADRILLE_TEST_BROKER_FLUSH_OS";
const CHECKPOINT: &str = "QUADRILLE_TEST_BROKER_CHECKPOINT";
const SEGMENT: &str = "QUADRILLE_TEST_BROKER_SEGMENT";
const FAILPOINT: &str = "QUADRILLE_BROKER_FAILPOINT";

/// Serves until killed, if this process was started by [`Process::start`].
pub(crate) fn run_if_asked() -> Option<Result<()>> {
    let data = std::env::var(DATA).ok()?;
    Some(serve(&data))
}

fn serve(data: &str) -> Result<()> {
    let filter = std::env::var("RUST_LOG").unwrap_or_else(|_| "quadrille_broker=warn".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let mut config = Config::new(std::env::var(LISTEN)?.parse()?, data);
    config.flush = if std::env::var(FLUSH_OS).is_ok() { Flush::Os } else { Flush::Commit };
    config.checkpoint_bytes = std::env::var(CHECKPOINT)?.parse()?;
    config.max_segment_bytes = std::env::var(SEGMENT)?.parse()?;
    config.maintenance_interval_ms = 200; // so that kills hit retention and compaction too
    let broker = Broker::start(config)?;
    println!("{}", broker.bootstrap());
    // Ends with the process that started it, however that ends.
    let mut byte = [0];
    let _ = std::io::stdin().read(&mut byte);
    Ok(())
}

/// How a broker process is started.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    pub(crate) data: PathBuf,
    pub(crate) flush: Flush,
    pub(crate) checkpoint_bytes: u64,
    pub(crate) segment_bytes: u64,
}

impl Setup {
    pub(crate) fn new(data: &Path, flush: Flush) -> Self {
        let large = 64 * 1024 * 1024;
        Setup { data: data.to_path_buf(), flush, checkpoint_bytes: large, segment_bytes: large }
    }
}

/// A broker process; killed when dropped.
pub(crate) struct Process {
    setup: Setup,
    child: Child,
    pub(crate) bootstrap: String,
}

impl Process {
    pub(crate) fn start(setup: &Setup) -> Result<Self> {
        Self::spawn(setup, "127.0.0.1:0", None)
    }

    /// A process that dies when it reaches the failpoint (`NAME` or `NAME:N`).
    pub(crate) fn start_with_failpoint(setup: &Setup, failpoint: &str) -> Result<Self> {
        Self::spawn(setup, "127.0.0.1:0", Some(failpoint))
    }

    fn spawn(setup: &Setup, listen: &str, failpoint: Option<&str>) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.env(DATA, &setup.data).env(LISTEN, listen);
        command.env(CHECKPOINT, setup.checkpoint_bytes.to_string());
        command.env(SEGMENT, setup.segment_bytes.to_string());
        if setup.flush == Flush::Os {
            command.env(FLUSH_OS, "1");
        }
        if let Some(failpoint) = failpoint {
            command.env(FAILPOINT, failpoint);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("no stdout")?).read_line(&mut line)?;
        if line.is_empty() {
            let mut reason = String::new();
            child.stderr.take().context("no stderr")?.read_to_string(&mut reason)?;
            child.wait()?;
            bail!("broker did not start: {reason}");
        }
        Ok(Process { setup: setup.clone(), child, bootstrap: line.trim().to_string() })
    }

    /// Kills the process with SIGKILL and starts another on the same folder and port.
    pub(crate) fn kill_and_restart(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        self.restart()
    }

    /// Starts another process on the same folder and port, after this one has died.
    pub(crate) fn restart(&mut self) -> Result<()> {
        *self = Self::spawn(&self.setup, &self.bootstrap, None)?;
        Ok(())
    }

    /// Waits until the process has died by itself: its status and what it said.
    pub(crate) fn wait_for_death(&mut self) -> Result<(ExitStatus, String)> {
        let deadline = Instant::now() + Duration::from_secs(30);
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                let mut said = String::new();
                self.child.stderr.take().context("no stderr")?.read_to_string(&mut said)?;
                return Ok((status, said));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        bail!("the broker did not reach its failpoint");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
