//! Our own client against the registry.

use std::time::Duration;

use anyhow::{Result, ensure};
use quadrille_schema::{Error, Reference, RegistryConfig, RegistryError, SchemaSource, Schemas};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::context::{Context, ints, unique};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Order {
    id: String,
    note: Option<String>,
}

const V1: &str = r#"{"type":"record","name":"shop.Order","fields":[{"name":"id","type":"string"}]}"#;
const V2: &str = r#"{"type":"record","name":"shop.Order","fields":[{"name":"id","type":"string"},
    {"name":"note","type":["null","string"],"default":null}]}"#;

fn schemas(c: &Context) -> Result<Schemas> {
    Ok(Schemas::new(RegistryConfig::new(c.base_url.clone()))?)
}

pub(super) fn the_rust_client_registers_writes_and_reads(c: &Context) -> Result<()> {
    let subject = c.subject("orders/value");
    c.block_on(async {
        let (writer, reader) = (schemas(c)?, schemas(c)?);
        let v1 = writer.register(&subject, &SchemaSource::new(V1)).await?;
        let v2 = writer.register(&subject, &SchemaSource::new(V2)).await?;
        ensure!(v1.id() != v2.id());
        let order = Order { id: "4711".into(), note: Some("x".into()) };
        let (old, new) = (v1.encode_json(&json!({ "id": "4711" }))?, v2.encode(&order)?);
        let decoder = reader.decoder_as(v2.codec().clone());
        ensure!(decoder.decode::<Order>(None, &old) == Err(Error::NotLoaded { id: v1.id() }));
        decoder.prepare(None, &old).await?;
        decoder.prepare(None, &new).await?;
        ensure!(decoder.decode::<Order>(None, &new)? == order);
        ensure!(decoder.decode::<Order>(None, &old)? == Order { note: None, ..order });
        ensure!(reader.decoder().decode_json(None, &old)? == json!({ "id": "4711" }));
        let mut config = RegistryConfig::new(c.base_url.clone());
        config.auto_register = false;
        let found = Schemas::new(config)?.register(&subject, &SchemaSource::new(V1)).await?;
        ensure!(found.id() == v1.id());
        Ok(())
    })
}

pub(super) fn the_rust_client_reads_types_of_other_namespaces(c: &Context) -> Result<()> {
    let (country, address, order) = (c.subject("country"), c.subject("address"), c.subject("order"));
    let record = |name: &str, field: &str, kind: &str| SchemaSource {
        text: json!({"type": "record", "name": name, "fields": [{"name": field, "type": kind}]}).to_string(),
        references: Vec::new(),
    };
    let refer = |name: &str, subject: &str| {
        vec![Reference { name: name.to_owned(), subject: subject.to_owned(), version: 1 }]
    };
    c.block_on(async {
        let (writer, reader) = (schemas(c)?, schemas(c)?);
        writer.register(&country, &record("geo.Country", "code", "string")).await?;
        let mut source = record("q.Address", "country", "geo.Country");
        source.references = refer("geo.Country", &country);
        writer.register(&address, &source).await?;
        let mut source = record("shop.Order", "to", "q.Address");
        source.references = refer("q.Address", &address);
        let encoder = writer.register(&order, &source).await?;
        let value = json!({ "to": { "country": { "code": "PL" } } });
        let framed = encoder.encode_json(&value)?;
        let decoder = reader.decoder();
        decoder.prepare(None, &framed).await?;
        ensure!(decoder.decode_json(None, &framed)? == value);
        Ok(())
    })
}

pub(super) fn the_rust_client_tells_final_errors_from_retryable_ones(c: &Context) -> Result<()> {
    let subject = c.subject("s");
    c.register(&subject, &ints(&["a"]))?;
    c.block_on(async {
        let schemas = schemas(c)?;
        let unknown = schemas.load(2_000_000_000).await.map(drop);
        ensure!(matches!(unknown, Err(Error::Registry(RegistryError::UnknownId { .. }))), "{unknown:?}");
        let source = SchemaSource::new(ints(&["a", "b"]).to_string());
        let incompatible = schemas.register(&subject, &source).await.map(drop);
        let expected = matches!(incompatible, Err(Error::Registry(RegistryError::Incompatible { .. })));
        ensure!(expected, "{incompatible:?}");
        let mut config = RegistryConfig::new(c.base_url.clone());
        config.auto_register = false;
        let source = SchemaSource::new(unique(c).to_string());
        let missing = Schemas::new(config)?.register(&c.subject("unknown"), &source).await.map(drop);
        let expected =
            matches!(missing, Err(Error::Registry(RegistryError::NotRegistered { code: 40401, .. })));
        ensure!(expected, "{missing:?}");
        let mut nowhere = RegistryConfig::new("http://127.0.0.1:1");
        nowhere.timeout = Duration::from_secs(2);
        let down = Schemas::new(nowhere)?.load(1).await.map(drop);
        ensure!(down.as_ref().is_err_and(Error::is_retryable), "{down:?}");
        Ok(())
    })
}
