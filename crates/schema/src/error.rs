//! What can go wrong, and whether trying again may help.

use crate::wire::WireError;

/// The data and the schema don't go together. None of these goes away by trying again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DataError {
    /// The text is no Avro schema, or it refers to one that is missing.
    #[error("not a valid avro schema: {reason}")]
    Schema {
        /// What the parser said.
        reason: String,
    },
    /// A JSON value does not fit the schema.
    #[error("{path}: {reason}")]
    Json {
        /// Where, from the root `$`, as `$.address.zip` or `$.items[2]`.
        path: String,
        /// What was expected.
        reason: String,
    },
    /// The bytes are not a datum of the schema.
    #[error("avro datum is damaged at byte {offset} ({path}): {reason}")]
    Datum {
        /// Bytes into the datum, without the prefix.
        offset: usize,
        /// Where in the data.
        path: String,
        /// What was expected.
        reason: String,
    },
    /// A Rust value could not be written, or a datum not be read into a Rust type.
    #[error("avro and the rust type don't match: {reason}")]
    Serde {
        /// What the library said.
        reason: String,
    },
    /// What was written can't be read as the reader's schema.
    #[error("the writer's schema can't be read as the reader's: {reason}")]
    Resolution {
        /// What the library said.
        reason: String,
    },
}

/// The registry could not be asked, or said no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// No connection, or it broke. Retryable.
    #[error("schema registry {url} can't be reached: {reason}; check that it runs, and --schema-registry")]
    Unreachable {
        /// The registry's addresses.
        url: String,
        /// The chain of causes.
        reason: String,
    },
    /// No answer in time. Retryable.
    #[error("schema registry {url} did not answer in time")]
    Timeout {
        /// The registry's addresses.
        url: String,
    },
    /// It answered that it is in trouble or that there are too many requests (5xx, 408, 429). Retryable.
    #[error("schema registry {url} failed with status {status}, error code {code}: {message}")]
    Unavailable {
        /// The registry's addresses.
        url: String,
        /// The HTTP status.
        status: u16,
        /// The registry's own code, 0 when it gave none.
        code: u32,
        /// The registry's message.
        message: String,
    },
    /// The certificate is not trusted. Final.
    #[error("schema registry {url}: the certificate is not trusted: {reason}")]
    Untrusted {
        /// The registry's addresses.
        url: String,
        /// The chain of causes.
        reason: String,
    },
    /// Wrong or missing user, password or rights. Final.
    #[error("schema registry {url} refused the credentials (status {status})")]
    Unauthorized {
        /// The registry's addresses.
        url: String,
        /// 401 or 403.
        status: u16,
    },
    /// No schema has this id. Final.
    #[error("schema registry {url} has no schema with id {id}")]
    UnknownId {
        /// The registry's addresses.
        url: String,
        /// The id that was asked for.
        id: u32,
    },
    /// The schema with this id is none of Avro. Final.
    #[error("schema {id} in registry {url} is of type {kind}, not Avro")]
    NotAvro {
        /// The registry's addresses.
        url: String,
        /// The id that was asked for.
        id: u32,
        /// `JSON` or `PROTOBUF`.
        kind: String,
    },
    /// Nothing is registered under the subject, or not this schema. Final.
    #[error("subject {subject}: {message} (error code {code})")]
    NotRegistered {
        /// The subject.
        subject: String,
        /// 40401, 40402 or 40403.
        code: u32,
        /// The registry's message.
        message: String,
    },
    /// The schema may not follow the earlier versions of its subject. Final.
    #[error("subject {subject}: {message}")]
    Incompatible {
        /// The subject.
        subject: String,
        /// The registry's message, with the fields if it names them.
        message: String,
    },
    /// Any other refusal. Final.
    #[error("schema registry refused with status {status}, error code {code}: {message}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The registry's own code.
        code: u32,
        /// The registry's message.
        message: String,
    },
    /// The answer is not what the API promises, or the settings are wrong. Final.
    #[error("schema registry {url}: {reason}")]
    Unusable {
        /// The registry's addresses.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// A schema file can't be read. Final.
    #[error("{path}: {reason}")]
    File {
        /// The file.
        path: String,
        /// What the operating system said.
        reason: String,
    },
}

impl RegistryError {
    /// True if the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        matches!(
            self,
            RegistryError::Unreachable { .. }
                | RegistryError::Timeout { .. }
                | RegistryError::Unavailable { .. }
        )
    }
}

/// Anything that can go wrong between a record's bytes and its value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// See [`WireError`].
    #[error(transparent)]
    Wire(#[from] WireError),
    /// See [`DataError`].
    #[error(transparent)]
    Data(#[from] DataError),
    /// See [`RegistryError`].
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The schema has not been fetched yet: [`crate::Schemas::load`] it, then try again at once.
    #[error("schema id {id} is not loaded yet")]
    NotLoaded {
        /// The id.
        id: u32,
    },
}

impl Error {
    /// True if the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Error::Registry(error) => error.is_retryable(),
            Error::NotLoaded { .. } => true,
            Error::Wire(_) | Error::Data(_) => false,
        }
    }
}
