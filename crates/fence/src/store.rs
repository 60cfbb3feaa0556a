//! The file: its tables and its settings.
//!
//! `fence`, one row for each call that was answered:
//!
//! | column | is |
//! | --- | --- |
//! | `activation`, `action` | primary key |
//! | `key` | idempotency key of the call |
//! | `ran` | 1: the handler gave the reply; 0: an `undo` with nothing to undo |
//! | `applied` | 1: the effect is there |
//! | `reply` | bytes of the reply |
//!
//! `effects`, a log that is only appended to, for whoever checks the books. It has no unique constraint on purpose: an
//! effect that is applied twice must show as two rows.
//!
//! | column | is |
//! | --- | --- |
//! | `seq` | order of the transactions in this file |
//! | `participant`, `activation`, `correlation_id`, `action` | whose effect it is, `do` or `undo` |
//! | `applied` | 1: the effect was applied; 0: the call was rejected, or there was nothing to undo |
//! | `at_ms` | clock of the process just before it ended the transaction, in ms since 1970 |
//! | `pid` | the process |

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode};

/// What an acknowledged call survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Power loss: each call waits for the disk (`synchronous=FULL`).
    #[default]
    Full,
    /// The end of the process, not of the machine (`synchronous=NORMAL`): for tests and demonstrations.
    Process,
}

/// Settings of a fence.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// What an acknowledged call survives.
    pub durability: Durability,
    /// How long a call waits for those of other processes before it fails as busy.
    pub busy_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { durability: Durability::Full, busy_timeout: Duration::from_secs(5) }
    }
}

const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS fence (
        activation TEXT NOT NULL,
        action TEXT NOT NULL CHECK (action IN ('do', 'undo')),
        key TEXT NOT NULL,
        ran INTEGER NOT NULL,
        applied INTEGER NOT NULL,
        reply BLOB NOT NULL,
        PRIMARY KEY (activation, action)
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS effects (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        participant TEXT NOT NULL,
        activation TEXT NOT NULL,
        correlation_id TEXT NOT NULL,
        action TEXT NOT NULL,
        applied INTEGER NOT NULL,
        at_ms INTEGER NOT NULL,
        pid INTEGER NOT NULL
    );";

/// Opens the file, and makes it and its tables where they are missing. `schema` is the participant's own DDL, which has
/// to be repeatable (`CREATE TABLE IF NOT EXISTS …`).
pub(crate) fn open(path: &Path, options: Options, schema: &str) -> rusqlite::Result<Connection> {
    let give_up = Instant::now() + options.busy_timeout;
    loop {
        match prepare(path, options, schema) {
            // The change to a write-ahead log does not wait for other processes that make it at the same time.
            Err(error) if is_busy(&error) && Instant::now() < give_up => {
                thread::sleep(Duration::from_millis(5))
            }
            result => return result,
        }
    }
}

fn prepare(path: &Path, options: Options, schema: &str) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(options.busy_timeout)?;
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    let synchronous = match options.durability {
        Durability::Full => "FULL",
        Durability::Process => "NORMAL",
    };
    connection.pragma_update(None, "synchronous", synchronous)?;
    connection.execute_batch(&format!("BEGIN IMMEDIATE; {TABLES} {schema} ; COMMIT;"))?;
    Ok(connection)
}

/// Whether another process holds the file: trying again helps.
pub(crate) fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}
