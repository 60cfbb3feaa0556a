//! Whether the cluster can be used, found out at start.

use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;

use crate::{ClientErrors, Error, Settings};

/// A client that only asks and listens to its own error reports.
pub(crate) type Asker = BaseConsumer<Reporting>;

/// Collects what the client reports.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reporting {
    pub(crate) errors: ClientErrors,
}

impl ClientContext for Reporting {
    fn error(&self, error: KafkaError, reason: &str) {
        self.errors.report(&error, reason);
    }
}

impl ConsumerContext for Reporting {}

pub(crate) fn asker(settings: &Settings) -> Result<Asker, Error> {
    reporting(&settings.reader())
}

/// An asker with another isolation: what it is told of ends depends on it.
pub(crate) fn asker_as(settings: &Settings, isolation: &str) -> Result<Asker, Error> {
    reporting(settings.reader().set("isolation.level", isolation))
}

pub(crate) fn reporting(config: &ClientConfig) -> Result<Asker, Error> {
    config.create_with_context(Reporting::default()).map_err(|e| Error::Setting(e.to_string()))
}

/// Asks the cluster for its metadata. An answer that waiting will not change (wrong password, untrusted certificate)
/// comes at once; otherwise it is tried until `within` has passed.
pub fn check(settings: &Settings, within: Duration) -> Result<(), Error> {
    let client = asker(settings)?;
    let errors = &client.context().errors;
    let began = Instant::now();
    loop {
        match client.fetch_metadata(Some("quadrille-is-anybody-there"), Duration::from_millis(500)) {
            Ok(_) => return Ok(()),
            Err(error) => {
                // Its reports may lie behind other events, of which a poll without patience hands over one.
                client.poll(Duration::from_millis(50));
                let cause = match (errors.refused(), errors.down()) {
                    (Some(refused), _) => refused,
                    _ if began.elapsed() < within => continue,
                    (None, Some(down)) => format!(
                        "no broker answers within {} s: {down}; if brokers are up, check security.protocol, which is {}",
                        within.as_secs(),
                        settings.security_protocol()
                    ),
                    (None, None) => format!("no answer within {} s: {error}", within.as_secs()),
                };
                return Err(Error::Connection { bootstrap: settings.bootstrap_servers.clone(), cause });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_there_is_said_within_seconds() {
        let settings = Settings::new("127.0.0.1:1", []).unwrap();
        let error = check(&settings, Duration::from_secs(1)).unwrap_err().to_string();
        assert!(
            error.starts_with("cannot use Kafka at 127.0.0.1:1: no broker answers within 1 s"),
            "{error}"
        );
    }
}
