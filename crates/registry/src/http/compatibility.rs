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
    Ok(verdict(&messages.await?, flags.verbose))
}

/// Against one version, at the subject's level.
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
            let found = state.find(&subject, version, false)?;
            let (_, parsed) = state.parse(schema)?;
            state.incompatibilities_with(found, &parsed, state.level_of(&subject))
        })
    });
    Ok(verdict(&messages.await?, flags.verbose))
}

fn verdict(messages: &[String], verbose: bool) -> Reply {
    let compatible = messages.is_empty();
    if verbose {
        return Reply::json(&json!({ "is_compatible": compatible, "messages": messages }));
    }
    Reply::json(&json!({ "is_compatible": compatible }))
}
