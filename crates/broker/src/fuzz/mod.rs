//! Hostile bytes for everything that decodes: frames of requests, record batches in every compression, the journal and the
//! segments. No input may panic, nor take memory that it has not paid for.
//!
//! A run mutates a stored corpus (`crates/broker/fuzz`, written by real clients) with a fixed seed, so CI sees the same inputs
//! each time. The long form: `QUADRILLE_FUZZ_ROUNDS=1000000 cargo test -p quadrille-broker fuzz`; a failure leaves its
//! input as a file and says where. Put that into the corpus.

mod batches;
mod driver;
mod frames;
mod heap;
mod logs;
