//! The topology language of Quadrille: from a YAML file to a checked, compiled mesh.
//!
//! A topology file declares events, the steps that react to them, and the sagas that watch over them. It is read
//! in stages, each in a module of its own, with plain data between them:
//!
//! ```text
//! bytes ─ yaml ─► tree ─ decode ─► source structs ─ compile ─► Mesh ─ check ─► (more diagnostics) ─ graph ─► text, Mermaid, SVG
//! ```
//!
//! - [`topology`] runs them all and returns the [`Mesh`] or every mistake at once, each with a stable code
//!   ([`codes`]), a place and what to do.
//! - [`Mesh`] is what the step runtime and the coordinator run by.
//! - [`Graph`] says who triggers what and why; [`render`] draws it.
//! - [`lower`] gives services and the coordinator their own views of the mesh.
//! - [`json_schema`] is the JSON Schema of the file, for editors.
//!
//! The crate is pure: it gets bytes, and a function that looks up schema files. Nothing here knows of a file
//! system, a clock or a network.
//!
//! To add a word to the language: a field in `source`, a line in `decode`, what it means in `compile` and in
//! [`mesh`], what can go wrong with it in `check`, a code for each mistake in [`codes`] and a case for each code in
//! `topology/invalid`.

pub mod codes;
pub mod diagnostic;
pub mod graph;
pub mod lower;
pub mod mesh;
pub mod render;
pub mod schemas;

mod check;
mod compile;
mod decode;
mod flow;
mod gives_up;
mod json_schema;
mod source;
mod suggest;
mod topology;
mod yaml;

pub use diagnostic::{Diagnostic, Severity};
pub use graph::Graph;
pub use json_schema::json_schema;
pub use mesh::Mesh;
pub use schemas::{Limits, Schemas};
pub use topology::{Checked, topology};
