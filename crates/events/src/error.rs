//! What can be wrong with a value, and at start.

/// A value that cannot be read or written. None of these goes away by trying again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No event of the topology has this name.
    #[error("the topology has no event {0}")]
    UnknownEvent(String),
    /// The event came without its value.
    #[error("{0} came without its value")]
    NoValue(String),
    /// Bytes that are not what the event's schema says.
    #[error("{event} can't be read: {reason}")]
    Undecodable {
        /// The event.
        event: String,
        /// What is wrong.
        reason: String,
    },
    /// A handler's value that does not fit the event's schema.
    #[error("{event} can't be written: {reason}")]
    Unencodable {
        /// The event.
        event: String,
        /// What is wrong, with its path.
        reason: String,
    },
    /// The event's schema was not asked for at start, since no step of the service emits it.
    #[error("{0} is not among the events that this service emits")]
    NotEmitted(String),
}

/// Why a service cannot start with its events.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Avro events need a registry.
    #[error("{event} is written in Avro, which needs a schema registry: give --schema-registry")]
    NoRegistry {
        /// One of the events.
        event: String,
    },
    /// The registry cannot be used.
    #[error("cannot use the schema registry: {0}")]
    Registry(quadrille_schema::RegistryError),
    /// The schema is not there, and registering it is not asked for.
    #[error(
        "the schema of {event} is not registered under subject {subject}: register it, or start with --auto-register ({reason})"
    )]
    NotRegistered {
        /// The event.
        event: String,
        /// Its subject.
        subject: String,
        /// What the registry says.
        reason: String,
    },
    /// The schema cannot be used.
    #[error("the schema of {event} can't be used: {reason}")]
    Schema {
        /// The event.
        event: String,
        /// Why.
        reason: String,
    },
}
