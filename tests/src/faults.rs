//! The faults of the embedded broker, through its control endpoint.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::Value;

use crate::http::Http;

/// What goes wrong, and how often it did.
#[derive(Debug)]
pub struct Faults {
    http: Http,
    url: String,
}

impl Faults {
    /// Those of the broker whose control endpoint has that URL.
    pub fn at(url: &str) -> Result<Faults> {
        Ok(Faults { http: Http::new()?, url: url.to_owned() })
    }

    /// Adds a rule, as the crate `quadrille-broker` describes it.
    pub fn add(&self, rule: &Value) -> Result<()> {
        self.expect(Method::POST, "/faults", Some(rule), 201)
    }

    /// Adds random chaos for one client.
    pub fn add_chaos(&self, seed: u64, client_id: &str) -> Result<()> {
        self.expect(Method::POST, &format!("/chaos/{seed}?client_id={client_id}"), None, 201)
    }

    /// Removes a rule.
    pub fn remove(&self, name: &str) -> Result<()> {
        self.expect(Method::DELETE, &format!("/faults/{name}"), None, 204)
    }

    /// Removes all rules.
    pub fn clear(&self) -> Result<()> {
        self.expect(Method::DELETE, "/faults", None, 204)
    }

    /// One of the counts (`happened`, `matched`, `accepted`) of every rule, by name.
    pub fn counts(&self, which: &str) -> Result<BTreeMap<String, u64>> {
        let (status, body) = self.http.get(&format!("{}/faults", self.url))?;
        ensure!(status == 200, "{status}: {body}");
        let rules: Vec<Value> = serde_json::from_str(&body)?;
        let count = |rule: &Value| Some((rule.get("name")?.as_str()?.to_owned(), rule.get(which)?.as_u64()?));
        rules.iter().map(|rule| count(rule).with_context(|| format!("no {which} in {rule}"))).collect()
    }

    /// Rules whose `times` are not used up, by name.
    pub fn awaited(&self) -> Result<Vec<String>> {
        let (happened, times) = (self.counts("happened")?, self.counts("times")?);
        Ok(times
            .into_iter()
            .filter(|(name, times)| happened.get(name) < Some(times))
            .map(|(name, _)| name)
            .collect())
    }

    fn expect(&self, method: Method, path: &str, body: Option<&Value>, expected: u16) -> Result<()> {
        let (status, answer) = self.http.send(method, &format!("{}{path}", self.url), body)?;
        ensure!(status == expected, "{path}: {status}, not {expected}: {answer}");
        Ok(())
    }
}
