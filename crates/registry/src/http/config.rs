//! `/config` and `/mode`, for all subjects and for one.

use axum::extract::State;
use serde::Deserialize;
use serde_json::json;

use super::body::{Json, Parameters};
use super::{Flags, Reply, Shared, run};
use crate::compatibility::Level;
use crate::error::Error;
use crate::store::{Answer, Command, Mode};

type Result<T = Reply, E = Error> = std::result::Result<T, E>;

#[derive(Debug, Deserialize)]
pub(super) struct LevelBody {
    compatibility: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ModeBody {
    mode: Option<String>,
}

fn level_reply(level: Level) -> Reply {
    Reply::json(&json!({ "compatibilityLevel": level }))
}

fn mode_reply(mode: Mode) -> Reply {
    Reply::json(&json!({ "mode": mode }))
}

pub(super) async fn level(State(service): Shared) -> Reply {
    level_reply(service.read(|state| state.level()))
}

pub(super) async fn subject_level(
    State(service): Shared,
    Parameters(subject): Parameters<String>,
    flags: Flags,
) -> Result {
    service.read(|state| {
        if flags.default_to_global { Ok(state.level_of(&subject)) } else { state.own_level(&subject) }
            .map(level_reply)
    })
}

async fn store_level(State(service): Shared, subject: Option<String>, body: LevelBody) -> Result {
    let level: Level = body.compatibility.unwrap_or_default().parse()?;
    run(service, Command::SetLevel { subject, level: Some(level) }).await?;
    Ok(Reply::json(&json!({ "compatibility": level })))
}

pub(super) async fn set_level(service: Shared, Json(body): Json<LevelBody>) -> Result {
    store_level(service, None, body).await
}

pub(super) async fn set_subject_level(
    service: Shared,
    Parameters(subject): Parameters<String>,
    Json(body): Json<LevelBody>,
) -> Result {
    store_level(service, Some(subject), body).await
}

async fn remove_level(State(service): Shared, subject: Option<String>) -> Result {
    match run(service, Command::SetLevel { subject, level: None }).await? {
        Answer::Level(level) => Ok(level_reply(level)),
        _ => unreachable!("removing a level is answered with it"),
    }
}

pub(super) async fn reset_level(service: Shared) -> Result {
    remove_level(service, None).await
}

pub(super) async fn reset_subject_level(service: Shared, Parameters(subject): Parameters<String>) -> Result {
    remove_level(service, Some(subject)).await
}

pub(super) async fn mode(State(service): Shared) -> Reply {
    mode_reply(service.read(|state| state.mode()))
}

pub(super) async fn subject_mode(
    State(service): Shared,
    Parameters(subject): Parameters<String>,
    flags: Flags,
) -> Result {
    service.read(|state| {
        if flags.default_to_global { Ok(state.mode_of(&subject)) } else { state.own_mode(&subject) }
            .map(mode_reply)
    })
}

async fn store_mode(State(service): Shared, subject: Option<String>, flags: Flags, body: ModeBody) -> Result {
    let mode = Mode::parse(&body.mode.unwrap_or_default())?;
    run(service, Command::SetMode { subject, mode: Some(mode), force: flags.force }).await?;
    Ok(mode_reply(mode))
}

pub(super) async fn set_mode(service: Shared, flags: Flags, Json(body): Json<ModeBody>) -> Result {
    store_mode(service, None, flags, body).await
}

pub(super) async fn set_subject_mode(
    service: Shared,
    Parameters(subject): Parameters<String>,
    flags: Flags,
    Json(body): Json<ModeBody>,
) -> Result {
    store_mode(service, Some(subject), flags, body).await
}

async fn remove_mode(State(service): Shared, subject: Option<String>) -> Result {
    match run(service, Command::SetMode { subject, mode: None, force: false }).await? {
        Answer::Mode(mode) => Ok(mode_reply(mode)),
        _ => unreachable!("removing a mode is answered with it"),
    }
}

pub(super) async fn reset_mode(service: Shared) -> Result {
    remove_mode(service, None).await
}

pub(super) async fn reset_subject_mode(service: Shared, Parameters(subject): Parameters<String>) -> Result {
    remove_mode(service, Some(subject)).await
}
