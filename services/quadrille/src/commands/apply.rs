//! `quadrille apply`

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use quadrille_host::PrefixOption;
use quadrille_provision::{How, Report};
use quadrille_schema::{Error, RegistryError, SchemaSource, Schemas};
use quadrille_topology::mesh::Body;
use quadrille_topology::{Mesh, lower};
use quadrille_types::outcome;
use quadrille_types::topics::Names;

use super::NO;
use crate::connection::{self, Connection};
use crate::{files, table, terminal};

#[derive(Debug, clap::Args)]
pub(crate) struct Apply {
    /// Topology file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Copies of each partition of a new topic; -1: as the brokers have it by default
    #[arg(long, value_name = "N", default_value_t = -1, allow_negative_numbers = true, value_parser = replication_factor)]
    replication_factor: i32,
    /// Replace the active definition although sagas of it are live or records unread: they are given up, their outcome
    /// does not come by itself. For sagas that will never end, such as those that are stuck
    #[arg(long)]
    abandon_sagas: bool,
    #[command(flatten)]
    copy: PrefixOption,
    #[command(flatten)]
    connection: Connection,
}

/// Schemas by subject, and whether each was registered just now.
type Subjects = BTreeMap<String, (u32, bool)>;

impl Apply {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let Some(mesh) = files::mesh(&self.file, &self.copy)? else { return Ok(ExitCode::from(NO)) };
        match self.apply(&mesh) {
            Ok((report, subjects)) => {
                print(&mesh, &report, &subjects)?;
                Ok(ExitCode::SUCCESS)
            }
            Err(error) => {
                crate::terminal::say!("quadrille: {error:#}");
                Ok(ExitCode::from(NO))
            }
        }
    }

    fn apply(&self, mesh: &Mesh) -> anyhow::Result<(Report, Subjects)> {
        let settings = self.connection.kafka()?;
        let (known, new) = (self.connection.schemas(false)?, self.connection.schemas(true)?);
        let tokio = connection::tokio()?;
        if let Some(schemas) = &known {
            tokio.block_on(schemas.ping())?;
        }
        let report = quadrille_provision::apply(
            &settings,
            mesh,
            How { replication: self.replication_factor, abandon: self.abandon_sagas },
        )?;
        report.warnings.iter().for_each(|warning| eprintln!("quadrille: warning: {warning}"));
        let subjects = match (known, new) {
            (Some(known), Some(new)) => tokio.block_on(register(mesh, &known, &new))?,
            _ => {
                if has_avro(mesh) {
                    crate::terminal::say!(
                        "quadrille: schemas were left alone: give --schema-registry to register them too"
                    );
                }
                Subjects::new()
            }
        };
        Ok((report, subjects))
    }
}

fn has_avro(mesh: &Mesh) -> bool {
    !mesh.sagas.is_empty() || mesh.events.values().any(|event| matches!(event.body, Body::Avro(_)))
}

/// Looks each schema up, and registers it where it is missing.
async fn register(mesh: &Mesh, known: &Schemas, new: &Schemas) -> anyhow::Result<Subjects> {
    let mut wanted = BTreeMap::new();
    for event in mesh.events.values() {
        if let Body::Avro(avro) = &event.body {
            wanted.insert(avro.subject.clone(), avro.schema.as_str());
        }
    }
    if !mesh.sagas.is_empty() {
        let topic = Names::new(&mesh.name).outcomes();
        wanted.insert(format!("{topic}-quadrille.{}", outcome::EVENT), outcome::SCHEMA);
    }
    let mut subjects = Subjects::new();
    for (subject, schema) in wanted {
        let source = SchemaSource::new(schema);
        let (encoder, is_new) = match known.register(&subject, &source).await {
            Err(Error::Registry(RegistryError::NotRegistered { .. })) => {
                (new.register(&subject, &source).await, true)
            }
            other => (other, false),
        };
        let encoder = encoder.with_context(|| format!("registering the schema of {subject}"))?;
        subjects.insert(subject, (encoder.id(), is_new));
    }
    Ok(subjects)
}

fn print(mesh: &Mesh, report: &Report, subjects: &Subjects) -> anyhow::Result<()> {
    let created: BTreeSet<&str> = report.created.iter().map(String::as_str).collect();
    let mut table = table::new(&["WHAT", "NAME", "", ""]);
    let word = |is_new| if is_new { "created" } else { "was there" };
    for topic in lower::topics(mesh) {
        let plural = if topic.partitions == 1 { "" } else { "s" };
        let partitions = format!("{} partition{plural}", topic.partitions);
        let is_new = created.contains(topic.name.as_str());
        table.add_row(["topic", &topic.name, word(is_new), &partitions]);
    }
    let definition = format!("version {} hash {}", report.definition.version, report.definition.hash);
    let standing = if report.activated { "activated" } else { "was active" };
    table.add_row(["definition", &mesh.name, standing, &definition]);
    for (subject, (id, is_new)) in subjects {
        table.add_row(["schema", subject, word(*is_new), &format!("id {id}")]);
    }
    let registered = subjects.values().filter(|(_, is_new)| *is_new).count();
    let done = [
        (report.created.len(), "topics created"),
        (report.positions, "first positions written"),
        (registered, "schemas registered"),
    ];
    let activated = report.activated.then(|| format!("version {} active", report.definition.version));
    let done = done.iter().filter(|(count, _)| *count > 0).map(|(n, what)| format!("{n} {what}"));
    let done: Vec<String> = done.chain(activated).collect();
    let verdict = match done.as_slice() {
        [] => "nothing to do, everything was there".to_owned(),
        done => done.join(", "),
    };
    terminal::print(&format!("{}\nmesh {}: {verdict}\n", table::text(&table), mesh.name))
}

fn replication_factor(text: &str) -> anyhow::Result<i32> {
    match text.parse()? {
        factor @ (-1 | 1..=32_767) => Ok(factor),
        other => bail!("{other} is no number of copies: at least 1, or -1 for the brokers' default"),
    }
}
