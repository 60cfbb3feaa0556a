//! Running commands: printed, streamed, and ended when we are.

use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context, Result, bail};

static TARGET_DIR: OnceLock<PathBuf> = OnceLock::new();

/// The target folder for every [`cargo`] from now on.
pub(crate) fn set_target_dir(folder: PathBuf) {
    TARGET_DIR.get_or_init(|| folder);
}

/// A call of the cargo that runs us.
pub(crate) fn cargo<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args);
    if let Some(folder) = TARGET_DIR.get() {
        command.env("CARGO_TARGET_DIR", folder);
    }
    // A developer's own lint configuration would hide the one of the pure crates.
    command.env_remove("CLIPPY_CONF_DIR");
    command
}

/// Runs it to its end; an exit code other than 0 is an error.
pub(crate) fn run(mut command: Command) -> Result<()> {
    let status = spawn(&mut command)?.wait()?;
    if status.success() { Ok(()) } else { bail!("`{}` failed: {status}", shown(&command)) }
}

/// Like [`run`], and shows each line of its standard output to `watch` on the way.
pub(crate) fn run_watched(mut command: Command, mut watch: impl FnMut(&str)) -> Result<()> {
    command.stdout(Stdio::piped());
    let mut child = spawn(&mut command)?;
    let mut stdout = io::stdout();
    let mut lines = BufReader::new(child.stdout.take().context("standard output is piped")?);
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line)? > 0 {
        stdout.write_all(&line)?;
        stdout.flush()?;
        watch(String::from_utf8_lossy(&line).trim_end());
        line.clear();
    }
    let status = child.wait()?;
    if status.success() { Ok(()) } else { bail!("`{}` failed: {status}", shown(&command)) }
}

/// Runs it and keeps what it says: whether it succeeded, standard output, standard error.
pub(crate) fn ask(mut command: Command) -> Result<(bool, String, String)> {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = spawn(&mut command)?.wait_with_output()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok((output.status.success(), text(&output.stdout), text(&output.stderr)))
}

/// The command line, for people.
pub(crate) fn shown(command: &Command) -> String {
    let words = command.get_args().map(|word| word.to_string_lossy());
    std::iter::once("cargo".into()).chain(words).collect::<Vec<_>>().join(" ")
}

/// The child dies with us: a run that is killed leaves no build and no broker behind.
#[allow(unsafe_code)]
fn spawn(command: &mut Command) -> Result<Child> {
    // SAFETY: prctl is safe between fork and exec; it takes numbers and touches no memory.
    unsafe {
        command.pre_exec(|| match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        });
    }
    command.spawn().with_context(|| format!("cannot run `{}`", shown(command)))
}
