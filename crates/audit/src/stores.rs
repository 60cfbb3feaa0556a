//! What the participants recorded: their logs of effects, one SQLite file each.
//!
//! A participant keeps a table `effects(seq, participant, activation, correlation_id, action, applied, at_ms, pid)` and
//! appends one line in the transaction of each effect. Several participants may share a file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Row};

use crate::evidence::{Action, Effect};

/// A store that cannot be read. Retryable where the cause is.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the store {path} of {participant}: {source}")]
pub struct Error {
    /// The participant.
    pub participant: String,
    /// Its file.
    pub path: PathBuf,
    /// Why.
    pub source: rusqlite::Error,
}

/// Where the stores are.
#[derive(Clone, Debug, Default)]
pub struct Stores {
    /// Folder with `<participant>.db` of each participant.
    pub folder: PathBuf,
    /// Files of those participants whose store lies elsewhere.
    pub files: BTreeMap<String, PathBuf>,
}

impl Stores {
    /// The file of `participant`.
    pub fn file(&self, participant: &str) -> PathBuf {
        self.files.get(participant).cloned().unwrap_or_else(|| self.folder.join(format!("{participant}.db")))
    }

    /// All lines of all stores; a file that several participants share is read once.
    pub fn read(&self, participants: &[String]) -> Result<Vec<Effect>, Error> {
        let mut files = BTreeSet::new();
        let mut effects = Vec::new();
        for participant in participants {
            let path = self.file(participant);
            if files.insert(path.clone()) {
                let failed = |source| Error { participant: participant.clone(), path: path.clone(), source };
                effects.extend(read(&path).map_err(failed)?);
            }
        }
        Ok(effects)
    }
}

fn read(path: &Path) -> rusqlite::Result<Vec<Effect>> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    connection
        .prepare(
            "SELECT seq, participant, activation, correlation_id, action, applied, at_ms, pid
             FROM effects ORDER BY seq",
        )?
        .query_map([], effect)?
        .collect()
}

fn effect(row: &Row<'_>) -> rusqlite::Result<Effect> {
    let action = match row.get::<_, String>("action")?.as_str() {
        "do" => Action::Do,
        "undo" => Action::Undo,
        other => {
            let cause = format!("{other:?} is no action");
            return Err(rusqlite::Error::FromSqlConversionFailure(
                4,
                rusqlite::types::Type::Text,
                cause.into(),
            ));
        }
    };
    Ok(Effect {
        seq: row.get("seq")?,
        participant: row.get("participant")?,
        activation: row.get("activation")?,
        identity: row.get("correlation_id")?,
        action,
        applied: row.get("applied")?,
        at_ms: row.get("at_ms")?,
        pid: row.get("pid")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    const TABLE: &str = "CREATE TABLE effects (seq INTEGER PRIMARY KEY, participant TEXT, activation TEXT,
        correlation_id TEXT, action TEXT, applied INTEGER, at_ms INTEGER, pid INTEGER)";

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn lines_are_read_in_their_order_and_a_shared_file_once() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("both.db");
        let store = Connection::open(&path).unwrap();
        store.execute_batch(TABLE).unwrap();
        store
            .execute_batch(
                "INSERT INTO effects VALUES (2, 'b', 'x2', '4711', 'undo', 0, 5, 9);
                 INSERT INTO effects VALUES (1, 'a', 'x1', '4711', 'do', 1, 4, 8);",
            )
            .unwrap();
        let files = [("a".to_owned(), path.clone()), ("b".to_owned(), path)].into();
        let effects = Stores { files, ..Stores::default() }.read(&names(&["a", "b"])).unwrap();
        let brief: Vec<_> =
            effects.iter().map(|e| (e.seq, e.participant.as_str(), e.action, e.applied)).collect();
        assert_eq!(brief, [(1, "a", Action::Do, true), (2, "b", Action::Undo, false)]);
    }

    #[test]
    fn a_store_that_is_missing_or_holds_nonsense_is_an_error() {
        let folder = TempDir::new().unwrap();
        let stores = Stores { folder: folder.path().to_owned(), ..Stores::default() };
        let error = stores.read(&names(&["payment"])).unwrap_err().to_string();
        assert!(error.contains("payment.db of payment"), "{error}");

        let store = Connection::open(stores.file("payment")).unwrap();
        store.execute_batch(TABLE).unwrap();
        store.execute_batch("INSERT INTO effects VALUES (1, 'payment', 'x', 'o', 'redo', 1, 0, 0)").unwrap();
        assert!(stores.read(&names(&["payment"])).is_err());
    }
}
