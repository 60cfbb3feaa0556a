//! From start to end.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use quadrille_audit::concurrent::ConcurrentReader;
use quadrille_audit::expect::Expectations;
use quadrille_audit::judge::{Rules, Verdict};
use quadrille_audit::report::{self, Counters};
use quadrille_audit::stores::Stores;
use quadrille_events::Codecs;
use quadrille_host::options::{PREFIX, as_variables};
use quadrille_kafka::publish::Publisher;
use quadrille_kafka::tail::Tail;
use quadrille_kafka::{Settings, connect};
use quadrille_provision::{How, Report};
use quadrille_schema::{Codec, RegistryConfig, Schemas};
use quadrille_topology::Mesh;
use quadrille_topology::lower;
use quadrille_topology::mesh::Prefix;
use quadrille_types::Record;
use quadrille_types::dead_letter::Reason;
use quadrille_types::outcome::{SCHEMA, SagaOutcome};
use quadrille_types::topics::Names;

use crate::Error;
use crate::awaited::Awaited;
use crate::input::Line;
use crate::mesh::{Local, http_services};
use crate::programs::{DevFile, Running};
use crate::progress::Progress;
use crate::servers::Servers;
use crate::unused;

/// How long Kafka may take to answer.
const ANSWER: Duration = Duration::from_secs(10);

/// How long the parts may take to get their partitions.
const READY: Duration = Duration::from_secs(60);

/// How long the audit may take to read everything.
const AUDIT: Duration = Duration::from_secs(120);

/// How long the registry may take to answer.
const REGISTRY: Duration = Duration::from_secs(10);

/// What is run.
pub struct Job {
    /// The topology file.
    pub topology: PathBuf,
    /// The mesh in it, under the names that `prefix` gives it.
    pub mesh: Mesh,
    /// Tells it from other copies on the same cluster.
    pub prefix: Option<Prefix>,
    /// Where stores and logs go.
    pub folder: PathBuf,
    /// How the brokers are reached.
    pub settings: Settings,
}

/// A running mesh.
pub struct Session {
    job: Job,
    servers: Servers,
    schemas: Schemas,
    programs: Vec<Running>,
    local: Local,
}

/// How a published run ended.
pub struct Audited {
    /// The verdict.
    pub verdict: Verdict,
    /// What the services counted.
    pub counters: Counters,
}

impl Session {
    /// Starts everything for `job`. With `publishes`, a cluster that the mesh was used on before is refused.
    pub async fn start(job: Job, servers: Servers, publishes: bool) -> Result<Self, Error> {
        let Job { topology, mesh, folder, settings, .. } = &job;
        for name in ["logs", "stores"] {
            std::fs::create_dir_all(folder.join(name))?;
        }
        let how = How::new(if servers.are_embedded() { 1 } else { -1 });
        let (cluster, needing) = (settings.clone(), mesh.clone());
        let report =
            tokio::task::spawn_blocking(move || make_ready(&cluster, &needing, how, publishes)).await??;
        report.warnings.iter().for_each(|warning| crate::say!("quadrille: warning: {warning}"));
        let registry =
            RegistryConfig { auto_register: true, ..RegistryConfig::new(servers.registry.clone()) };
        let schemas = Schemas::new(registry)?;
        let dev = DevFile::beside(topology)?;
        let here = http_services(mesh);
        if let Some(service) =
            mesh.services().into_iter().find(|name| !here.contains(name) && !dev.programs.contains_key(*name))
        {
            let file = topology.with_extension("dev.yaml");
            return Err(format!(
                "service {service} has handlers of its own: name its program in {}",
                file.display()
            )
            .into());
        }
        let environment = environment(&job, &servers);
        let mut programs = Vec::new();
        for (name, program) in &dev.programs {
            programs.push(Running::start(name, program, folder, &environment)?);
        }
        let rewrite: Vec<_> = programs.iter().flat_map(Running::rewrites).collect();
        let local = Local::start(mesh, settings, &schemas, &here, &rewrite).await?;
        let mut session = Self { job, servers, schemas, programs, local };
        session.ready().await?;
        Ok(session)
    }

    /// Where clients find the brokers and the registry.
    pub fn addresses(&self) -> (&str, &str) {
        (&self.servers.bootstrap, &self.servers.registry)
    }

    async fn ready(&mut self) -> Result<(), Error> {
        for program in &mut self.programs {
            program.ready().await?;
        }
        let deadline = Instant::now() + READY;
        while !self.local.is_ready() {
            self.healthy()?;
            if Instant::now() > deadline {
                return Err("the mesh has not been given its partitions in time".into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Fails if a part has ended that should not have.
    pub fn healthy(&mut self) -> Result<(), Error> {
        match self.servers.failure().or_else(|| self.local.failure()) {
            Some(why) => Err(why.into()),
            None => self.programs.iter_mut().find_map(Running::ended).map_or(Ok(()), Err),
        }
    }

    /// Publishes the `lines` of `file`, waits until every input has come to its end (at most `within`), stops everything and audits
    /// the run against `expectations`.
    pub async fn publish(
        mut self,
        file: &Path,
        lines: Vec<Line>,
        expectations: Expectations,
        within: Duration,
    ) -> Result<Audited, Error> {
        let mesh = &self.job.mesh;
        let emitted: BTreeSet<&str> =
            lines.iter().filter_map(|line| line.event(mesh)).map(|e| e.name.as_str()).collect();
        let codecs = Codecs::connect(mesh, Some(&self.schemas), &emitted, REGISTRY).await?;
        let records = lines.iter().map(|line| line.encode(mesh, &codecs));
        let records =
            records.collect::<Result<Vec<_>, _>>().map_err(|e| format!("{}: {e}", file.display()))?;
        let passed = self.job.settings.of_the_user();
        let mut kafka: Vec<_> = passed.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        kafka.push(("bootstrap.servers".to_owned(), self.servers.bootstrap.clone()));
        let (clients, expected) = (kafka.clone(), expectations.clone());
        let reader =
            tokio::task::spawn_blocking(move || ConcurrentReader::start(&clients, &expected)).await??;
        let watcher = self.watcher()?;
        let publisher = Publisher::new(&self.job.settings)?;
        for record in &records {
            publisher.send(record)?;
        }
        let sent = tokio::task::spawn_blocking(move || publisher.flush(Duration::from_secs(60))).await??;
        crate::say!("published {sent} records from {}", file.display());
        self.wait(&watcher, awaited(&self.job.mesh, &lines), within).await?;
        drop(watcher);
        crate::say!("stopping the mesh, then auditing");
        let counters = self.counters().await;
        let config = quadrille_audit::run::Config {
            kafka,
            registry: self.servers.registry.clone(),
            expectations,
            stores: Stores { folder: self.job.folder.join("stores"), ..Stores::default() },
            rules: Rules::default(),
            patience: AUDIT,
        };
        let servers = self.stop_mesh().await?;
        let verdict =
            tokio::task::spawn_blocking(move || quadrille_audit::run::run(&config, Some(reader))).await??;
        servers.stop().await?;
        Ok(Audited { verdict, counters })
    }

    /// Reads outcomes and dead letters from now on.
    fn watcher(&self) -> Result<Tail, Error> {
        let names = Names::new(&self.job.mesh.name);
        let (outcomes, dead) = (names.outcomes(), names.dead(""));
        let mut topics = lower::topics(&self.job.mesh);
        topics.retain(|topic| topic.name == outcomes || topic.name.starts_with(&dead));
        let topics = topics.iter().map(|topic| (topic.name.as_str(), topic.partitions));
        Ok(Tail::from_now(&self.job.settings, &names.group("dev"), topics)?)
    }

    async fn wait(&mut self, watcher: &Tail, mut awaited: Awaited, within: Duration) -> Result<(), Error> {
        let outcomes = Names::new(&self.job.mesh.name).outcomes();
        let codec = Codec::parse(SCHEMA)?;
        let mut progress = Progress::new(awaited.total());
        let deadline = Instant::now() + within;
        while awaited.done() < awaited.total() && Instant::now() < deadline {
            while let Some(record) = watcher.poll(Duration::ZERO)? {
                note(&mut awaited, &record, &outcomes, &codec);
            }
            progress.show(&awaited);
            self.healthy()?;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        if awaited.done() < awaited.total() {
            let examples = awaited.examples().join(", ");
            crate::say!(
                "not every input came to its end within {} s; open, for example: {examples}",
                within.as_secs()
            );
        }
        progress.finish(&awaited);
        Ok(())
    }

    /// What all services counted so far.
    async fn counters(&self) -> Counters {
        let mut texts = vec![quadrille_host::ops::recorder().render()];
        for program in &self.programs {
            texts.push(program.metrics().await);
        }
        let sum = |name: &str| Some(texts.iter().map(|text| counter(text, name)).sum());
        Counters {
            txns: sum("quadrille_transactions_total"),
            aborted: sum("quadrille_transactions_aborted_total"),
            fenced: sum("quadrille_transactions_fenced_total"),
            takeovers: sum("quadrille_takeovers_total"),
        }
    }

    async fn stop_mesh(mut self) -> Result<Servers, Error> {
        for program in &mut self.programs {
            // Services end first what they have in work, which may call a participant: those are stopped last.
            if !program.serves() {
                program.stop().await?;
            }
        }
        self.local.stop().await?;
        for program in &mut self.programs {
            program.stop().await?;
        }
        Ok(self.servers)
    }

    /// Finishes what is in work and stops everything.
    pub async fn stop(self) -> Result<(), Error> {
        self.stop_mesh().await?.stop().await
    }

    /// The topology that runs.
    pub fn topology(&self) -> &Path {
        &self.job.topology
    }
}

impl Audited {
    /// The summary table, the offenders, and the line.
    pub fn text(&self) -> String {
        let mut table = comfy_table::Table::new();
        table.load_style(comfy_table::presets::UTF8_FULL_CONDENSED);
        let mut row = |name: &str, count: u64| {
            table.add_row([name.to_owned(), count.to_string()]);
        };
        row("inputs", self.verdict.accepted);
        row("had their effect once", self.verdict.effect_once);
        row("dead letters", self.verdict.dlt);
        row("sagas", self.verdict.sagas);
        for (name, count) in &self.verdict.outcomes {
            row(name, *count);
        }
        format!("{table}\n{}{}", report::offenders(&self.verdict), report::line(&self.verdict, self.counters))
    }
}

/// Creates what `mesh` needs on the cluster. Blocks.
fn make_ready(settings: &Settings, mesh: &Mesh, how: How, publishes: bool) -> Result<Report, Error> {
    if publishes {
        connect::check(settings, ANSWER)?;
        unused::check(settings, mesh)?;
    }
    Ok(quadrille_provision::apply(settings, mesh, how)?)
}

/// What every program of the mesh finds in its environment; what is secret is nowhere else.
fn environment(job: &Job, servers: &Servers) -> Vec<(String, String)> {
    let mut environment: Vec<_> = as_variables(&job.settings).collect();
    let mut set = |name: &str, value: String| environment.push((name.to_owned(), value));
    set("QUADRILLE_TOPOLOGY", job.topology.display().to_string());
    set("QUADRILLE_BOOTSTRAP_SERVERS", servers.bootstrap.clone());
    set("QUADRILLE_SCHEMA_REGISTRY", servers.registry.clone());
    set("QUADRILLE_AUTO_REGISTER", "true".to_owned());
    if let Some(prefix) = &job.prefix {
        set(PREFIX, prefix.to_string());
    }
    environment
}

/// The identities whose end is waited for: those of the inputs that start a saga, or that nobody can read.
fn awaited(mesh: &Mesh, lines: &[Line]) -> Awaited {
    let starts =
        |line: &&Line| mesh.events_on(&line.topic).any(|event| mesh.started_by(&event.name).next().is_some());
    Awaited::new(lines.iter().filter(starts).filter_map(Line::identity).map(str::to_owned))
}

fn note(awaited: &mut Awaited, record: &Record, outcomes: &str, codec: &Codec) {
    let value = record.value.as_deref().unwrap_or_default();
    if record.position.topic == outcomes {
        let outcome = quadrille_schema::wire::unframe(value)
            .ok()
            .and_then(|(_, datum)| codec.decode::<SagaOutcome>(datum).ok());
        if let Some(outcome) = outcome {
            awaited.outcome(&outcome.correlation_id, &outcome.outcome);
        }
        return;
    }
    let key = record.key.as_deref().and_then(|key| std::str::from_utf8(key).ok()).unwrap_or_default();
    let identity = record.header_text("ce_correlationid").unwrap_or(key);
    let garbage = [Reason::Undecodable, Reason::NoKey, Reason::NoValue].map(Reason::as_str);
    let reason = record.header_text("quadrille-dead-reason").unwrap_or_default();
    awaited.dead(identity, garbage.contains(&reason));
}

/// The sum of a counter over its labels in Prometheus text.
fn counter(text: &str, name: &str) -> u64 {
    let of_it =
        text.lines().filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{'])));
    of_it.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).map(|value| value as u64).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_is_summed_over_its_labels() {
        let text = "# TYPE a_total counter\na_total{x=\"1\"} 2\na_total{x=\"2\"} 3\na_totals 9\nb_total 4\n";
        assert_eq!((counter(text, "a_total"), counter(text, "b_total"), counter(text, "c")), (5, 4, 0));
    }

    #[test]
    fn garbage_under_the_key_of_an_order_does_not_end_the_order_if_it_was_read() {
        let mut awaited = Awaited::new(["1".to_owned()]);
        let mut record = Record {
            position: quadrille_types::envelope::Position {
                topic: "shop.dead.charge".into(),
                partition: 0,
                offset: 0,
            },
            time_ms: 0,
            key: Some(b"1".to_vec()),
            value: None,
            headers: vec![("quadrille-dead-reason".into(), Some(b"exhausted".to_vec()))],
        };
        let codec = Codec::parse(SCHEMA).unwrap();
        note(&mut awaited, &record, "shop.sagas.outcomes", &codec);
        assert_eq!(awaited.done(), 0);
        record.headers[0].1 = Some(b"undecodable".to_vec());
        note(&mut awaited, &record, "shop.sagas.outcomes", &codec);
        assert_eq!(awaited.done(), 1);
    }
}
