//! What a secured broker needs and its clients have to know: certificates, and a user with a password.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

/// How a client gets in to a secured broker, and how it does not.
#[derive(Clone, Debug)]
pub struct Access {
    /// `host:port` of the listener with SASL over TLS.
    pub tls: String,
    /// `host:port` of the listener with SASL and no TLS.
    pub plain: String,
    /// The only user.
    pub user: String,
    /// The user's password.
    pub password: String,
    /// PEM file with the authority that the broker's certificate is signed by.
    pub ca: PathBuf,
    /// PEM file with another authority.
    pub foreign_ca: PathBuf,
}

/// How users prove that they know their password.
pub const MECHANISM: &str = "SCRAM-SHA-512";

impl Access {
    /// Makes certificates in `folder`, and a password that was never used before. Addresses are still unknown.
    pub(crate) fn create(folder: &Path) -> Result<Access> {
        fs::create_dir_all(folder)?;
        let (signer, ca) = authority("the authority of this run")?;
        let (_, foreign) = authority("another authority")?;
        let key = KeyPair::generate()?;
        let names = CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()])?;
        let certificate = names.signed_by(&key, &signer)?;
        fs::write(folder.join("broker.pem"), key.serialize_pem() + &certificate.pem())?;
        let access = Access {
            tls: String::new(),
            plain: String::new(),
            user: "svc".to_owned(),
            password: format!("secret-{:016x}", fastrand::u64(..)),
            ca: folder.join("ca.pem"),
            foreign_ca: folder.join("foreign-ca.pem"),
        };
        fs::write(&access.ca, ca)?;
        fs::write(&access.foreign_ca, foreign)?;
        Ok(access)
    }

    /// The folder with the certificates.
    pub(crate) fn folder(&self) -> &Path {
        self.ca.parent().unwrap_or(Path::new(""))
    }

    /// librdkafka settings that are let in by the listener with TLS; the password is the last.
    pub fn over_tls(&self) -> Vec<(&'static str, String)> {
        vec![
            ("security.protocol", "SASL_SSL".to_owned()),
            ("ssl.ca.location", self.ca.display().to_string()),
            ("sasl.mechanism", MECHANISM.to_owned()),
            ("sasl.username", self.user.clone()),
            ("sasl.password", self.password.clone()),
        ]
    }
}

/// An authority that signs, and its certificate as PEM.
fn authority(name: &str) -> Result<(Issuer<'static, KeyPair>, String)> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    let key = KeyPair::generate()?;
    let pem = params.self_signed(&key)?.pem();
    Ok((Issuer::new(params, key), pem))
}
