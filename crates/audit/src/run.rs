//! All of it.

use std::time::{Duration, Instant};

use crate::concurrent::ConcurrentReader;
use crate::evidence::{Evidence, Seen};
use crate::expect::Expectations;
use crate::judge::{Rules, Verdict, judge};
use crate::read;
use crate::registry::{self, Registry};
use crate::stores::{self, Stores};

/// What to audit.
#[derive(Clone, Debug)]
pub struct Config {
    /// Settings for librdkafka, `bootstrap.servers` among them.
    pub kafka: Vec<(String, String)>,
    /// URL of the schema registry.
    pub registry: String,
    /// What is expected.
    pub expectations: Expectations,
    /// Where the participants' stores are.
    pub stores: Stores,
    /// What is known beside.
    pub rules: Rules,
    /// How long it may take until all transactions are ended and all is read.
    pub patience: Duration,
}

/// An audit that came to no verdict.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The topics could not be read.
    #[error(transparent)]
    Read(#[from] read::Error),
    /// There is no registry to ask.
    #[error(transparent)]
    Registry(#[from] registry::Error),
    /// A participant's store could not be read.
    #[error(transparent)]
    Store(#[from] stores::Error),
}

/// Audits a run that is over. With a concurrent reader, only what came after its start counts; without one, all that
/// the topics hold, and no phantom can be found.
///
/// Blocking, for as long as `patience`: under an async runtime call it from a thread that may wait.
pub fn run(config: &Config, reader: Option<ConcurrentReader>) -> Result<Verdict, Error> {
    let evidence = gather(config, reader)?;
    Ok(judge(&evidence, &config.expectations, config.rules))
}

/// Reads everything that the verdict rests on: topics first, stores last, so that an effect later than its outcome shows.
pub fn gather(config: &Config, reader: Option<ConcurrentReader>) -> Result<Evidence, Error> {
    let Config { kafka, expectations, .. } = config;
    let deadline = Instant::now() + config.patience;
    let mut registry = Registry::new(&config.registry)?;
    let mut span = read::settled(kafka, expectations, deadline)?;
    let mut seen = None;
    if let Some(reader) = reader {
        for (at, began) in reader.began() {
            // What was removed meanwhile cannot be read again: it shows as seen and gone.
            let first = span.from.entry(at.clone()).or_insert(*began);
            *first = (*first).max(*began);
        }
        let watched = reader.began().keys().cloned().collect();
        let notes = reader.finish(&span.ends, deadline)?.into_iter().collect();
        seen = Some(Seen { watched, notes });
    }
    let mut evidence = read::read(kafka, expectations, &mut registry, &span, deadline)?;
    evidence.seen = seen;
    evidence.effects = config.stores.read(&expectations.participants)?;
    Ok(evidence)
}
