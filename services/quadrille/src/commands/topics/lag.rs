//! `quadrille topics lag`

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use quadrille_host::PrefixOption;
use quadrille_kafka::Partition;
use quadrille_kafka::inspect::Inspector;
use quadrille_ops::lag::{self, Lag as Row};
use quadrille_ops::words;
use quadrille_topology::lower;

use crate::commands::NO;
use crate::connection::Connection;
use crate::{files, table, terminal};

#[derive(Debug, clap::Args)]
pub(crate) struct Lag {
    /// Topology file: all groups of its mesh
    #[arg(value_name = "FILE", conflicts_with = "group")]
    file: Option<PathBuf>,
    /// This group only
    #[arg(long, value_name = "G")]
    group: Option<String>,
    /// Print one JSON object per partition
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    copy: PrefixOption,
    #[command(flatten)]
    connection: Connection,
}

/// What a group reads.
type Groups = BTreeMap<String, Vec<Partition>>;

impl Lag {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let mesh = match &self.file {
            Some(file) => match of_mesh(file, &self.copy)? {
                None => return Ok(ExitCode::from(NO)),
                groups => groups,
            },
            None => None,
        };
        let settings = self.connection.kafka()?;
        let inspector = Inspector::new(&settings)?;
        let groups = match mesh {
            Some(ref groups) => groups.clone(),
            None => self.on_cluster(&inspector)?,
        };
        let mut rows = Vec::new();
        for (group, partitions) in &groups {
            rows.extend(lag::of_group(&settings, &inspector, group, partitions)?);
        }
        if mesh.is_none() {
            rows.retain(|row| row.committed.is_some());
        }
        if let (Some(group), true) = (&self.group, rows.is_empty()) {
            eprintln!("quadrille: group {group} has no position anywhere");
            return Ok(ExitCode::from(NO));
        }
        self.print(&rows)?;
        Ok(ExitCode::SUCCESS)
    }

    /// The groups of the cluster, or the one that was named, each with every partition there is.
    fn on_cluster(&self, inspector: &Inspector) -> anyhow::Result<Groups> {
        let partitions: Vec<_> = inspector
            .topics()?
            .into_iter()
            .flat_map(|(name, count)| (0..count as i32).map(move |number| Partition::new(&name, number)))
            .collect();
        let groups = match &self.group {
            Some(group) => vec![group.clone()],
            None => inspector.groups()?,
        };
        Ok(groups.into_iter().map(|group| (group, partitions.clone())).collect())
    }

    fn print(&self, rows: &[Row]) -> anyhow::Result<()> {
        if self.json {
            return rows.iter().try_for_each(terminal::print_json);
        }
        let now_ms = terminal::now_ms();
        let headings =
            ["GROUP", "TOPIC", "#PARTITION", "#COMMITTED", "#STABLE END", "#HIGH", "#LAG", "OLDEST UNREAD"];
        let mut table = table::new(&headings);
        for row in rows {
            let number = |number: Option<i64>, otherwise: &str| {
                number.map_or_else(|| otherwise.to_owned(), words::grouped)
            };
            let oldest = match row.oldest_ms {
                _ if row.lost => "the position is gone: records were lost".to_owned(),
                Some(oldest_ms) => words::distance(oldest_ms, now_ms),
                None => String::new(),
            };
            table.add_row([
                row.group.clone(),
                row.topic.clone(),
                row.partition.to_string(),
                number(row.committed, "none"),
                words::grouped(row.end),
                words::grouped(row.high_watermark),
                number(row.lag, "-"),
                oldest,
            ]);
        }
        terminal::print(&table::text(&table))
    }
}

/// The groups of a mesh; none: the file has mistakes.
fn of_mesh(file: &Path, copy: &PrefixOption) -> anyhow::Result<Option<Groups>> {
    let Some(mesh) = files::mesh(file, copy)? else { return Ok(None) };
    let mut groups = Groups::new();
    for first in lower::first_positions(&mesh) {
        let partitions = (0..first.partitions as i32).map(|number| Partition::new(&first.topic, number));
        groups.entry(first.group.clone()).or_default().extend(partitions);
    }
    Ok(Some(groups))
}
