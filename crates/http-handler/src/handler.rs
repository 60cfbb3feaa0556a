//! One endpoint as a handler.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use quadrille_events::Codecs;
use quadrille_runtime::handler::BoxFuture;
use quadrille_runtime::{Call, Handler, HandlerError, Reply};
use quadrille_step::conclude::Emitted;
use quadrille_step::spec::GivesUp;
use quadrille_types::dead_letter::Reason;
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};

use crate::answer::{ANSWER_BYTES_MAX, Answer, Declared};
use crate::client::Client;
use crate::percent;
use crate::request::{Request, request};

/// Where to call, and what may come back.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// The URL.
    pub url: String,
    /// Name of the mesh, for `ce-source`.
    pub mesh: String,
    /// Whether the step waits for several events, so that the body holds them by name.
    pub join: bool,
    /// Longest that one attempt may take.
    pub timeout: Duration,
    /// What the endpoint may answer with.
    pub declared: Declared,
}

/// Calls an endpoint. What it answers is read as the table at the crate's root says.
#[derive(Debug)]
pub struct HttpHandler {
    client: Client,
    codecs: Arc<Codecs>,
    endpoint: Endpoint,
}

impl HttpHandler {
    /// A handler for one action of one step.
    pub fn new(client: Client, codecs: Arc<Codecs>, endpoint: Endpoint) -> Self {
        Self { client, codecs, endpoint }
    }

    async fn attempt(&self, call: &Call) -> Result<Reply, HandlerError> {
        let request = request(&self.codecs, &self.endpoint.mesh, self.endpoint.join, call)
            .map_err(|e| HandlerError::Undecodable(e.to_string()))?;
        let answer = self.send(request).await?;
        answer.read(&self.endpoint.declared, &self.codecs, Timestamp::now())
    }

    async fn send(&self, request: Request) -> Result<Answer, HandlerError> {
        let mut builder = self.client.0.post(&self.endpoint.url).timeout(self.endpoint.timeout);
        for (name, value) in request.headers {
            builder = builder.header(name, value);
        }
        let body = request.body.to_string();
        let mut response = builder.body(body).send().await.map_err(|e| self.failed(e))?;
        let text = |headers: &HeaderMap, name: &str| {
            headers.get(name).map(|value| percent::decode(value.as_bytes()))
        };
        let headers = response.headers();
        let mut answer = Answer {
            status: response.status().as_u16(),
            content_type: text(headers, CONTENT_TYPE.as_str()).unwrap_or_default(),
            ce_type: text(headers, "ce-type"),
            retry_after: text(headers, RETRY_AFTER.as_str()),
            body: Vec::new(),
        };
        while let Some(chunk) = response.chunk().await.map_err(|e| self.failed(e))? {
            if answer.body.len() + chunk.len() > ANSWER_BYTES_MAX {
                let message = format!("the handler's answer is longer than {ANSWER_BYTES_MAX} bytes");
                return Err(HandlerError::Terminal(message));
            }
            answer.body.extend_from_slice(&chunk);
        }
        Ok(answer)
    }

    /// No answer, or half of one: whether the call had its effect is unknown, and calling again finds out.
    fn failed(&self, error: reqwest::Error) -> HandlerError {
        let url = &self.endpoint.url;
        if error.is_builder() {
            return HandlerError::Terminal(format!("{url} can't be called: {}", chain(&error)));
        }
        if error.is_timeout() {
            let timeout_ms = self.endpoint.timeout.as_millis();
            return HandlerError::retryable(format!("{url} did not answer within {timeout_ms} ms"));
        }
        HandlerError::retryable(format!("{url} can't be reached: {}", chain(&error.without_url())))
    }
}

impl Handler for HttpHandler {
    fn prepare<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<(), HandlerError>> {
        Box::pin(async move {
            for input in &call.inputs {
                let prepared = self.codecs.prepare(input).await;
                prepared.map_err(|e| HandlerError::Undecodable(e.to_string()))?;
            }
            Ok(())
        })
    }

    fn call<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<Reply, HandlerError>> {
        Box::pin(self.attempt(call))
    }

    fn give_up(&self, call: &Call, gives_up: &GivesUp, reason: Reason) -> Result<Emitted, HandlerError> {
        let said = (call.step.as_str(), reason.as_str(), call.attempt);
        let emitted = self.codecs.give_up(gives_up, &call.inputs, said);
        emitted.map_err(|e| HandlerError::Terminal(e.to_string()))
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
