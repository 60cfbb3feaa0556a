//! One partition's records: batches stored as opaque bytes, found by offset or time.
//!
//! The journal makes batches durable; the files here make them findable. A partition keeps its newest batches in memory
//! (the *tail*), writes them to its segment files in larger pieces, and a checkpoint flushes those before the journal is cut.
//! Retention drops whole segments; compaction writes a partition's older segments anew.

pub(crate) mod batch;
pub(crate) mod cleaner;
pub(crate) mod codec;
pub(crate) mod compact;
pub(crate) mod index;
pub(crate) mod partition;
pub(crate) mod producer;
pub(crate) mod read;
pub(crate) mod record;
pub(crate) mod retention;
pub(crate) mod segment;
pub(crate) mod stability;
