//! `/compatibility`: would this schema be accepted, and if not, why.

use axum::extract::State;
use serde_json::json;

use super::body::{Json, Parameters, SchemaBody};
use super::{Flags, Reply, Shared, blocking};
use crate::error::Error;
use crate::store::VersionId;

/// Against the versions that the subject's level looks at; a new subject takes any schema.
pub(super) async fn with_all(
    State(service): Shared,
    Parameters(subject): Parameters<String>,
    flags: Flags,
    Json(body): Json<SchemaBody>,
) -> Result<Reply, Error> {
    let schema = body.submitted()?;
    let messages = blocking(service, move |service| {
        service.read(|state| {
            let (_, parsed) = state.parse(schema)?;
            state.incompatibilities(&subject, &parsed, state.level_of(&subject))
        })
    });
    verdict(messages.await, flags.verbose)
}

/// Against one version, at the subject's level; anything may follow the latest of a subject that has none.
pub(super) async fn with_version(
    State(service): Shared,
    Parameters((subject, version)): Parameters<(String, String)>,
    flags: Flags,
    Json(body): Json<SchemaBody>,
) -> Result<Reply, Error> {
    let version = VersionId::parse(&version)?;
    let schema = body.submitted()?;
    let messages = blocking(service, move |service| {
        service.read(|state| {
            let found = match (state.find(&subject, version, false), version) {
                (Ok(found), _) => Some(found),
                (Err(_), VersionId::Latest) => None,
                (Err(_), VersionId::Number(number)) => return Err(Error::version_not_found(number)),
            };
            let (_, parsed) = state.parse(schema)?;
            let level = state.level_of(&subject);
            found.map_or(Ok(Vec::new()), |found| state.incompatibilities_with(found, &parsed, level))
        })
    });
    verdict(messages.await, flags.verbose)
}

/// Who asks for messages gets what is wrong with the schema itself as one.
fn verdict(messages: Result<Vec<String>, Error>, verbose: bool) -> Result<Reply, Error> {
    let messages = match messages {
        Err(invalid @ Error::InvalidSchema { .. }) if verbose => vec![invalid.to_string()],
        other => other?,
    };
    let compatible = messages.is_empty();
    if verbose {
        return Ok(Reply::json(&json!({ "is_compatible": compatible, "messages": messages })));
    }
    Ok(Reply::json(&json!({ "is_compatible": compatible })))
}
