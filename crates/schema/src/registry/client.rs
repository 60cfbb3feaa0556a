//! Calls to the registry. The library's own encoders and decoders are not used: they resolve references by short
//! name only and keep errors until told not to. Its plain calls know the API, several URLs and authentication.

use reqwest::{Certificate, ClientBuilder};
use schema_registry_converter::async_impl::schema_registry::{
    SrSettings, get_all_subjects, get_referenced_schema, get_schema_by_id, perform_sr_call,
};
use schema_registry_converter::schema_registry_common::{
    RawRegisteredSchema, RegisteredReference, SchemaType, SrCall,
};
use serde_json::json;

use super::classify::{About, classify};
use super::{Reference, RegistryConfig, SchemaSource};
use crate::error::RegistryError;

/// Referenced schemas of one schema, direct or not; a registry that answers with more is refused.
const MAX_REFERENCED: usize = 256;

#[derive(Debug)]
pub(super) struct Client {
    settings: SrSettings,
    urls: String,
    auto_register: bool,
}

impl Client {
    pub(super) fn new(config: RegistryConfig) -> Result<Client, RegistryError> {
        let urls: Vec<&str> = config.urls.iter().map(|url| url.trim_end_matches('/')).collect();
        let joined = urls.join(",");
        let unusable = |reason: String| RegistryError::Unusable { url: joined.clone(), reason };
        let Some((first, others)) = urls.split_first() else {
            return Err(unusable("no url is given".to_owned()));
        };
        if let Some(url) =
            urls.iter().find(|url| !(url.starts_with("http://") || url.starts_with("https://")))
        {
            return Err(unusable(format!("{url} is no http or https url")));
        }
        let mut builder = SrSettings::new_builder((*first).to_owned());
        for url in others {
            builder.add_url((*url).to_owned());
        }
        builder.set_timeout(config.timeout);
        if let Some(auth) = &config.basic_auth {
            builder.set_basic_authorization(&auth.user, Some(&auth.password));
        }
        let mut http = ClientBuilder::new();
        if let Some(pem) = &config.ca_pem {
            let certificates = Certificate::from_pem_bundle(pem).map_err(|e| unusable(e.to_string()))?;
            if certificates.is_empty() {
                return Err(unusable("the CA file holds no certificate".to_owned()));
            }
            http = http.tls_certs_merge(certificates);
        }
        if urls.iter().all(|url| is_loopback(url)) {
            http = http.no_proxy();
        }
        let settings = builder.build_with(http).map_err(|e| unusable(e.to_string()))?;
        Ok(Client { settings, urls: joined, auto_register: config.auto_register })
    }

    pub(super) async fn ping(&self) -> Result<(), RegistryError> {
        let answer = get_all_subjects(&self.settings).await;
        answer.map(drop).map_err(|e| classify(&e, &self.urls, About::Registry))
    }

    /// The id of a schema, registered now or before.
    pub(super) async fn register(&self, subject: &str, source: &SchemaSource) -> Result<u32, RegistryError> {
        let references = source.references.iter();
        let references =
            references.map(|r| json!({"name": r.name, "subject": r.subject, "version": r.version}));
        let references: Vec<_> = references.collect();
        let body =
            json!({ "schema": source.text, "schemaType": "AVRO", "references": references }).to_string();
        let path = encode_path(subject);
        let call = if self.auto_register {
            SrCall::PostNew(&path, &body)
        } else {
            SrCall::PostForVersion(&path, &body)
        };
        let answer = self.call(call, About::Subject(subject)).await?;
        answer.id.ok_or_else(|| self.unusable("the answer to a registration has no id"))
    }

    /// A schema's text and the texts that it refers to, each after those that it uses.
    pub(super) async fn schema(&self, id: u32) -> Result<(String, Vec<String>), RegistryError> {
        let found = get_schema_by_id(id, &self.settings).await;
        let found = found.map_err(|e| classify(&e, &self.urls, About::Id(id)))?;
        if found.schema_type != SchemaType::Avro {
            let kind = format!("{:?}", found.schema_type).to_uppercase();
            return Err(RegistryError::NotAvro { url: self.urls.clone(), id, kind });
        }
        let mut texts = Texts::default();
        self.collect(found.references, &mut texts).await?;
        Ok((found.schema, texts.texts))
    }

    pub(super) async fn referenced_texts(
        &self,
        references: &[Reference],
    ) -> Result<Vec<String>, RegistryError> {
        let mut texts = Texts::default();
        for reference in references {
            let subject = &reference.subject;
            let path = encode_path(subject);
            let call = match u32::try_from(reference.version) {
                Ok(version) => SrCall::GetBySubjectAndVersion(&path, version),
                Err(_) => SrCall::GetLatest(&path),
            };
            let found = self.call(call, About::Subject(subject)).await?;
            let key = (subject.clone(), found.version.unwrap_or_default());
            if texts.seen.contains(&key) {
                continue;
            }
            texts.seen.push(key);
            let text = found.schema.ok_or_else(|| self.unusable("a schema without text"))?;
            self.collect(found.references.unwrap_or_default(), &mut texts).await?;
            texts.texts.push(text);
        }
        Ok(texts.texts)
    }

    async fn collect(
        &self,
        references: Vec<RegisteredReference>,
        texts: &mut Texts,
    ) -> Result<(), RegistryError> {
        for mut reference in references {
            let key = (reference.subject.clone(), reference.version);
            if texts.seen.contains(&key) {
                continue;
            }
            if texts.seen.len() == MAX_REFERENCED {
                return Err(self.unusable(&format!("more than {MAX_REFERENCED} referenced schemas")));
            }
            texts.seen.push(key);
            reference.subject = encode_path(&reference.subject);
            let found = get_referenced_schema(&self.settings, &reference).await;
            let found = found.map_err(|e| classify(&e, &self.urls, About::Subject(&reference.subject)))?;
            Box::pin(self.collect(found.references, texts)).await?;
            texts.texts.push(found.schema);
        }
        Ok(())
    }

    async fn call(&self, call: SrCall<'_>, about: About<'_>) -> Result<RawRegisteredSchema, RegistryError> {
        let answer = perform_sr_call(&self.settings, call).await;
        answer.map_err(|e| classify(&e, &self.urls, about))
    }

    fn unusable(&self, reason: &str) -> RegistryError {
        RegistryError::Unusable { url: self.urls.clone(), reason: reason.to_owned() }
    }
}

#[derive(Default)]
struct Texts {
    seen: Vec<(String, u32)>,
    texts: Vec<String>,
}

/// A subject as one segment of a path; the library itself only takes care of slashes.
fn encode_path(subject: &str) -> String {
    let mut path = String::with_capacity(subject.len());
    for byte in subject.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            path.push(char::from(byte));
        } else {
            path.push_str(&format!("%{byte:02X}"));
        }
    }
    path
}

/// A proxy of the environment can't reach this machine's loopback.
fn is_loopback(url: &str) -> bool {
    let host = url.split_once("://").map_or(url, |(_, rest)| rest);
    ["127.", "localhost", "[::1]"].iter().any(|local| host.starts_with(local))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_become_one_segment_of_a_path() {
        assert_eq!(encode_path("orders-value"), "orders-value");
        assert_eq!(encode_path("a/b c?d#e%é"), "a%2Fb%20c%3Fd%23e%25%C3%A9");
    }

    #[test]
    fn settings_that_cannot_work_are_refused_at_once() {
        let mut none = RegistryConfig::new("http://127.0.0.1:1");
        none.urls.clear();
        let mut bad_ca = RegistryConfig::new("https://127.0.0.1:1");
        bad_ca.ca_pem = Some(b"not a certificate".to_vec());
        for (config, expect) in
            [(none, "no url"), (RegistryConfig::new("127.0.0.1:1"), "no http"), (bad_ca, "certificate")]
        {
            let error = Client::new(config).unwrap_err();
            assert!(!error.is_retryable() && error.to_string().contains(expect), "{error}");
        }
    }
}
