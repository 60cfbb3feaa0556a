//! Topology files, for people: their mistakes are printed.

use std::path::Path;

use quadrille_host::PrefixOption;
pub(crate) use quadrille_host::topology::{Topology, read};
use quadrille_topology::Mesh;

use crate::commands::print_diagnostics;

/// The copy of the mesh in a topology file; none: it has mistakes, which were printed.
///
/// # Errors
/// When the file itself can't be read. A schema that can't be read is a mistake of the file.
pub(crate) fn mesh(path: &Path, copy: &PrefixOption) -> anyhow::Result<Option<Mesh>> {
    let topology = read(path)?;
    if topology.checked.mesh.is_none() {
        print_diagnostics(&topology);
    }
    Ok(topology.checked.mesh.map(|mesh| mesh.prefixed(copy.prefix.as_ref())))
}
