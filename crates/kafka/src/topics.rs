//! Topics: created once, checked at each start; and the first positions of groups, written once.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use quadrille_types::topics::Names;
use quadrille_types::upkeep::{self, Found};
use rdkafka::admin::{
    AdminClient, AdminOptions, ConfigResource, ConfigSource, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};

use crate::connect::{Asker, asker};
use crate::inspect::Inspector;
use crate::settled::{committed, settled};
use crate::{Error, Settings};

const WAIT: Duration = Duration::from_secs(15);

/// A topic as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Name.
    pub name: String,
    /// Partitions.
    pub partitions: u32,
    /// Topic settings, such as `cleanup.policy`.
    pub config: BTreeMap<String, String>,
}

/// Where a group begins on a topic that it has never read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// With the oldest record.
    Earliest,
    /// With what comes from now on.
    Now,
    /// With the first record that is not older, in ms since 1970.
    Time(i64),
}

/// Creates the topics that are missing, waits until each has its leaders, and refuses those whose partitions differ.
/// Returns the names of those that it created. `replication` -1 takes the brokers' default.
pub fn create(settings: &Settings, topics: &[Topic], replication: i32) -> Result<Vec<String>, Error> {
    let admin: AdminClient<DefaultClientContext> =
        settings.client().create().map_err(|e| Error::Setting(e.to_string()))?;
    let new = topics.iter().map(|topic| {
        let new = NewTopic::new(&topic.name, topic.partitions as i32, TopicReplication::Fixed(replication));
        topic.config.iter().fold(new, |new, (name, value)| new.set(name, value))
    });
    let options = AdminOptions::new().operation_timeout(Some(WAIT));
    let results = block_on(admin.create_topics(&new.collect::<Vec<_>>(), &options))
        .map_err(Error::client("creating topics"))?;
    let mut created = Vec::new();
    for result in results {
        match result {
            Ok(name) => created.push(name),
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((name, code)) => return Err(Error::Topic(format!("cannot create topic {name}: {code}"))),
        }
    }
    check(settings, topics.iter().map(|topic| (topic.name.as_str(), topic.partitions)), WAIT)?;
    Ok(created)
}

/// Waits until each topic is there with a leader for each partition; refuses another number of partitions at once.
pub fn check<'a>(
    settings: &Settings,
    topics: impl IntoIterator<Item = (&'a str, u32)>,
    within: Duration,
) -> Result<(), Error> {
    let client = asker(settings)?;
    let began = Instant::now();
    for (topic, partitions) in topics {
        loop {
            match count(&client, topic)? {
                Some(there) if there == partitions => break,
                Some(there) => return Err(unequal(topic, there, partitions)),
                None if began.elapsed() < within => std::thread::sleep(Duration::from_millis(20)),
                None => {
                    return Err(Error::Topic(format!("there is no topic {topic}: run `quadrille apply`")));
                }
            }
        }
    }
    Ok(())
}

/// Looks at the topics that are there already, before anything is changed: their partitions, and their settings as
/// [`judge`] does.
pub fn check_existing(settings: &Settings, names: &Names, topics: &[Topic]) -> Result<Vec<String>, Error> {
    let there = Inspector::new(settings)?.topics()?;
    let mut existing = BTreeMap::new();
    for topic in topics {
        match there.get(&topic.name) {
            Some(count) if *count != topic.partitions => {
                return Err(unequal(&topic.name, *count, topic.partitions));
            }
            Some(_) => _ = existing.insert(topic.name.clone(), topic.config.clone()),
            None => {}
        }
    }
    judge(settings, names, &existing)
}

/// What is wrong with the settings of `topics`, each with those that the topology file gives it. Returns what is no reason
/// to refuse, for people; a topic whose settings may not be read is among that.
///
/// # Errors
/// All that is unsafe, in one error.
pub fn judge(
    settings: &Settings,
    names: &Names,
    topics: &BTreeMap<String, BTreeMap<String, String>>,
) -> Result<Vec<String>, Error> {
    if topics.is_empty() {
        return Ok(Vec::new());
    }
    let admin: AdminClient<DefaultClientContext> =
        settings.client().create().map_err(|e| Error::Setting(e.to_string()))?;
    let asked: Vec<_> = topics.keys().map(|topic| ResourceSpecifier::Topic(topic)).collect();
    let options = AdminOptions::new().request_timeout(Some(WAIT));
    let answers = match block_on(admin.describe_configs(&asked, &options)) {
        Ok(answers) => answers,
        Err(error) => {
            return Ok(vec![format!("settings of topics cannot be read, so they were not checked: {error}")]);
        }
    };
    let (mut told, mut wrong) = (Vec::new(), Vec::new());
    for (topic, answer) in topics.keys().zip(answers) {
        let found = match answer {
            Ok(resource) => found(resource),
            Err(code) => {
                told.push(format!(
                    "topic {topic}: its settings cannot be read, so they were not checked: {code}"
                ));
                continue;
            }
        };
        for finding in upkeep::judge(names.kind(topic), topic, &found, &topics[topic]) {
            if finding.is_unsafe { &mut wrong } else { &mut told }.push(finding.to_string());
        }
    }
    if wrong.is_empty() { Ok(told) } else { Err(Error::Topic(wrong.join("\n"))) }
}

fn found(resource: ConfigResource) -> BTreeMap<String, Found> {
    let entries = resource.entries.into_iter().filter_map(|entry| {
        let chosen = matches!(entry.source, ConfigSource::DynamicTopic | ConfigSource::Unknown);
        Some((entry.name, Found { value: entry.value?, chosen }))
    });
    entries.collect()
}

fn unequal(topic: &str, there: u32, wanted: u32) -> Error {
    Error::Topic(format!(
        "topic {topic} has {there} partitions, the topology says {wanted}: keys would move to other partitions than \
         their sagas; make a new topic, or change the topology"
    ))
}

/// Partitions of `topic`, if it is there and each has a leader.
fn count(client: &Asker, topic: &str) -> Result<Option<u32>, Error> {
    let metadata = client.fetch_metadata(Some(topic), WAIT).map_err(Error::client("asking for topics"))?;
    let found = metadata.topics().iter().find(|t| t.name() == topic && t.error().is_none());
    Ok(found.and_then(|topic| {
        let ready = topic.partitions().iter().all(|p| p.leader() >= 0 && p.error().is_none());
        (ready && !topic.partitions().is_empty()).then(|| topic.partitions().len() as u32)
    }))
}

/// Writes the positions from which `group` begins, where it has none yet. Positions that are there stay. Returns how
/// many were written. Fails while the group has members, since the broker refuses it then.
pub fn write_first_positions(
    settings: &Settings,
    group: &str,
    from: &[(Topic, From)],
) -> Result<usize, Error> {
    let consumer: BaseConsumer =
        settings.member(group, None).create().map_err(|e| Error::Setting(e.to_string()))?;
    let mut asked = TopicPartitionList::new();
    for (topic, _) in from {
        for partition in 0..topic.partitions as i32 {
            asked.add_partition(&topic.name, partition);
        }
    }
    let doing = || format!("reading the positions of group {group}");
    let committed = committed(&consumer, &asked, WAIT).map_err(Error::client(doing()))?;
    let mut first = TopicPartitionList::new();
    for (topic, from) in from {
        for partition in 0..topic.partitions as i32 {
            let known = committed.find_partition(&topic.name, partition).map(|p| p.offset());
            if !matches!(known, Some(Offset::Offset(_))) {
                let offset = first_offset(&consumer, &topic.name, partition, *from)?;
                first
                    .add_partition_offset(&topic.name, partition, Offset::Offset(offset))
                    .map_err(Error::client("naming a position"))?;
            }
        }
    }
    if first.count() > 0 {
        let doing = format!("writing the first positions of group {group}");
        consumer.commit(&first, CommitMode::Sync).map_err(Error::client(doing))?;
    }
    Ok(first.count())
}

fn first_offset(consumer: &BaseConsumer, topic: &str, partition: i32, from: From) -> Result<i64, Error> {
    let doing = || format!("finding the first position on {topic}/{partition}");
    let (low, high) = settled(WAIT, || consumer.fetch_watermarks(topic, partition, WAIT))
        .map_err(Error::client(doing()))?;
    match from {
        From::Earliest => Ok(low),
        From::Now => Ok(high),
        From::Time(ms) => {
            let mut asked = TopicPartitionList::new();
            asked
                .add_partition_offset(topic, partition, Offset::Offset(ms))
                .map_err(Error::client(doing()))?;
            let found = settled(WAIT, || {
                let found = consumer.offsets_for_times(asked.clone(), WAIT)?;
                found.elements().iter().try_for_each(|element| element.error())?;
                Ok(found)
            });
            let found = found.map_err(Error::client(doing()))?;
            match found.find_partition(topic, partition).map(|p| p.offset()) {
                Some(Offset::Offset(offset)) => Ok(offset),
                _ => Ok(high),
            }
        }
    }
}

/// Waits for a future that needs no runtime: the admin client completes it from its own thread.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = std::sync::Arc::new(Unpark(std::thread::current())).into();
    let mut context = std::task::Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            std::task::Poll::Ready(output) => return output,
            std::task::Poll::Pending => std::thread::park(),
        }
    }
}
