//! A plain producer, for tools that publish what a file says.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, Message as _, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};

use quadrille_types::envelope::Headers;

use crate::{ClientErrors, Error, Settings};

/// A record to publish.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outgoing {
    /// Topic.
    pub topic: String,
    /// Partition; none: that of the key, as the Java client chooses it.
    pub partition: Option<i32>,
    /// Key.
    pub key: Option<Vec<u8>>,
    /// Value.
    pub value: Option<Vec<u8>>,
    /// Headers.
    pub headers: Headers,
}

/// Publishes records; each is acknowledged by every in-sync replica, and the client's retries repeat nothing.
pub struct Publisher {
    producer: BaseProducer<Deliveries>,
}

#[derive(Default)]
struct Deliveries {
    errors: ClientErrors,
    state: Arc<Mutex<Delivered>>,
}

#[derive(Default)]
struct Delivered {
    count: u64,
    failed: Option<String>,
}

impl ClientContext for Deliveries {
    fn error(&self, error: KafkaError, reason: &str) {
        self.errors.report(&error, reason);
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let mut state = self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        match result {
            Ok(_) => state.count += 1,
            Err((error, message)) => {
                state.failed.get_or_insert_with(|| format!("topic {}: {error}", message.topic()));
            }
        }
    }
}

impl Publisher {
    /// A publisher to the cluster.
    pub fn new(settings: &Settings) -> Result<Self, Error> {
        let mut config = settings.idempotent_producer(false);
        config.set("linger.ms", "5");
        let producer =
            config.create_with_context(Deliveries::default()).map_err(|e| Error::Setting(e.to_string()))?;
        Ok(Self { producer })
    }

    /// Sends a record. It is delivered when [`flush`](Self::flush) says so.
    pub fn send(&self, outgoing: &Outgoing) -> Result<(), Error> {
        let mut headers = OwnedHeaders::new();
        for (key, value) in &outgoing.headers {
            headers = headers.insert(Header { key, value: value.as_ref() });
        }
        loop {
            let mut record: BaseRecord<'_, [u8], [u8]> =
                BaseRecord::to(&outgoing.topic).headers(headers.clone());
            record.partition = outgoing.partition;
            record.key = outgoing.key.as_deref();
            record.payload = outgoing.value.as_deref();
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((error, _)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) => {
                    self.producer.poll(Duration::from_millis(5));
                }
                Err((error, _)) => {
                    return Err(Error::client(format!("publishing to {}", outgoing.topic))(error));
                }
            }
        }
    }

    /// Waits until everything is delivered, and says how many records that were.
    pub fn flush(&self, within: Duration) -> Result<u64, Error> {
        let deadline = Instant::now() + within;
        while self.producer.in_flight_count() > 0 && Instant::now() < deadline {
            self.producer.poll(Duration::from_millis(5));
        }
        let state = self.producer.context().state.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        match (&state.failed, self.producer.in_flight_count()) {
            (Some(failed), _) => Err(Error::Topic(format!("a record was not delivered: {failed}"))),
            (None, 0) => Ok(state.count),
            (None, left) => Err(Error::Topic(format!("{left} records were not delivered in time"))),
        }
    }
}
