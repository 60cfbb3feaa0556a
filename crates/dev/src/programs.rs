//! The dev file and the programs that it starts.
//!
//! Beside `order.yaml` lies `order.dev.yaml`. It says which programs the mesh needs around it to be tried: services with
//! handlers of their own, and participants that are called over HTTP.
//!
//! ```yaml
//! programs:
//!   stock:
//!     run: [stock, --listen, "{listen}"]   # beside `quadrille`, or on the PATH
//!     serves: [http://127.0.0.1:7001]      # as the topology calls it; here it gets a free port
//!   payment:
//!     run: [payment]
//! ```
//!
//! A program finds in its environment what every service of the mesh reads (`QUADRILLE_TOPOLOGY`,
//! `QUADRILLE_BOOTSTRAP_SERVERS`, `QUADRILLE_PREFIX`, librdkafka settings as `QUADRILLE_X_…`), and in `QUADRILLE_STORES` the folder of the participants' stores. In its arguments
//! `{listen}` stands for the address where it has to serve. What it prints goes to a file in the data folder.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use quadrille_host::options::{KAFKA_PREFIX, PREFIX};
use serde::Deserialize;

use crate::Error;

/// How long a program may take until it is ready.
const READY: Duration = Duration::from_secs(60);

/// How long a program may take to end when it is asked to.
const ENDING: Duration = Duration::from_secs(30);

/// The dev file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DevFile {
    /// Programs, by name. The name of a service of the topology stands for that service.
    #[serde(default)]
    pub programs: BTreeMap<String, Program>,
}

/// A program.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Program {
    /// Program and arguments.
    pub run: Vec<String>,
    /// The beginnings of the URLs at which the topology calls it.
    #[serde(default)]
    pub serves: Vec<String>,
}

/// A program that runs.
pub struct Running {
    name: String,
    child: Child,
    log: PathBuf,
    /// Where it shows its metrics.
    ops: SocketAddr,
    /// Where it serves, if it does.
    listen: Option<SocketAddr>,
    serves: Vec<String>,
}

impl DevFile {
    /// The dev file of `topology`; an empty one if there is none.
    pub fn beside(topology: &Path) -> Result<Self, Error> {
        let path = topology.with_extension("dev.yaml");
        match std::fs::read_to_string(&path) {
            Ok(text) => serde_saphyr::from_str(&text).map_err(|e| format!("{}: {e}", path.display()).into()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(format!("cannot read {}: {error}", path.display()).into()),
        }
    }
}

impl Running {
    /// Starts `program`. Its output goes to `<folder>/logs/<name>.log`.
    pub fn start(
        name: &str,
        program: &Program,
        folder: &Path,
        environment: &[(String, String)],
    ) -> Result<Self, Error> {
        let (first, arguments) =
            program.run.split_first().ok_or_else(|| format!("program {name} has nothing to run"))?;
        let log = folder.join("logs").join(format!("{name}.log"));
        let output = File::create(&log)?;
        let ops = free_address()?;
        let listen = if program.serves.is_empty() { None } else { Some(free_address()?) };
        let address = listen.map(|address| address.to_string()).unwrap_or_default();
        let mut command = Command::new(find(first)?);
        for (name, _) in std::env::vars_os().filter(|(name, _)| ours(name)) {
            // What counts here is handed on below, whether it came by a flag or by a variable.
            command.env_remove(name);
        }
        command
            .args(arguments.iter().map(|argument| argument.replace("{listen}", &address)))
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .env("QUADRILLE_STORES", folder.join("stores"))
            .env("QUADRILLE_OPS_LISTEN", ops.to_string())
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        die_with_parent(&mut command);
        let child = command.spawn().map_err(|e| format!("program {name} ({first}) does not start: {e}"))?;
        Ok(Self { name: name.to_owned(), child, log, ops, listen, serves: program.serves.clone() })
    }

    /// Whether it is called over HTTP.
    pub fn serves(&self) -> bool {
        self.listen.is_some()
    }

    /// The URLs that the topology calls, each with the one to call instead.
    pub fn rewrites(&self) -> impl Iterator<Item = (String, String)> {
        let listen = self.listen;
        self.serves.iter().filter_map(move |url| Some((url.clone(), format!("http://{}", listen?))))
    }

    /// Waits until it serves, or says that it is ready.
    pub async fn ready(&mut self) -> Result<(), Error> {
        let deadline = Instant::now() + READY;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Err(self.failure(&format!("ended with {status}")));
            }
            if self.is_ready().await {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(self.failure(&format!("is not ready within {} s", READY.as_secs())));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Why it has ended, if it has.
    pub fn ended(&mut self) -> Option<Error> {
        let status = self.child.try_wait().ok().flatten()?;
        Some(self.failure(&format!("ended with {status}")))
    }

    /// What it shows as metrics; nothing if it shows none.
    pub async fn metrics(&self) -> String {
        match reqwest::get(format!("http://{}/metrics", self.ops)).await {
            Ok(response) => response.text().await.unwrap_or_default(),
            Err(_) => String::new(),
        }
    }

    /// Asks it to end, and ends it if it does not.
    pub async fn stop(&mut self) -> Result<(), Error> {
        ask_to_end(&self.child);
        let deadline = Instant::now() + ENDING;
        while self.child.try_wait()?.is_none() {
            if Instant::now() > deadline {
                self.child.kill()?;
                return Err(self.failure("did not end in time and was killed"));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    async fn is_ready(&self) -> bool {
        match &self.listen {
            Some(address) => TcpStream::connect_timeout(address, Duration::from_millis(200)).is_ok(),
            None => {
                let answer = reqwest::get(format!("http://{}/readyz", self.ops)).await;
                answer.is_ok_and(|response| response.status().is_success())
            }
        }
    }

    fn failure(&self, what: &str) -> Error {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let mut last: Vec<_> = text.lines().rev().take(8).collect();
        last.reverse();
        format!(
            "program {} {what}; its last words, from {}:\n{}",
            self.name,
            self.log.display(),
            last.join("\n")
        )
        .into()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Gone already, most of the time.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether a variable is a setting for the Kafka client, or the prefix.
fn ours(variable: &OsStr) -> bool {
    variable.to_str().is_some_and(|name| name.starts_with(KAFKA_PREFIX) || name == PREFIX)
}

/// A program beside this one, or on the PATH.
fn find(program: &str) -> Result<PathBuf, Error> {
    let beside = std::env::current_exe()?.with_file_name(program);
    if program.contains('/') {
        return Ok(PathBuf::from(program));
    }
    if beside.is_file() {
        return Ok(beside);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file());
    on_path.ok_or_else(|| {
        format!("there is no program {program} beside {} nor on the PATH: build it first", beside.display())
            .into()
    })
}

/// An address that nobody listens on now.
fn free_address() -> Result<SocketAddr, Error> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

#[allow(unsafe_code)]
fn die_with_parent(command: &mut Command) {
    // SAFETY: prctl is async-signal-safe and touches nothing of ours.
    unsafe {
        command.pre_exec(|| {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            Ok(())
        });
    }
}

#[allow(unsafe_code)]
fn ask_to_end(child: &Child) {
    let Ok(pid) = libc::pid_t::try_from(child.id()) else { return };
    // SAFETY: the child has not been waited for, so the ID is still its own.
    unsafe {
        libc::kill(pid, libc::SIGTERM);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dev_file_says_what_to_run() {
        let file: DevFile = serde_saphyr::from_str(
            "programs:\n  stock:\n    run: [stock, --fast]\n    serves: [http://127.0.0.1:7001]\n",
        )
        .unwrap();
        let stock = &file.programs["stock"];
        assert_eq!(
            (stock.run.len(), stock.serves.as_slice()),
            (2, ["http://127.0.0.1:7001".to_owned()].as_slice())
        );
        assert!(serde_saphyr::from_str::<DevFile>("programmes: {}").is_err());
    }

    #[test]
    fn a_program_that_is_nowhere_is_named() {
        let error = find("no-such-program").unwrap_err().to_string();
        assert!(error.starts_with("there is no program no-such-program beside"), "{error}");
    }
}
