//! The decisions of a step service, without its IO.
//!
//! A record comes from the log; [`plan`] says what is to be done with it; [`schedule`] lets handlers run beside each
//! other and in order per key, trying again as [`retry`] says; [`conclude`] turns what a handler answered into the
//! records that belong to it; [`prefix`] says up to where a partition is finished, which is what one transaction
//! commits. [`ledger`] remembers the activations that foreign producers might repeat. [`lane`] puts these together.
//!
//! Nothing here knows a clock, a broker or a thread: the same decisions serve production and simulation.

pub mod conclude;
pub mod hop;
pub mod lane;
pub mod ledger;
pub mod plan;
pub mod prefix;
pub mod retry;
pub mod schedule;
pub mod spec;
