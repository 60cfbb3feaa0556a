//! The harness itself: what it starts can be frozen and killed, and does not outlive it.

use std::path::Path;
use std::process::Command;
use std::time::Duration;
use std::{env, fs, thread};

use anyhow::{Context, Result, bail, ensure};
use quadrille_tests::folders::run_dir;
use quadrille_tests::ports::free_port;
use quadrille_tests::process::Process;
use quadrille_tests::wait::eventually;
use quadrille_tests::{Promise, promise};

const SOON: Duration = Duration::from_secs(60);

pub(crate) fn promises() -> Vec<Promise> {
    vec![
        promise!(alone, a_process_can_be_frozen_thawed_and_killed),
        promise!(alone, a_process_that_ends_too_early_is_an_error_with_its_log),
        promise!(alone, a_child_dies_with_the_process_that_started_it),
        promise!(alone, ports_lie_below_the_range_for_outgoing_connections),
    ]
}

fn shell(name: &str, script: &str) -> Result<Process> {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    Process::spawn(name, command, &run_dir()?.join(format!("{name}.log")))
}

/// The state letter in /proc/PID/stat, or an error when there is no such process.
fn state(pid: u32) -> Result<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let after_name = stat.rsplit(") ").next().context("no name in stat")?;
    after_name.chars().next().context("no state in stat")
}

fn a_process_can_be_frozen_thawed_and_killed() -> Result<()> {
    let process = shell("sleeper", "exec sleep 600")?;
    let pid = process.pid();
    process.freeze()?;
    eventually(SOON, "it is stopped", || if state(pid)? == 'T' { Ok(()) } else { bail!("it runs") })?;
    process.thaw()?;
    eventually(SOON, "it runs again", || if state(pid)? == 'S' { Ok(()) } else { bail!("it is stopped") })?;
    process.freeze()?;
    process.kill()?;
    ensure!(state(pid).is_err(), "process {pid} outlived its kill");
    ensure!(process.freeze().is_err(), "a dead process took a signal");
    Ok(())
}

fn a_process_that_ends_too_early_is_an_error_with_its_log() -> Result<()> {
    let process = shell("early", "echo cannot bind; exit 3")?;
    let Err(error) = process.wait_ready(SOON, || false) else { bail!("it never was ready") };
    let message = format!("{error:#}");
    ensure!(message.contains("exit status: 3") && message.contains("cannot bind"), "{message}");
    Ok(())
}

fn a_child_dies_with_the_process_that_started_it() -> Result<()> {
    let pid_file = run_dir()?.join("victim.pid");
    let mut command = Command::new(env::current_exe()?);
    command.env(VICTIM, &pid_file);
    let victim = Process::spawn("victim", command, &run_dir()?.join("victim.log"))?;
    let child: u32 =
        eventually(SOON, "it has a child", || Ok(fs::read_to_string(&pid_file)?.trim().parse()?))?;
    ensure!(state(child).is_ok(), "the child is not there");
    victim.kill()?;
    eventually(SOON, "the child is gone", || match state(child) {
        // Whoever adopted it may not have asked for its exit code yet.
        Err(_) | Ok('Z') => Ok(()),
        Ok(letter) => bail!("process {child} is in state {letter}"),
    })
}

/// Names the file for the child's process ID; set, this binary is the process that is going to be killed.
const VICTIM: &str = "QUADRILLE_VICTIM_PID_FILE";

/// Starts a child in the harness's way and waits to be killed, if that is what this process was started for.
pub(crate) fn be_the_victim() {
    let Some(file) = env::var_os(VICTIM) else { return };
    let mut command = Command::new("sleep");
    command.arg("600");
    let child = Process::spawn("sleeper", command, Path::new("/dev/null")).expect("sleep can be started");
    let written = Path::new(&file).with_extension("new");
    fs::write(&written, child.pid().to_string()).expect("the run folder can be written to");
    fs::rename(written, file).expect("the run folder can be written to");
    loop {
        thread::park();
    }
}

fn ports_lie_below_the_range_for_outgoing_connections() -> Result<()> {
    let (first, second) = (free_port()?, free_port()?);
    ensure!(first < 32_768 && second < 32_768 && first != second, "{first} {second}");
    Ok(())
}
