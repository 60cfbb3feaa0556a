//! The broker's state: tables that are rebuilt from the journal, and what only lives while the process does.
//!
//! One lock guards it all ([`shared::Shared`]). A request decides and records under the lock; nothing leaves the broker
//! before what it is based on is as durable as the flush level says.

pub(crate) mod core;
pub(crate) mod groups;
mod maintenance;
mod produce;
pub(crate) mod recovery;
pub(crate) mod settings;
pub(crate) mod shared;
pub(crate) mod tables;
pub(crate) mod topics;
mod transactions;

pub(crate) use core::Core;
pub(crate) use produce::{Produced, ToAppend};
pub(crate) use shared::Shared;
