//! Child processes that cannot outlive the test run.
//!
//! The kernel kills every child when the thread that started it ends (`PR_SET_PDEATHSIG`). Trials run on threads that
//! come and go, so one thread that lives as long as the process does all the starting.

use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Mutex, MutexGuard, OnceLock};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};

use crate::wait::eventually;

/// A running child with its log file. Dropping it kills it (`SIGKILL`).
#[derive(Debug)]
pub struct Process {
    name: String,
    pid: u32,
    child: Mutex<Child>,
    log: PathBuf,
}

impl Process {
    /// Starts `command`; its output is appended to `log`.
    pub fn spawn(name: &str, mut command: Command, log: &Path) -> Result<Process> {
        let output = File::options().create(true).append(true).open(log)?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let program = command.get_program().to_owned();
        let child =
            spawn_bound_to_us(command).with_context(|| format!("cannot start {name} ({program:?})"))?;
        Ok(Process { name: name.to_owned(), pid: child.id(), child: Mutex::new(child), log: log.to_owned() })
    }

    /// The process ID.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Where its output goes.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// How it ended, or `None` while it runs.
    pub fn exit_status(&self) -> Result<Option<ExitStatus>> {
        Ok(self.child().try_wait()?)
    }

    /// Waits until `ready` says so. Fails at once when the process ends before.
    pub fn wait_ready(&self, limit: Duration, mut ready: impl FnMut() -> bool) -> Result<()> {
        let ended = eventually(limit, &format!("{} is ready", self.name), || {
            if let Some(status) = self.exit_status()? {
                return Ok(Some(status));
            }
            if ready() { Ok(None) } else { bail!("it runs, log: {}", self.log.display()) }
        })?;
        match ended {
            None => Ok(()),
            Some(status) => {
                bail!("{} ended with {status} before it was ready\n{}", self.name, tail(&self.log, 20))
            }
        }
    }

    /// Asks it to end (`SIGTERM`) and waits for at most `limit`.
    pub fn terminate(&self, limit: Duration) -> Result<ExitStatus> {
        self.end_by(libc::SIGTERM, limit)
    }

    /// What a terminal sends for Ctrl-C (`SIGINT`); waits for its end for at most `limit`.
    pub fn interrupt(&self, limit: Duration) -> Result<ExitStatus> {
        self.end_by(libc::SIGINT, limit)
    }

    fn end_by(&self, signal: i32, limit: Duration) -> Result<ExitStatus> {
        self.signal(signal)?;
        eventually(limit, &format!("{} ends after signal {signal}", self.name), || {
            self.exit_status()?.ok_or_else(|| anyhow!("it still runs, log: {}", self.log.display()))
        })
    }

    /// Kills it (`SIGKILL`) and waits for its end. A process that has ended already is no error.
    pub fn kill(&self) -> Result<()> {
        let mut child = self.child();
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// Stops it where it stands (`SIGSTOP`): its connections stay open and nothing answers.
    pub fn freeze(&self) -> Result<()> {
        self.signal(libc::SIGSTOP)
    }

    /// Lets it go on after [`Process::freeze`] (`SIGCONT`).
    pub fn thaw(&self) -> Result<()> {
        self.signal(libc::SIGCONT)
    }

    /// Sends a signal to this very child: while the lock is held and it is not reaped, its ID cannot be another's.
    #[allow(unsafe_code)]
    fn signal(&self, signal: i32) -> Result<()> {
        let mut child = self.child();
        if let Some(status) = child.try_wait()? {
            bail!("{} has ended already: {status}\n{}", self.name, tail(&self.log, 20));
        }
        // SAFETY: kill(2) takes no memory of ours; the child is not reaped, see above.
        match unsafe { libc::kill(child.id() as libc::pid_t, signal) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()).with_context(|| format!("signal {signal} to {}", self.name)),
        }
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Nobody is left to tell; the kernel kills it at our end in any case.
        let _ = self.kill();
    }
}

/// Runs a command to its end, its output into `log`; an exit code other than 0 is an error with the log's end.
pub fn run_to_end(name: &str, command: Command, log: &Path, limit: Duration) -> Result<()> {
    let process = Process::spawn(name, command, log)?;
    let status = eventually(limit, &format!("{name} ends"), || {
        process.exit_status()?.ok_or_else(|| anyhow!("it still runs, log: {}", log.display()))
    })?;
    if !status.success() {
        bail!("{name} failed with {status}\n{}", tail(log, 20));
    }
    Ok(())
}

/// What was appended to a log after its first `earlier` bytes.
pub fn grown_by(log: &Path, earlier: u64) -> String {
    let bytes = fs::read(log).unwrap_or_default();
    String::from_utf8_lossy(bytes.get(earlier as usize..).unwrap_or_default()).into_owned()
}

/// The last lines of a file, for messages; long ones are cut at 300 characters.
pub fn tail(file: &Path, lines: usize) -> String {
    let text = fs::read(file).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let all: Vec<&str> = text.lines().collect();
    let last = &all[all.len().saturating_sub(lines)..];
    let shown: Vec<String> = last.iter().map(|line| line.chars().take(300).collect()).collect();
    format!("--- {} (last {} of {} lines)\n{}", file.display(), last.len(), all.len(), shown.join("\n"))
}

/// From now on this process dies when the one that started it does.
#[allow(unsafe_code)]
pub fn die_with_parent() -> io::Result<()> {
    // SAFETY: prctl with PR_SET_PDEATHSIG takes a number and touches no memory of ours.
    match unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

type Order = (Command, SyncSender<io::Result<Child>>);

fn spawn_bound_to_us(command: Command) -> Result<Child> {
    static STARTER: OnceLock<SyncSender<Order>> = OnceLock::new();
    let starter = STARTER.get_or_init(|| {
        let (orders, inbox) = sync_channel::<Order>(8);
        thread::spawn(move || {
            for (command, answer) in inbox {
                // Whoever asked may have reached its time limit: then the child is dropped, and killed at our end.
                let _ = answer.send(spawn_here(command));
            }
        });
        orders
    });
    let (answer, child) = sync_channel(1);
    starter.send((command, answer)).map_err(|_| anyhow!("the thread that starts processes is gone"))?;
    Ok(child.recv()??)
}

#[allow(unsafe_code)]
fn spawn_here(mut command: Command) -> io::Result<Child> {
    let parent = std::process::id();
    // SAFETY: only calls that are safe between fork and exec (prctl, getppid); no memory is allocated.
    unsafe {
        command.pre_exec(move || {
            die_with_parent()?;
            // The parent may have died before prctl: then nobody would ever kill us.
            if libc::getppid() as u32 == parent {
                Ok(())
            } else {
                Err(io::Error::from_raw_os_error(libc::ESRCH))
            }
        });
    }
    command.spawn()
}
