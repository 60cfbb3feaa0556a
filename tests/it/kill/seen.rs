//! What a reader of committed records sees of a run while it goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::Result;
use quadrille_kafka::Settings;
use quadrille_kafka::tail::Tail;
use quadrille_topology::{Mesh, lower};
use quadrille_types::Record;
use quadrille_types::topics::Names;

use super::orders;

/// Outcomes, dead letters, and when the participants answered.
pub(super) struct Seen {
    watcher: Tail,
    outcomes_topic: String,
    dead_prefix: String,
    /// Identities with an outcome or, where no saga could begin, a dead letter.
    ended: BTreeSet<String>,
    /// Outcome records.
    pub(super) outcomes: usize,
    /// Event and identity to the record's time.
    answers: BTreeMap<(String, String), i64>,
}

impl Seen {
    /// Looks on from now.
    pub(super) fn from_now(settings: &Settings, mesh: &Mesh) -> Result<Self> {
        let names = Names::new(&mesh.name);
        let (outcomes_topic, dead_prefix) = (names.outcomes(), names.dead(""));
        let answers = ["StockReserved", "CardDeclined"].map(|event| mesh.events[event].topic.clone());
        let topics = lower::topics(mesh);
        let watched = topics.iter().filter(|topic| {
            topic.name == outcomes_topic
                || topic.name.starts_with(&dead_prefix)
                || answers.contains(&topic.name)
        });
        let watched = watched.map(|topic| (topic.name.as_str(), topic.partitions));
        let watcher = Tail::from_now(settings, &names.group("watch"), watched)?;
        let (ended, answers) = (BTreeSet::new(), BTreeMap::new());
        Ok(Self { watcher, outcomes_topic, dead_prefix, ended, outcomes: 0, answers })
    }

    /// Takes in what has become visible.
    pub(super) fn look(&mut self) -> Result<()> {
        while let Some(record) = self.watcher.poll(Duration::ZERO)? {
            self.note(&record);
        }
        Ok(())
    }

    fn note(&mut self, record: &Record) {
        let key = record.key.as_deref().unwrap_or_default();
        let key = String::from_utf8_lossy(key).into_owned();
        let identity = record.header_text("ce_correlationid").map_or(key, str::to_owned);
        let topic = &record.position.topic;
        if *topic == self.outcomes_topic {
            self.outcomes += 1;
            self.ended.insert(identity);
        } else if topic.starts_with(&self.dead_prefix) {
            if record.header_text("quadrille-dead-reason") == Some("undecodable") {
                self.ended.insert(identity);
            }
        } else {
            let event = record.header_text("ce_type").unwrap_or_default().to_owned();
            self.answers.entry((event, identity)).or_insert(record.time_ms);
        }
    }

    /// Those of `identities` that have not come to an end.
    pub(super) fn open<'a>(&self, identities: &'a [String]) -> Vec<&'a String> {
        identities.iter().filter(|identity| !self.ended.contains(*identity)).collect()
    }

    /// Of the first `count` orders, those whose card was declined before the retried reservation was made.
    pub(super) fn refused_in_a_retry(&self, count: usize) -> usize {
        let when = |event: &str, number| self.answers.get(&(event.to_owned(), orders::identity(number)));
        let refused = |number: &usize| match (when("CardDeclined", *number), when("StockReserved", *number)) {
            (Some(declined), Some(reserved)) => declined < reserved,
            _ => false,
        };
        (0..count).filter(|number| orders::is_refused_in_a_retry(*number)).filter(refused).count()
    }
}
