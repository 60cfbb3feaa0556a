//! The hash of a definition.

use sha2::{Digest, Sha256};

use crate::mesh::Mesh;

/// SHA-256 over the mesh as JSON with sorted keys, its own hash left empty, in hex.
pub(crate) fn of(mesh: &Mesh) -> String {
    let bare = Mesh { hash: String::new(), ..mesh.clone() };
    let canonical = serde_json::to_value(&bare).map(|value| value.to_string());
    let canonical = canonical.expect("a mesh holds only text, numbers and maps with text keys");
    Sha256::digest(canonical.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}
