//! The errors of the REST API: what each means, its number and its HTTP status.

/// Why a request was not served. The numbers are those that Confluent documents for its REST API; the first
/// three digits are the HTTP status.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each variant's message says what its fields are")]
pub enum Error {
    #[error("Subject '{subject}' not found.")]
    SubjectNotFound { subject: String },
    #[error("Version {version} not found.")]
    VersionNotFound { version: String },
    #[error("Schema not found")]
    SchemaNotFound,
    #[error("Schema {id} not found")]
    SchemaIdNotFound { id: u32 },
    #[error("Subject '{subject}' was soft deleted.Set permanent=true to delete permanently")]
    SubjectSoftDeleted { subject: String },
    #[error("Subject '{subject}' was not deleted first before being permanently deleted")]
    SubjectNotSoftDeleted { subject: String },
    #[error(
        "Subject '{subject}' Version {version} was soft deleted.Set permanent=true to delete permanently"
    )]
    VersionSoftDeleted { subject: String, version: u32 },
    #[error("Subject '{subject}' Version {version} was not deleted first before being permanently deleted")]
    VersionNotSoftDeleted { subject: String, version: u32 },
    #[error("Subject '{subject}' does not have subject-level compatibility configured")]
    NoSubjectCompatibility { subject: String },
    #[error("Subject '{subject}' does not have subject-level mode configured")]
    NoSubjectMode { subject: String },
    #[error(
        "Schema being registered is incompatible with an earlier schema for subject \"{subject}\", details: [{details}]"
    )]
    Incompatible { subject: String, details: String },
    #[error("Invalid schema: {reason}")]
    InvalidSchema { reason: String },
    #[error(
        "The specified version '{version}' is not a valid version id. Allowed values are between [1, 2^31-1] and the string \"latest\""
    )]
    InvalidVersion { version: String },
    #[error(
        "Invalid compatibility level. Valid values are none, backward, forward, full, backward_transitive, forward_transitive, and full_transitive"
    )]
    InvalidCompatibility,
    #[error("Invalid mode '{mode}'. Valid values are READWRITE, READONLY, READONLY_OVERRIDE and IMPORT")]
    InvalidMode { mode: String },
    #[error("{reason}")]
    NotPermitted { reason: String },
    #[error("One or more references exist to the schema {{subject={subject},version={version}}}")]
    Referenced { subject: String, version: u32 },
    #[error("The subject '{subject}' is not a valid subject: {reason}")]
    InvalidSubject { subject: String, reason: &'static str },
    #[error("{message}")]
    Http { status: u16, message: String },
    #[error("Error while appending to the registry's journal: {reason}")]
    Storage { reason: String },
}

impl Error {
    /// The number that clients branch on.
    pub fn code(&self) -> u32 {
        match self {
            Error::SubjectNotFound { .. } => 40401,
            Error::VersionNotFound { .. } => 40402,
            Error::SchemaNotFound | Error::SchemaIdNotFound { .. } => 40403,
            Error::SubjectSoftDeleted { .. } => 40404,
            Error::SubjectNotSoftDeleted { .. } => 40405,
            Error::VersionSoftDeleted { .. } => 40406,
            Error::VersionNotSoftDeleted { .. } => 40407,
            Error::NoSubjectCompatibility { .. } => 40408,
            Error::NoSubjectMode { .. } => 40409,
            Error::Incompatible { .. } => 409,
            Error::InvalidSchema { .. } => 42201,
            Error::InvalidVersion { .. } => 42202,
            Error::InvalidCompatibility => 42203,
            Error::InvalidMode { .. } => 42204,
            Error::NotPermitted { .. } => 42205,
            Error::Referenced { .. } => 42206,
            Error::InvalidSubject { .. } => 42208,
            Error::Http { status, .. } => u32::from(*status),
            Error::Storage { .. } => 50001,
        }
    }

    /// The HTTP status: the code itself, or its first three digits.
    pub fn status(&self) -> u16 {
        let code = self.code();
        let status = if code >= 1000 { code / 100 } else { code };
        u16::try_from(status).unwrap_or(500)
    }

    pub(crate) fn invalid_schema(reason: impl Into<String>) -> Error {
        Error::InvalidSchema { reason: reason.into() }
    }

    pub(crate) fn subject_not_found(subject: &str) -> Error {
        Error::SubjectNotFound { subject: subject.to_owned() }
    }

    pub(crate) fn version_not_found(version: impl ToString) -> Error {
        Error::VersionNotFound { version: version.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_the_first_three_digits_of_the_code() {
        let incompatible = Error::Incompatible { subject: "s".into(), details: String::new() };
        for (error, code, status) in [
            (Error::subject_not_found("s"), 40401, 404),
            (Error::invalid_schema("x"), 42201, 422),
            (incompatible, 409, 409),
            (Error::Storage { reason: "full".into() }, 50001, 500),
            (Error::Http { status: 413, message: "too large".into() }, 413, 413),
        ] {
            assert_eq!((error.code(), error.status()), (code, status), "{error}");
        }
    }
}
