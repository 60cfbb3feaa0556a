//! Asks the registry for schemas of values, each once.

use std::collections::BTreeMap;

use quadrille_schema::{Decoder, Error, Schemas};
use serde_json::Value as Json;
use tokio::runtime::Handle;

use crate::value::Avro;

/// Decodes with the schemas of a registry. Blocks while a schema is fetched: call it outside of async tasks.
#[derive(Debug)]
pub struct Registry {
    decoder: Option<Decoder>,
    tokio: Handle,
    /// Schemas that could not be had. A registry is not asked again for what it does not know.
    missing: BTreeMap<u32, String>,
}

impl Registry {
    /// Without `schemas`, values stay as they lie.
    pub fn new(schemas: Option<&Schemas>, tokio: Handle) -> Self {
        Self { decoder: schemas.map(Schemas::decoder), tokio, missing: BTreeMap::new() }
    }
}

impl Avro for Registry {
    fn decode(&mut self, header: Option<&[u8]>, value: &[u8]) -> Option<Result<Json, String>> {
        let decoder = self.decoder.as_ref()?;
        let id = match decoder.decode_json(header, value) {
            Err(Error::NotLoaded { id }) => id,
            other => return Some(other.map_err(|e| e.to_string())),
        };
        if let Some(reason) = self.missing.get(&id) {
            return Some(Err(reason.clone()));
        }
        if let Err(error) = self.tokio.block_on(decoder.prepare(header, value)) {
            self.missing.insert(id, error.to_string());
            return Some(Err(error.to_string()));
        }
        Some(decoder.decode_json(header, value).map_err(|e| e.to_string()))
    }
}
