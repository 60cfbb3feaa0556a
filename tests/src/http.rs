//! A plain HTTP client for promises, blocking.

use std::time::Duration;

use anyhow::{Context, Result};
use reqwest::Method;
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};

/// One request at a time, 30 s each.
#[derive(Debug)]
pub struct Http {
    runtime: Runtime,
    client: reqwest::Client,
}

impl Http {
    /// A client of its own: its connections end with it.
    pub fn new() -> Result<Http> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let client = reqwest::Client::builder().timeout(Duration::from_secs(30)).no_proxy().build()?;
        Ok(Http { runtime, client })
    }

    /// GET: the status and the body.
    pub fn get(&self, url: &str) -> Result<(u16, String)> {
        self.send(Method::GET, url, None)
    }

    /// A request with a JSON body in the registry's media type: the status and the body.
    pub fn send(&self, method: Method, url: &str, body: Option<&Value>) -> Result<(u16, String)> {
        let mut request = self.client.request(method, url);
        if let Some(body) = body {
            request = request
                .header("Content-Type", "application/vnd.schemaregistry.v1+json")
                .body(body.to_string());
        }
        self.runtime.block_on(async {
            let response = request.send().await.with_context(|| format!("no answer from {url}"))?;
            let status = response.status().as_u16();
            Ok((status, response.text().await?))
        })
    }
}
