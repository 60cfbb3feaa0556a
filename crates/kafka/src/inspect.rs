//! Looking at a cluster without changing it: topics, ends of partitions, groups and their positions.
//!
//! Works on any Kafka cluster. Nothing is written, no group is joined.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};

use crate::connect::{Asker, asker, asker_as};
use crate::{Error, Partition, Settings, settled};

const WAIT: Duration = Duration::from_secs(15);

/// How long partitions of a new topic may take until each has its leader.
const SETTLE: Duration = Duration::from_secs(3);

/// Where a partition begins and ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// Offset of the oldest record that may still be there.
    pub low: i64,
    /// Last stable offset: what `read_committed` readers see lies before it.
    pub stable: i64,
    /// High watermark. Above `stable` while a transaction is open.
    pub high: i64,
}

/// Asks a cluster. Blocks; each call takes at most some seconds.
pub struct Inspector {
    settings: Settings,
    committed: Asker,
    uncommitted: Asker,
}

impl Inspector {
    /// An inspector; nothing is asked yet.
    pub fn new(settings: &Settings) -> Result<Self, Error> {
        Ok(Self {
            settings: settings.clone(),
            committed: asker(settings)?,
            uncommitted: asker_as(settings, "read_uncommitted")?,
        })
    }

    /// Every topic with its number of partitions, internal ones too.
    pub fn topics(&self) -> Result<BTreeMap<String, u32>, Error> {
        let metadata =
            self.uncommitted.fetch_metadata(None, WAIT).map_err(Error::client("asking for topics"))?;
        let usable = metadata.topics().iter().filter(|topic| topic.error().is_none());
        Ok(usable.map(|topic| (topic.name().to_owned(), topic.partitions().len() as u32)).collect())
    }

    /// Partitions of `topic`; none: there is no such topic.
    pub fn partitions(&self, topic: &str) -> Result<Option<u32>, Error> {
        let metadata = self
            .uncommitted
            .fetch_metadata(Some(topic), WAIT)
            .map_err(Error::client(format!("asking for topic {topic}")))?;
        let found = metadata.topics().iter().find(|t| t.name() == topic);
        match found.and_then(|t| t.error()).map(RDKafkaErrorCode::from) {
            Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => Ok(None),
            // A topic that somebody may not see, for one, must not be taken for missing.
            Some(code) => Err(Error::Topic(format!("topic {topic}: {code}"))),
            None => Ok(found.map(|t| t.partitions().len() as u32).filter(|count| *count > 0)),
        }
    }

    /// The ends of `partitions`. One that has no leader now is left out.
    pub fn ends(&self, partitions: &[Partition]) -> Result<BTreeMap<Partition, Ends>, Error> {
        let low = offsets(&self.uncommitted, partitions, Offset::Beginning)?;
        let high = offsets(&self.uncommitted, partitions, Offset::End)?;
        let stable = offsets(&self.committed, partitions, Offset::End)?;
        let ends = |(partition, low): (Partition, i64)| {
            // A record may have been written between the questions.
            let stable = (*stable.get(&partition)?).max(low);
            let high = (*high.get(&partition)?).max(stable);
            Some((partition, Ends { low, stable, high }))
        };
        Ok(low.into_iter().filter_map(ends).collect())
    }

    /// Names of the consumer groups that the cluster knows.
    pub fn groups(&self) -> Result<Vec<String>, Error> {
        let list =
            self.uncommitted.fetch_group_list(None, WAIT).map_err(Error::client("asking for groups"))?;
        let mut names: Vec<String> = list.groups().iter().map(|group| group.name().to_owned()).collect();
        names.sort();
        names.dedup();
        Ok(names)
    }

    /// Members of the consumer groups whose names begin with `prefix`, where there are any. One that was killed counts
    /// until its session has timed out.
    pub fn members(&self, prefix: &str) -> Result<BTreeMap<String, usize>, Error> {
        let list =
            self.uncommitted.fetch_group_list(None, WAIT).map_err(Error::client("asking for groups"))?;
        let groups = list.groups().iter().filter(|group| group.name().starts_with(prefix));
        let counted = groups.map(|group| (group.name().to_owned(), group.members().len()));
        Ok(counted.filter(|(_, count)| *count > 0).collect())
    }

    /// The positions that `group` has committed among `partitions`.
    pub fn committed(
        &self,
        group: &str,
        partitions: &[Partition],
    ) -> Result<BTreeMap<Partition, i64>, Error> {
        let mut config = self.settings.reader();
        // Asking on a read_committed handle waits for open transactions.
        config.set("group.id", group).set("isolation.level", "read_uncommitted");
        let asker: BaseConsumer = config.create().map_err(|e| Error::Setting(e.to_string()))?;
        let mut asked = TopicPartitionList::with_capacity(partitions.len());
        for partition in partitions {
            asked.add_partition(&partition.topic, partition.partition);
        }
        let doing = format!("reading the positions of group {group}");
        let answer = settled::committed(&asker, &asked, WAIT).map_err(Error::client(doing))?;
        Ok(known(&answer))
    }
}

/// One request to each broker, however many partitions.
fn offsets(client: &Asker, partitions: &[Partition], at: Offset) -> Result<BTreeMap<Partition, i64>, Error> {
    if partitions.is_empty() {
        return Ok(BTreeMap::new());
    }
    let doing = "asking for the ends of partitions";
    let mut asked = TopicPartitionList::with_capacity(partitions.len());
    for partition in partitions {
        asked
            .add_partition_offset(&partition.topic, partition.partition, at)
            .map_err(Error::client(doing))?;
    }
    // A partition that stays without a leader is no reason to say nothing of the others.
    let mut answer = None;
    let verdict = settled::settled(SETTLE, || {
        let offsets = answer.insert(client.offsets_for_times(asked.clone(), WAIT)?);
        offsets.elements().iter().try_for_each(|element| element.error())
    });
    match (answer, verdict) {
        (None, Err(source)) => Err(Error::Client { doing: doing.to_owned(), source }),
        (answer, _) => Ok(answer.as_ref().map(known).unwrap_or_default()),
    }
}

fn known(list: &TopicPartitionList) -> BTreeMap<Partition, i64> {
    let elements = list.elements();
    let offsets = elements.iter().filter(|element| element.error().is_ok()).filter_map(|element| {
        let Offset::Offset(offset) = element.offset() else { return None };
        Some((Partition::new(element.topic(), element.partition()), offset))
    });
    offsets.collect()
}
