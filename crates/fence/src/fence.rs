//! One call, one transaction.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use crate::call::{Action, Answer, Call, Reply};
use crate::store::{self, Options};

/// A call that got no answer: nothing of it is in the file, and the same call may be made again.
#[derive(Debug, thiserror::Error)]
pub enum Error<E> {
    /// Another process holds the file for longer than the busy timeout. Retryable.
    #[error("{activation}/{action}: another process holds the participant's file")]
    Busy {
        /// The activation.
        activation: String,
        /// The action.
        action: Action,
    },
    /// The file cannot be read or written. Retryable only where the cause is (a full disk).
    #[error("{activation}/{action}: the participant's file failed: {source}")]
    Store {
        /// The activation.
        activation: String,
        /// The action.
        action: Action,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// The same activation and action came before under another idempotency key: the caller is confused. Not retryable.
    #[error("{activation}/{action} was answered under the key {stored:?} and now comes under {given:?}")]
    KeyChanged {
        /// The activation.
        activation: String,
        /// The action.
        action: Action,
        /// Key of the call that was answered.
        stored: String,
        /// Key of this call.
        given: String,
    },
    /// The handler failed; what it had written is rolled back. Its error says whether it is retryable.
    #[error("the handler failed")]
    Handler(#[source] E),
}

/// The fence of one participant. Blocking: call it from a thread that may wait (`spawn_blocking` under tokio).
///
/// Calls through one `Fence` are made one after the other, as are those of all processes that share the file.
#[derive(Debug)]
pub struct Fence {
    participant: String,
    connection: Mutex<Connection>,
}

impl Fence {
    /// Opens the participant's file and makes it where it is missing. `schema` is the DDL of the participant's own
    /// tables; it has to be repeatable.
    pub fn open(
        path: impl AsRef<Path>,
        participant: impl Into<String>,
        schema: &str,
        options: Options,
    ) -> rusqlite::Result<Self> {
        let connection = store::open(path.as_ref(), options, schema)?;
        Ok(Self { participant: participant.into(), connection: Mutex::new(connection) })
    }

    /// Answers `call`, with `handler` where it has to run (see the crate's table). The handler makes its changes
    /// through the transaction that it gets; they are kept if and only if the answer is. It must not end that
    /// transaction. Where it fails or panics, nothing is kept.
    ///
    /// After a crash anywhere in here the file holds either all of the call or nothing of it.
    pub fn call<E>(
        &self,
        call: Call<'_>,
        handler: impl FnOnce(&Transaction<'_>) -> Result<Reply, E>,
    ) -> Result<Answer, Error<E>> {
        // A handler that panicked has rolled back when its transaction was dropped: the connection is sound.
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = |source| sqlite(call, source);
        let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        if let Some(answer) = known(&tx, call)? {
            return Ok(answer);
        }
        let nothing_to_undo =
            call.action == Action::Undo && !has_effect(&tx, call.activation).map_err(failed)?;
        let answer = if nothing_to_undo {
            self.record(&tx, call, None).map_err(failed)?;
            Answer::NothingToUndo
        } else {
            let reply = handler(&tx).map_err(Error::Handler)?;
            self.record(&tx, call, Some(&reply)).map_err(failed)?;
            Answer::Ran(reply)
        };
        tx.commit().map_err(failed)?;
        Ok(answer)
    }

    /// Reads the participant's own tables, outside of any call.
    pub fn read<T>(&self, query: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> rusqlite::Result<T> {
        query(&self.connection.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Writes the answer and the line in the log of effects; no reply: there was nothing to undo.
    fn record(&self, tx: &Transaction<'_>, call: Call<'_>, reply: Option<&Reply>) -> rusqlite::Result<()> {
        let applied = reply.is_some_and(|reply| reply.applied);
        let body = reply.map_or(&[][..], |reply| &reply.body);
        tx.prepare_cached(
            "INSERT INTO fence (activation, action, key, ran, applied, reply) VALUES (?, ?, ?, ?, ?, ?)",
        )?
        .execute(params![
            call.activation,
            call.action.as_str(),
            call.key,
            reply.is_some(),
            applied,
            body
        ])?;
        tx.prepare_cached(
            "INSERT INTO effects (participant, activation, correlation_id, action, applied, at_ms, pid)
             VALUES (?, ?, ?, ?, ?, ?, ?)",
        )?
        .execute(params![
            self.participant,
            call.activation,
            call.correlation_id,
            call.action.as_str(),
            applied,
            now_ms(),
            std::process::id(),
        ])?;
        Ok(())
    }
}

/// One row of the table.
struct Row {
    key: String,
    ran: bool,
    reply: Reply,
}

/// The answer that the file already has for `call`.
fn known<E>(tx: &Transaction<'_>, call: Call<'_>) -> Result<Option<Answer>, Error<E>> {
    let failed = |source| sqlite(call, source);
    let same = row(tx, call.activation, call.action).map_err(failed)?;
    if let Some(same) = &same
        && same.key != call.key
    {
        return Err(Error::KeyChanged {
            activation: call.activation.to_owned(),
            action: call.action,
            stored: same.key.clone(),
            given: call.key.to_owned(),
        });
    }
    if call.action == Action::Do
        && let Some(undo) = row(tx, call.activation, Action::Undo).map_err(failed)?
    {
        return Ok(Some(Answer::Refused(undo.reply)));
    }
    Ok(same.map(|same| if same.ran { Answer::Repeated(same.reply) } else { Answer::NothingToUndo }))
}

fn has_effect(tx: &Transaction<'_>, activation: &str) -> rusqlite::Result<bool> {
    Ok(row(tx, activation, Action::Do)?.is_some_and(|row| row.reply.applied))
}

fn row(tx: &Transaction<'_>, activation: &str, action: Action) -> rusqlite::Result<Option<Row>> {
    tx.prepare_cached("SELECT key, ran, applied, reply FROM fence WHERE activation = ? AND action = ?")?
        .query_row(params![activation, action.as_str()], |row| {
            Ok(Row {
                key: row.get(0)?,
                ran: row.get(1)?,
                reply: Reply { applied: row.get(2)?, body: row.get(3)? },
            })
        })
        .optional()
}

fn sqlite<E>(call: Call<'_>, source: rusqlite::Error) -> Error<E> {
    let (activation, action) = (call.activation.to_owned(), call.action);
    if store::is_busy(&source) {
        Error::Busy { activation, action }
    } else {
        Error::Store { activation, action, source }
    }
}

fn now_ms() -> i64 {
    // A clock before 1970 is no reason to refuse a call: the time is only for the audit.
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}
