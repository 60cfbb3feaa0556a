//! Where the cluster is, and how clients are set up for the mesh.
//!
//! Any librdkafka setting passes through, SASL and TLS included, except those that the promise relies on: they are
//! refused, so that nobody believes in a setting that does not count.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;

use crate::Error;

/// Settings that the mesh sets itself, with the reason.
const OURS: &[(&str, &str)] = &[
    ("bootstrap.servers", "it has an option of its own"),
    ("group.id", "groups are named by the topology"),
    ("group.instance.id", "it follows from the instance's ordinal"),
    ("group.protocol", "ownership relies on the classic protocol"),
    ("partition.assignment.strategy", "topics that share an owner rely on range"),
    ("transactional.id", "it follows from service, instance and lane"),
    ("transaction.timeout.ms", "it has an option of its own"),
    ("session.timeout.ms", "it has an option of its own"),
    ("heartbeat.interval.ms", "it follows from the session timeout"),
    ("message.timeout.ms", "it follows from the transaction timeout"),
    ("delivery.timeout.ms", "it follows from the transaction timeout"),
    ("enable.idempotence", "without it records are lost or repeated"),
    ("acks", "without all of them records are lost"),
    ("request.required.acks", "without all of them records are lost"),
    ("enable.auto.commit", "offsets are committed in transactions"),
    ("enable.auto.offset.store", "offsets are committed in transactions"),
    ("auto.offset.reset", "a position that is out of range is an alarm, never a silent jump"),
    ("isolation.level", "aborted records must never be seen"),
    ("partitioner", "partitions are computed by the mesh"),
    ("allow.auto.create.topics", "topics are created by `quadrille apply`"),
    ("enable.partition.eof", "the mesh reads ends itself"),
    ("retry.backoff.ms", "transactions rely on a short one"),
    ("log.connection.close", "transactions rely on being told of a connection that broke"),
];

/// How to reach the cluster. Shown for debugging, it keeps the values of the user's settings to itself: one of them may be
/// a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Settings {
    /// `host:port` list.
    pub bootstrap_servers: String,
    /// librdkafka settings of the user's, checked by [`Settings::new`].
    extra: BTreeMap<String, String>,
    /// How long a member of a group may be silent before it counts as gone.
    pub session_timeout: Duration,
    /// How long a transaction may be open before the broker aborts it: the longest that a crash holds up readers.
    pub transaction_timeout: Duration,
}

impl Settings {
    /// Settings for the cluster at `bootstrap_servers`, with `extra` passed through to librdkafka.
    pub fn new(
        bootstrap_servers: impl Into<String>,
        extra: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, Error> {
        let extra: BTreeMap<_, _> = extra.into_iter().collect();
        if let Some((name, reason)) = OURS.iter().find(|(name, _)| extra.contains_key(*name)) {
            return Err(Error::Setting(format!("{name} cannot be set: {reason}")));
        }
        let settings = Self {
            bootstrap_servers: bootstrap_servers.into(),
            extra,
            session_timeout: Duration::from_secs(30),
            transaction_timeout: Duration::from_secs(30),
        };
        settings.client().create_native_config().map_err(|e| Error::Setting(without_value(&e)))?;
        Ok(settings)
    }

    /// The librdkafka settings that were passed through.
    pub fn of_the_user(&self) -> impl Iterator<Item = (&str, &str)> {
        self.extra.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// How connections are secured, as the client calls it.
    pub(crate) fn security_protocol(&self) -> &str {
        self.extra.get("security.protocol").map_or("plaintext", String::as_str)
    }

    /// What every client has.
    pub(crate) fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.bootstrap_servers)
            .set("client.id", "quadrille")
            .set("allow.auto.create.topics", "false")
            // Calls that take no time-out of their own come back after this.
            .set("socket.timeout.ms", "10000")
            .set("socket.nagle.disable", "true")
            .set("reconnect.backoff.ms", "50")
            .set("reconnect.backoff.max.ms", "1000")
            .set_log_level(RDKafkaLogLevel::Warning);
        for (name, value) in &self.extra {
            config.set(name, value);
        }
        config
    }

    /// A reader that sees committed records only and commits nothing.
    pub(crate) fn reader(&self) -> ClientConfig {
        let mut config = self.client();
        config
            .set("isolation.level", "read_committed")
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "error")
            .set("check.crcs", "true")
            .set("fetch.queue.backoff.ms", "10");
        config
    }

    /// A member of group `id`. `instance` makes it a static member: give one only if it is stable over restarts and
    /// nobody else has it.
    pub(crate) fn member(&self, id: &str, instance: Option<&str>) -> ClientConfig {
        let session_ms = self.session_timeout.as_millis();
        let mut config = self.reader();
        config
            .set("group.id", id)
            .set("partition.assignment.strategy", "range")
            .set("session.timeout.ms", session_ms.to_string())
            .set("heartbeat.interval.ms", (session_ms / 10).clamp(100, 3_000).to_string())
            .set("max.poll.interval.ms", "300000")
            .set("enable.auto.offset.store", "false")
            // Bounds what is prefetched: the backoff must be small with it, or partitions starve each other.
            .set("queued.min.messages", "1000")
            .set("queued.max.messages.kbytes", "16384")
            .set("max.partition.fetch.bytes", "1048576");
        if let Some(instance) = instance {
            config.set("group.instance.id", instance);
        }
        config
    }

    /// A transactional producer.
    pub(crate) fn producer(&self, transactional_id: &str, one_by_one: bool) -> ClientConfig {
        let mut config = self.idempotent_producer(one_by_one);
        config
            .set("transactional.id", transactional_id)
            .set("transaction.timeout.ms", self.transaction_timeout.as_millis().to_string())
            // A connection that breaks is no warning to the client; `crate::transaction` has to know.
            .set_log_level(RDKafkaLogLevel::Info);
        config
    }

    /// A producer whose own retries repeat nothing. `one_by_one`: each record is a batch of its own.
    pub(crate) fn idempotent_producer(&self, one_by_one: bool) -> ClientConfig {
        let timeout_ms = self.transaction_timeout.as_millis();
        let mut config = self.client();
        config
            .set("enable.idempotence", "true")
            .set("message.timeout.ms", (timeout_ms - timeout_ms / 10).to_string())
            .set("partitioner", "murmur2_random")
            // Above everything that is ever written: what is too large for its topic is the topic's to say.
            .set("message.max.bytes", "8000000")
            .set("linger.ms", "0")
            .set("compression.type", "lz4")
            // A begin right after a commit meets the markers of that commit: the client's default waits 100 ms then.
            .set("retry.backoff.ms", "10")
            .set("retry.backoff.max.ms", "500");
        if one_by_one {
            config.set("batch.num.messages", "1");
        }
        config
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("bootstrap_servers", &self.bootstrap_servers)
            .field("extra", &self.extra.keys())
            .field("session_timeout", &self.session_timeout)
            .field("transaction_timeout", &self.transaction_timeout)
            .finish()
    }
}

/// What is wrong with a setting, but not its value: the name of a password may be misspelt.
fn without_value(error: &KafkaError) -> String {
    match error {
        KafkaError::ClientConfig(_, reason, name, _) => format!("the Kafka client refuses {name}: {reason}"),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &str, value: &str) -> Result<Settings, Error> {
        Settings::new("127.0.0.1:1", [(name.to_owned(), value.to_owned())])
    }

    #[test]
    fn what_the_promise_relies_on_is_refused() {
        for (name, reason) in OURS {
            let error = with(name, "1").unwrap_err().to_string();
            assert_eq!(error, format!("{name} cannot be set: {reason}"));
        }
    }

    #[test]
    fn security_passes_through_and_nonsense_is_refused() {
        assert_eq!(with("sasl.username", "svc").unwrap().client().get("sasl.username"), Some("svc"));
        let error = with("sasl.passwort", "hush").unwrap_err().to_string();
        assert!(error.contains("sasl.passwort") && !error.contains("hush"), "{error}");
    }

    #[test]
    fn a_password_is_not_shown() {
        let settings = with("sasl.password", "hush").unwrap();
        let shown = format!("{settings:?}");
        assert!(shown.contains("sasl.password") && !shown.contains("hush"), "{shown}");
        assert_eq!(settings.of_the_user().collect::<Vec<_>>(), [("sasl.password", "hush")]);
    }

    #[test]
    fn what_is_set_is_what_librdkafka_takes() {
        let settings = Settings::new("127.0.0.1:1", []).unwrap();
        for config in [settings.reader(), settings.member("g", Some("g.0")), settings.producer("t", true)] {
            config.create_native_config().unwrap();
        }
    }
}
