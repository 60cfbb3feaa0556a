//! The compiler from outside. Files and the exact messages are tested with the command line.

mod hostile;
mod meaning;
mod mutated;
mod support;
mod triggers;
