//! Plain JSON to and from Avro values, as the crate's documentation has it in its table.

mod decimal;
mod from_avro;
mod path;
mod to_avro;
mod union;

pub(crate) use from_avro::from_avro;
pub(crate) use to_avro::to_avro;

#[cfg(test)]
mod tests;
