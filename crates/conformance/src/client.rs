//! Clients as the checks need them.

use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::{ClientContext, DefaultClientContext};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaError, RDKafkaErrorCode};
use rdkafka::message::{Message, OwnedMessage};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::Context;
use crate::wait::{SOON, block_on, until};

/// A name that no other check or run uses.
pub(crate) fn unique(what: &str) -> String {
    format!("{what}-{:016x}", fastrand::u64(..))
}

impl Context {
    pub(crate) fn config(&self, settings: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap);
        config.set("socket.timeout.ms", "60000");
        for (name, value) in settings {
            config.set(*name, *value);
        }
        config
    }

    pub(crate) fn admin(&self) -> Result<AdminClient<DefaultClientContext>> {
        Ok(self.config(&[]).create()?)
    }

    /// A new topic of that many partitions, ready for use.
    pub(crate) fn topic(&self, partitions: i32) -> Result<String> {
        self.topic_with(partitions, &[])
    }

    pub(crate) fn topic_with(&self, partitions: i32, settings: &[(&str, &str)]) -> Result<String> {
        let name = unique("topic");
        let mut topic = NewTopic::new(&name, partitions, TopicReplication::Fixed(1));
        for (name, value) in settings {
            topic = topic.set(name, value);
        }
        let created = block_on(self.admin()?.create_topics(&[topic], &options()))?;
        created
            .into_iter()
            .next()
            .context("no result")?
            .map_err(|(name, code)| anyhow::anyhow!("{name}: {code}"))?;
        self.wait_for_topic(&name, partitions)?;
        Ok(name)
    }

    pub(crate) fn wait_for_topic(&self, name: &str, partitions: i32) -> Result<()> {
        let client = self.reader("", &[])?;
        until("the new topic has leaders", || {
            let metadata = client.fetch_metadata(Some(name), SOON)?;
            let topic = metadata.topics().iter().find(|t| t.name() == name).context("topic missing")?;
            let led = topic.partitions().iter().filter(|p| p.leader() >= 0).count();
            Ok((topic.error().is_none() && led == partitions as usize).then_some(()))
        })
    }

    pub(crate) fn producer(&self, settings: &[(&str, &str)]) -> Result<Sender> {
        let producer = self.config(&[("linger.ms", "0")]);
        let mut producer = producer;
        for (name, value) in settings {
            producer.set(*name, *value);
        }
        Ok(Sender { inner: producer.create_with_context(Outcomes::default())? })
    }

    /// A transactional producer that has taken its ID over.
    pub(crate) fn transactional(&self, id: &str) -> Result<Sender> {
        self.transactional_with(id, &[])
    }

    pub(crate) fn transactional_with(&self, id: &str, settings: &[(&str, &str)]) -> Result<Sender> {
        let base = [("transactional.id", id), ("retry.backoff.ms", "10"), ("message.timeout.ms", "30000")];
        let producer = self.producer(&[&base, settings].concat())?;
        producer.inner.init_transactions(SOON)?;
        Ok(producer)
    }

    /// A consumer that does nothing by itself: no commits, no jumps, and it says when a partition is at its end.
    pub(crate) fn reader(&self, group: &str, settings: &[(&str, &str)]) -> Result<BaseConsumer> {
        let group = if group.is_empty() { unique("reader") } else { group.to_string() };
        let base = [
            ("group.id", group.as_str()),
            ("enable.auto.commit", "false"),
            ("auto.offset.reset", "error"),
            ("enable.partition.eof", "true"),
            ("session.timeout.ms", "30000"),
            ("heartbeat.interval.ms", "200"),
            ("fetch.wait.max.ms", "100"),
            ("fetch.error.backoff.ms", "10"),
        ];
        Ok(self.config(&[&base, settings].concat()).create()?)
    }

    /// Everything in a partition from its start, as a reader of that isolation level sees it now.
    pub(crate) fn read(&self, topic: &str, partition: i32, isolation: &str) -> Result<Vec<OwnedMessage>> {
        let reader = self.reader("", &[("isolation.level", isolation)])?;
        reader.assign(&at(topic, partition, Offset::Beginning)?)?;
        read_to_end(&reader, 1)
    }

    /// The values in partition 0 as text, as a committed reader sees them now.
    pub(crate) fn committed_values(&self, topic: &str) -> Result<Vec<String>> {
        Ok(values(&self.read(topic, 0, "read_committed")?))
    }

    /// Waits until a committed reader sees exactly these values in partition 0. Markers are written after the
    /// acknowledgement of a commit, so visibility comes a little later.
    pub(crate) fn expect_committed(&self, topic: &str, expected: &[&str]) -> Result<()> {
        let mut seen = Vec::new();
        let waited = until("committed values", || {
            seen = self.committed_values(topic)?;
            Ok((seen == expected).then_some(()))
        });
        waited.with_context(|| format!("seen {seen:?}, expected {expected:?}"))
    }
}

pub(crate) fn options() -> AdminOptions {
    AdminOptions::new().operation_timeout(Some(SOON)).request_timeout(Some(SOON))
}

pub(crate) fn at(topic: &str, partition: i32, offset: Offset) -> Result<TopicPartitionList> {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, offset)?;
    Ok(list)
}

/// The values as text.
pub(crate) fn values(messages: &[OwnedMessage]) -> Vec<String> {
    messages.iter().map(|m| String::from_utf8_lossy(m.payload().unwrap_or_default()).into_owned()).collect()
}

/// Polls an assigned reader until all its partitions have said that they are at their end.
pub(crate) fn read_to_end(reader: &BaseConsumer, partitions: usize) -> Result<Vec<OwnedMessage>> {
    let (mut found, mut ended) = (Vec::new(), 0);
    until("the end of the partitions", || {
        match reader.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => found.push(message.detach()),
            Some(Err(KafkaError::PartitionEOF(_))) => ended += 1,
            Some(Err(error)) => bail!("while reading: {error}"),
            None => {}
        }
        Ok((ended == partitions).then_some(()))
    })?;
    Ok(found)
}

/// Polls until the reader has its partitions, and returns how many.
pub(crate) fn assigned(reader: &BaseConsumer) -> Result<usize> {
    poll(reader)?;
    Ok(reader.assignment()?.count())
}

/// Serves a reader's callbacks; records and ends of partitions are not looked at.
pub(crate) fn poll(reader: &BaseConsumer) -> Result<()> {
    match reader.poll(Duration::from_millis(5)) {
        None | Some(Ok(_) | Err(KafkaError::PartitionEOF(_))) => Ok(()),
        Some(Err(KafkaError::MessageConsumption(RDKafkaErrorCode::AutoOffsetReset))) => Ok(()),
        Some(Err(error)) => bail!("while polling: {error}"),
    }
}

/// What became of the records of a producer.
#[derive(Debug, Default)]
pub(crate) struct Outcomes(Mutex<Vec<Result<(i32, i64), RDKafkaErrorCode>>>);

impl ClientContext for Outcomes {}

impl ProducerContext for Outcomes {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let outcome = match result {
            Ok(message) => Ok((message.partition(), message.offset())),
            Err((error, _)) => Err(error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown)),
        };
        self.0.lock().expect("nobody panics holding it").push(outcome);
    }
}

/// A producer whose outcomes are known.
pub(crate) struct Sender {
    pub(crate) inner: ThreadedProducer<Outcomes>,
}

impl Sender {
    /// Hands records to partition 0 over without waiting.
    pub(crate) fn put(&self, topic: &str, values: &[&str]) -> Result<()> {
        self.put_to(topic, 0, values)
    }

    pub(crate) fn put_to(&self, topic: &str, partition: i32, values: &[&str]) -> Result<()> {
        for value in values {
            self.record(BaseRecord::to(topic).partition(partition).key("k").payload(*value))?;
        }
        Ok(())
    }

    pub(crate) fn record(&self, record: BaseRecord<'_, str, str>) -> Result<()> {
        self.inner.send(record).map_err(|(error, _)| error.into())
    }

    /// Waits until nothing is in flight; the outcomes since the last time.
    pub(crate) fn outcomes(&self) -> Result<Vec<Result<(i32, i64), RDKafkaErrorCode>>> {
        until("outcomes of all records", || Ok((self.inner.in_flight_count() == 0).then_some(())))?;
        Ok(std::mem::take(&mut *self.inner.context().0.lock().expect("nobody panics holding it")))
    }

    /// Waits until everything is acknowledged: partition and offset of each record.
    pub(crate) fn drain(&self) -> Result<Vec<(i32, i64)>> {
        self.outcomes()?
            .into_iter()
            .map(|o| o.map_err(|code| anyhow::anyhow!("record refused: {code}")))
            .collect()
    }

    /// Produces to partition 0 and waits for the acknowledgements.
    pub(crate) fn write(&self, topic: &str, values: &[&str]) -> Result<Vec<(i32, i64)>> {
        self.put(topic, values)?;
        self.drain()
    }

    pub(crate) fn begin(&self) -> Result<()> {
        Ok(self.inner.begin_transaction()?)
    }

    /// Begins a transaction and writes to partition 0 in it.
    pub(crate) fn begin_with(&self, topic: &str, values: &[&str]) -> Result<()> {
        self.begin()?;
        self.write(topic, values)?;
        Ok(())
    }

    pub(crate) fn txn_commit(&self) -> Result<(), KafkaError> {
        self.inner.commit_transaction(SOON)
    }

    pub(crate) fn abort(&self) -> Result<(), KafkaError> {
        self.inner.abort_transaction(SOON)
    }

    /// Sends the group's offset for partition 0 of the topic into the transaction.
    pub(crate) fn send_offset(
        &self,
        consumer: &BaseConsumer,
        topic: &str,
        offset: i64,
    ) -> Result<(), KafkaError> {
        self.send_offset_of(consumer, topic, 0, offset)
    }

    pub(crate) fn send_offset_of(
        &self,
        consumer: &BaseConsumer,
        topic: &str,
        partition: i32,
        offset: i64,
    ) -> Result<(), KafkaError> {
        let metadata = consumer.group_metadata().expect("the consumer has a group");
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Offset(offset))?;
        self.inner.send_offsets_to_transaction(&list, &metadata, SOON)
    }
}

/// The committed offset of a partition, by a reader that does not wait for open transactions; -1 if there is none.
pub(crate) fn committed(context: &Context, group: &str, topic: &str, partition: i32) -> Result<i64> {
    let reader = context.reader(group, &[("isolation.level", "read_uncommitted")])?;
    let mut list = TopicPartitionList::new();
    list.add_partition(topic, partition);
    let found = reader.committed_offsets(list, SOON)?;
    match found.find_partition(topic, partition).context("partition missing")?.offset() {
        Offset::Offset(offset) => Ok(offset),
        _ => Ok(-1),
    }
}

/// Waits until the group's committed offset of partition 0 is this.
pub(crate) fn expect_offset(context: &Context, group: &str, topic: &str, expected: i64) -> Result<()> {
    let mut seen = -1;
    let waited = until("the committed offset", || {
        seen = committed(context, group, topic, 0)?;
        Ok((seen == expected).then_some(()))
    });
    waited.with_context(|| format!("seen {seen}, expected {expected}"))
}

/// The transaction error in a result that must have one.
pub(crate) fn txn_error<T>(
    result: Result<T, KafkaError>,
    expected: RDKafkaErrorCode,
) -> Result<RDKafkaError> {
    match result {
        Err(KafkaError::Transaction(error)) => {
            ensure!(error.code() == expected, "expected {expected:?}, got {:?}: {error}", error.code());
            Ok(error)
        }
        Err(other) => bail!("expected {expected:?}, got {other}"),
        Ok(_) => bail!("expected {expected:?}, but it went well"),
    }
}
