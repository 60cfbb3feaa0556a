//! What a service of steps takes from flags and environment. A flag wins over its variable.
//!
//! Besides those of [`quadrille_host::options`]:
//!
//! | flag | variable | default |
//! | --- | --- | --- |
//! | `--topology FILE` | `QUADRILLE_TOPOLOGY` | required |
//! | `--service NAME` | `QUADRILLE_SERVICE` | what the program says |
//! | `--instance ORDINAL` | `QUADRILLE_INSTANCE` | none: one of many |
//! | `--lanes N` | `QUADRILLE_LANES` | 1 |
//! | `--drain DURATION` | `QUADRILLE_DRAIN` | `10s` |
//! | `--http-rewrite FROM=TO,…` | `QUADRILLE_HTTP_REWRITE` | none |

use std::path::PathBuf;
use std::time::Duration;

use quadrille_host::options::key_value;
use quadrille_host::{HostOptions, KafkaOptions, PrefixOption, RegistryOptions};

/// Flags and environment of a service of steps. An author's own flags go into a struct that flattens this one
/// (`#[command(flatten)]`) and is parsed by the author's `main`, which calls [`run_with`](crate::run_with).
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// The topology file
    #[arg(long, env = "QUADRILLE_TOPOLOGY", value_name = "FILE")]
    pub topology: PathBuf,
    /// The service whose steps are run
    #[arg(long, env = "QUADRILLE_SERVICE", value_name = "NAME")]
    pub service: Option<String>,
    /// Ordinal of this instance, only if it is stable over restarts and nobody else has it: its partitions then wait
    /// for it instead of going to others at once
    #[arg(long, env = "QUADRILLE_INSTANCE", value_name = "ORDINAL")]
    pub instance: Option<String>,
    /// Threads that share the partitions of this instance
    #[arg(long, env = "QUADRILLE_LANES", value_name = "N", default_value_t = 1)]
    pub lanes: u8,
    /// How long handlers that run are waited for when partitions are taken away or the process shall end
    #[arg(long, env = "QUADRILLE_DRAIN", value_name = "DURATION", default_value = "10s", value_parser = humantime::parse_duration)]
    pub drain: Duration,
    /// Calls handlers whose URL begins with FROM at TO instead: the topology file is the same everywhere, addresses
    /// are not
    #[arg(long, env = "QUADRILLE_HTTP_REWRITE", value_name = "FROM=TO", value_delimiter = ',', value_parser = key_value)]
    pub http_rewrite: Vec<(String, String)>,
    #[allow(missing_docs, reason = "its own help stands at its fields")]
    #[command(flatten)]
    pub kafka: KafkaOptions,
    #[allow(missing_docs, reason = "its own help stands at its fields")]
    #[command(flatten)]
    pub copy: PrefixOption,
    #[allow(missing_docs, reason = "its own help stands at its fields")]
    #[command(flatten)]
    pub registry: RegistryOptions,
    #[allow(missing_docs, reason = "its own help stands at its fields")]
    #[command(flatten)]
    pub host: HostOptions,
}
