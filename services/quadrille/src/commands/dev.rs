//! `quadrille dev`: a whole mesh on this machine.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use clap::ValueEnum;
use quadrille_audit::expect::Expectations;
use quadrille_dev::input;
use quadrille_dev::servers::Servers;
use quadrille_dev::session::{Job, Session};
use quadrille_host::PrefixOption;
use quadrille_host::logs::{self, Format};
use quadrille_host::options::{key_value, with_environment};
use quadrille_host::signals::Signals;
use quadrille_kafka::Settings;

use crate::terminal;

/// How long threads of a run that was broken off may take to end.
const LEFT: Duration = Duration::from_secs(2);

/// How long a member may be silent here: a program that dies is missed soon.
const SESSION: Duration = Duration::from_secs(10);

#[derive(Debug, clap::Args)]
pub(crate) struct Dev {
    /// The topology file; what FILE.dev.yaml beside it names is started too
    file: PathBuf,
    /// Publish this file (one JSON object a line), wait until every input has come to its end, audit, and end
    #[arg(long, value_name = "FILE.jsonl")]
    publish: Option<PathBuf>,
    /// What the audit expects; default: FILE.expect.yaml beside the topology
    #[arg(long, value_name = "FILE", requires = "publish")]
    expect: Option<PathBuf>,
    /// How long the published inputs may take to come to their end
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = humantime::parse_duration)]
    timeout: Duration,
    /// Folder of the data; default: a new one, removed at the end of a run that was valid
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// What an acknowledged record survives on the embedded broker
    #[arg(long, value_enum, default_value_t = Flush::Commit)]
    flush: Flush,
    /// Use these brokers instead of the embedded one
    #[arg(
        long,
        env = "QUADRILLE_BOOTSTRAP_SERVERS",
        value_name = "HOST:PORT,…",
        requires = "schema_registry"
    )]
    bootstrap_servers: Option<String>,
    /// Use this schema registry instead of the embedded one
    #[arg(long, env = "QUADRILLE_SCHEMA_REGISTRY", value_name = "URL", requires = "bootstrap_servers")]
    schema_registry: Option<String>,
    /// A setting for librdkafka, such as security.protocol=SASL_SSL, for the programs of FILE.dev.yaml too; with brokers of
    /// your own also by environment, QUADRILLE_X_SASL_PASSWORD for sasl.password, where others cannot read it
    #[arg(short = 'X', value_name = "KEY=VALUE", value_parser = key_value)]
    settings: Vec<(String, String)>,
    #[command(flatten)]
    copy: PrefixOption,
    /// What is logged
    #[arg(long, env = "QUADRILLE_LOG", value_name = "FILTER", default_value = "error")]
    log: String,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Flush {
    /// A power cut
    Commit,
    /// The death of the process
    Os,
}

impl Dev {
    /// Runs until a signal comes, or until what was published is audited.
    ///
    /// # Errors
    /// Something does not start, or ends when it should not.
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        crate::terminal::say!("quadrille: starting {}", self.file.display());
        logs::init(Format::Text, &self.log)?;
        quadrille_host::ops::recorder();
        let mesh = quadrille_host::topology::load(&self.file)?.prefixed(self.copy.prefix.as_ref());
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let publishes = self.publish.is_some();
        let ended = runtime.block_on(async {
            tokio::select! {
                ended = self.session(mesh) => ended.map_err(|error| anyhow!("{error}")),
                // One that stays listens itself, and ends in order.
                signal = interrupted(), if publishes => signal,
            }
        });
        // What was broken off may still be working on it.
        runtime.shutdown_timeout(LEFT);
        ended
    }

    async fn session(self, mesh: quadrille_topology::Mesh) -> Result<ExitCode, quadrille_dev::Error> {
        let temporary = match &self.data {
            None => Some(tempfile::Builder::new().prefix("quadrille-").tempdir().map_err(|error| {
                let folder = std::env::temp_dir();
                format!("no folder for the data in {}: {error}; name one with --data", folder.display())
            })?),
            Some(_) => None,
        };
        let folder = match (&self.data, &temporary) {
            (Some(folder), _) => folder.clone(),
            (None, Some(temporary)) => temporary.path().to_owned(),
            (None, None) => unreachable!("one of them is there"),
        };
        let expectations = match &self.publish {
            Some(_) => Some(self.expectations()?),
            None => None,
        };
        let lines = self
            .publish
            .as_ref()
            .map(|file| input::read(file, &mesh, self.copy.prefix.as_ref()))
            .transpose()?;
        let topology = std::path::absolute(&self.file)?;
        let servers = self.servers(&folder).await?;
        let job = Job {
            topology,
            mesh,
            prefix: self.copy.prefix.clone(),
            folder: folder.clone(),
            settings: self.kafka(&servers)?,
        };
        let session = Session::start(job, servers, self.publish.is_some()).await?;
        let (kafka, registry) = session.addresses();
        crate::terminal::say!("kafka {kafka}\nregistry {registry}\ndata {}", folder.display());
        let (Some(publish), Some(lines), Some(expectations)) = (&self.publish, lines, expectations) else {
            return stay(session).await;
        };
        let audited = session.publish(publish, lines, expectations, self.timeout).await?;
        if !audited.verdict.is_valid() {
            // What was found is looked for in the data.
            if let Some(temporary) = temporary {
                crate::terminal::say!("the data is kept in {}", temporary.keep().display());
            }
        }
        match terminal::print(&format!("{}\n", audited.text())) {
            // Who went away does not want to know; the exit code tells all the same.
            Err(error) if !terminal::is_broken_pipe(&error) => return Err(error.into()),
            _ => {}
        }
        Ok(if audited.verdict.is_valid() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    async fn servers(&self, folder: &std::path::Path) -> Result<Servers, quadrille_dev::Error> {
        match (&self.bootstrap_servers, &self.schema_registry) {
            (Some(bootstrap), Some(registry)) => {
                // A variable that was set in this terminal long ago is easily forgotten.
                crate::terminal::say!(
                    "on the Kafka that --bootstrap-servers or QUADRILLE_BOOTSTRAP_SERVERS names: {bootstrap}"
                );
                Ok(Servers::of(bootstrap.clone(), registry.clone()))
            }
            _ => {
                let flush = match self.flush {
                    Flush::Commit => quadrille_broker::Flush::Commit,
                    Flush::Os => quadrille_broker::Flush::Os,
                };
                Servers::embedded(folder, flush).await
            }
        }
    }

    /// Variables speak of brokers of the user's, not of the embedded one.
    fn kafka(&self, servers: &Servers) -> Result<Settings, quadrille_dev::Error> {
        let passed = if servers.are_embedded() {
            self.settings.iter().cloned().collect()
        } else {
            with_environment(&self.settings)
        };
        let mut settings = Settings::new(servers.bootstrap.clone(), passed)?;
        settings.session_timeout = SESSION;
        Ok(settings)
    }

    fn expectations(&self) -> Result<Expectations, quadrille_dev::Error> {
        let file = self.expect.clone().unwrap_or_else(|| self.file.with_extension("expect.yaml"));
        if !file.exists() {
            let file = file.display();
            let why =
                "it tells the audit what each outcome demands, as order.expect.yaml does for order.yaml";
            return Err(format!("there is no {file}: {why}; without --publish nothing is audited").into());
        }
        let expectations = Expectations::load(&file)?;
        Ok(match &self.copy.prefix {
            Some(prefix) => expectations.prefixed(prefix.name()),
            None => expectations,
        })
    }
}

/// Waits for a signal: whoever sends one does not wait for the verdict.
async fn interrupted() -> anyhow::Result<ExitCode> {
    let signal = Signals::new().context("signals cannot be heard")?.next().await;
    Err(anyhow!("broken off by {signal}: there is no verdict"))
}

/// Stays until a signal comes, or a part ends that should not.
async fn stay(mut session: Session) -> Result<ExitCode, quadrille_dev::Error> {
    let (kafka, registry) = session.addresses();
    crate::terminal::say!(
        "running {}; Ctrl-C ends it\nto look in: export QUADRILLE_BOOTSTRAP_SERVERS={kafka} QUADRILLE_SCHEMA_REGISTRY={registry}",
        session.topology().display()
    );
    let mut signals = Signals::new().context("signals cannot be heard")?;
    let mut look = tokio::time::interval(Duration::from_millis(500));
    loop {
        tokio::select! {
            _ = signals.next() => break,
            _ = look.tick() => session.healthy()?,
        }
    }
    crate::terminal::say!("ending");
    session.stop().await?;
    Ok(ExitCode::SUCCESS)
}
