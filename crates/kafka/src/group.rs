//! A member of a consumer group that owns what it has read.
//!
//! Ownership is the client's duty: the broker checks member and generation, not the partition. So the owner is told before
//! partitions go, on the polling thread, with the membership still valid, and finishes or drops what it holds of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::consumer::{
    BaseConsumer, CommitMode, Consumer, ConsumerContext, ConsumerGroupMetadata, Rebalance,
};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use rdkafka::{Offset, TopicPartitionList, bindings};

use quadrille_types::Record;
use quadrille_types::envelope::Position;

use crate::settled::committed;
use crate::transaction::Offsets;
use crate::{ClientErrors, Error, Partition, Settings};

/// How long the broker may take to say what a group has committed.
const POSITIONS_WITHIN: Duration = Duration::from_secs(30);

/// Who owns the partitions of a member.
pub trait Owner: Send + Sync + 'static {
    /// These partitions are the member's now. Records of them follow.
    fn assigned(&self, partitions: Vec<Partition>);

    /// These partitions are about to go. With `lost` they are gone already: nothing of them may be committed any more.
    /// Otherwise `membership` is still valid, and the call may take as long as a transaction does.
    fn revoked(&self, partitions: Vec<Partition>, lost: bool, membership: &Membership<'_>);
}

/// The right to commit offsets for a group, as of now.
pub struct Membership<'a> {
    consumer: &'a BaseConsumer<Context>,
}

/// A member of a group.
pub struct Member {
    consumer: BaseConsumer<Context>,
    group: String,
}

/// The client's callbacks.
struct Context {
    owner: Weak<dyn Owner>,
    errors: ClientErrors,
}

impl ClientContext for Context {
    fn error(&self, error: KafkaError, reason: &str) {
        self.errors.report(&error, reason);
    }
}

impl ConsumerContext for Context {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        let Some(owner) = self.owner.upgrade() else { return };
        if let Rebalance::Revoke(list) = rebalance {
            owner.revoked(partitions(list), consumer.assignment_lost(), &Membership { consumer });
        }
    }

    fn post_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        let Some(owner) = self.owner.upgrade() else { return };
        if let Rebalance::Assign(list) = rebalance {
            owner.assigned(partitions(list));
        }
    }
}

impl Member {
    /// Joins `group` for `topics`. `wake` is called, on a thread of the client's, when there is something to poll.
    pub fn join(
        settings: &Settings,
        group: &str,
        instance: Option<&str>,
        topics: &[&str],
        owner: &Arc<impl Owner>,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        let owner: Weak<dyn Owner> = Arc::downgrade(&(Arc::clone(owner) as Arc<dyn Owner>));
        let context = Context { owner, errors: ClientErrors::default() };
        let mut consumer: BaseConsumer<Context> = settings
            .member(group, instance)
            .create_with_context(context)
            .map_err(|e| Error::Setting(e.to_string()))?;
        consumer.set_nonempty_callback(wake);
        consumer.subscribe(topics).map_err(Error::client(format!("subscribing group {group}")))?;
        Ok(Self { consumer, group: group.to_owned() })
    }

    /// The next record, if one is there. Also runs the owner's callbacks, so it must be called at least every few
    /// minutes, and never while holding what they need.
    pub fn poll(&self) -> Result<Option<Record>, Error> {
        match self.consumer.poll(Duration::ZERO) {
            None => Ok(None),
            Some(Ok(message)) => Ok(Some(record(&message))),
            Some(Err(KafkaError::MessageConsumption(RDKafkaErrorCode::AutoOffsetReset))) => {
                Err(Error::Position { group: self.group.clone(), what: self.without_position() })
            }
            Some(Err(error)) => match &error {
                KafkaError::MessageConsumptionFatal(_) => Err(Error::Client {
                    doing: format!("reading as a member of {}", self.group),
                    source: error,
                }),
                _ => {
                    tracing::warn!(target: "quadrille::kafka", group = self.group, %error, "reading is delayed");
                    Ok(None)
                }
            },
        }
    }

    /// The membership, for committing.
    pub fn membership(&self) -> Membership<'_> {
        Membership { consumer: &self.consumer }
    }

    /// Partitions that the member owns.
    pub fn assignment(&self) -> Vec<Partition> {
        self.consumer.assignment().map(|list| partitions(&list)).unwrap_or_default()
    }

    /// Stops reading `partitions` until [`resume`](Self::resume); what was prefetched of them is fetched again then.
    pub fn pause(&self, partitions: &[Partition]) -> Result<(), Error> {
        self.consumer.pause(&list(partitions)).map_err(Error::client("pausing"))
    }

    /// Goes on reading `partitions`.
    pub fn resume(&self, partitions: &[Partition]) -> Result<(), Error> {
        self.consumer.resume(&list(partitions)).map_err(Error::client("resuming"))
    }

    /// What is committed for `partitions`. One without a position is missing from the answer.
    pub fn committed(&self, partitions: &[Partition]) -> Result<Offsets, Error> {
        let doing = format!("reading the positions of group {}", self.group);
        let found =
            committed(&self.consumer, &list(partitions), POSITIONS_WITHIN).map_err(Error::client(doing))?;
        let one = |e: rdkafka::topic_partition_list::TopicPartitionListElem<'_>| match e.offset() {
            Offset::Offset(offset) => Some((Partition::new(e.topic(), e.partition()), offset)),
            _ => None,
        };
        Ok(found.elements().into_iter().filter_map(one).collect())
    }

    /// What is committed for `partitions`, and the metadata that was committed with it.
    pub(crate) fn marked(
        &self,
        partitions: &[Partition],
    ) -> Result<BTreeMap<Partition, (i64, String)>, Error> {
        if partitions.is_empty() {
            return Ok(BTreeMap::new());
        }
        let doing = format!("reading the positions of group {}", self.group);
        let found =
            committed(&self.consumer, &list(partitions), POSITIONS_WITHIN).map_err(Error::client(doing))?;
        let one = |e: rdkafka::topic_partition_list::TopicPartitionListElem<'_>| match e.offset() {
            Offset::Offset(offset) => {
                Some((Partition::new(e.topic(), e.partition()), (offset, e.metadata().to_owned())))
            }
            _ => None,
        };
        Ok(found.elements().into_iter().filter_map(one).collect())
    }

    /// Reads every partition again from what is committed for it: what was read and not committed comes once more.
    pub fn rewind(&self) -> Result<(), Error> {
        let doing = || format!("rewinding group {}", self.group);
        let assigned = self.consumer.assignment().map_err(Error::client(doing()))?;
        if assigned.count() == 0 {
            return Ok(());
        }
        let committed =
            committed(&self.consumer, &assigned, POSITIONS_WITHIN).map_err(Error::client(doing()))?;
        self.consumer.assign(&committed).map_err(Error::client(doing()))
    }

    /// What the client says of its connections.
    pub fn errors(&self) -> &ClientErrors {
        &self.consumer.context().errors
    }

    /// Names the partitions that have no committed offset, as far as they can be found.
    fn without_position(&self) -> String {
        let assigned = self.consumer.assignment().unwrap_or_default();
        let committed = self.consumer.committed_offsets(assigned, Duration::from_secs(5)).unwrap_or_default();
        let missing: Vec<_> = committed
            .elements()
            .iter()
            .filter(|e| !matches!(e.offset(), Offset::Offset(_)))
            .map(|e| format!("{}/{}", e.topic(), e.partition()))
            .collect();
        if missing.is_empty() { "a partition that was cut or deleted".to_owned() } else { missing.join(", ") }
    }
}

impl Membership<'_> {
    /// Commits offsets without a transaction; the broker refuses it from a member that is none any more.
    pub(crate) fn commit(&self, offsets: &Offsets, mark: &str) -> Result<(), KafkaError> {
        self.consumer.commit(&marked(offsets, mark)?, CommitMode::Sync)
    }

    /// What the broker fences by, read now. None while the member has no valid generation: sent without one, the
    /// broker would take offsets from anybody.
    pub(crate) fn metadata(&self) -> Option<ConsumerGroupMetadata> {
        // Taken first and looked at afterwards: a new generation needs this thread, so if there is one now, there was one
        // when the metadata was taken.
        let metadata = self.consumer.group_metadata();
        metadata.filter(|_| generation(self.consumer) >= 0)
    }
}

/// The member's generation; -1 while it has none.
#[allow(unsafe_code)]
fn generation(consumer: &BaseConsumer<Context>) -> i32 {
    let client = consumer.client().native_ptr();
    // SAFETY: the client outlives the call; the metadata is ours until it is destroyed, and null when the client has no
    // group.
    unsafe {
        let metadata = bindings::rd_kafka_consumer_group_metadata(client);
        if metadata.is_null() {
            return -1;
        }
        let member = bindings::rd_kafka_consumer_group_metadata_member_id(metadata);
        let is_member = !member.is_null() && *member != 0;
        let generation = bindings::rd_kafka_consumer_group_metadata_generation_id(metadata);
        bindings::rd_kafka_consumer_group_metadata_destroy(metadata);
        if is_member { generation } else { -1 }
    }
}

fn partitions(list: &TopicPartitionList) -> Vec<Partition> {
    list.elements().iter().map(|e| Partition::new(e.topic(), e.partition())).collect()
}

/// Made anew for each call: a list remembers the partitions of the client that it was used with.
fn list(partitions: &[Partition]) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for partition in partitions {
        list.add_partition(&partition.topic, partition.partition);
    }
    list
}

/// `offsets`, each with `mark` as its metadata.
pub(crate) fn marked(offsets: &Offsets, mark: &str) -> Result<TopicPartitionList, KafkaError> {
    let mut list = TopicPartitionList::new();
    for (partition, offset) in offsets {
        let mut element = list.add_partition(&partition.topic, partition.partition);
        element.set_offset(Offset::Offset(*offset))?;
        element.set_metadata(mark);
    }
    Ok(list)
}

pub(crate) fn record(message: &BorrowedMessage<'_>) -> Record {
    let headers = message.headers().map(|headers| {
        headers.iter().map(|h| (h.key.to_owned(), h.value.map(<[u8]>::to_vec))).collect::<Vec<_>>()
    });
    Record {
        position: Position {
            topic: message.topic().to_owned(),
            partition: message.partition(),
            offset: message.offset(),
        },
        time_ms: message.timestamp().to_millis().unwrap_or_default(),
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        headers: headers.unwrap_or_default(),
    }
}
