//! Errors, and the client's own reports of what is wrong with its connections.

use std::sync::{Arc, Mutex};

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use quadrille_types::definition::Refusal;

use crate::Partition;

/// What can go wrong between the mesh and Kafka.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting is refused, by us or by librdkafka. Not retryable.
    #[error("{0}")]
    Setting(String),
    /// The cluster cannot be used as configured. Not retryable without a change.
    #[error("cannot use Kafka at {bootstrap}: {cause}")]
    Connection {
        /// Bootstrap servers.
        bootstrap: String,
        /// What the client found, and what to do.
        cause: String,
    },
    /// A topic is missing or not as it must be. Not retryable.
    #[error("{0}")]
    Topic(String),
    /// The definition is not the one that is active. Not retryable.
    #[error(transparent)]
    Definition(#[from] Refusal),
    /// Somebody else has applied another definition in the same moment. Not retryable.
    #[error(
        "mesh {mesh}: another definition was applied in the same moment, and {active} is active: look at it, and apply again if this one should follow it"
    )]
    Overtaken {
        /// The mesh.
        mesh: String,
        /// What is active.
        active: String,
    },
    /// A partition has no committed offset, or one that no longer exists.
    #[error(
        "group {group} has no usable position on {what}: run `quadrille apply` once for a new step; if the position was lost, its records may be too"
    )]
    Position {
        /// Consumer group.
        group: String,
        /// Where.
        what: String,
    },
    /// Restoring did not reach the end in time.
    #[error("restoring {partition} stopped at offset {at} of {end}: a transaction may be hanging on it")]
    Restore {
        /// The partition.
        partition: Partition,
        /// Reached so far.
        at: i64,
        /// To be reached.
        end: i64,
    },
    /// Anything else that the client reports.
    #[error("{doing}: {source}")]
    Client {
        /// What was being done.
        doing: String,
        /// The client's error.
        source: KafkaError,
    },
}

impl Error {
    pub(crate) fn client(doing: impl Into<String>) -> impl FnOnce(KafkaError) -> Self {
        let doing = doing.into();
        |source| Self::Client { doing, source }
    }
}

/// What a client says about its connections, kept for whoever asks: calls themselves only time out.
#[derive(Clone, Debug, Default)]
pub struct ClientErrors(Arc<Mutex<Seen>>);

#[derive(Debug, Default)]
struct Seen {
    refused: Option<String>,
    down: Option<String>,
}

impl ClientErrors {
    pub(crate) fn report(&self, error: &KafkaError, reason: &str) {
        let mut seen = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::Authentication) => {
                seen.refused.get_or_insert_with(|| {
                    format!("authentication failed: {reason}; check sasl.mechanism, sasl.username and sasl.password")
                });
            }
            Some(RDKafkaErrorCode::SSL) => {
                seen.refused.get_or_insert_with(|| {
                    format!("TLS failed: {reason}; check security.protocol and ssl.ca.location")
                });
            }
            Some(RDKafkaErrorCode::BrokerTransportFailure | RDKafkaErrorCode::Resolve) => {
                seen.down = Some(reason.to_owned());
            }
            // Says less than why the last of them is.
            Some(RDKafkaErrorCode::AllBrokersDown) => {
                seen.down.get_or_insert_with(|| reason.to_owned());
            }
            _ => {}
        }
        tracing::warn!(target: "quadrille::kafka", %error, reason, "client error");
    }

    /// A refusal that waiting does not cure: wrong credentials, untrusted certificate.
    pub fn refused(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).refused.clone()
    }

    /// The last report that brokers cannot be reached.
    pub fn down(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).down.clone()
    }
}
