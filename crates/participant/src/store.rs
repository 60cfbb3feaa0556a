//! Where a participant keeps its store.

use std::path::PathBuf;

use quadrille_fence::{Durability, Fence, Options};

use crate::decision::Failure;
use crate::participant::Participant;

/// What an answered call survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Flush {
    /// Power loss: each call waits for the disk.
    #[default]
    Commit,
    /// The end of the process, not of the machine: for tests and demonstrations.
    Os,
}

/// Flags and environment of a participant's store.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Store")]
pub struct StoreOptions {
    /// Folder of the SQLite files, one for each participant: NAME.db
    #[arg(long, env = "QUADRILLE_STORES", value_name = "DIR")]
    pub stores: PathBuf,
    /// When an answer is safe: once the disk has it, or once the operating system has it
    #[arg(long, env = "QUADRILLE_STORES_FLUSH", value_enum, default_value_t)]
    pub flush: Flush,
}

impl StoreOptions {
    /// Opens the store of `participant` and makes it where it is missing. `schema` is the DDL of its own tables; it has
    /// to be repeatable.
    ///
    /// # Errors
    /// [`Failure::Store`].
    pub fn open(&self, participant: &str, schema: &str) -> Result<Participant, Failure> {
        let failed = |reason: String| Failure::Store(format!("{}: {reason}", self.stores.display()));
        std::fs::create_dir_all(&self.stores).map_err(|e| failed(e.to_string()))?;
        let durability = match self.flush {
            Flush::Commit => Durability::Full,
            Flush::Os => Durability::Process,
        };
        let path = self.stores.join(format!("{participant}.db"));
        let fence = Fence::open(path, participant, schema, Options { durability, ..Options::default() });
        fence.map(Participant::new).map_err(|e| failed(e.to_string()))
    }
}
