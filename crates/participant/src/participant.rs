//! A participant behind its fence.

use std::sync::Arc;

use quadrille_fence::{Action, Answer, Error, Fence, Reply};
use quadrille_sdk::Context;
use rusqlite::Transaction;

use crate::decision::{Decision, Failure};

/// One call of the mesh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// What is done or undone.
    pub activation: String,
    /// Do or undo.
    pub action: Action,
    /// The call's idempotency key.
    pub key: String,
    /// Identity of the saga.
    pub correlation_id: String,
}

impl From<&Context> for Call {
    fn from(context: &Context) -> Self {
        Self {
            activation: context.activation().to_string(),
            action: match context.action() {
                quadrille_sdk::Action::Do => Action::Do,
                quadrille_sdk::Action::Undo => Action::Undo,
            },
            key: context.idempotency_key(),
            correlation_id: context.correlation_id().to_owned(),
        }
    }
}

/// A participant with its store. A clone is cheap.
#[derive(Clone, Debug)]
pub struct Participant(Arc<Fence>);

impl Participant {
    pub(crate) fn new(fence: Fence) -> Self {
        Self(Arc::new(fence))
    }

    /// Has the effect of a do, once. `work` writes the participant's rows through the transaction that it gets; they are
    /// kept if and only if its decision is.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn perform<W>(&self, call: Call, work: W) -> Result<Decision, Failure>
    where
        W: FnOnce(&Transaction<'_>, &Call) -> Result<Decision, Failure> + Send + 'static,
    {
        expect(&call, Action::Do)?;
        self.call(call, None, work).await
    }

    /// Compensates the effect of a do, once. `nothing` is decided where there was no effect, and then never will be.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn compensate<W>(&self, call: Call, nothing: Decision, work: W) -> Result<Decision, Failure>
    where
        W: FnOnce(&Transaction<'_>, &Call) -> Result<Decision, Failure> + Send + 'static,
    {
        expect(&call, Action::Undo)?;
        self.call(call, Some(nothing), work).await
    }

    /// Uses the participant's own tables on a thread that may wait, outside of any call.
    ///
    /// # Errors
    /// [`Failure::Store`].
    pub async fn store<T, Q>(&self, query: Q) -> Result<T, Failure>
    where
        T: Send + 'static,
        Q: FnOnce(&rusqlite::Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let fence = Arc::clone(&self.0);
        blocking(move || Ok(fence.read(query)?)).await
    }

    async fn call<W>(&self, call: Call, nothing: Option<Decision>, work: W) -> Result<Decision, Failure>
    where
        W: FnOnce(&Transaction<'_>, &Call) -> Result<Decision, Failure> + Send + 'static,
    {
        let fence = Arc::clone(&self.0);
        let answer = blocking(move || {
            let fenced = quadrille_fence::Call {
                activation: &call.activation,
                action: call.action,
                key: &call.key,
                correlation_id: &call.correlation_id,
            };
            let handler = |tx: &Transaction<'_>| work(tx, &call).map(|decision| stored(&decision));
            fence.call(fenced, handler).map_err(failure)
        });
        match answer.await? {
            Answer::Ran(reply) | Answer::Repeated(reply) => serde_json::from_slice(&reply.body)
                .map_err(|e| Failure::Store(format!("the stored answer cannot be read: {e}"))),
            Answer::Refused(_) => Err(Failure::Refused),
            Answer::NothingToUndo => nothing.ok_or(Failure::Refused),
        }
    }
}

fn expect(call: &Call, action: Action) -> Result<(), Failure> {
    if call.action == action {
        return Ok(());
    }
    Err(Failure::BadCall(format!("this is for a {action}, and the call is an {}", call.action)))
}

fn stored(decision: &Decision) -> Reply {
    let body = serde_json::to_vec(decision).expect("a decision is made of JSON");
    if decision.applied { Reply::applied(body) } else { Reply::rejected(body) }
}

fn failure(error: Error<Failure>) -> Failure {
    match error {
        Error::Handler(failure) => failure,
        Error::KeyChanged { .. } => Failure::BadCall(error.to_string()),
        Error::Busy { .. } | Error::Store { .. } => Failure::Store(error.to_string()),
    }
}

/// SQLite waits for its file: not on a thread that drives others.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|e| Err(Failure::Store(e.to_string())))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::store::{Flush, StoreOptions};

    pub(crate) fn participant(folder: &std::path::Path) -> Participant {
        let options = StoreOptions { stores: folder.to_owned(), flush: Flush::Os };
        options.open("library", "CREATE TABLE IF NOT EXISTS loans (id TEXT PRIMARY KEY)").unwrap()
    }

    fn call(action: Action) -> Call {
        Call { activation: "a".into(), action, key: format!("a/{action}"), correlation_id: "1".into() }
    }

    fn lend(tx: &Transaction<'_>, call: &Call) -> Result<Decision, Failure> {
        tx.execute("INSERT INTO loans (id) VALUES (?)", [&call.activation])?;
        Ok(Decision::done("BookLent", &call.activation))
    }

    fn take_back(tx: &Transaction<'_>, call: &Call) -> Result<Decision, Failure> {
        tx.execute("DELETE FROM loans WHERE id = ?", [&call.activation])?;
        Ok(Decision::done("BookReturned", &true))
    }

    #[tokio::test]
    async fn a_repeated_call_has_one_effect_and_one_answer() {
        let folder = tempfile::tempdir().unwrap();
        let library = participant(folder.path());
        for _ in 0..2 {
            assert_eq!(
                library.perform(call(Action::Do), lend).await.unwrap(),
                Decision::done("BookLent", &"a")
            );
        }
        let nothing = || Decision::done("BookReturned", &false);
        let undone = library.compensate(call(Action::Undo), nothing(), take_back).await.unwrap();
        assert_eq!(undone, Decision::done("BookReturned", &true));
        assert!(matches!(library.perform(call(Action::Do), lend).await, Err(Failure::Refused)));
        let loans =
            library.store(|c| c.query_row("SELECT count(*) FROM loans", [], |row| row.get::<_, i64>(0)));
        assert_eq!(loans.await.unwrap(), 0);
    }

    #[tokio::test]
    async fn an_undo_that_comes_first_leaves_nothing_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let library = participant(folder.path());
        let nothing = Decision::done("BookReturned", &false);
        assert_eq!(
            library.compensate(call(Action::Undo), nothing.clone(), take_back).await.unwrap(),
            nothing
        );
        assert!(matches!(library.perform(call(Action::Do), lend).await, Err(Failure::Refused)));
        assert!(matches!(library.perform(call(Action::Undo), lend).await, Err(Failure::BadCall(_))));
    }

    #[tokio::test]
    async fn a_failure_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let library = participant(folder.path());
        let failing = |tx: &Transaction<'_>, call: &Call| {
            lend(tx, call)?;
            Err(Failure::Store("the roof leaks".into()))
        };
        assert!(matches!(library.perform(call(Action::Do), failing).await, Err(Failure::Store(_))));
        assert!(library.perform(call(Action::Do), lend).await.unwrap().applied);
    }
}
