//! Plain JSON to and from Avro values, as the crate's documentation has it in its table.

mod decimal;
mod from_avro;
mod path;
mod to_avro;
mod union;

pub(crate) use from_avro::from_avro;
pub(crate) use path::Path;
pub(crate) use to_avro::{default_value, to_avro, whole_value};

#[cfg(test)]
mod tests;
