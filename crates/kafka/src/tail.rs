//! Reading partitions from given offsets on, without a group: committed records only, in order per partition.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};

use quadrille_types::Record;

use crate::connect::{Reporting, reporting};
use crate::group::record;
use crate::inspect::Inspector;
use crate::{ClientErrors, Error, Partition, Settings};

/// Most that is fetched ahead when only the first record of each partition is wanted, in bytes.
const GLANCE_BYTES: &str = "65536";

/// A reader that stands at a position in each of its partitions.
pub struct Tail {
    client: BaseConsumer<Reporting>,
}

impl Tail {
    /// Reads each partition of `starts` from the offset given there. The client wants a group's name to read at all; it
    /// neither joins `group` nor commits for it.
    pub fn new(settings: &Settings, group: &str, starts: &BTreeMap<Partition, i64>) -> Result<Self, Error> {
        Self::with(settings, group, starts, &[])
    }

    /// Reads topics, each with so many partitions, from what is written now on.
    pub fn from_now<'a>(
        settings: &Settings,
        group: &str,
        topics: impl IntoIterator<Item = (&'a str, u32)>,
    ) -> Result<Self, Error> {
        let partitions: Vec<_> = topics
            .into_iter()
            .flat_map(|(topic, count)| (0..count as i32).map(move |number| Partition::new(topic, number)))
            .collect();
        let ends = Inspector::new(settings)?.ends(&partitions)?;
        let starts: BTreeMap<_, _> =
            ends.into_iter().map(|(partition, ends)| (partition, ends.high)).collect();
        match partitions.iter().find(|partition| !starts.contains_key(partition)) {
            Some(leaderless) => Err(Error::Topic(format!("{leaderless} has no leader now: try again"))),
            None => Self::new(settings, group, &starts),
        }
    }

    /// As [`Tail::new`], for whoever wants little of each partition.
    pub fn glance(
        settings: &Settings,
        group: &str,
        starts: &BTreeMap<Partition, i64>,
    ) -> Result<Self, Error> {
        let little = [("fetch.message.max.bytes", GLANCE_BYTES), ("queued.min.messages", "1")];
        Self::with(settings, group, starts, &little)
    }

    fn with(
        settings: &Settings,
        group: &str,
        starts: &BTreeMap<Partition, i64>,
        more: &[(&str, &str)],
    ) -> Result<Self, Error> {
        let mut config = settings.reader();
        config.set("group.id", group);
        for (name, value) in more {
            config.set(*name, *value);
        }
        let client = reporting(&config)?;
        let mut list = TopicPartitionList::with_capacity(starts.len());
        let doing = "beginning to read";
        for (partition, offset) in starts {
            list.add_partition_offset(&partition.topic, partition.partition, Offset::Offset(*offset))
                .map_err(Error::client(doing))?;
        }
        client.assign(&list).map_err(Error::client(doing))?;
        Ok(Self { client })
    }

    /// The next record, of whichever partition; none within `wait`, or while brokers cannot be reached: the client goes
    /// on trying, and [`Tail::trouble`] says so.
    ///
    /// # Errors
    /// A position that no longer exists, a topic that is gone, a refusal.
    pub fn poll(&self, wait: Duration) -> Result<Option<Record>, Error> {
        match self.client.poll(wait) {
            None => Ok(None),
            Some(Ok(message)) => Ok(Some(record(&message))),
            Some(Err(error)) if passes(&error) => Ok(None),
            Some(Err(source)) => Err(Error::Client { doing: "reading".to_owned(), source }),
        }
    }

    /// The offset behind what was given out (markers are stepped over), per partition, where known.
    pub fn positions(&self) -> BTreeMap<Partition, i64> {
        let positions = self.client.position().unwrap_or_default();
        let elements = positions.elements();
        let known = elements.iter().filter_map(|element| {
            let Offset::Offset(offset) = element.offset() else { return None };
            Some((Partition::new(element.topic(), element.partition()), offset))
        });
        known.collect()
    }

    /// What the client last reported about its connections.
    pub fn trouble(&self) -> &ClientErrors {
        &self.client.context().errors
    }
}

/// Whether the client cures it by itself.
pub(crate) fn passes(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::AllBrokersDown
                | RDKafkaErrorCode::OperationTimedOut
                | RDKafkaErrorCode::Resolve
                | RDKafkaErrorCode::LeaderNotAvailable
                | RDKafkaErrorCode::NotLeaderForPartition
        )
    )
}
