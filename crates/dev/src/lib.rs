//! A whole mesh on one machine: `quadrille dev`.
//!
//! Starts the embedded broker and registry (or uses others), makes the cluster ready, runs the coordinator and every step
//! whose handlers are HTTP in this process, and the programs that the topology's dev file names beside it. It stays; or
//! it publishes a file, waits until every input has come to its end, stops everything and audits the run.
//!
//! | module | holds |
//! | --- | --- |
//! | [`input`] | the file that is published |
//! | [`programs`] | the dev file and the programs that it starts |
//! | [`servers`] | broker and registry |
//! | [`mesh`] | coordinator and steps in this process |
//! | [`awaited`] | which inputs have come to their end |
//! | [`progress`] | what a terminal, or a pipe, shows meanwhile |
//! | [`unused`] | whether a cluster has seen the mesh before |
//! | [`session`] | all of it, from start to end |

pub mod awaited;
pub mod input;
pub mod mesh;
pub mod programs;
pub mod progress;
pub mod servers;
pub mod session;
pub mod unused;

/// What goes wrong, for a person to read.
pub type Error = Box<dyn std::error::Error + Send + Sync>;
