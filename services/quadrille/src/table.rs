//! Tables on a terminal: columns and no lines, so that they can be read, cut and searched. A row is one line, however
//! narrow the terminal, unless its table is [`wrapped`].

use comfy_table::presets;
use comfy_table::{Attribute, Cell, CellAlignment, ContentArrangement, Table};

/// Ends a style on a terminal.
const RESET: &str = "\x1b[0m";

/// An empty table. A heading that begins with `#` is of a column of numbers.
pub(crate) fn new(headings: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    let heading = |text: &&str| Cell::new(text.trim_start_matches('#')).add_attribute(Attribute::Bold);
    table.set_header(headings.iter().map(heading));
    for (column, heading) in table.column_iter_mut().zip(headings) {
        column.set_padding((0, 2));
        if heading.starts_with('#') {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// As [`new`], for rows with sentences: they are broken where the terminal ends.
pub(crate) fn wrapped(headings: &[&str]) -> Table {
    let mut table = new(headings);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table
}

/// The table as text, without blanks at the ends of lines.
pub(crate) fn text(table: &Table) -> String {
    table.lines().fold(String::new(), |mut text, line| {
        // A heading's style ends after its blanks.
        match line.strip_suffix(RESET) {
            Some(styled) => text.extend([styled.trim_end(), RESET]),
            None => text.push_str(line.trim_end()),
        }
        text.push('\n');
        text
    })
}
