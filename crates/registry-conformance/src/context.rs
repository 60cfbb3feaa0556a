//! A registry to be asked, and small helpers to ask with.

use std::future::Future;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

/// The content type that Confluent's clients send and expect.
const MEDIA_TYPE: &str = "application/vnd.schemaregistry.v1+json";

/// What a request may take: beyond it there is no answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// The registry under test.
#[derive(Debug)]
pub struct Context {
    /// The base URL, without a slash at its end.
    pub base_url: String,
    client: reqwest::Client,
    runtime: Runtime,
}

/// What was answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body; null if it is not JSON.
    pub body: Value,
    /// The content type.
    pub content_type: String,
}

impl Answer {
    /// The body of a successful answer.
    ///
    /// # Errors
    /// The status is not 200.
    pub fn ok(self) -> anyhow::Result<Value> {
        ensure!(self.status == 200, "status {} {}", self.status, self.body);
        Ok(self.body)
    }

    /// Checks for a refusal.
    ///
    /// # Errors
    /// The status or the error code is another.
    pub fn refused(&self, status: u16, code: u64) -> anyhow::Result<()> {
        let answered = (self.status, self.body["error_code"].as_u64());
        ensure!(
            answered == (status, Some(code)),
            "expected {status}/{code}, got {} {}",
            self.status,
            self.body
        );
        ensure!(self.body["message"].is_string(), "no message: {}", self.body);
        Ok(())
    }
}

impl Context {
    /// A client for the registry at `base_url`.
    ///
    /// # Errors
    /// No runtime or HTTP client can be made.
    pub fn new(base_url: &str) -> anyhow::Result<Context> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let client = reqwest::Client::builder().no_proxy().timeout(ANSWER_LIMIT).build()?;
        Ok(Context { base_url: base_url.trim_end_matches('/').to_owned(), client, runtime })
    }

    /// Runs something asynchronous.
    pub fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// A subject that nobody else uses.
    pub fn subject(&self, hint: &str) -> String {
        format!("{hint}-{}", uuid::Uuid::new_v4().simple())
    }

    /// Any request, with a body of any content type.
    ///
    /// # Errors
    /// There was no answer.
    pub fn send(&self, method: &str, path: &str, content_type: &str, body: &str) -> anyhow::Result<Answer> {
        self.block_on(self.ask(method, path, content_type, body))
    }

    /// As [`Context::send`], for several at once.
    ///
    /// # Errors
    /// There was no answer.
    pub async fn ask(
        &self,
        method: &str,
        path: &str,
        content_type: &str,
        body: &str,
    ) -> anyhow::Result<Answer> {
        let method = reqwest::Method::from_bytes(method.as_bytes())?;
        let url = format!("{}{path}", self.base_url);
        let mut request = self.client.request(method, url);
        if !content_type.is_empty() {
            request = request.header("content-type", content_type).body(body.to_owned());
        }
        let response = request.send().await.with_context(|| path.to_owned())?;
        let header = response.headers().get("content-type").and_then(|value| value.to_str().ok());
        let content_type = header.unwrap_or_default().to_owned();
        let status = response.status().as_u16();
        let body = serde_json::from_str(&response.text().await?).unwrap_or(Value::Null);
        Ok(Answer { status, body, content_type })
    }

    /// GET.
    ///
    /// # Errors
    /// There was no answer.
    pub fn get(&self, path: &str) -> anyhow::Result<Answer> {
        self.send("GET", path, "", "")
    }

    /// DELETE.
    ///
    /// # Errors
    /// There was no answer.
    pub fn delete(&self, path: &str) -> anyhow::Result<Answer> {
        self.send("DELETE", path, "", "")
    }

    /// POST of JSON.
    ///
    /// # Errors
    /// There was no answer.
    pub fn post(&self, path: &str, body: &Value) -> anyhow::Result<Answer> {
        self.send("POST", path, MEDIA_TYPE, &body.to_string())
    }

    /// PUT of JSON.
    ///
    /// # Errors
    /// There was no answer.
    pub fn put(&self, path: &str, body: &Value) -> anyhow::Result<Answer> {
        self.send("PUT", path, MEDIA_TYPE, &body.to_string())
    }

    /// Sends a schema to be registered.
    ///
    /// # Errors
    /// There was no answer.
    pub fn try_register(&self, subject: &str, schema: &Value) -> anyhow::Result<Answer> {
        self.post(&format!("/subjects/{subject}/versions"), &json!({ "schema": schema.to_string() }))
    }

    /// Registers a schema and returns its id.
    ///
    /// # Errors
    /// It was refused.
    pub fn register(&self, subject: &str, schema: &Value) -> anyhow::Result<u64> {
        let answer = self.try_register(subject, schema)?.ok()?;
        answer["id"].as_u64().with_context(|| format!("no id: {answer}"))
    }

    /// Sets a subject's compatibility level.
    ///
    /// # Errors
    /// It was refused.
    pub fn level(&self, subject: &str, level: &str) -> anyhow::Result<()> {
        let answer = self.put(&format!("/config/{subject}"), &json!({ "compatibility": level }))?.ok()?;
        ensure!(answer["compatibility"] == level, "{answer}");
        Ok(())
    }
}

/// Whether a check failed because a request found no answer within its limit.
pub fn unanswered(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| cause.downcast_ref().is_some_and(reqwest::Error::is_timeout))
}

/// A record named `name` in namespace `shop` with these fields.
pub(crate) fn record(name: &str, fields: &Value) -> Value {
    json!({ "type": "record", "name": name, "namespace": "shop", "fields": fields })
}

/// A record with an int field per name; those that end in `?` have a default.
pub(crate) fn ints(fields: &[&str]) -> Value {
    let field = |name: &&str| match name.strip_suffix('?') {
        Some(name) => json!({ "name": name, "type": "int", "default": 0 }),
        None => json!({ "name": name, "type": "int" }),
    };
    record("R", &fields.iter().map(field).collect())
}

/// A schema that no other check has, as its name is random.
pub(crate) fn unique(context: &Context) -> Value {
    record(&format!("U{}", context.subject("u").replace('-', "")), &json!([{ "name": "a", "type": "int" }]))
}
