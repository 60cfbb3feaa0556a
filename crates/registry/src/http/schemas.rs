//! `/schemas`: by id, and all of them.

use axum::extract::State;
use serde_json::{Value, json};

use super::answer::{schema_fields, version_fields};
use super::body::Parameters;
use super::{Flags, Reply, Shared};
use crate::error::Error;
use crate::store::Scope;

pub(super) async fn types() -> Reply {
    Reply::json(&["AVRO"])
}

pub(super) async fn list(State(service): Shared, flags: Flags) -> Reply {
    let prefix = flags.subject_prefix.as_deref().unwrap_or_default();
    service.read(|state| {
        let page = flags.page(state.all(flags.scope(), prefix, flags.latest_only));
        Reply::json(&page.iter().map(version_fields).collect::<Vec<_>>())
    })
}

fn parse_id(text: &str) -> Result<u32, Error> {
    let id = text.parse::<i32>().ok().and_then(|id| u32::try_from(id).ok());
    id.ok_or(Error::Http { status: 404, message: "HTTP 404 Not Found".to_owned() })
}

pub(super) async fn by_id(
    State(service): Shared,
    Parameters(id): Parameters<String>,
    flags: Flags,
) -> Result<Reply, Error> {
    let id = parse_id(&id)?;
    service.read(|state| {
        let mut fields = schema_fields(state.schema(id)?);
        if let Some(wanted) = flags.subject.as_deref()
            && let Some((subject, version)) = state.uses(id, Scope::All)?.into_iter().find(|u| u.0 == wanted)
        {
            fields.insert("subject".to_owned(), Value::from(subject));
            fields.insert("version".to_owned(), Value::from(version));
        }
        if flags.fetch_max_id {
            fields.insert("maxId".to_owned(), Value::from(state.last_id()));
        }
        Ok(Reply::json(&fields))
    })
}

pub(super) async fn text(State(service): Shared, Parameters(id): Parameters<String>) -> Result<Reply, Error> {
    let id = parse_id(&id)?;
    service.read(|state| state.schema(id).map(Reply::schema))
}

pub(super) async fn versions(
    State(service): Shared,
    Parameters(id): Parameters<String>,
    flags: Flags,
) -> Result<Reply, Error> {
    let id = parse_id(&id)?;
    let uses = service.read(|state| uses(state, id, &flags))?;
    let uses = uses.iter().map(|(subject, version)| json!({ "subject": subject, "version": version }));
    Ok(Reply::json(&flags.page(uses)))
}

pub(super) async fn subjects(
    State(service): Shared,
    Parameters(id): Parameters<String>,
    flags: Flags,
) -> Result<Reply, Error> {
    let id = parse_id(&id)?;
    let uses = service.read(|state| uses(state, id, &flags))?;
    let mut subjects: Vec<String> = uses.into_iter().map(|(subject, _)| subject).collect();
    subjects.dedup();
    Ok(Reply::json(&flags.page(subjects)))
}

fn uses(state: &crate::store::State, id: u32, flags: &Flags) -> Result<Vec<(String, u32)>, Error> {
    let scope = if flags.deleted { Scope::All } else { Scope::Live };
    let wanted = |subject: &str| flags.subject.as_deref().is_none_or(|wanted| wanted == subject);
    let uses = state.uses(id, scope)?.into_iter().filter(|(subject, _)| wanted(subject));
    Ok(uses.map(|(subject, version)| (subject.to_owned(), version)).collect())
}
