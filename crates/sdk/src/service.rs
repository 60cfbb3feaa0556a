//! Starts the steps of a service, in a process of their own or inside another program.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use quadrille_events::{Codecs, StartError};
use quadrille_http_handler::{BuildError, Client, Declared, Endpoint, HttpHandler};
use quadrille_kafka::Settings;
use quadrille_kafka::start::admit as admitted;
use quadrille_runtime::{Handler, Service, ServiceConfig};
use quadrille_schema::Schemas;
use quadrille_topology::lower::{definition, service_specs};
use quadrille_topology::mesh::{self, Mesh, Step};
use quadrille_types::topics::Names;

use crate::handler::{RustHandler, StepHandler};
use crate::steps::Steps;

/// How long a start waits for the registry to answer.
const START: Duration = Duration::from_secs(10);

/// Why a service does not start. Retryable where the cluster or the registry may come back.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Neither the program nor the options name the service.
    #[error("say which service this is, by --service or in the program; the topology has {services}")]
    Unnamed {
        /// Those of the topology.
        services: String,
    },
    /// No step of the topology belongs to the service.
    #[error("the topology has no steps of a service {service}; it has {services}")]
    UnknownService {
        /// The service.
        service: String,
        /// Those of the topology.
        services: String,
    },
    /// Functions that the topology names and the program lacks.
    #[error("service {service} has no handler {missing}; it has {known}")]
    MissingHandlers {
        /// The service.
        service: String,
        /// Names in the topology, with what might be meant.
        missing: String,
        /// Names in the program.
        known: String,
    },
    /// The events of the topology cannot be read or written.
    #[error(transparent)]
    Events(#[from] StartError),
    /// The HTTP client.
    #[error(transparent)]
    Http(#[from] BuildError),
    /// Kafka, its topics, or another definition than this one is active.
    #[error(transparent)]
    Kafka(#[from] quadrille_kafka::Error),
    /// The start itself failed.
    #[error("the start was broken off")]
    BrokenOff,
}

/// Where and how a service of steps runs.
#[derive(Clone, Debug)]
pub struct Running {
    /// The service; none: what [`Steps::service`] says.
    pub service: Option<String>,
    /// The cluster.
    pub settings: Settings,
    /// The registry; needed where the topology has Avro events.
    pub schemas: Option<Schemas>,
    /// Ordinal of this instance, if it has a stable one.
    pub instance: Option<String>,
    /// Threads that share the partitions.
    pub lanes: usize,
    /// How long handlers that run are waited for.
    pub drain: Duration,
    /// Handlers whose URL begins with the first are called at the second.
    pub http_rewrite: Vec<(String, String)>,
}

impl Running {
    /// One lane, no ordinal, ten seconds to drain.
    pub fn new(settings: Settings, schemas: Option<Schemas>) -> Self {
        Self {
            service: None,
            settings,
            schemas,
            instance: None,
            lanes: 1,
            drain: Duration::from_secs(10),
            http_rewrite: Vec::new(),
        }
    }
}

/// Starts the steps of one service of `mesh`: those whose handlers are Rust with the functions in `steps`, those whose
/// handlers are HTTP with calls to their endpoints. Everything that can be found wrong at start is.
///
/// # Errors
/// [`Error`].
pub async fn start(mesh: &Mesh, steps: &Steps, running: Running) -> Result<Service, Error> {
    let services = || mesh.services().into_iter().collect::<Vec<_>>().join(", ");
    let named = running.service.as_ref().or(steps.service.as_ref());
    let service = named.ok_or_else(|| Error::Unnamed { services: services() })?;
    let specs = service_specs(mesh, service);
    if specs.is_empty() {
        return Err(Error::UnknownService { service: service.clone(), services: services() });
    }
    check_names(mesh, service, steps)?;
    admit(mesh, &running.settings).await?;
    let emitted: BTreeSet<&str> = mesh.steps_of(service).flat_map(Step::outputs).collect();
    let codecs = Codecs::connect(mesh, running.schemas.as_ref(), &emitted, START).await?;
    let builder = Builder {
        mesh,
        steps,
        codecs: Arc::new(codecs),
        client: Client::new()?,
        http_rewrite: &running.http_rewrite,
    };
    let handlers = mesh.steps_of(service).map(|step| (step.name.clone(), builder.step(step))).collect();
    let config = ServiceConfig {
        settings: running.settings,
        specs,
        handlers,
        lanes: running.lanes,
        instance: running.instance,
        drain: running.drain,
    };
    let tokio = tokio::runtime::Handle::current();
    let started = tokio::task::spawn_blocking(move || Service::start(config, &tokio)).await;
    Ok(started.map_err(|_| Error::BrokenOff)??)
}

/// Asks whether this definition is the one that runs, before anything that `quadrille apply` makes is missed.
async fn admit(mesh: &Mesh, settings: &Settings) -> Result<(), Error> {
    let (settings, names, mine) = (settings.clone(), Names::new(&mesh.name), definition(mesh));
    let asked = tokio::task::spawn_blocking(move || admitted(&settings, &names, &mine)).await;
    Ok(asked.map_err(|_| Error::BrokenOff)??)
}

/// Names of the Rust functions that a service's steps need.
fn needed<'m>(mesh: &'m Mesh, service: &str) -> BTreeSet<&'m str> {
    let handlers = mesh
        .steps_of(service)
        .flat_map(|step| std::iter::once(&step.handler).chain(step.undo.as_ref().map(|undo| &undo.handler)));
    handlers
        .filter_map(|handler| match handler {
            mesh::Handler::Rust(name) => Some(name.as_str()),
            mesh::Handler::Http(_) => None,
        })
        .collect()
}

fn check_names(mesh: &Mesh, service: &str, steps: &Steps) -> Result<(), Error> {
    let needed = needed(mesh, service);
    let known = steps.names();
    let with_guess = |name: &&str| match known.iter().find(|known| strsim::osa_distance(known, name) <= 2) {
        Some(guess) => format!("{name} (is it {guess}?)"),
        None => (*name).to_owned(),
    };
    let missing: Vec<_> = needed.iter().filter(|name| !known.contains(name)).map(with_guess).collect();
    if !missing.is_empty() {
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        return Err(Error::MissingHandlers {
            service: service.to_owned(),
            missing: missing.join(", "),
            known,
        });
    }
    for unused in known.iter().filter(|name| !needed.contains(*name)) {
        tracing::warn!(target: "quadrille::sdk", service, handler = unused, "the topology does not use this handler");
    }
    Ok(())
}

/// Makes the handlers of a service.
struct Builder<'a> {
    mesh: &'a Mesh,
    steps: &'a Steps,
    codecs: Arc<Codecs>,
    client: Client,
    http_rewrite: &'a [(String, String)],
}

impl Builder<'_> {
    fn step(&self, step: &Step) -> Arc<dyn Handler> {
        let names = |names: &[String]| names.iter().cloned().collect::<BTreeSet<_>>();
        let forward = Declared { emits: names(step.emits.events()), rejects: names(&step.rejects) };
        let undo = step.undo.as_ref().map(|undo| {
            let declared = Declared { emits: names(&undo.emits), rejects: BTreeSet::new() };
            self.handler(step, &undo.handler, declared)
        });
        Arc::new(StepHandler { forward: self.handler(step, &step.handler, forward), undo })
    }

    fn handler(&self, step: &Step, handler: &mesh::Handler, declared: Declared) -> Arc<dyn Handler> {
        let join = matches!(step.when, mesh::Trigger::All(_));
        match handler {
            mesh::Handler::Rust(name) => Arc::new(RustHandler {
                attempt: Arc::clone(&self.steps.handlers[name]),
                codecs: Arc::clone(&self.codecs),
                join,
            }),
            mesh::Handler::Http(url) => {
                let endpoint = Endpoint {
                    url: rewritten(url, self.http_rewrite),
                    mesh: self.mesh.name.clone(),
                    join,
                    timeout: Duration::from_millis(step.timeout_ms),
                    declared,
                };
                Arc::new(HttpHandler::new(self.client.clone(), Arc::clone(&self.codecs), endpoint))
            }
        }
    }
}

/// The URL at which a handler is called; of several rules that fit the longest counts.
fn rewritten(url: &str, rules: &[(String, String)]) -> String {
    let fitting =
        rules.iter().filter_map(|(from, to)| Some((from.len(), to, url.strip_prefix(from.as_str())?)));
    match fitting.max_by_key(|(length, ..)| *length) {
        Some((_, to, rest)) => format!("{to}{rest}"),
        None => url.to_owned(),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::{Context, Events, Outputs, StepError};

    const TOPOLOGY: &str = "
quadrille: 1
mesh: lab
version: 1
defaults: { from: earliest }
events:
  Asked: { topic: asked, schema: json, owner: foreign }
  Found: { topic: found, schema: json }
  Checked: { topic: checked, schema: json }
  Wrong: { topic: checked, schema: json }
  Told: { topic: told, schema: json }
  Forgotten: { topic: found, schema: json }
steps:
  search:
    service: library
    when: Asked
    handler: { rust: search }
    emits: Found
    undo: { handler: { rust: forget }, emits: Forgotten }
  check:
    when: Asked
    handler: { http: 'http://127.0.0.1:1/check' }
    emits: Checked
    rejects: Wrong
    effect: none
  tell:
    service: library
    when: { all: [Found, Checked] }
    handler: { rust: tell }
    emits: Told
    pivot: true
sagas:
  quest: { starts: Asked, completes: Told, fails: [Wrong], deadline: { after: 1m, then: undo } }
";

    pub(crate) fn mesh() -> Mesh {
        let checked = quadrille_topology::topology(TOPOLOGY.as_bytes(), &|_: &str| Err(String::new()));
        checked.mesh.unwrap_or_else(|| panic!("{:#?}", checked.diagnostics))
    }

    async fn refusal(steps: Steps, service: Option<&str>) -> String {
        let settings = Settings::new("127.0.0.1:1", []).unwrap();
        let running = Running { service: service.map(str::to_owned), ..Running::new(settings, None) };
        start(&mesh(), &steps, running).await.err().expect("there is nothing to start on").to_string()
    }

    #[tokio::test]
    async fn what_is_wrong_with_the_names_is_said_before_anybody_is_asked() {
        let nothing = async |_: Context, _: Events| Ok::<_, StepError>(Outputs::none());
        assert_eq!(
            refusal(Steps::new(), None).await,
            "say which service this is, by --service or in the program; the topology has library, steps"
        );
        assert_eq!(
            refusal(Steps::new().service("libary"), None).await,
            "the topology has no steps of a service libary; it has library, steps"
        );
        assert_eq!(
            refusal(Steps::new().handler("serch", nothing).handler("tell", nothing), Some("library")).await,
            "service library has no handler forget, search (is it serch?); it has serch, tell"
        );
    }

    #[test]
    fn the_longest_rule_that_fits_rewrites_an_address() {
        let rules = [("http://a", "http://b"), ("http://a/x", "http://c"), ("http://z", "http://y")];
        let rules = rules.map(|(from, to)| (from.to_owned(), to.to_owned()));
        for (url, expect) in
            [("http://a/1", "http://b/1"), ("http://a/x/1", "http://c/1"), ("http://q", "http://q")]
        {
            assert_eq!(rewritten(url, &rules), expect);
        }
    }
}
