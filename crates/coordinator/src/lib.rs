//! The saga coordinator: folds facts into sagas, and says what follows.
//!
//! It has two parts, each on a thread of its own, each exactly once. **Ingest** turns events that others publish into
//! facts. **Fold** applies facts and timers with the transition function of `quadrille-saga`, and writes journal, state,
//! commands and outcomes in the transaction that commits the facts. All its state is in the state topic; memory is a
//! cache that a restart or a lost partition throws away.
//!
//! | module | holds |
//! | --- | --- |
//! | [`spec`] | what it must know of the topology |
//! | [`ingest`] | events of others become facts |
//! | [`sagas`] | the sagas of one partition in memory, and their timers |
//! | [`fold`] | facts in; journal, state, commands, outcomes out |
//! | [`service`] | both parts as a service |

pub mod fold;
pub mod ingest;
pub mod sagas;
pub mod service;
pub mod spec;

pub use service::{Coordinator, CoordinatorConfig};
pub use spec::CoordinatorSpec;
