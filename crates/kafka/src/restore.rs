//! Reading a partition back up to where it ended.
//!
//! The end is the high watermark at the time of asking, not the last stable offset: behind an open transaction that one
//! lies too low, and what lies between would silently be missing. Markers take offsets too, so the end is reached when
//! the *position* is, not when the last record is. Source: KAFKA-10167.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};

use quadrille_types::Record;

use crate::group::record;
use crate::settled::settled;
use crate::tail::passes;
use crate::{Error, Partition, Settings};

const ASK: Duration = Duration::from_secs(10);

/// The most that one look counts as waiting.
const LOOK: Duration = Duration::from_secs(1);

/// A partition that is being read.
#[derive(Debug)]
pub struct Reading {
    partition: Partition,
    at: i64,
    end: i64,
    stalled: Duration,
}

impl Reading {
    /// Offsets that are still to come, of records or of markers.
    pub fn left(&self) -> i64 {
        (self.end - self.at).max(0)
    }
}

/// Reads changelogs.
pub struct Restorer {
    committed: BaseConsumer,
    uncommitted: BaseConsumer,
    stall: Duration,
}

impl Restorer {
    /// A restorer that gives up when nothing has come for as long as the longest open transaction can hold it up. The
    /// client wants a group's name to read at all; it neither joins `group` nor commits for it.
    pub fn new(settings: &Settings, group: &str) -> Result<Self, Error> {
        let reader = |isolation: &str| -> Result<BaseConsumer, Error> {
            let mut config = settings.reader();
            config.set("group.id", group).set("isolation.level", isolation);
            // Behind the last record a fetch finds only markers, and by default waits half a second for more.
            config.set("fetch.wait.max.ms", "20");
            config.create().map_err(|e| Error::Setting(e.to_string()))
        };
        Ok(Self {
            committed: reader("read_committed")?,
            uncommitted: reader("read_uncommitted")?,
            stall: settings.transaction_timeout * 2 + Duration::from_secs(15),
        })
    }

    /// Gives every committed record of `partition`, from at most `tail` offsets before its end (None: from its
    /// beginning), to `each`, in order. Returns the offset of the end. Blocks until all is read.
    pub fn read(
        &self,
        partition: &Partition,
        tail: Option<i64>,
        mut each: impl FnMut(Record),
    ) -> Result<i64, Error> {
        let mut reading = self.start(partition, tail)?;
        while !self.advance(&mut reading, LOOK, &mut each)? {}
        Ok(reading.end)
    }

    /// Begins to read `partition` as [`read`](Self::read) does, a slice at a time. One partition is read at once: an
    /// earlier reading ends here.
    pub fn start(&self, partition: &Partition, tail: Option<i64>) -> Result<Reading, Error> {
        // Whoever was stopped while it asked finds its time over when it goes on: so it asks again, as long as it may.
        let ends = || self.uncommitted.fetch_watermarks(&partition.topic, partition.partition, ASK);
        let (low, end) =
            settled(self.stall, ends).map_err(Error::client(format!("asking for the end of {partition}")))?;
        let from = tail.map_or(low, |tail| low.max(end - tail));
        if from < end {
            let doing = || format!("restoring {partition}");
            let mut list = TopicPartitionList::new();
            list.add_partition_offset(&partition.topic, partition.partition, Offset::Offset(from))
                .map_err(Error::client(doing()))?;
            self.committed.assign(&list).map_err(Error::client(doing()))?;
        }
        Ok(Reading { partition: partition.clone(), at: from, end, stalled: Duration::ZERO })
    }

    /// Reads on, for about as long as `within`. True once the end is reached.
    pub fn advance(
        &self,
        reading: &mut Reading,
        within: Duration,
        mut each: impl FnMut(Record),
    ) -> Result<bool, Error> {
        let (partition, end) = (&reading.partition, reading.end);
        let (began, mut looked) = (Instant::now(), Instant::now());
        while reading.at < end {
            match self.committed.poll(Duration::from_millis(50)) {
                Some(Ok(message)) if message_offset(&message) < end => each(record(&message)),
                Some(Ok(_)) | None => {}
                Some(Err(error)) if passes(&error) => {}
                Some(Err(source)) => {
                    return Err(Error::Client { doing: format!("restoring {partition}"), source });
                }
            }
            let position = self.position(partition);
            // A process that was stopped for a while has not waited all that time.
            reading.stalled += looked.elapsed().min(LOOK);
            looked = Instant::now();
            if position > reading.at {
                (reading.at, reading.stalled) = (position, Duration::ZERO);
            }
            if reading.stalled > self.stall {
                return Err(Error::Restore { partition: partition.clone(), at: reading.at, end });
            }
            if reading.at < end && began.elapsed() >= within {
                return Ok(false);
            }
        }
        self.stop();
        Ok(true)
    }

    /// Reads nothing any more.
    pub fn stop(&self) {
        if let Err(error) = self.committed.unassign() {
            tracing::info!(target: "quadrille::kafka", %error, "a reader keeps its partition");
        }
    }

    fn position(&self, partition: &Partition) -> i64 {
        let positions = self.committed.position().unwrap_or_default();
        match positions.find_partition(&partition.topic, partition.partition).map(|p| p.offset()) {
            Some(Offset::Offset(offset)) => offset,
            _ => 0,
        }
    }
}

fn message_offset(message: &rdkafka::message::BorrowedMessage<'_>) -> i64 {
    use rdkafka::message::Message as _;
    message.offset()
}
