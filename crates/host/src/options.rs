//! Flags and environment variables that services share. A flag wins over its variable.
//!
//! | flag | variable | default |
//! | --- | --- | --- |
//! | `--bootstrap-servers HOST:PORT,…` | `QUADRILLE_BOOTSTRAP_SERVERS` | required |
//! | `-X KEY=VALUE`, repeated | `QUADRILLE_X_…`: `QUADRILLE_X_SASL_PASSWORD` is `sasl.password` | none |
//! | `--prefix NAME` | `QUADRILLE_PREFIX` | none |
//! | `--session-timeout DURATION` | `QUADRILLE_SESSION_TIMEOUT` | `30s` |
//! | `--transaction-timeout DURATION` | `QUADRILLE_TRANSACTION_TIMEOUT` | `30s` |
//! | `--schema-registry URL,…` | `QUADRILLE_SCHEMA_REGISTRY` | none |
//! | `--schema-registry-user USER` | `QUADRILLE_SCHEMA_REGISTRY_USER` | none |
//! | (no flag: others could read it) | `QUADRILLE_SCHEMA_REGISTRY_PASSWORD` | none |
//! | `--schema-registry-ca FILE` | `QUADRILLE_SCHEMA_REGISTRY_CA` | the system's |
//! | `--auto-register true\|false` | `QUADRILLE_AUTO_REGISTER` | `false` |
//! | `--ops-listen HOST:PORT` | `QUADRILLE_OPS_LISTEN` | `127.0.0.1:0`: a free port, which is logged |
//! | `--log-format text\|json` | `QUADRILLE_LOG_FORMAT` | `text` |
//! | `--log FILTER` | `QUADRILLE_LOG` | `info` |

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use quadrille_kafka::Settings;
use quadrille_schema::{BasicAuth, RegistryConfig, RegistryError, Schemas};
use quadrille_topology::mesh::Prefix;

use crate::logs::Format;

/// Variables that begin so hold librdkafka settings.
pub const KAFKA_PREFIX: &str = "QUADRILLE_X_";

/// Variable with the [`PrefixOption`].
pub const PREFIX: &str = "QUADRILLE_PREFIX";

/// Variable with the registry's password.
const PASSWORD: &str = "QUADRILLE_SCHEMA_REGISTRY_PASSWORD";

/// Options that make no sense. Not retryable.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Settings of the Kafka client.
    #[error(transparent)]
    Kafka(#[from] quadrille_kafka::Error),
    /// Settings of the registry client.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// A file that an option names.
    #[error("cannot read {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A user without password, or the other way round.
    #[error(
        "the registry's user needs a password and the password a user: set --schema-registry-user and {PASSWORD}"
    )]
    HalfCredentials,
}

/// How the process shows itself to whoever operates it.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Operations")]
pub struct HostOptions {
    /// Address of /metrics, /livez and /readyz; port 0 takes a free one and logs it
    #[arg(long, env = "QUADRILLE_OPS_LISTEN", value_name = "HOST:PORT", default_value = "127.0.0.1:0")]
    pub ops_listen: SocketAddr,
    /// How log lines are written
    #[arg(long, env = "QUADRILLE_LOG_FORMAT", value_enum, default_value_t)]
    pub log_format: Format,
    /// What is logged, such as `info` or `warn,quadrille::step=debug`
    #[arg(long, env = "QUADRILLE_LOG", value_name = "FILTER", default_value = "info")]
    pub log: String,
}

/// Which of several copies of a mesh on one cluster is meant.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct PrefixOption {
    /// A name that stands, with a dot, before those of all topics, groups, transactional IDs and subjects: several copies
    /// of a mesh can share a cluster
    #[arg(long, env = PREFIX, value_name = "NAME")]
    pub prefix: Option<Prefix>,
}

/// Where the Kafka cluster is.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Kafka")]
pub struct KafkaOptions {
    /// Brokers to begin with
    #[arg(long, env = "QUADRILLE_BOOTSTRAP_SERVERS", value_name = "HOST:PORT,…")]
    pub bootstrap_servers: String,
    /// A setting for librdkafka, such as security.protocol=SASL_SSL; also by environment, QUADRILLE_X_SASL_PASSWORD
    /// for sasl.password
    #[arg(short = 'X', value_name = "KEY=VALUE", value_parser = key_value)]
    pub settings: Vec<(String, String)>,
    /// How long a member of a consumer group may be silent before its partitions go to others
    #[arg(long, env = "QUADRILLE_SESSION_TIMEOUT", value_name = "DURATION", default_value = "30s", value_parser = humantime::parse_duration)]
    pub session_timeout: Duration,
    /// How long a transaction may stay open: the longest that a crash holds up readers
    #[arg(long, env = "QUADRILLE_TRANSACTION_TIMEOUT", value_name = "DURATION", default_value = "30s", value_parser = humantime::parse_duration)]
    pub transaction_timeout: Duration,
}

impl KafkaOptions {
    /// The settings, with those of the environment.
    ///
    /// # Errors
    /// A setting that librdkafka does not know, or that the mesh sets itself.
    pub fn settings(&self) -> Result<Settings, Error> {
        let mut settings = Settings::new(&self.bootstrap_servers, with_environment(&self.settings))?;
        settings.session_timeout = self.session_timeout;
        settings.transaction_timeout = self.transaction_timeout;
        Ok(settings)
    }
}

/// Where the schema registry is.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Schema registry")]
pub struct RegistryOptions {
    /// Addresses, tried in this order; needed where the topology has Avro events
    #[arg(long, env = "QUADRILLE_SCHEMA_REGISTRY", value_name = "URL,…", value_delimiter = ',')]
    pub schema_registry: Vec<String>,
    /// User, with the password in QUADRILLE_SCHEMA_REGISTRY_PASSWORD
    #[arg(long, env = "QUADRILLE_SCHEMA_REGISTRY_USER", value_name = "USER")]
    pub schema_registry_user: Option<String>,
    /// PEM file with the certificate of an authority that the system does not know
    #[arg(long, env = "QUADRILLE_SCHEMA_REGISTRY_CA", value_name = "FILE")]
    pub schema_registry_ca: Option<PathBuf>,
    /// Register the schemas of the topology at start, instead of refusing to start where one is missing
    #[arg(long, env = "QUADRILLE_AUTO_REGISTER", value_name = "BOOL", default_value = "false", num_args = 0..=1, default_missing_value = "true", action = clap::ArgAction::Set)]
    pub auto_register: bool,
}

impl RegistryOptions {
    /// The registry client; none if no registry is given. Nothing is asked yet.
    ///
    /// # Errors
    /// Half of the credentials, certificates that can't be read.
    pub fn schemas(&self) -> Result<Option<Schemas>, Error> {
        if self.schema_registry.is_empty() {
            return Ok(None);
        }
        let mut config = RegistryConfig::new("");
        config.urls = self.schema_registry.clone();
        config.auto_register = self.auto_register;
        config.basic_auth = match (&self.schema_registry_user, std::env::var(PASSWORD).ok()) {
            (Some(user), Some(password)) => Some(BasicAuth { user: user.clone(), password }),
            (None, None) => None,
            _ => return Err(Error::HalfCredentials),
        };
        if let Some(path) = &self.schema_registry_ca {
            let pem = std::fs::read(path).map_err(|source| Error::File { path: path.clone(), source })?;
            config.ca_pem = Some(pem);
        }
        Ok(Some(Schemas::new(config)?))
    }
}

/// `key=value`, for options that are repeated. The value may hold further equals signs.
///
/// # Errors
/// What is wrong, for the user.
pub fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.to_owned())),
        _ => Err("write KEY=VALUE".to_owned()),
    }
}

/// The librdkafka settings in this process's variables, and those of `flags`, which win.
pub fn with_environment(flags: &[(String, String)]) -> BTreeMap<String, String> {
    let mut settings = from_environment(std::env::vars());
    settings.extend(flags.iter().cloned());
    settings
}

/// The variables by which another process gets the librdkafka settings that `settings` were made with.
pub fn as_variables(settings: &Settings) -> impl Iterator<Item = (String, String)> {
    let variable = |name: &str| format!("{KAFKA_PREFIX}{}", name.to_ascii_uppercase().replace('.', "_"));
    settings.of_the_user().map(move |(name, value)| (variable(name), value.to_owned()))
}

/// The librdkafka settings among `variables`.
fn from_environment(variables: impl Iterator<Item = (String, String)>) -> BTreeMap<String, String> {
    let setting = |(name, value): (String, String)| {
        let name = name.strip_prefix(KAFKA_PREFIX)?.to_ascii_lowercase().replace('_', ".");
        Some((name, value))
    };
    variables.filter_map(setting).collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        host: HostOptions,
        #[command(flatten)]
        kafka: KafkaOptions,
        #[command(flatten)]
        registry: RegistryOptions,
    }

    fn parse(args: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(std::iter::once("service").chain(args.split_whitespace()))
    }

    #[test]
    fn flags_become_settings() {
        let cli =
            parse("--bootstrap-servers b:1 -X sasl.username=u -X sasl.password=a=b --session-timeout 6s")
                .unwrap();
        let settings = cli.kafka.settings().unwrap();
        assert_eq!(settings.session_timeout, Duration::from_secs(6));
        assert_eq!(cli.kafka.settings[1], ("sasl.password".to_owned(), "a=b".to_owned()));
        assert!(cli.host.ops_listen.ip().is_loopback() && !cli.registry.auto_register);
        assert!(cli.registry.schemas().unwrap().is_none());
    }

    #[test]
    fn what_cannot_work_is_refused_with_what_to_do() {
        assert!(parse("").unwrap_err().to_string().contains("--bootstrap-servers"));
        assert!(parse("--bootstrap-servers b:1 -X nonsense").unwrap_err().to_string().contains("KEY=VALUE"));
        let cli = parse("--bootstrap-servers b:1 -X enable.idempotence=false").unwrap();
        assert!(cli.kafka.settings().unwrap_err().to_string().contains("cannot be set"));
        let cli =
            parse("--bootstrap-servers b:1 --schema-registry http://r --schema-registry-user u").unwrap();
        assert!(matches!(cli.registry.schemas(), Err(Error::HalfCredentials)));
    }

    #[test]
    fn auto_registration_is_a_switch_that_can_be_said_both_ways() {
        for (args, expect) in
            [("--auto-register", true), ("--auto-register=true", true), ("--auto-register=false", false)]
        {
            assert_eq!(
                parse(&format!("--bootstrap-servers b:1 {args}")).unwrap().registry.auto_register,
                expect
            );
        }
    }

    #[test]
    fn variables_with_the_prefix_are_settings() {
        let variables = [("QUADRILLE_X_SASL_PASSWORD", "p"), ("QUADRILLE_LOG", "info"), ("PATH", "/")];
        let settings = from_environment(variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())));
        assert_eq!(settings, BTreeMap::from([("sasl.password".to_owned(), "p".to_owned())]));
        let settings = Settings::new("b:1", settings).unwrap();
        let handed_on: Vec<_> = as_variables(&settings).collect();
        assert_eq!(handed_on, [("QUADRILLE_X_SASL_PASSWORD".to_owned(), "p".to_owned())]);
    }
}
