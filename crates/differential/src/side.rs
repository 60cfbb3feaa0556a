//! One of the two brokers: a connection to it, and what its clients were given.

use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Result, ensure};
use kafka_protocol::messages::{
    ApiKey, FindCoordinatorRequest, FindCoordinatorResponse, GroupId, TopicName, TransactionalId,
};
use kafka_protocol::protocol::StrBytes;

use crate::client::Client;
use crate::plan::{Epoch, Group, PRODUCERS, Place, Producer, Topic, Who};
use crate::settle::{error, settled};

/// FindCoordinator: what is coordinated.
const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;

/// Each group has an offset here: one of which nothing is left is forgotten by both brokers, but not at the same moment.
pub(crate) const ANCHOR: Place = Place { topic: 3, partition: 0 };

/// The first record's time is that much before now: none comes from the future.
const BEGAN_BEFORE_MS: i64 = 4 * 3_600_000;

#[derive(Debug)]
pub(crate) struct Side {
    pub(crate) client: Client,
    names: String,
    pub(crate) owners: [Option<Owner>; PRODUCERS],
    pub(crate) sent: HashMap<(Owner, Place), Sent>,
    pub(crate) members: [Option<Member>; 2],
    pub(crate) producer_ids: Vec<i64>,
    pub(crate) began_ms: i64,
    pub(crate) records: i64,
}

/// A producer ID and its epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Owner {
    pub(crate) id: i64,
    pub(crate) epoch: i16,
}

impl Owner {
    /// Who writes without any.
    pub(crate) const NOBODY: Owner = Owner { id: -1, epoch: -1 };

    pub(crate) fn claiming(self, epoch: Epoch) -> Owner {
        let epoch = match epoch {
            Epoch::Own => self.epoch,
            // A producer ID never comes with epoch -1.
            Epoch::Older => (self.epoch - 1).max(0),
            Epoch::Newer => self.epoch + 1,
        };
        Owner { epoch, ..self }
    }
}

/// The last batch that a producer got into a partition.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sent {
    pub(crate) sequence: i32,
    pub(crate) records: u8,
}

/// The one member of a group.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) id: StrBytes,
    pub(crate) generation: i32,
}

impl Side {
    pub(crate) fn connect(address: &str, names: &str) -> Result<Side> {
        let now_ms = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?;
        let mut client = Client::connect(address)?;
        find_coordinator(&mut client, GROUP)?;
        find_coordinator(&mut client, TRANSACTION)?;
        let mut side = Side {
            client,
            names: names.to_owned(),
            owners: [None; PRODUCERS],
            sent: HashMap::new(),
            members: [None, None],
            producer_ids: Vec::new(),
            began_ms: now_ms - BEGAN_BEFORE_MS,
            records: 0,
        };
        side.create_topic(ANCHOR.topic, 1)?;
        for group in [0, 1] {
            side.commit_offset(group, Who::Nobody, ANCHOR, 1)?;
        }
        Ok(side)
    }

    fn name(&self, what: &str) -> StrBytes {
        StrBytes::from_string(format!("{}-{what}", self.names))
    }

    pub(crate) fn topic(&self, topic: Topic) -> TopicName {
        TopicName(self.name(&format!("topic-{topic}")))
    }

    pub(crate) fn group(&self, group: Group) -> GroupId {
        GroupId(self.name(&format!("group-{group}")))
    }

    pub(crate) fn transactional_id(&self, producer: Producer) -> Option<TransactionalId> {
        let id = match producer {
            2 | 3 => "shared",
            4 => "own",
            _ => return None,
        };
        Some(TransactionalId(self.name(id)))
    }

    /// What a producer was given, as it claims it; nobody's before it was given anything.
    pub(crate) fn owner(&self, producer: Producer, epoch: Epoch) -> Owner {
        self.owners[producer].map_or(Owner::NOBODY, |owner| owner.claiming(epoch))
    }

    /// The how manyth producer ID of this broker it is.
    pub(crate) fn producer_id(&mut self, id: i64) -> String {
        if id < 0 {
            return "nobody".to_owned();
        }
        let known = self.producer_ids.iter().position(|seen| *seen == id);
        let at = known.unwrap_or_else(|| {
            self.producer_ids.push(id);
            self.producer_ids.len() - 1
        });
        format!("producer {at}")
    }

    /// The next record's time: ten seconds after the last one's.
    pub(crate) fn next_time_ms(&mut self) -> i64 {
        self.records += 1;
        self.began_ms + self.records * 10_000
    }

    /// A time as seconds after the beginning; times of markers and "none" stay what they are to both.
    pub(crate) fn seconds(&self, time_ms: i64) -> String {
        if time_ms < 0 { "no time".to_owned() } else { format!("{} s", (time_ms - self.began_ms) / 1_000) }
    }
}

/// Apache Kafka makes the topics of its coordinators when somebody first asks for one.
fn find_coordinator(client: &mut Client, of: i8) -> Result<()> {
    let request =
        FindCoordinatorRequest::default().with_key(StrBytes::from_static_str("any")).with_key_type(of);
    let (code, ()) = settled(|| {
        let answer: FindCoordinatorResponse = client.ask(ApiKey::FindCoordinator, 2, &request)?;
        Ok((answer.error_code, ()))
    })?;
    ensure!(code == 0, "no coordinator: {}", error(code));
    Ok(())
}
