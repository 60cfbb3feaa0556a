//! Reads and checks the topology file.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use quadrille_topology::render::{self, Style};
use quadrille_topology::{Checked, Limits, Mesh, Severity, topology};

/// A topology that cannot be run. Not retryable.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("the topology {path} can't be read")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It has mistakes.
    #[error("the topology {path} has mistakes:\n\n{mistakes}")]
    Mistakes {
        /// The file.
        path: PathBuf,
        /// All of them, with their places.
        mistakes: String,
    },
}

/// A topology file, and what became of it.
pub struct Topology {
    /// The path as given.
    pub file: String,
    /// The text, for showing lines of it; what is not UTF-8 is replaced.
    pub text: String,
    /// Mesh and mistakes.
    pub checked: Checked,
}

/// Reads, compiles and checks the file at `path`. Schemas that it names are looked up from its folder.
///
/// # Errors
/// [`Error::File`]. A schema that can't be read is a mistake of the file.
pub fn read(path: &Path) -> Result<Topology, Error> {
    let bytes = read_bounded(path).map_err(|source| Error::File { path: path.to_owned(), source })?;
    let folder = path.parent().unwrap_or(Path::new("")).to_owned();
    let schema = move |name: &str| {
        let bytes = read_bounded(&folder.join(name)).map_err(|error| error.to_string())?;
        String::from_utf8(bytes).map_err(|_| "it is not UTF-8 text".to_owned())
    };
    let checked = topology(&bytes, &schema);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Ok(Topology { file: path.display().to_string(), text, checked })
}

/// The mesh in the file at `path`.
///
/// # Errors
/// [`Error`].
pub fn load(path: &Path) -> Result<Mesh, Error> {
    let Topology { file, text, checked } = read(path)?;
    let mistakes: Vec<String> = checked
        .diagnostics
        .iter()
        .filter(|diagnostic| diagnostic.severity == Severity::Error)
        .map(|diagnostic| render::diagnostic(diagnostic, &file, &text, Style::Plain))
        .collect();
    checked.mesh.ok_or_else(|| Error::Mistakes { path: path.to_owned(), mistakes: mistakes.join("\n") })
}

/// Reads a regular file, one byte more than the limit at most, so that it is seen to be too large.
fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(Limits::FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_shown_with_their_places() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.yaml");
        let missing = load(&path).unwrap_err().to_string();
        assert!(missing.contains("t.yaml can't be read"), "{missing}");
        std::fs::write(&path, "quadrille: 1\nmesh: shop\nversoin: 1\n").unwrap();
        let mistakes = load(&path).unwrap_err().to_string();
        assert!(mistakes.contains("t.yaml:3:1") && mistakes.contains("versoin"), "{mistakes}");
        let Err(Error::File { source, .. }) = load(folder.path()) else { panic!("a folder is no file") };
        assert_eq!(source.to_string(), "it is not a regular file");
    }
}
