//! The registry client, and values to and from records with it.

mod classify;
mod client;
mod records;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use crate::codec::Codec;
use crate::error::{Error, RegistryError};
use client::Client;
pub use records::{Decoder, Encoder};

/// User and password for the registry.
#[derive(Clone, PartialEq, Eq)]
pub struct BasicAuth {
    /// The user, or API key.
    pub user: String,
    /// The password, or API secret.
    pub password: String,
}

impl std::fmt::Debug for BasicAuth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BasicAuth").field("user", &self.user).finish_non_exhaustive()
    }
}

/// Where the registry is and how it is spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryConfig {
    /// Base URLs, tried in this order by each call.
    pub urls: Vec<String>,
    /// False: schemas have to be registered already, [`Schemas::register`] only looks them up.
    pub auto_register: bool,
    /// User and password, if the registry wants them.
    pub basic_auth: Option<BasicAuth>,
    /// Certificates (PEM) of an authority that the system does not know.
    pub ca_pem: Option<Vec<u8>>,
    /// For one request, connection included.
    pub timeout: Duration,
}

impl RegistryConfig {
    /// One registry, auto-registration on, no credentials, 5 s per request.
    pub fn new(url: impl Into<String>) -> RegistryConfig {
        RegistryConfig {
            urls: vec![url.into()],
            auto_register: true,
            basic_auth: None,
            ca_pem: None,
            timeout: Duration::from_secs(5),
        }
    }
}

/// A named type's place in the registry, for a schema that uses it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The type's full name.
    pub name: String,
    /// The subject under which it is registered.
    pub subject: String,
    /// Its version there; -1 for the latest.
    pub version: i32,
}

/// A schema that is to be registered, and the registered schemas that it uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaSource {
    /// The schema, as in an `.avsc` file.
    pub text: String,
    /// Direct references only; those that they use are found by the registry.
    pub references: Vec<Reference>,
}

impl SchemaSource {
    /// A schema that needs no other.
    pub fn new(text: impl Into<String>) -> SchemaSource {
        SchemaSource { text: text.into(), references: Vec::new() }
    }
}

/// The registry client, and every schema it has met. A clone shares both.
///
/// Schemas are kept for ever, since an id never changes its meaning; failures are never kept.
#[derive(Clone)]
pub struct Schemas {
    client: Arc<Client>,
    known: Arc<RwLock<HashMap<u32, Arc<Codec>>>>,
}

impl std::fmt::Debug for Schemas {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Schemas").field("client", &self.client).finish_non_exhaustive()
    }
}

impl Schemas {
    /// A client; nothing is asked yet.
    ///
    /// # Errors
    /// [`RegistryError::Unusable`]: no URL, or certificates that can't be read.
    pub fn new(config: RegistryConfig) -> Result<Schemas, RegistryError> {
        Ok(Schemas { client: Arc::new(Client::new(config)?), known: Arc::default() })
    }

    /// Asks the registry for its schema types: a way to see at start that it is there and lets us in.
    ///
    /// # Errors
    /// Why it does not answer.
    pub async fn ping(&self) -> Result<(), RegistryError> {
        self.client.ping().await
    }

    /// Registers a schema under a subject (with auto-registration off: looks it up) and makes it ready to use.
    /// Registering the same schema again is harmless.
    ///
    /// # Errors
    /// [`RegistryError`] as the registry answers; [`crate::DataError::Schema`] for what is no schema.
    pub async fn register(&self, subject: &str, source: &SchemaSource) -> Result<Encoder, Error> {
        let referenced = self.client.referenced_texts(&source.references).await?;
        let codec = Codec::parse_with(&source.text, &referenced)?;
        let id = self.client.register(subject, source).await?;
        let codec = self.remember(id, codec);
        Ok(Encoder::new(id, codec))
    }

    /// As [`Schemas::register`], from an `.avsc` file that needs no other.
    ///
    /// # Errors
    /// Those of [`Schemas::register`], and [`RegistryError::File`].
    pub async fn register_file(&self, subject: &str, file: &Path) -> Result<Encoder, Error> {
        let text = tokio::fs::read_to_string(file)
            .await
            .map_err(|e| RegistryError::File { path: file.display().to_string(), reason: e.to_string() })?;
        self.register(subject, &SchemaSource::new(text)).await
    }

    /// The schema with this id: known already, or fetched with all that it refers to.
    ///
    /// # Errors
    /// [`RegistryError::UnknownId`] is final, a registry that can't be reached is not.
    pub async fn load(&self, id: u32) -> Result<Arc<Codec>, Error> {
        if let Some(codec) = self.get(id) {
            return Ok(codec);
        }
        let (text, referenced) = self.client.schema(id).await?;
        let codec = Codec::parse_with(&text, &referenced)?;
        Ok(self.remember(id, codec))
    }

    /// The schema with this id, if it is known already. No waiting beyond a read lock.
    pub fn get(&self, id: u32) -> Option<Arc<Codec>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    /// Reads every record as its writer wrote it.
    pub fn decoder(&self) -> Decoder {
        Decoder::new(self.clone(), None)
    }

    /// Reads every record as `reader`'s schema, whatever schema wrote it.
    pub fn decoder_as(&self, reader: Arc<Codec>) -> Decoder {
        Decoder::new(self.clone(), Some(reader))
    }

    fn remember(&self, id: u32, codec: Codec) -> Arc<Codec> {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.entry(id).or_insert_with(|| Arc::new(codec)).clone()
    }
}
