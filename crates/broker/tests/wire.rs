//! The conformance checks, each a trial, against one broker in this process.
//!
//! `KAFKA_BOOTSTRAP=host:port` runs them against another broker instead.

use libtest_mimic::{Arguments, Failed, Trial};
use quadrille_broker::{Broker, Config};
use quadrille_conformance::{CHECKS, Context};

fn main() -> anyhow::Result<()> {
    let filter = std::env::var("RUST_LOG").unwrap_or_else(|_| "quadrille_broker=warn".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let mut arguments = Arguments::from_args();
    // Checks mostly wait; more of them at a time than cores is what shortens the run.
    arguments.test_threads = arguments.test_threads.or(Some(6));
    let data = tempfile::tempdir()?;
    let (broker, bootstrap) = match std::env::var("KAFKA_BOOTSTRAP") {
        Ok(bootstrap) => (None, bootstrap),
        Err(_) => {
            let broker = Broker::start(Config::new("127.0.0.1:0".parse()?, data.path()))?;
            let bootstrap = broker.bootstrap();
            (Some(broker), bootstrap)
        }
    };
    let trials = CHECKS.iter().map(|check| {
        let context = Context { bootstrap: bootstrap.clone() };
        let run = move || (check.run)(&context).map_err(|error| Failed::from(format!("{error:?}")));
        Trial::test(check.name, run)
    });
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    if let Some(broker) = broker {
        let stats = broker.stats();
        eprintln!("{} device flushes, {} bytes of journal", stats.device_flushes, stats.bytes_appended);
        broker.stop()?;
    }
    conclusion.exit()
}
