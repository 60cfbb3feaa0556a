//! Where the cluster and the registry are: the options of every command that looks at one.

use std::path::PathBuf;
use std::time::Duration;

use quadrille_host::options::{KafkaOptions, RegistryOptions, key_value};
use quadrille_kafka::{Settings, connect};
use quadrille_schema::Schemas;

/// How long a command waits for the first answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// As for coordinator and steps: no transaction of the mesh is open for longer.
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct Connection {
    /// Brokers to begin with
    #[arg(long, env = "QUADRILLE_BOOTSTRAP_SERVERS", value_name = "HOST:PORT,…")]
    pub(crate) bootstrap_servers: String,
    /// A setting for librdkafka, such as security.protocol=SASL_SSL; also by environment, QUADRILLE_X_SASL_PASSWORD
    /// for sasl.password
    #[arg(short = 'X', value_name = "KEY=VALUE", value_parser = key_value)]
    settings: Vec<(String, String)>,
    /// Schema registry: addresses, tried in this order
    #[arg(long, env = "QUADRILLE_SCHEMA_REGISTRY", value_name = "URL,…", value_delimiter = ',')]
    schema_registry: Vec<String>,
    /// User of the registry, with the password in QUADRILLE_SCHEMA_REGISTRY_PASSWORD
    #[arg(long, env = "QUADRILLE_SCHEMA_REGISTRY_USER", value_name = "USER")]
    schema_registry_user: Option<String>,
    /// PEM file with the certificate of an authority that the system does not know
    #[arg(long, env = "QUADRILLE_SCHEMA_REGISTRY_CA", value_name = "FILE")]
    schema_registry_ca: Option<PathBuf>,
}

impl Connection {
    /// How to reach the cluster, which has answered.
    ///
    /// # Errors
    /// Settings that make no sense, a cluster that does not let us in or does not answer.
    pub(crate) fn kafka(&self) -> anyhow::Result<Settings> {
        let options = KafkaOptions {
            bootstrap_servers: self.bootstrap_servers.clone(),
            settings: self.settings.clone(),
            session_timeout: TRANSACTION_TIMEOUT,
            transaction_timeout: TRANSACTION_TIMEOUT,
        };
        let settings = options.settings()?;
        connect::check(&settings, PATIENCE)?;
        Ok(settings)
    }

    /// The registry's client, if a registry is given. Nothing is asked yet. With `register`, schemas that are missing are
    /// registered; otherwise they are looked up only.
    ///
    /// # Errors
    /// Half of the credentials, certificates that can't be read.
    pub(crate) fn schemas(&self, register: bool) -> anyhow::Result<Option<Schemas>> {
        let options = RegistryOptions {
            schema_registry: self.schema_registry.clone(),
            schema_registry_user: self.schema_registry_user.clone(),
            schema_registry_ca: self.schema_registry_ca.clone(),
            auto_register: register,
        };
        Ok(options.schemas()?)
    }
}

/// What asks the registry.
///
/// # Errors
/// The system has no threads left.
pub(crate) fn tokio() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?)
}
