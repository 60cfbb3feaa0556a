//! The journal: one append-only file that every change goes through, so that one device flush makes many changes durable.
//!
//! ```text
//! journal/00000000000000000007.checkpoint   the whole state before journal 7, as changes
//! journal/00000000000000000007.journal      what happened since
//! ```
//! Recovery applies the newest checkpoint, then the journals from its number on, in order. Replay is deterministic: changes say
//! what was decided (offsets, epochs, outcomes), never what was asked for.

pub(crate) mod change;
pub(crate) mod checkpoint;
pub(crate) mod files;
pub(crate) mod frame;
pub(crate) mod reader;
pub(crate) mod writer;
