//! Topology files, for people: their mistakes are printed.

use std::path::Path;

pub(crate) use quadrille_host::topology::{Topology, read};
use quadrille_topology::Mesh;

use crate::commands::print_diagnostics;

/// The mesh in a topology file; none: it has mistakes, which were printed.
///
/// # Errors
/// When the file itself can't be read. A schema that can't be read is a mistake of the file.
pub(crate) fn mesh(path: &Path) -> anyhow::Result<Option<Mesh>> {
    let topology = read(path)?;
    if topology.checked.mesh.is_none() {
        print_diagnostics(&topology);
    }
    Ok(topology.checked.mesh)
}
