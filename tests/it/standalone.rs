//! `quadrille broker` as a program: what it prints, how it ends, what it refuses.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use quadrille_tests::folders::{program, run_dir};
use quadrille_tests::http::Http;
use quadrille_tests::process::Process;
use quadrille_tests::wait::eventually;
use quadrille_tests::{Promise, promise};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::util::Timeout;

const SOON: Duration = Duration::from_secs(60);
const FREE: &str = "127.0.0.1:0";

pub(crate) fn promises() -> Vec<Promise> {
    vec![
        promise!(alone, its_output_is_two_addresses),
        promise!(alone, it_ends_in_order_on_either_signal),
        promise!(alone, one_process_at_a_time_has_a_data_folder),
        promise!(alone, what_it_cannot_serve_is_an_error_with_an_exit_code),
        promise!(alone, one_that_cannot_write_says_so_ends_and_keeps_what_it_acknowledged)
            .within(Duration::from_secs(180)),
    ]
}

/// A running `quadrille broker`, its standard output apart from its log.
struct Started {
    process: Process,
    kafka: String,
    registry: String,
}

/// Runs it through a shell that sends standard output to a file; the shell becomes the program.
fn spawn(name: &str, listen: &str, registry: &str, data: &Path) -> Result<(Process, PathBuf)> {
    spawn_after("", name, listen, registry, data)
}

/// The same, with commands of the shell before it.
fn spawn_after(
    before: &str,
    name: &str,
    listen: &str,
    registry: &str,
    data: &Path,
) -> Result<(Process, PathBuf)> {
    let output = run_dir()?.join(format!("{name}.out"));
    let _ = fs::remove_file(&output);
    let mut command = Command::new("sh");
    command.env_remove("RUST_LOG").args([
        "-c",
        &format!("{before} out=$1; shift; exec \"$@\" >\"$out\""),
        "sh",
    ]);
    command.arg(&output).arg(program("quadrille")?);
    command.args(["broker", "--listen", listen, "--registry", registry, "--data"]).arg(data);
    Ok((Process::spawn(name, command, &run_dir()?.join(format!("{name}.log")))?, output))
}

fn start(name: &str, data: &Path) -> Result<Started> {
    started(spawn(name, FREE, FREE, data)?)
}

/// Waits until it serves.
fn started((process, output): (Process, PathBuf)) -> Result<Started> {
    let mut text = String::new();
    process.wait_ready(SOON, || {
        text = fs::read_to_string(&output).unwrap_or_default();
        text.lines().count() >= 2
    })?;
    let lines: Vec<&str> = text.lines().collect();
    let [kafka, registry] = lines[..] else { bail!("more than two lines: {text}") };
    let kafka = kafka.strip_prefix("kafka ").with_context(|| text.clone())?.to_owned();
    let registry = registry.strip_prefix("registry ").with_context(|| text.clone())?.to_owned();
    Ok(Started { process, kafka, registry })
}

/// Waits for the end of one that cannot start: how it ended, and what it said.
fn refused(name: &str, listen: &str, registry: &str, data: &Path) -> Result<(ExitStatus, String)> {
    let (process, _) = spawn(name, listen, registry, data)?;
    let status = eventually(SOON, "it gives up", || process.exit_status()?.context("it runs"))?;
    Ok((status, fs::read_to_string(process.log())?))
}

fn its_output_is_two_addresses() -> Result<()> {
    let started = start("addresses", &run_dir()?.join("addresses"))?;
    let log = fs::read_to_string(started.process.log())?;
    ensure!(log.contains("for development and tests, on loopback only"), "{log}");
    ensure!(log.contains("for real work use Apache Kafka"), "{log}");
    let kafka: std::net::SocketAddr = started.kafka.parse()?;
    ensure!(kafka.ip().is_loopback() && kafka.port() != 0, "{kafka}");
    std::net::TcpStream::connect(kafka)?;
    let (status, body) = Http::new()?.get(&format!("{}/subjects", started.registry))?;
    ensure!(status == 200 && body == "[]", "{status} {body}");
    Ok(())
}

fn it_ends_in_order_on_either_signal() -> Result<()> {
    let data = run_dir()?.join("signals");
    for signal in ["SIGTERM", "SIGINT"] {
        let Started { process, registry, .. } = start("signals", &data)?;
        let status = if signal == "SIGTERM" { process.terminate(SOON)? } else { process.interrupt(SOON)? };
        ensure!(status.code() == Some(0), "{signal}: {status}");
        ensure!(Http::new()?.get(&registry).is_err(), "after {signal} something answers at {registry}");
    }
    Ok(())
}

fn one_process_at_a_time_has_a_data_folder() -> Result<()> {
    let data = run_dir()?.join("taken");
    let first = start("first", &data)?;
    let (status, log) = refused("second", FREE, FREE, &data)?;
    ensure!(status.code() == Some(2) && log.contains("is in use by another"), "{status} {log}");
    first.process.kill()?;
    start("third", &data)?;
    Ok(())
}

fn what_it_cannot_serve_is_an_error_with_an_exit_code() -> Result<()> {
    let (taken, data) = (TcpListener::bind(FREE)?, run_dir()?.join("refused"));
    let taken = taken.local_addr()?.to_string();
    let file = run_dir()?.join("a-file");
    fs::write(&file, "")?;
    let table = [
        ("0.0.0.0:0", FREE, &data, "other machines can reach it"),
        (FREE, "[::]:0", &data, "other machines can reach it"),
        ("localhost", FREE, &data, "write it as 127.0.0.1:9092"),
        (&taken, FREE, &data, "the broker does not start: cannot listen on"),
        (FREE, &taken, &data, "the registry does not start: can't listen on"),
        (FREE, FREE, &file, "a-file/kafka: Not a directory"),
        // A folder in which nobody may create anything, not even root.
        (FREE, FREE, &PathBuf::from("/proc/quadrille"), "/proc/quadrille/kafka: "),
    ];
    for (number, (listen, registry, data, expected)) in table.into_iter().enumerate() {
        let (status, log) = refused(&format!("refused-{number}"), listen, registry, data)?;
        ensure!(status.code() == Some(2) && log.contains(expected), "{status} {log}, expected {expected}");
        ensure!(!log.contains("panicked"), "{log}");
    }
    Ok(())
}

/// Files of more than 200 kB are refused, as everything is when a disk is full.
const SMALL_FILES: &str = "ulimit -f 400; trap '' XFSZ;";

fn one_that_cannot_write_says_so_ends_and_keeps_what_it_acknowledged() -> Result<()> {
    let data = run_dir()?.join("full");
    let full = started(spawn_after(SMALL_FILES, "full", FREE, FREE, &data)?)?;
    let acknowledged = write_until_refused(&full.kafka)?;
    let status = eventually(SOON, "it ends", || full.process.exit_status()?.context("it runs"))?;
    let log = fs::read_to_string(full.process.log())?;
    ensure!(!status.success() && log.contains("the broker cannot write, and ends"), "{status} {log}");
    ensure!(!log.contains("panicked"), "{log}");
    let again = start("with-room", &data)?;
    let reader: BaseConsumer = client(&again.kafka).set("group.id", "g").create()?;
    let (first, end) = reader.fetch_watermarks("t", 0, SOON)?;
    ensure!(
        acknowledged > 20 && first == 0 && end >= acknowledged,
        "{acknowledged} acknowledged, {end} there"
    );
    Ok(())
}

fn client(bootstrap: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap);
    config
}

/// Writes records until one is not acknowledged: how many were.
fn write_until_refused(bootstrap: &str) -> Result<i64> {
    let admin: AdminClient<DefaultClientContext> = client(bootstrap).create()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let topic = NewTopic::new("t", 1, TopicReplication::Fixed(1));
    for created in runtime.block_on(admin.create_topics(&[topic], &AdminOptions::new()))? {
        created.map_err(|(topic, code)| anyhow!("{topic}: {code}"))?;
    }
    let producer: FutureProducer = client(bootstrap).set("message.timeout.ms", "5000").create()?;
    let value = "x".repeat(1_000);
    for count in 0..10_000 {
        let record = FutureRecord::<str, str>::to("t").payload(&value);
        if runtime.block_on(producer.send(record, Timeout::Never)).is_err() {
            return Ok(count);
        }
    }
    bail!("10 MB were written, and nothing was refused")
}
