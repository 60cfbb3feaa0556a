//! The JSON Schema of the file.

use schemars::generate::SchemaSettings;

use crate::source::TopologySource;

/// The JSON Schema (2020-12) of a topology file, indented, with a line feed at the end.
#[must_use]
pub fn json_schema() -> String {
    let schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<TopologySource>();
    let mut text = serde_json::to_string_pretty(&schema).expect("a schema is plain JSON");
    text.push('\n');
    text
}
