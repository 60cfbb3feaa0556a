//! `/subjects`: registering, looking up, listing and deleting.

use axum::extract::State;
use serde_json::json;

use super::answer::version_fields;
use super::body::{Json, Parameters, SchemaBody};
use super::{Flags, Reply, Shared, blocking, run};
use crate::error::Error;
use crate::store::{Answer, Command, Scope, VersionId};

pub(super) async fn list(State(service): Shared, flags: Flags) -> Reply {
    let prefix = flags.subject_prefix.as_deref().unwrap_or_default();
    service.read(|state| Reply::json(&flags.page(state.subjects(flags.scope(), prefix))))
}

pub(super) async fn versions(
    State(service): Shared,
    Parameters(subject): Parameters<String>,
    flags: Flags,
) -> Result<Reply, Error> {
    service.read(|state| {
        let numbers = state.version_numbers(&subject, flags.scope())?;
        Ok(Reply::json(&flags.page(numbers)))
    })
}

pub(super) async fn version(
    State(service): Shared,
    Parameters((subject, version)): Parameters<(String, String)>,
    flags: Flags,
) -> Result<Reply, Error> {
    let version = VersionId::parse(&version)?;
    service.read(|state| {
        state.find(&subject, version, flags.deleted).map(|found| Reply::json(&version_fields(&found)))
    })
}

pub(super) async fn version_text(
    State(service): Shared,
    Parameters((subject, version)): Parameters<(String, String)>,
    flags: Flags,
) -> Result<Reply, Error> {
    let version = VersionId::parse(&version)?;
    service
        .read(|state| state.find(&subject, version, flags.deleted).map(|found| Reply::schema(found.schema)))
}

pub(super) async fn referenced_by(
    State(service): Shared,
    Parameters((subject, version)): Parameters<(String, String)>,
    flags: Flags,
) -> Result<Reply, Error> {
    let version = VersionId::parse(&version)?;
    let scope = if flags.deleted { Scope::All } else { Scope::Live };
    service.read(|state| {
        let found = state.find(&subject, version, true)?;
        Ok(Reply::json(&flags.page(state.referenced_by(found.subject, found.version, scope))))
    })
}

pub(super) async fn register(
    State(service): Shared,
    Parameters(subject): Parameters<String>,
    Json(body): Json<SchemaBody>,
) -> Result<Reply, Error> {
    let chosen = body.chosen();
    let schema = body.submitted()?;
    let answer = run(service, Command::Register { subject, schema, chosen }).await?;
    let Answer::Id(id) = answer else { unreachable!("a registration is answered with an id") };
    Ok(Reply::json(&json!({ "id": id })))
}

pub(super) async fn look_up(
    State(service): Shared,
    Parameters(subject): Parameters<String>,
    flags: Flags,
    Json(body): Json<SchemaBody>,
) -> Result<Reply, Error> {
    let schema = body.submitted()?;
    blocking(service, move |service| {
        service.read(|state| {
            state.look_up(&subject, schema, flags.deleted).map(|found| Reply::json(&version_fields(&found)))
        })
    })
    .await
}

pub(super) async fn delete(
    State(service): Shared,
    Parameters(subject): Parameters<String>,
    flags: Flags,
) -> Result<Reply, Error> {
    let command = Command::DeleteSubject { subject, permanent: flags.permanent };
    let Answer::Versions(versions) = run(service, command).await? else {
        unreachable!("deleting a subject is answered with its versions")
    };
    Ok(Reply::json(&versions))
}

pub(super) async fn delete_version(
    State(service): Shared,
    Parameters((subject, version)): Parameters<(String, String)>,
    flags: Flags,
) -> Result<Reply, Error> {
    let version = VersionId::parse(&version)?;
    let command = Command::DeleteVersion { subject, version, permanent: flags.permanent };
    let Answer::Version(version) = run(service, command).await? else {
        unreachable!("deleting a version is answered with its number")
    };
    Ok(Reply::json(&version))
}
