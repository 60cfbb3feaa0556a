//! Reads topology files and the schemas that they name.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, bail};
use quadrille_host::PrefixOption;
use quadrille_topology::{Checked, Limits, Mesh, topology};

use crate::commands::print_diagnostics;

/// A topology file, and what became of it.
pub(crate) struct Topology {
    /// The path as given.
    pub(crate) file: String,
    /// The text, for showing lines of it; what is not UTF-8 is replaced.
    pub(crate) text: String,
    /// Mesh and mistakes.
    pub(crate) checked: Checked,
}

/// Reads, compiles and checks a topology file.
///
/// # Errors
/// When the file itself can't be read. A schema that can't be read is a mistake of the file.
pub(crate) fn read(path: &Path) -> anyhow::Result<Topology> {
    let file = path.display().to_string();
    let bytes = read_bounded(path).with_context(|| format!("{file} can't be read"))?;
    let folder = path.parent().unwrap_or_else(|| Path::new("")).to_owned();
    let schema = move |name: &str| schema(&folder.join(name));
    let checked = topology(&bytes, &schema);
    Ok(Topology { file, text: String::from_utf8_lossy(&bytes).into_owned(), checked })
}

/// The copy of the mesh in a topology file; none: it has mistakes, which were printed.
///
/// # Errors
/// Those of [`read`].
pub(crate) fn mesh(path: &Path, copy: &PrefixOption) -> anyhow::Result<Option<Mesh>> {
    let topology = read(path)?;
    if topology.checked.mesh.is_none() {
        print_diagnostics(&topology);
    }
    Ok(topology.checked.mesh.map(|mesh| mesh.prefixed(copy.prefix.as_ref())))
}

fn schema(path: &Path) -> Result<String, String> {
    let bytes = read_bounded(path).map_err(|error| format!("{error:#}"))?;
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8 text".to_owned())
}

/// Reads a regular file, one byte more than the limit at most, so that it is seen to be too large.
fn read_bounded(path: &Path) -> anyhow::Result<Vec<u8>> {
    let file = File::open(path)?;
    if !file.metadata()?.is_file() {
        bail!("it is not a regular file");
    }
    let mut bytes = Vec::new();
    file.take(Limits::FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
