//! `quadrille topics list`

use std::collections::BTreeMap;
use std::process::ExitCode;

use quadrille_kafka::Partition;
use quadrille_kafka::inspect::Inspector;
use quadrille_ops::words;
use serde_json::json;

use crate::connection::Connection;
use crate::{table, terminal};

#[derive(Debug, clap::Args)]
pub(crate) struct List {
    /// Internal topics too: those whose names begin with an underscore
    #[arg(long)]
    all: bool,
    /// Print one JSON object per topic
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

impl List {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let inspector = Inspector::new(&self.connection.kafka()?)?;
        let mut topics = inspector.topics()?;
        topics.retain(|name, _| self.all || !name.starts_with('_'));
        let partitions: Vec<_> = topics
            .iter()
            .flat_map(|(name, count)| (0..*count as i32).map(move |number| Partition::new(name, number)))
            .collect();
        let (mut offsets, mut led) = (BTreeMap::<String, i64>::new(), BTreeMap::<String, u32>::new());
        for (partition, ends) in inspector.ends(&partitions)? {
            *offsets.entry(partition.topic.clone()).or_default() += ends.high - ends.low;
            *led.entry(partition.topic).or_default() += 1;
        }
        // A partition without a leader cannot say what it holds.
        let known = |name: &String, count: u32| led.get(name) == Some(&count);
        let offsets = |name: &String, count| known(name, count).then(|| offsets[name]);
        if self.json {
            for (name, count) in &topics {
                let offsets = offsets(name, *count);
                terminal::print_json(&json!({"topic": name, "partitions": count, "offsets": offsets}))?;
            }
            return Ok(ExitCode::SUCCESS);
        }
        let mut table = table::new(&["TOPIC", "#PARTITIONS", "#OFFSETS"]);
        for (name, count) in &topics {
            let offsets = offsets(name, *count).map_or_else(|| "unknown".to_owned(), words::grouped);
            table.add_row([name.clone(), count.to_string(), offsets]);
        }
        terminal::print(&table::text(&table))?;
        Ok(ExitCode::SUCCESS)
    }
}
