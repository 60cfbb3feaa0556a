//! What operators see of a mesh, and of any Kafka cluster: for the command line and for a console.
//!
//! Reading is separate from meaning: modules of the first group are pure, and get bytes, states and the time; those of the
//! second ask Kafka and the registry, join no group and write nothing. Whoever uses them only has to print.
//!
//! | module | holds |
//! | --- | --- |
//! | [`words`] | times, ages and bytes as text |
//! | [`value`] | a key or a value as JSON, whatever wrote it |
//! | [`own`] | facts, commands, journal entries and states as JSON |
//! | [`headers`] | headers as text, those of dead letters too |
//! | [`shown`] | a whole record, as text or as one line of JSON |
//! | [`standing`] | where a run stands, and what it waits for, in words |
//! | [`board`] | all runs of a mesh, kept up to date record by record |
//! | [`history`] | what each journal entry changed in its run |
//!
//! | module | asks |
//! | --- | --- |
//! | [`avro`] | the registry, for schemas of values |
//! | [`reading`] | topics, from a position to an end or for ever |
//! | [`lag`] | groups: what they have not read yet, and how old it is |
//! | [`sagas`] | state, journal and outcomes of a mesh |

pub mod avro;
pub mod board;
pub mod headers;
pub mod history;
pub mod lag;
pub mod own;
pub mod reading;
pub mod sagas;
pub mod shown;
pub mod standing;
pub mod value;
pub mod words;

#[cfg(test)]
mod testing;
