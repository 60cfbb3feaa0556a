//! Services of a mesh as processes of their own, which a promise kills, freezes and starts again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::folders::program;
use crate::http::Http;
use crate::ports::free_port;
use crate::process::Process;
use crate::wait::eventually;

/// How long a service may take to start and get its partitions, with a dead member's session in the way.
const READY: Duration = Duration::from_secs(120);

/// How long it may take to finish what is in work.
const ENDING: Duration = Duration::from_secs(60);

/// Whether a service that comes back is known to the broker as the one it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Members {
    /// Each has an ordinal that is stable over restarts.
    Static,
    /// Each start is a new member.
    Dynamic,
}

/// The services of one mesh. Each instance has one log, `logs/<program>-<ordinal>.log` in the folder.
#[derive(Debug)]
pub struct Fleet {
    folder: PathBuf,
    environment: Vec<(String, String)>,
    kind: Members,
    http: Http,
    members: Vec<Member>,
    /// What those that are gone had counted.
    counted: BTreeMap<String, u64>,
}

#[derive(Debug)]
struct Member {
    program: String,
    ordinal: usize,
    ops: u16,
    /// `None`: it is down.
    process: Option<Process>,
}

impl Member {
    fn name(&self) -> String {
        format!("{}-{}", self.program, self.ordinal)
    }
}

impl Fleet {
    /// No services yet. `environment` goes to each of them; logs go below `folder`.
    pub fn new(folder: &Path, environment: Vec<(String, String)>, kind: Members) -> Result<Fleet> {
        std::fs::create_dir_all(folder.join("logs"))?;
        let (folder, counted) = (folder.to_owned(), BTreeMap::new());
        Ok(Fleet { folder, environment, kind, http: Http::new()?, members: Vec::new(), counted })
    }

    /// Starts instances 0 to `instances` - 1 of a program.
    pub fn add(&mut self, program: &str, instances: usize) -> Result<()> {
        for ordinal in 0..instances {
            let member = Member { program: program.to_owned(), ordinal, ops: free_port()?, process: None };
            self.members.push(member);
            self.start(self.members.len() - 1)?;
        }
        Ok(())
    }

    /// How many instances there are, those that are down included.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Instances that run.
    pub fn running(&self) -> Vec<usize> {
        (0..self.members.len()).filter(|index| self.members[*index].process.is_some()).collect()
    }

    /// Program and ordinal.
    pub fn name(&self, index: usize) -> String {
        self.members[index].name()
    }

    /// The instance with this process.
    pub fn with_pid(&self, pid: u32) -> Option<usize> {
        self.members.iter().position(|member| member.process.as_ref().is_some_and(|p| p.pid() == pid))
    }

    /// Starts an instance that is down, as what it was.
    pub fn start(&mut self, index: usize) -> Result<()> {
        let member = &mut self.members[index];
        let name = member.name();
        let mut command = Command::new(program(&member.program)?);
        command
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .env("QUADRILLE_OPS_LISTEN", format!("127.0.0.1:{}", member.ops));
        if self.kind == Members::Static {
            command.env("QUADRILLE_INSTANCE", member.ordinal.to_string());
        }
        let log = self.folder.join("logs").join(format!("{name}.log"));
        member.process = Some(Process::spawn(&name, command, &log)?);
        Ok(())
    }

    /// Waits until every instance that runs has its partitions.
    pub fn wait_ready(&self) -> Result<()> {
        for member in &self.members {
            let Some(process) = &member.process else { continue };
            let url = format!("http://127.0.0.1:{}/readyz", member.ops);
            process.wait_ready(READY, || matches!(self.http.get(&url), Ok((200, _))))?;
        }
        Ok(())
    }

    /// `kill -9`; what it had counted is kept.
    pub fn kill(&mut self, index: usize) -> Result<()> {
        self.keep_counts(index);
        self.take(index)?.kill()
    }

    /// Stops it where it stands.
    pub fn freeze(&self, index: usize) -> Result<()> {
        self.process(index)?.freeze()
    }

    /// Lets it go on.
    pub fn thaw(&self, index: usize) -> Result<()> {
        self.process(index)?.thaw()
    }

    /// Fails if an instance has ended on its own.
    pub fn healthy(&self) -> Result<()> {
        for member in &self.members {
            if let Some(process) = &member.process {
                let ended = process.exit_status()?;
                let log = crate::process::tail(process.log(), 20);
                ensure!(ended.is_none(), "{} ended on its own: {ended:?}\n{log}", member.name());
            }
        }
        Ok(())
    }

    /// Asks all to end what is in work and waits for it.
    pub fn stop(&mut self) -> Result<()> {
        self.healthy()?;
        for index in self.running() {
            self.keep_counts(index);
            let status = self.take(index)?.terminate(ENDING)?;
            ensure!(status.success(), "{} stopped with {status}", self.name(index));
        }
        Ok(())
    }

    /// A counter, summed over all instances and labels, those of killed processes included as far as they could be asked.
    pub fn counter(&self, name: &str) -> u64 {
        let running = self.running().into_iter().map(|index| self.metrics(index));
        let now: u64 = running.filter_map(|counters| counters.get(name).copied()).sum();
        now + self.counted.get(name).copied().unwrap_or(0)
    }

    fn keep_counts(&mut self, index: usize) {
        for (name, value) in self.metrics(index) {
            *self.counted.entry(name).or_default() += value;
        }
    }

    /// A process that has only just started has counted nothing and need not answer.
    fn metrics(&self, index: usize) -> BTreeMap<String, u64> {
        let answer = self.http.get(&format!("http://127.0.0.1:{}/metrics", self.members[index].ops));
        answer.map(|(_, text)| counters(&text)).unwrap_or_default()
    }

    fn process(&self, index: usize) -> Result<&Process> {
        self.members[index].process.as_ref().with_context(|| format!("{} is down", self.name(index)))
    }

    fn take(&mut self, index: usize) -> Result<Process> {
        let name = self.name(index);
        self.members[index].process.take().with_context(|| format!("{name} is down"))
    }
}

/// Counters in Prometheus text, summed over labels.
fn counters(text: &str) -> BTreeMap<String, u64> {
    let mut sums: BTreeMap<String, u64> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some((series, value)) = line.rsplit_once(' ') else { continue };
        let name = series.split('{').next().unwrap_or(series);
        if name.ends_with("_total") {
            *sums.entry(name.to_owned()).or_default() += value.parse::<f64>().unwrap_or(0.0) as u64;
        }
    }
    sums
}

/// A participant that is called over HTTP: one process on a port of its own.
pub fn participant(program_name: &str, stores: &Path, log: &Path) -> Result<(Process, String)> {
    let address = format!("127.0.0.1:{}", free_port()?);
    let mut command = Command::new(program(program_name)?);
    command.args(["--listen", &address]).env("QUADRILLE_STORES", stores).env("QUADRILLE_STORES_FLUSH", "os");
    let process = Process::spawn(program_name, command, log)?;
    eventually(READY, &format!("{program_name} serves"), || Ok(std::net::TcpStream::connect(&address)?))?;
    Ok((process, format!("http://{address}")))
}
