//! From the compiled mesh to what runs: each consumer of the mesh has its own small view of it.

mod service;

pub use service::{SAGA_PARTITIONS, definition, service_spec};
