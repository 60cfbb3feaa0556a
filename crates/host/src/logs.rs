//! Logs, one line each on stderr, as text for people or JSON for machines.
//!
//! What is logged while an activation is handled carries the span `activation` with `saga`, `correlation_id`, `step`,
//! `activation`, `action` and `trace_id`; in JSON it is the object `span`.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// A filter that cannot be read. Not retryable.
#[derive(Debug, thiserror::Error)]
#[error("--log {filter}: {reason}")]
pub struct BadFilter {
    filter: String,
    reason: String,
}

/// Starts logging. Where a logger is there already (a test's), it stays.
///
/// # Errors
/// [`BadFilter`].
pub fn init(format: Format, filter: &str) -> Result<(), BadFilter> {
    let parsed = EnvFilter::builder().parse(filter);
    let parsed = parsed.map_err(|e| BadFilter { filter: filter.to_owned(), reason: e.to_string() })?;
    let builder = tracing_subscriber::fmt().with_env_filter(parsed).with_writer(std::io::stderr).with_ansi(
        std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()),
    );
    // A second call fails as a logger is there, which is as good.
    let _ = match format {
        Format::Text => builder.try_init(),
        Format::Json => {
            builder.json().flatten_event(true).with_current_span(true).with_span_list(false).try_init()
        }
    };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_cannot_be_read_is_an_error() {
        let error = init(Format::Text, "quadrille=loud").unwrap_err().to_string();
        assert!(error.starts_with("--log quadrille=loud: "), "{error}");
    }
}
