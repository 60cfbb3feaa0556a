//! The REST API: routes, and what all of them share.

mod answer;
mod body;
mod compatibility;
mod config;
mod schemas;
mod subjects;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use serde::Deserialize;

use crate::error::Error;
use crate::service::Service;
use crate::store::{Answer, Command};
pub(crate) use answer::Reply;

/// Larger bodies are refused; the largest schemas seen in the wild have some hundred kilobytes.
const MAX_BODY_BYTES: usize = 1024 * 1024;

pub(crate) type Shared = axum::extract::State<Arc<Service>>;

pub(crate) fn router(service: Arc<Service>) -> Router {
    Router::new()
        .route("/", get(root))
        .route("/subjects", get(subjects::list))
        .route("/subjects/{subject}", post(subjects::look_up).delete(subjects::delete))
        .route("/subjects/{subject}/versions", get(subjects::versions).post(subjects::register))
        .route(
            "/subjects/{subject}/versions/{version}",
            get(subjects::version).delete(subjects::delete_version),
        )
        .route("/subjects/{subject}/versions/{version}/schema", get(subjects::version_text))
        .route("/subjects/{subject}/versions/{version}/referencedby", get(subjects::referenced_by))
        .route("/contexts", get(contexts))
        .route("/v1/metadata/id", get(cluster))
        .route("/v1/metadata/version", get(version))
        .route("/schemas", get(schemas::list))
        .route("/schemas/types", get(schemas::types))
        .route("/schemas/ids/{id}", get(schemas::by_id))
        .route("/schemas/ids/{id}/schema", get(schemas::text))
        .route("/schemas/ids/{id}/versions", get(schemas::versions))
        .route("/schemas/ids/{id}/subjects", get(schemas::subjects))
        .route("/compatibility/subjects/{subject}/versions", post(compatibility::with_all))
        .route("/compatibility/subjects/{subject}/versions/{version}", post(compatibility::with_version))
        .route("/config", get(config::level).put(config::set_level).delete(config::reset_level))
        .route(
            "/config/{subject}",
            get(config::subject_level).put(config::set_subject_level).delete(config::reset_subject_level),
        )
        .route("/mode", get(config::mode).put(config::set_mode).delete(config::reset_mode))
        .route(
            "/mode/{subject}",
            get(config::subject_mode).put(config::set_subject_mode).delete(config::reset_subject_mode),
        )
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(service)
}

async fn root() -> Reply {
    Reply::json(&serde_json::json!({}))
}

/// The default one: there are no others here.
async fn contexts() -> Reply {
    Reply::json(&[":.:"])
}

async fn cluster() -> Reply {
    let clusters =
        serde_json::json!({ "kafka-cluster": "quadrille", "schema-registry-cluster": "quadrille" });
    Reply::json(&serde_json::json!({ "scope": { "path": [], "clusters": clusters }, "id": "" }))
}

async fn version() -> Reply {
    Reply::json(&serde_json::json!({ "version": env!("CARGO_PKG_VERSION"), "commitId": "" }))
}

async fn unknown() -> Error {
    Error::Http { status: 404, message: "HTTP 404 Not Found".to_owned() }
}

async fn wrong_method() -> Error {
    Error::Http { status: 405, message: "HTTP 405 Method Not Allowed".to_owned() }
}

/// The query parameters that the API knows; others are ignored, as clients send some for newer servers.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Flags {
    #[serde(deserialize_with = "flag")]
    deleted: bool,
    #[serde(deserialize_with = "flag")]
    deleted_only: bool,
    #[serde(deserialize_with = "flag")]
    permanent: bool,
    #[serde(deserialize_with = "flag")]
    verbose: bool,
    #[serde(deserialize_with = "flag")]
    default_to_global: bool,
    #[serde(deserialize_with = "flag")]
    fetch_max_id: bool,
    #[serde(deserialize_with = "flag")]
    latest_only: bool,
    #[serde(deserialize_with = "flag")]
    force: bool,
    subject: Option<String>,
    subject_prefix: Option<String>,
    offset: usize,
    limit: Option<i64>,
}

/// As the original reads them: `true` in any case (the Python client sends `True`), anything else is false.
fn flag<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    String::deserialize(deserializer).map(|text| text.eq_ignore_ascii_case("true"))
}

impl Flags {
    fn scope(&self) -> crate::store::Scope {
        use crate::store::Scope;
        match (self.deleted_only, self.deleted) {
            (true, _) => Scope::OnlyDeleted,
            (false, true) => Scope::All,
            (false, false) => Scope::Live,
        }
    }

    /// The part of a list that was asked for. No limit, or one that is not positive, is all the rest.
    fn page<T>(&self, all: impl IntoIterator<Item = T>) -> Vec<T> {
        let limit = self.limit.and_then(|limit| usize::try_from(limit).ok()).filter(|limit| *limit > 0);
        all.into_iter().skip(self.offset).take(limit.unwrap_or(usize::MAX)).collect()
    }
}

/// Runs work that parses schemas or waits for the device where it holds up no other request.
async fn blocking<T: Send + 'static>(
    service: Arc<Service>,
    work: impl FnOnce(&Service) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let kept = service.clone();
    let _place = kept.places.acquire().await.expect("the semaphore is never closed");
    let done = tokio::task::spawn_blocking(move || work(&service)).await;
    done.unwrap_or_else(|_| Err(Error::Http { status: 500, message: "the request failed".to_owned() }))
}

async fn run(service: Arc<Service>, command: Command) -> Result<Answer, Error> {
    blocking(service, move |service| service.run(command)).await
}
