//! A reader of whole topics, for tools that look on.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};

use quadrille_types::Record;

use crate::group::record;
use crate::{Error, Settings};

/// Where a watcher begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// With the oldest record.
    Oldest,
    /// With what is committed from now on.
    Now,
}

/// Reads every partition of some topics, committed records only, as a member of no group.
pub struct Watcher {
    consumer: BaseConsumer,
}

impl Watcher {
    /// Watches `topics`, each with so many partitions.
    pub fn new<'a>(
        settings: &Settings,
        topics: impl IntoIterator<Item = (&'a str, u32)>,
        begin: Begin,
    ) -> Result<Self, Error> {
        let mut config = settings.reader();
        // The client wants a group's name to read at all; nothing is committed for it.
        config.set("group.id", "quadrille.watch");
        let consumer: BaseConsumer = config.create().map_err(|e| Error::Setting(e.to_string()))?;
        let mut list = TopicPartitionList::new();
        for (topic, partitions) in topics {
            for partition in 0..partitions as i32 {
                let doing = || format!("finding the ends of {topic}/{partition}");
                let (low, high) = consumer
                    .fetch_watermarks(topic, partition, Duration::from_secs(10))
                    .map_err(Error::client(doing()))?;
                let offset = match begin {
                    Begin::Oldest => low,
                    Begin::Now => high,
                };
                list.add_partition_offset(topic, partition, Offset::Offset(offset))
                    .map_err(Error::client(doing()))?;
            }
        }
        consumer.assign(&list).map_err(Error::client("watching"))?;
        Ok(Self { consumer })
    }

    /// The next record, if one comes within `wait`.
    pub fn next(&self, wait: Duration) -> Result<Option<Record>, Error> {
        match self.consumer.poll(wait) {
            None => Ok(None),
            Some(Ok(message)) => Ok(Some(record(&message))),
            Some(Err(error)) => Err(Error::client("watching")(error)),
        }
    }
}
