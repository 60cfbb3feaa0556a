//! Values to and from records: the prefix and the datum.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use super::Schemas;
use crate::codec::{Codec, Resolver};
use crate::error::{DataError, Error};
use crate::wire;

/// Writes values of one registered schema. Synchronous, no locks; a clone is cheap.
#[derive(Debug, Clone)]
pub struct Encoder {
    id: u32,
    codec: Arc<Codec>,
}

impl Encoder {
    /// Writes records of the schema that the registry knows as `id`.
    pub fn new(id: u32, codec: Arc<Codec>) -> Encoder {
        Encoder { id, codec }
    }

    /// The schema's id.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// The schema.
    pub fn codec(&self) -> &Arc<Codec> {
        &self.codec
    }

    /// A Rust value as a record's value: prefix and datum.
    ///
    /// # Errors
    /// [`DataError::Serde`]: the value does not fit the schema.
    pub fn encode<T: Serialize>(&self, value: &T) -> Result<Vec<u8>, DataError> {
        let mut framed = wire::begin(self.id);
        self.codec.encode_into(value, &mut framed)?;
        Ok(framed)
    }

    /// Plain JSON as a record's value: prefix and datum.
    ///
    /// # Errors
    /// [`DataError::Json`], with the path of what does not fit.
    pub fn encode_json(&self, value: &Json) -> Result<Vec<u8>, DataError> {
        let mut framed = wire::begin(self.id);
        self.codec.encode_json_into(value, &mut framed)?;
        Ok(framed)
    }
}

/// Reads records, whatever schemas wrote them. A clone shares what has been loaded.
///
/// [`Decoder::decode`] is synchronous and takes a read lock; it fails with [`Error::NotLoaded`] when it meets a
/// schema for the first time. Then [`Decoder::prepare`] fetches that schema, and decoding again succeeds.
#[derive(Debug, Clone)]
pub struct Decoder {
    schemas: Schemas,
    reader: Option<Arc<Codec>>,
    resolvers: Arc<RwLock<HashMap<u32, Arc<Resolver>>>>,
}

impl Decoder {
    pub(crate) fn new(schemas: Schemas, reader: Option<Arc<Codec>>) -> Decoder {
        Decoder { schemas, reader, resolvers: Arc::default() }
    }

    /// Whether `value` can be decoded, or refused, without asking the registry.
    pub fn knows(&self, header: Option<&[u8]>, value: &[u8]) -> bool {
        wire::locate(header, value).map_or(true, |(id, _)| self.schemas.get(id).is_some())
    }

    /// Fetches what is needed to decode `value` (`header`: its schema id header, if the record has one).
    ///
    /// # Errors
    /// [`Error::Wire`], [`Error::Data`] and [`Error::Registry`]; [`Error::is_retryable`] tells them apart.
    pub async fn prepare(&self, header: Option<&[u8]>, value: &[u8]) -> Result<(), Error> {
        let (id, _) = wire::locate(header, value)?;
        let writer = self.schemas.load(id).await?;
        self.resolver(id, writer);
        Ok(())
    }

    /// A record's value as a Rust value.
    ///
    /// # Errors
    /// [`Error::NotLoaded`], [`Error::Wire`], [`Error::Data`].
    pub fn decode<T: DeserializeOwned>(&self, header: Option<&[u8]>, value: &[u8]) -> Result<T, Error> {
        let (resolver, datum) = self.locate(header, value)?;
        Ok(resolver.decode(datum)?)
    }

    /// A record's value as plain JSON.
    ///
    /// # Errors
    /// [`Error::NotLoaded`], [`Error::Wire`], [`Error::Data`].
    pub fn decode_json(&self, header: Option<&[u8]>, value: &[u8]) -> Result<Json, Error> {
        let (resolver, datum) = self.locate(header, value)?;
        Ok(resolver.decode_json(datum)?)
    }

    fn locate<'v>(&self, header: Option<&[u8]>, value: &'v [u8]) -> Result<(Arc<Resolver>, &'v [u8]), Error> {
        let (id, datum) = wire::locate(header, value)?;
        if let Some(resolver) = self.resolvers.read().unwrap_or_else(PoisonError::into_inner).get(&id) {
            return Ok((resolver.clone(), datum));
        }
        let writer = self.schemas.get(id).ok_or(Error::NotLoaded { id })?;
        Ok((self.resolver(id, writer), datum))
    }

    fn resolver(&self, id: u32, writer: Arc<Codec>) -> Arc<Resolver> {
        let reader = self.reader.clone().unwrap_or_else(|| writer.clone());
        let resolver = Arc::new(Resolver::new(writer, reader));
        let mut resolvers = self.resolvers.write().unwrap_or_else(PoisonError::into_inner);
        resolvers.entry(id).or_insert(resolver).clone()
    }
}
