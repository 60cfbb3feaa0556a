//! Apache Kafka: one combined node on loopback, fetched with Maven, without Docker.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};

use crate::cluster::Server;
use crate::folders::{cached, run_dir};
use crate::java::{self, Java};
use crate::ports::free_port;
use crate::process::{Process, grown_by, run_to_end};
use crate::secured::{Access, MECHANISM};

const POM: &str = include_str!("../kafka/pom.xml");
const LOGGING: &str = include_str!("../kafka/log4j2.properties");
const SETTINGS: &str = include_str!("../kafka/server.properties");
/// The later of two lines for one name counts.
const SECURED: &str = include_str!("../kafka/secured.properties");

/// What Kafka 4.3 asks for.
const JAVA_RELEASE: u32 = 17;
const READY_LINE: &str = "Kafka Server started";
/// After `kill -9` a node waits for its old registration to time out (2 s); the rest is room for a busy machine.
const START_LIMIT: Duration = Duration::from_secs(120);
const STOP_LIMIT: Duration = Duration::from_secs(60);
const FETCH_LIMIT: Duration = Duration::from_secs(600);

/// All that a node needs before it can start: Java, the class path, an archive of loaded classes.
#[derive(Clone, Debug)]
pub struct Kit {
    java: Java,
    class_path: String,
    logging: PathBuf,
    archive: PathBuf,
}

impl Kit {
    /// Finds and fetches what is missing. An error means that Apache Kafka cannot be had on this machine.
    pub fn prepare() -> Result<Kit> {
        let java = java::oldest_from(JAVA_RELEASE)?;
        let folder = cached("kafka", POM, fetch).context("Apache Kafka could not be fetched")?;
        let logging = folder.join("log4j2.properties");
        fs::write(&logging, LOGGING)?;
        let class_path = class_path(&folder.join("libs"))?;
        let bare = Kit { java, class_path, logging, archive: PathBuf::new() };
        // Only the same Java with the same class path can read an archive; another one is ignored in silence.
        let stamp = format!("{}\n{}", bare.java.version, bare.class_path);
        let archive = cached("kafka-archive", &stamp, |folder| bare.write_archive(folder))
            .context("the archive of classes for Apache Kafka could not be made")?;
        Ok(Kit { archive: archive.join("classes.jsa"), ..bare })
    }

    /// A command that runs one of Kafka's main classes: `kafka.Kafka`, or a tool.
    pub fn command(&self, heap: &str, extra: &[String], main_class: &str) -> Command {
        let mut command = Command::new(&self.java.binary);
        command.args(["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", heap]).args(extra);
        if self.archive.exists() {
            command.arg(format!("-XX:SharedArchiveFile={}", self.archive.display()));
        }
        command.arg(format!("-Dlog4j2.configurationFile={}", self.logging.display()));
        command.args(["-cp", &self.class_path, main_class]);
        command
    }

    /// Runs one node to a clean stop, at which Java writes down the classes it loaded: 3 s once, 1.5 s less each start.
    fn write_archive(&self, folder: &Path) -> Result<()> {
        let archive = folder.join("classes.jsa");
        let extra = vec![format!("-XX:ArchiveClassesAtExit={}", archive.display())];
        let mut node = Kafka::new(self, &run_dir()?.join("kafka-archive"))?;
        node.extra = extra;
        node.start()?;
        node.stop()?;
        if archive.exists() { Ok(()) } else { bail!("{} was not written", archive.display()) }
    }
}

fn fetch(folder: &Path) -> Result<()> {
    fs::write(folder.join("pom.xml"), POM)?;
    let mut maven = Command::new("mvn");
    maven.args(["-q", "-B", "dependency:copy-dependencies", "-f"]).arg(folder.join("pom.xml"));
    maven.arg(format!("-Dlibs={}", folder.join("libs").display()));
    run_to_end("mvn dependency:copy-dependencies", maven, &run_dir()?.join("kafka-fetch.log"), FETCH_LIMIT)
}

/// Every jar by its name and in order: a pattern would be expanded in any order, and the archive would not fit.
fn class_path(libs: &Path) -> Result<String> {
    let entries = fs::read_dir(libs)?.collect::<Result<Vec<_>, _>>()?;
    let mut jars: Vec<String> = entries.iter().map(|entry| entry.path().display().to_string()).collect();
    jars.sort();
    Ok(jars.join(":"))
}

/// One node with its own data folder. Stopped, it keeps its address and its data.
#[derive(Debug)]
pub struct Kafka {
    kit: Kit,
    folder: PathBuf,
    extra: Vec<String>,
    bootstrap: String,
    access: Option<Access>,
    process: Option<Process>,
}

impl Kafka {
    /// A node that has never run; its data and its log go to `folder`.
    pub fn new(kit: &Kit, folder: &Path) -> Result<Kafka> {
        fs::create_dir_all(folder)?;
        Ok(Kafka {
            kit: kit.clone(),
            folder: folder.to_owned(),
            extra: Vec::new(),
            bootstrap: String::new(),
            access: None,
            process: None,
        })
    }

    /// One that lets a client in only as [`Access`] says.
    pub fn secured(kit: &Kit, folder: &Path) -> Result<Kafka> {
        let access = Access::create(&folder.join("certificates"))?;
        Ok(Kafka { access: Some(access), ..Kafka::new(kit, folder)? })
    }

    fn settings(&self) -> PathBuf {
        self.folder.join("server.properties")
    }

    /// Takes ports and formats the data folder for them.
    fn format(&mut self) -> Result<()> {
        let (port, tls_port) = (free_port()?, free_port()?);
        let data = self.folder.join("data");
        let _ = fs::remove_dir_all(&data);
        let mut format = self.kit.command("-Xmx128m", &[], "kafka.tools.StorageTool");
        format.args(["format", "--standalone", "-t", &cluster_id(), "-c"]).arg(self.settings());
        let mut settings = SETTINGS.to_owned();
        self.bootstrap = format!("127.0.0.1:{port}");
        if let Some(access) = &mut self.access {
            settings += &SECURED
                .replace("@TLS_PORT@", &tls_port.to_string())
                .replace("@BROKER_PASSWORD@", &format!("{:016x}", fastrand::u64(..)))
                .replace("@CERTIFICATES@", &access.folder().display().to_string());
            let Access { user, password, .. } = access;
            format.args(["--add-scram", &format!("{MECHANISM}=[name={user},password={password}]")]);
            access.plain = self.bootstrap.clone();
            access.tls = format!("127.0.0.1:{tls_port}");
        }
        let settings = settings
            .replace("@CONTROLLER_PORT@", &free_port()?.to_string())
            .replace("@PORT@", &port.to_string())
            .replace("@DATA@", &data.display().to_string());
        fs::write(self.settings(), settings)?;
        run_to_end("kafka format", format, &self.folder.join("format.log"), START_LIMIT)
    }

    fn launch(&mut self) -> Result<()> {
        let log = self.log();
        let earlier = fs::metadata(&log).map(|meta| meta.len()).unwrap_or(0);
        let mut node = self.kit.command("-Xmx384m", &self.extra, "kafka.Kafka");
        node.arg(self.settings());
        let process = Process::spawn("kafka", node, &log)?;
        process.wait_ready(START_LIMIT, || grown_by(&log, earlier).contains(READY_LINE))?;
        self.process = Some(process);
        Ok(())
    }
}

impl Server for Kafka {
    fn start(&mut self) -> Result<()> {
        if self.process.is_some() {
            bail!("kafka runs already");
        }
        if !self.bootstrap.is_empty() {
            return self.launch();
        }
        // Between finding a free port and binding it, another process may take it: then once more with others.
        let mut last = None;
        for _ in 0..3 {
            self.format()?;
            match self.launch() {
                Err(error) if format!("{error:#}").contains("Address already in use") => last = Some(error),
                other => return other,
            }
        }
        Err(last.unwrap_or_else(|| anyhow!("no attempt was made"))).context("three times a port was taken")
    }

    fn stop(&mut self) -> Result<()> {
        let process = self.process.take().context("kafka does not run")?;
        let status = process.terminate(STOP_LIMIT)?;
        // 143 = 128 + SIGTERM is how Java ends after it has shut down in order.
        if status.code() == Some(143) { Ok(()) } else { bail!("kafka stopped with {status}") }
    }

    fn kill(&mut self) -> Result<()> {
        self.process.take().context("kafka does not run")?.kill()
    }

    fn process(&self) -> Option<&Process> {
        self.process.as_ref()
    }

    fn bootstrap(&self) -> Option<String> {
        Some(self.access.as_ref().map_or(&self.bootstrap, |access| &access.tls).clone())
    }

    fn access(&self) -> Option<Access> {
        self.access.clone()
    }

    fn registry_url(&self) -> Option<String> {
        None
    }

    fn log(&self) -> PathBuf {
        self.folder.join("kafka.log")
    }
}

/// 16 random bytes in URL-safe base64, as Kafka writes a cluster's ID: 22 characters, the last one of 2 bits.
fn cluster_id() -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    // A leading '-' would be read as an option by the format tool.
    let first = (0..1).map(|_| fastrand::usize(0..62));
    let middle = (0..20).map(|_| fastrand::usize(0..64));
    let last = (0..1).map(|_| fastrand::usize(0..4) * 16);
    first.chain(middle).chain(last).map(|index| char::from(ALPHABET[index])).collect()
}
