//! From the compiled mesh to what runs: each consumer of the mesh has its own small view of it.

mod flow;
mod provision;
mod service;

pub use flow::{KEEP_MS, flow};
pub use provision::{FirstPosition, Topic, first_positions, topics};
pub use service::{
    OWN_BYTES_MAX, SAGA_PARTITIONS, definition, kept_bytes_max, service_specs, step_partitions,
};
