//! `quadrille-audit`: audits a run that is over, and says VALID or INVALID.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use quadrille_audit::stores::Stores;
use quadrille_audit::{Config, Counters, Expectations, Rules, Verdict, report, run};

/// Reads the topics back, compares them with what the participants recorded, and prints what it found.
///
/// Exit code 0: VALID. 1: INVALID, with up to 20 offenders of each kind. 2: it could not read.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Kafka brokers, as host:port,host:port
    #[arg(long)]
    bootstrap_servers: String,
    /// Any librdkafka setting, as key=value
    #[arg(short = 'X', value_name = "KEY=VALUE", value_parser = pair)]
    settings: Vec<(String, String)>,
    /// URL of the schema registry
    #[arg(long)]
    schema_registry: String,
    /// Expectations file of the flow
    #[arg(long)]
    expect: PathBuf,
    /// Audit topics whose names begin with NAME and a dot beyond what the expectations say
    #[arg(long, value_name = "NAME")]
    prefix: Option<String>,
    /// Folder with <participant>.db of each participant
    #[arg(long, default_value = ".")]
    stores: PathBuf,
    /// The store of one participant that lies elsewhere, as participant=file
    #[arg(long, value_name = "NAME=FILE", value_parser = pair)]
    store: Vec<(String, String)>,
    /// How many distinct inputs were sent, where that is known
    #[arg(long)]
    sent: Option<u64>,
    /// How much the clocks of the participants and the coordinator may differ, in ms
    #[arg(long, default_value_t = 0)]
    clock_slack_ms: i64,
    /// Seconds until all transactions have to be ended and all is read
    #[arg(long, default_value_t = 60)]
    patience_s: u64,
    /// Transactions that ended, as the services count them
    #[arg(long)]
    txns: Option<u64>,
    /// Aborted transactions, as the services count them
    #[arg(long)]
    aborted: Option<u64>,
    /// Fenced offset commits, as the services count them
    #[arg(long)]
    fenced: Option<u64>,
    /// Takeovers, as the services count them
    #[arg(long)]
    takeovers: Option<u64>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let Arguments { txns, aborted, fenced, takeovers, .. } = arguments;
    match audit(arguments) {
        Ok(verdict) => {
            print!("{}", report::offenders(&verdict));
            println!("{}", report::line(&verdict, Counters { txns, aborted, fenced, takeovers }));
            ExitCode::from(u8::from(!verdict.is_valid()))
        }
        Err(error) => {
            eprintln!("quadrille-audit: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn audit(arguments: Arguments) -> anyhow::Result<Verdict> {
    let mut expectations = Expectations::load(&arguments.expect)?;
    if let Some(prefix) = &arguments.prefix {
        expectations = expectations.prefixed(prefix);
    }
    let mut kafka = arguments.settings;
    kafka.push(("bootstrap.servers".to_owned(), arguments.bootstrap_servers));
    let files: BTreeMap<_, _> = arguments.store.into_iter().map(|(name, file)| (name, file.into())).collect();
    let config = Config {
        kafka,
        registry: arguments.schema_registry,
        expectations,
        stores: Stores { folder: arguments.stores, files },
        rules: Rules { sent: arguments.sent, clock_slack_ms: arguments.clock_slack_ms },
        patience: Duration::from_secs(arguments.patience_s),
    };
    run(&config, None).context("no verdict")
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) =
        text.split_once('=').ok_or_else(|| format!("{text:?} is not of the form name=value"))?;
    Ok((name.to_owned(), value.to_owned()))
}
