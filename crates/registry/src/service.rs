//! Store and journal together: decide, write down, take in, answer.

use std::path::Path;
use std::sync::{Mutex, PoisonError, RwLock};

use tokio::sync::Semaphore;

use crate::error::Error;
use crate::journal::{Journal, JournalError};
use crate::store::{Answer, Command, State};

/// The registry without its network. Readers are never held up by a flush.
#[derive(Debug)]
pub(crate) struct Service {
    /// Held from deciding until taking in, so that the state a decision is made on is the one it changes.
    /// `None` once the registry has stopped.
    journal: Mutex<Option<Journal>>,
    state: RwLock<State>,
    /// Places for work that parses schemas: a large one takes some hundred times its text's memory.
    pub(crate) places: Semaphore,
}

/// Requests that parse at the same time; others wait.
const PLACES: usize = 4;

impl Service {
    pub(crate) fn open(data: &Path) -> Result<Service, JournalError> {
        let (journal, state) = Journal::open(data)?;
        Ok(Service {
            journal: Mutex::new(Some(journal)),
            state: RwLock::new(state),
            places: Semaphore::new(PLACES),
        })
    }

    /// Runs `query` on the present state. Blocks while a change is taken in (microseconds).
    pub(crate) fn read<T>(&self, query: impl FnOnce(&State) -> T) -> T {
        // A panic under the lock leaves the state whole: it is changed only by `evolve`, after the flush.
        query(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Runs `command`; when this returns, what it changed survives a crash. Blocks on the device.
    pub(crate) fn run(&self, command: Command) -> Result<Answer, Error> {
        let mut journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        let stopped = || Error::Storage { reason: "the registry has stopped".to_owned() };
        let journal = journal.as_mut().ok_or_else(stopped)?;
        let (answer, event) = self.read(|state| state.decide(command))?;
        if let Some(event) = event {
            journal.append(&event).map_err(|e| Error::Storage { reason: e.to_string() })?;
            let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
            state.evolve(event).map_err(|reason| Error::Storage { reason })?;
        }
        Ok(answer)
    }

    /// Closes the file, so that another registry may open it, whatever connections are still open.
    pub(crate) fn close(&self) {
        drop(self.journal.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}
