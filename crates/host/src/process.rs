//! A service's process, from its options to its exit code.
//!
//! | exit code | means |
//! | --- | --- |
//! | 0 | it was asked to end, and has finished what it had begun |
//! | 1 | it could not start or go on; the reason is the last line on stderr |
//! | 2 | its options make no sense |

use std::process::ExitCode;

use tokio::runtime;

use crate::logs;
use crate::ops::{Ops, Readiness};
use crate::options::HostOptions;
use crate::signals::Signals;

/// What the process gives to the service in it.
#[derive(Debug)]
pub struct Host {
    /// To be told how to find out whether the service is ready.
    pub readiness: Readiness,
    /// To be waited for: the service should end then.
    pub signals: Signals,
    /// Where operations are served.
    pub ops: Ops,
}

/// Starts logging, the runtime and the operations server, runs `service` in it and turns its end into an exit code.
pub fn run<S, F>(name: &str, options: &HostOptions, service: S) -> ExitCode
where
    S: FnOnce(Host) -> F,
    F: Future<Output = anyhow::Result<()>>,
{
    if let Err(error) = logs::init(options.log_format, &options.log) {
        eprintln!("{name}: {error}");
        return ExitCode::from(2);
    }
    let body = async {
        let readiness = Readiness::default();
        let signals = Signals::new()?;
        let ops = Ops::start(options.ops_listen, readiness.clone()).await?;
        Box::pin(service(Host { readiness, signals, ops })).await
    };
    let runtime = runtime::Builder::new_multi_thread().enable_all().build();
    let outcome = runtime.map_err(anyhow::Error::from).and_then(|runtime| {
        let outcome = runtime.block_on(body);
        // Handlers that still run are not waited for: they have had their time.
        runtime.shutdown_background();
        outcome
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{name}: {}", told(&error));
            ExitCode::FAILURE
        }
    }
}

/// The error with its causes, but for those that it has told itself.
fn told(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("no file: {source}")]
    struct NoFile {
        source: std::io::Error,
    }

    #[test]
    fn no_cause_is_told_twice_and_none_is_left_out() {
        let no_file = NoFile { source: std::io::Error::other("gone") };
        assert_eq!(
            told(&anyhow::Error::from(no_file).context("cannot start")),
            "cannot start: no file: gone"
        );
    }
}
