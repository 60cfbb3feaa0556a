//! Pure renderers: diagnostics and graphs as text for people, as Mermaid and as SVG.

mod diagnostics;
mod mermaid;
mod style;
mod svg;
mod text;

pub use diagnostics::diagnostic;
pub use mermaid::mermaid;
pub use style::Style;
pub use svg::svg;
pub use text::{mesh, triggers};

/// Characters that a terminal would obey or that would break a line, made visible.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c == '\t' {
                ' '
            } else if is_safe(c) {
                c
            } else {
                '\u{FFFD}'
            }
        })
        .collect()
}

/// Bidirectional controls and invisible characters could make a line read other than it is.
fn is_safe(c: char) -> bool {
    !c.is_control()
        && !matches!(c, '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{FEFF}')
}
