//! Answers: JSON of Confluent's content type, errors as `{"error_code", "message"}`.

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::error::Error;
use crate::store::{Found, Schema};

pub(crate) const MEDIA_TYPE: &str = "application/vnd.schemaregistry.v1+json";

/// A successful answer's body.
pub(crate) struct Reply(String);

impl Reply {
    pub(crate) fn json(body: &impl Serialize) -> Reply {
        Reply(serde_json::to_string(body).expect("answers have only string keys"))
    }

    /// The text of a schema, which is JSON itself.
    pub(crate) fn schema(schema: &Schema) -> Reply {
        Reply(schema.text.clone())
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response<Body> {
        ([(CONTENT_TYPE, MEDIA_TYPE)], self.0).into_response()
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response<Body> {
        let status = StatusCode::from_u16(self.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = Reply::json(&json!({ "error_code": self.code(), "message": self.to_string() }));
        (status, body).into_response()
    }
}

/// `schema` and, when there are any, `references`: what tells an Avro schema (Confluent leaves its type out).
pub(crate) fn schema_fields(schema: &Schema) -> Map<String, Value> {
    let mut fields = Map::new();
    fields.insert("schema".to_owned(), Value::from(schema.text.as_str()));
    if !schema.references.is_empty() {
        fields.insert("references".to_owned(), json!(schema.references));
    }
    fields
}

/// A version of a subject, in full.
pub(crate) fn version_fields(found: &Found<'_>) -> Map<String, Value> {
    let mut fields = schema_fields(found.schema);
    fields.insert("subject".to_owned(), Value::from(found.subject));
    fields.insert("version".to_owned(), Value::from(found.version));
    fields.insert("id".to_owned(), Value::from(found.id));
    if found.deleted {
        fields.insert("deleted".to_owned(), Value::from(true));
    }
    fields
}
