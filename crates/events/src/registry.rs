//! What needs the registry: at start, and for a schema that is met for the first time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use quadrille_schema::{Decoder, Error as SchemaError, RegistryError, SchemaSource, Schemas};
use quadrille_topology::Mesh;
use quadrille_topology::mesh::Body;
use quadrille_types::fact::EventRef;
use tokio::time::{Instant, sleep};

use crate::codecs::{Avro, Codecs, Event, Registry, is_plain_json};
use crate::error::{Error, StartError};

/// First and longest wait between two calls to a registry that cannot be used.
const WAIT: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

impl Codecs {
    /// Codecs of `mesh` that can write the events in `emitted`: their schemas are registered under the subjects of the
    /// topology, or looked up there, as `schemas` is configured. A registry that cannot be reached is tried again until
    /// `within` has passed.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn connect(
        mesh: &Mesh,
        schemas: Option<&Schemas>,
        emitted: &BTreeSet<&str>,
        within: Duration,
    ) -> Result<Self, StartError> {
        let give_up = Instant::now() + within;
        let mut encoders = BTreeMap::new();
        for (name, event) in &mesh.events {
            let Body::Avro(body) = &event.body else { continue };
            let Some(schemas) = schemas else { return Err(StartError::NoRegistry { event: name.clone() }) };
            if emitted.contains(name.as_str()) {
                let source = SchemaSource::new(&body.schema);
                let encoder = patiently(give_up, || schemas.register(&body.subject, &source)).await;
                let encoder = encoder.map_err(|e| start_error(name, &body.subject, e))?;
                encoders.insert(name.clone(), encoder);
            }
        }
        if let (Some(schemas), true) = (schemas, encoders.is_empty()) {
            let answer =
                patiently(give_up, || async { schemas.ping().await.map_err(SchemaError::from) }).await;
            answer.map_err(|e| start_error("", "", e))?;
        }
        Self::with(mesh, |name, _, codec| {
            let schemas = schemas.ok_or_else(|| StartError::NoRegistry { event: name.to_owned() })?;
            let decoder = schemas.decoder_as(codec.clone());
            Ok(Registry::Present { decoder, encoder: encoders.remove(name) })
        })
    }

    /// Fetches what [`Codecs::decode`] needs for `input`. Waits, for as long as it takes, while the registry cannot be
    /// used: it says nothing about the record, which must neither lose an attempt nor become a dead letter by it.
    ///
    /// # Errors
    /// [`Error`], where the record is the reason: it is no value of a registered schema.
    pub async fn prepare(&self, input: &EventRef) -> Result<(), Error> {
        let (event, payload) = self.find(input)?;
        let Event::Avro(Avro { registry: Registry::Present { decoder, .. }, .. }) = event else {
            return Ok(());
        };
        if is_plain_json(event, payload) || decoder.knows(None, &payload.value) {
            return Ok(());
        }
        self.fetch(decoder, &input.event, &payload.value).await
    }

    async fn fetch(&self, decoder: &Decoder, event: &str, value: &[u8]) -> Result<(), Error> {
        let mut wait = WAIT.0;
        loop {
            let one_at_a_time = self.asking.lock().await;
            let error = match decoder.prepare(None, value).await {
                Ok(()) => return Ok(()),
                Err(error) if is_the_records(&error) => {
                    return Err(Error::Undecodable { event: event.to_owned(), reason: error.to_string() });
                }
                Err(error) => error,
            };
            drop(one_at_a_time);
            metrics::counter!("quadrille_registry_waits_total").increment(1);
            tracing::warn!(
                target: "quadrille::events",
                event,
                %error,
                "a schema can't be fetched: its events wait until the registry can be used"
            );
            sleep(wait).await;
            wait = (wait * 2).min(WAIT.1);
        }
    }
}

/// Whether the record is the reason, and not the registry or our right to use it.
fn is_the_records(error: &SchemaError) -> bool {
    match error {
        SchemaError::Wire(_) | SchemaError::Data(_) => true,
        SchemaError::Registry(error) => {
            matches!(error, RegistryError::UnknownId { .. } | RegistryError::NotAvro { .. })
        }
        SchemaError::NotLoaded { .. } => false,
    }
}

/// Calls until it works, fails for good, or it is too late.
async fn patiently<T, F>(give_up: Instant, call: impl Fn() -> F) -> Result<T, SchemaError>
where
    F: Future<Output = Result<T, SchemaError>>,
{
    let mut wait = WAIT.0;
    loop {
        match call().await {
            Err(error) if error.is_retryable() && Instant::now() + wait < give_up => sleep(wait).await,
            result => return result,
        }
        wait = (wait * 2).min(WAIT.1);
    }
}

fn start_error(event: &str, subject: &str, error: SchemaError) -> StartError {
    let event = event.to_owned();
    match error {
        SchemaError::Registry(RegistryError::NotRegistered { message, .. }) => {
            StartError::NotRegistered { event, subject: subject.to_owned(), reason: message }
        }
        SchemaError::Registry(RegistryError::Incompatible { message, .. }) => StartError::Schema {
            event,
            reason: format!("subject {subject} has versions that it is not compatible with: {message}"),
        },
        SchemaError::Registry(error) => StartError::Registry(error),
        other => StartError::Schema { event, reason: other.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

    use axum::Router;
    use axum::http::StatusCode;
    use axum::routing::{get, post};
    use quadrille_schema::RegistryConfig;
    use quadrille_types::fact::Payload;
    use serde_json::json;

    use super::*;
    use crate::codecs::tests::{ASKED, mesh};

    /// A registry that has one schema, and can be out of order.
    #[derive(Clone, Default)]
    struct Stub {
        down: Arc<AtomicBool>,
        calls: Arc<AtomicU32>,
    }

    impl Stub {
        fn answer(
            &self,
            known: bool,
            body: serde_json::Value,
        ) -> (StatusCode, axum::Json<serde_json::Value>) {
            self.calls.fetch_add(1, Ordering::Relaxed);
            if self.down.load(Ordering::Relaxed) {
                return (
                    StatusCode::SERVICE_UNAVAILABLE,
                    axum::Json(json!({"error_code": 503, "message": "x"})),
                );
            }
            if !known {
                return (
                    StatusCode::NOT_FOUND,
                    axum::Json(json!({"error_code": 40403, "message": "no such schema"})),
                );
            }
            (StatusCode::OK, axum::Json(body))
        }

        async fn start(&self) -> String {
            let (register, look_up, fetch) = (self.clone(), self.clone(), self.clone());
            let router = Router::new()
                .route(
                    "/subjects/{subject}/versions",
                    post(async move || register.answer(true, json!({"id": 7}))),
                )
                .route("/subjects/{subject}", post(async move || look_up.answer(false, json!({}))))
                .route(
                    "/schemas/ids/{id}",
                    get(async move |axum::extract::Path(id): axum::extract::Path<u32>| {
                        fetch.answer(id == 9, json!({"schema": ASKED}))
                    }),
                );
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}", listener.local_addr().unwrap());
            tokio::spawn(async move { axum::serve(listener, router).await });
            url
        }
    }

    fn record(id: u32) -> EventRef {
        let datum = Codecs::offline(&mesh()).unwrap().encode("Asked", &json!({"id": "1"})).unwrap().value;
        let value = quadrille_schema::wire::frame(id, &datum[5..]);
        let payload = Some(Payload { content_type: None, value });
        EventRef { event: "Asked".into(), id: "1".into(), payload }
    }

    #[tokio::test]
    async fn a_registry_that_is_down_makes_the_record_wait_and_not_fail() {
        let stub = Stub::default();
        let schemas = Schemas::new(RegistryConfig::new(stub.start().await)).unwrap();
        let codecs =
            Codecs::connect(&mesh(), Some(&schemas), &["Asked"].into(), Duration::ZERO).await.unwrap();
        assert_eq!(&codecs.encode("Asked", &json!({"id": "1"})).unwrap().value[..5], [0, 0, 0, 0, 7]);
        stub.down.store(true, Ordering::Relaxed);
        let codecs = Arc::new(codecs);
        let waiting = tokio::spawn({
            let codecs = Arc::clone(&codecs);
            async move { codecs.prepare(&record(9)).await }
        });
        let before = stub.calls.load(Ordering::Relaxed);
        while stub.calls.load(Ordering::Relaxed) < before + 3 {
            tokio::task::yield_now().await;
        }
        assert!(!waiting.is_finished());
        stub.down.store(false, Ordering::Relaxed);
        assert_eq!(waiting.await.unwrap(), Ok(()));
        assert_eq!(codecs.decode(&record(9)).unwrap()["id"], "1");
    }

    #[tokio::test]
    async fn a_schema_id_that_nobody_registered_is_the_records_fault() {
        let schemas = Schemas::new(RegistryConfig::new(Stub::default().start().await)).unwrap();
        let codecs =
            Codecs::connect(&mesh(), Some(&schemas), &["Asked"].into(), Duration::ZERO).await.unwrap();
        let error = codecs.prepare(&record(8)).await.unwrap_err().to_string();
        assert!(error.contains("no schema with id 8"), "{error}");
        assert!(codecs.encode("Noted", &json!({})).is_ok(), "JSON needs no registry");
    }

    #[tokio::test]
    async fn a_start_that_cannot_work_says_what_to_do() {
        let emitted: BTreeSet<&str> = ["Asked"].into();
        let connect = async |schemas: Option<&Schemas>| {
            Codecs::connect(&mesh(), schemas, &emitted, Duration::ZERO).await.unwrap_err().to_string()
        };
        assert!(connect(None).await.contains("--schema-registry"));
        let nobody = Schemas::new(RegistryConfig::new("http://127.0.0.1:1")).unwrap();
        assert!(connect(Some(&nobody)).await.contains("can't be reached"));
        let url = Stub::default().start().await;
        let strict = RegistryConfig { auto_register: false, ..RegistryConfig::new(url) };
        let error = connect(Some(&Schemas::new(strict).unwrap())).await;
        assert!(error.contains("--auto-register") && error.contains("subject asked-m.talk.Asked"), "{error}");
    }
}
