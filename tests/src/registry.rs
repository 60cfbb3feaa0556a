//! A Confluent-compatible schema registry: Apicurio Registry, fetched with Maven, on loopback.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use reqwest::Method;
use serde_json::json;

use crate::cluster::Server;
use crate::folders::{cached, run_dir};
use crate::http::Http;
use crate::java::{self, Java};
use crate::ports::free_port;
use crate::process::{Process, run_to_end};

const VERSION: &str = "3.3.3";
/// What this version is compiled for.
const JAVA_RELEASE: u32 = 21;
const START_LIMIT: Duration = Duration::from_secs(180);
const STOP_LIMIT: Duration = Duration::from_secs(60);
const FETCH_LIMIT: Duration = Duration::from_secs(600);

/// All that a registry needs before it can start: Java and the unpacked program.
#[derive(Clone, Debug)]
pub struct Kit {
    java: Java,
    program: PathBuf,
}

impl Kit {
    /// Finds and fetches what is missing. An error means that the registry cannot be had on this machine.
    pub fn prepare() -> Result<Kit> {
        let java = java::newest_from(JAVA_RELEASE)?;
        let program =
            cached("registry", VERSION, fetch).context("the schema registry could not be fetched")?;
        Ok(Kit { java, program })
    }
}

fn fetch(folder: &Path) -> Result<()> {
    let log = run_dir()?.join("registry-fetch.log");
    let archive = folder.join("registry.tar.gz");
    let mut maven = Command::new("mvn");
    maven.args(["-q", "-B", "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"]);
    maven.arg(format!("-Dartifact=io.apicurio:apicurio-registry-app:{VERSION}:tar.gz:all"));
    maven.args(["-Dmdep.stripVersion=true", "-Dmdep.stripClassifier=true"]);
    maven.arg(format!("-DoutputDirectory={}", folder.display())).current_dir(folder);
    run_to_end("mvn dependency:copy", maven, &log, FETCH_LIMIT)?;
    fs::rename(folder.join("apicurio-registry-app.tar.gz"), &archive)?;
    let mut unpack = Command::new("tar");
    unpack.arg("xzf").arg(&archive).arg("-C").arg(folder);
    run_to_end("tar", unpack, &log, FETCH_LIMIT)?;
    fs::remove_file(&archive)?;
    Ok(())
}

/// One registry with its own database file. Stopped, it keeps its address, its subjects and its IDs.
#[derive(Debug)]
pub struct Registry {
    kit: Kit,
    folder: PathBuf,
    ports: Option<(u16, u16)>,
    url: String,
    process: Option<Process>,
}

impl Registry {
    /// A registry that has never run; its database and its log go to `folder`.
    pub fn new(kit: &Kit, folder: &Path) -> Result<Registry> {
        fs::create_dir_all(folder)?;
        let (kit, folder) = (kit.clone(), folder.to_owned());
        Ok(Registry { kit, folder, ports: None, url: String::new(), process: None })
    }

    fn launch(&mut self, (port, management_port): (u16, u16)) -> Result<()> {
        let url = format!("http://127.0.0.1:{port}/apis/ccompat/v7");
        let mut command = Command::new(&self.kit.java.binary);
        command.args(["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]);
        command.arg("-Dquarkus.http.host=127.0.0.1").arg(format!("-Dquarkus.http.port={port}"));
        // Without a host of its own the health port opens on every interface.
        command.arg("-Dquarkus.management.host=127.0.0.1");
        command.arg(format!("-Dquarkus.management.port={management_port}"));
        command.arg(format!(
            "-Dapicurio.datasource.url=jdbc:h2:file:{}",
            self.folder.join("registry").display()
        ));
        command.arg("-jar").arg(self.kit.program.join("quarkus-run.jar"));
        let process = Process::spawn("registry", command, &self.log())?;
        let http = Http::new()?;
        process.wait_ready(START_LIMIT, || {
            http.get(&format!("{url}/subjects")).is_ok_and(|(status, _)| status == 200)
        })?;
        // Its own default is NONE, Confluent's is BACKWARD.
        let level = json!({"compatibility": "BACKWARD"});
        let (status, body) = http.send(Method::PUT, &format!("{url}/config"), Some(&level))?;
        if status != 200 {
            bail!("the registry refused the compatibility level: {status} {body}");
        }
        self.process = Some(process);
        self.ports = Some((port, management_port));
        self.url = url;
        Ok(())
    }
}

impl Server for Registry {
    fn start(&mut self) -> Result<()> {
        if self.process.is_some() {
            bail!("the registry runs already");
        }
        if let Some(ports) = self.ports {
            return self.launch(ports);
        }
        let mut last = None;
        for _ in 0..3 {
            match self.launch((free_port()?, free_port()?)) {
                Err(error) if format!("{error:#}").contains("already in use") => last = Some(error),
                other => return other,
            }
        }
        Err(last.unwrap_or_else(|| anyhow!("no attempt was made"))).context("three times a port was taken")
    }

    fn stop(&mut self) -> Result<()> {
        self.process.take().context("the registry does not run")?.terminate(STOP_LIMIT)?;
        Ok(())
    }

    fn kill(&mut self) -> Result<()> {
        self.process.take().context("the registry does not run")?.kill()
    }

    fn process(&self) -> Option<&Process> {
        self.process.as_ref()
    }

    fn bootstrap(&self) -> Option<String> {
        None
    }

    fn registry_url(&self) -> Option<String> {
        Some(self.url.clone())
    }

    fn log(&self) -> PathBuf {
        self.folder.join("registry.log")
    }
}
