//! Runs the binary and compares with files that are checked in.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).expect("services/quadrille is two folders deep").to_owned()
}

/// Runs `quadrille` in the root of the repository.
pub(crate) fn quadrille(args: &[&str]) -> Output {
    let binary = env!("CARGO_BIN_EXE_quadrille");
    Command::new(binary).args(args).current_dir(root()).output().expect("the binary under test starts")
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("output is UTF-8")
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("output is UTF-8")
}

/// Compares with a file that is checked in; `UPDATE_GOLDEN=1` writes it anew, to be read before it is committed.
pub(crate) fn assert_golden(path: &Path, actual: &str) {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, actual).expect("the expected output can be written");
        return;
    }
    let expected = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(expected, actual, "{} differs; UPDATE_GOLDEN=1 writes it anew", path.display());
}
