//! What reads our output.

use std::io::{self, IsTerminal, Write};

use quadrille_topology::render::Style;

/// Colour on a terminal, unless the environment asks for none (<https://no-color.org>).
pub(crate) fn style(stream: &impl IsTerminal) -> Style {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if stream.is_terminal() && !unwanted { Style::Colour } else { Style::Plain }
}

/// Writes data to stdout.
///
/// # Errors
/// When stdout can't be written, for example because its reader has gone.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// Whether the reader of our output has gone, as in `quadrille ... | head`.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
}

/// Tells who sits at the terminal. Where nobody listens any more, as in `quadrille ... 2>&1 | head`, nothing is told.
macro_rules! say {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), $($text)*);
    }};
}
pub(crate) use say;

/// Writes one line of JSON to stdout.
///
/// # Errors
/// When stdout can't be written.
pub(crate) fn print_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    print(&format!("{}\n", serde_json::to_string(value)?))
}

/// Makes what matters less fade, where there is colour.
pub(crate) fn dim(style: Style) -> impl Fn(&str) -> String {
    move |text| match style {
        Style::Colour => format!("\x1b[2m{text}\x1b[0m"),
        Style::Plain => text.to_owned(),
    }
}

/// Now, in ms since 1970.
pub(crate) fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
