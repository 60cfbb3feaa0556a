//! Requests: path, query and body, each refused with one of the API's own errors.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Flags;
use crate::error::Error;
use crate::service::Service;
use crate::store::{Chosen, Reference, Submitted};

/// How long a body may take to arrive.
const PATIENCE: Duration = Duration::from_secs(30);

fn refuse(status: u16, message: impl ToString) -> Error {
    Error::Http { status, message: message.to_string() }
}

/// The parts of the path.
pub(crate) struct Parameters<T>(pub(crate) T);

impl<T: DeserializeOwned + Send> FromRequestParts<Arc<Service>> for Parameters<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, service: &Arc<Service>) -> Result<Self, Error> {
        let path = Path::<T>::from_request_parts(parts, service).await;
        path.map(|Path(path)| Parameters(path)).map_err(|e| refuse(404, e.body_text()))
    }
}

impl FromRequestParts<Arc<Service>> for Flags {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, service: &Arc<Service>) -> Result<Self, Error> {
        let query = Query::<Flags>::from_request_parts(parts, service).await;
        query.map(|Query(flags)| flags).map_err(|e| refuse(400, e.body_text()))
    }
}

/// A JSON body.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Arc<Service>> for Json<T> {
    type Rejection = Error;

    async fn from_request(request: Request, service: &Arc<Service>) -> Result<Self, Error> {
        check_media_type(&request)?;
        let bytes = within(PATIENCE, Bytes::from_request(request, service)).await?;
        let bytes = bytes.map_err(|e| refuse(e.status().as_u16(), e.body_text()))?;
        if bytes.is_empty() {
            return Err(refuse(422, "the request has no body"));
        }
        let json: Value =
            serde_json::from_slice(&bytes).map_err(|e| refuse(400, format!("the body is not JSON: {e}")))?;
        serde_json::from_value(json).map(Json).map_err(|e| refuse(422, e))
    }
}

/// Gives up a client that sends its body drop by drop.
async fn within<T>(patience: Duration, body: impl Future<Output = T>) -> Result<T, Error> {
    let arrived = tokio::time::timeout(patience, body).await;
    arrived.map_err(|_| refuse(408, "the request's body did not arrive in time"))
}

/// Other content types are refused: a web page of another origin may send those without being asked for leave.
fn check_media_type(request: &Request) -> Result<(), Error> {
    let Some(given) = request.headers().get(CONTENT_TYPE) else { return Ok(()) };
    let given = given.to_str().unwrap_or_default();
    let essence = given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let known = ["application/json", "application/octet-stream"].contains(&essence.as_str())
        || (essence.starts_with("application/vnd.schemaregistry") && essence.ends_with("json"));
    if known { Ok(()) } else { Err(refuse(415, format!("unsupported content type {given}"))) }
}

/// What a client sends to register, look up or test a schema.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SchemaBody {
    schema: Option<String>,
    schema_type: Option<String>,
    references: Option<Vec<ReferenceBody>>,
    id: Option<i32>,
    version: Option<i32>,
    metadata: Option<Value>,
    rule_set: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct ReferenceBody {
    name: String,
    subject: String,
    version: i64,
}

impl SchemaBody {
    /// Clients that leave id and version to the registry may send -1, and 0 as a version.
    pub(crate) fn chosen(&self) -> Chosen {
        let id = self.id.and_then(|id| u32::try_from(id).ok());
        let version = self.version.and_then(|version| u32::try_from(version).ok());
        Chosen { id, version: version.filter(|version| *version > 0) }
    }

    pub(crate) fn submitted(self) -> Result<Submitted, Error> {
        match self.schema_type.as_deref() {
            None | Some("" | "AVRO") => {}
            Some(other) => {
                return Err(Error::invalid_schema(format!(
                    "schema type '{other}' is not supported: AVRO only"
                )));
            }
        }
        for (name, value) in [("metadata", &self.metadata), ("ruleSet", &self.rule_set)] {
            let empty =
                value.as_ref().is_none_or(|v| v.is_null() || v.as_object().is_some_and(|o| o.is_empty()));
            if !empty {
                return Err(Error::invalid_schema(format!(
                    "{name} is not supported by the embedded registry"
                )));
            }
        }
        let references = self.references.unwrap_or_default().into_iter().map(ReferenceBody::reference);
        let references = references.collect::<Result<_, _>>()?;
        Ok(Submitted { text: self.schema.unwrap_or_default(), references })
    }
}

impl ReferenceBody {
    fn reference(self) -> Result<Reference, Error> {
        let version = match self.version {
            -1 => Some(0),
            version => u32::try_from(version).ok().filter(|v| (1..=i32::MAX.unsigned_abs()).contains(v)),
        };
        let version = version.ok_or(Error::InvalidVersion { version: self.version.to_string() })?;
        Ok(Reference { name: self.name, subject: self.subject, version })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_that_never_comes_is_408() {
        let waited = within(Duration::from_millis(10), std::future::pending::<()>()).await;
        assert_eq!(waited.unwrap_err().status(), 408);
        assert_eq!(within(PATIENCE, async { 7 }).await, Ok(7));
    }
}
