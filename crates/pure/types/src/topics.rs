//! Names of the topics that belong to the mesh. Event topics have the names that the topology file gives them.
//!
//! | topic | key | value | partitions | cleanup |
//! | --- | --- | --- | --- | --- |
//! | `<mesh>.facts.<service>` | run ID | [`Fact`](crate::fact::Fact) | of the saga state | delete |
//! | `<mesh>.facts.ingest` | run ID | [`Fact`](crate::fact::Fact) | of the saga state | delete |
//! | `<mesh>.sagas.state` | run ID | saga state | of the saga state | compact |
//! | `<mesh>.sagas.journal` | run ID | [`Entry`](crate::journal::Entry) | of the saga state | delete |
//! | `<mesh>.sagas.outcomes` | correlation ID | Avro `quadrille.SagaOutcome` | of the saga state | delete |
//! | `<mesh>.sagas.unmatched` | run ID | [`Fact`](crate::fact::Fact), or the [`Entry`](crate::journal::Entry) of a run that was forgotten without its start; reason in a header | of the saga state | delete |
//! | `<mesh>.control.<step>` | that of the step's input | [`Command`](crate::command::Command) | of the step's input | delete |
//! | `<mesh>.ledger.<step>` | activation ID | a known activation | of the step's input | compact, delete |
//! | `<mesh>.dead.<step>` | unchanged | unchanged | of the step's input | delete |
//! | `<mesh>.definition` | the mesh | [`Change`](crate::definition::Change) | 1 | delete, after no time |
//!
//! [`upkeep`](crate::upkeep) says how long each is kept.

/// Names the topics, consumer groups and transactional IDs of one mesh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    mesh: String,
}

/// What a topic holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Facts on their way to the coordinator.
    Facts,
    /// Commands and moved records on their way to a step.
    Control,
    /// State of the coordinator.
    State,
    /// Activations that a step knows.
    Ledger,
    /// Dead letters.
    Dead,
    /// What the coordinator leaves for others to read: journal, outcomes, unmatched facts.
    Record,
    /// Definitions of the mesh.
    Definition,
    /// Events: the topic has its name from the topology file.
    Events,
}

/// The service name under which the coordinator's ingest lanes write facts.
pub const INGEST: &str = "ingest";

impl Names {
    /// Names for `mesh`, the prefix of them all.
    pub fn new(mesh: impl Into<String>) -> Self {
        Self { mesh: mesh.into() }
    }

    /// The mesh itself.
    pub fn mesh(&self) -> &str {
        &self.mesh
    }

    /// Facts of one service: it alone writes here.
    pub fn facts(&self, service: &str) -> String {
        format!("{}.facts.{service}", self.mesh)
    }

    /// Changelog of the coordinator's state.
    pub fn state(&self) -> String {
        format!("{}.sagas.state", self.mesh)
    }

    /// Everything that the coordinator applied.
    pub fn journal(&self) -> String {
        format!("{}.sagas.journal", self.mesh)
    }

    /// One event for each saga that ended.
    pub fn outcomes(&self) -> String {
        format!("{}.sagas.outcomes", self.mesh)
    }

    /// Facts that changed nothing, with the reason.
    pub fn unmatched(&self) -> String {
        format!("{}.sagas.unmatched", self.mesh)
    }

    /// Commands to one step, and records of its input that lay on a wrong partition.
    pub fn control(&self, step: &str) -> String {
        format!("{}.control.{step}", self.mesh)
    }

    /// Activations that one step knows.
    pub fn ledger(&self, step: &str) -> String {
        format!("{}.ledger.{step}", self.mesh)
    }

    /// Dead-letter topic of one step.
    pub fn dead(&self, step: &str) -> String {
        format!("{}.dead.{step}", self.mesh)
    }

    /// Definitions of the mesh, in the order in which they became active.
    pub fn definition(&self) -> String {
        format!("{}.definition", self.mesh)
    }

    /// What `topic` holds, as its name says.
    pub fn kind(&self, topic: &str) -> Kind {
        let own = topic.strip_prefix(&self.mesh).and_then(|rest| rest.strip_prefix('.'));
        match own.unwrap_or_default().split_once('.') {
            Some(("facts", _)) => Kind::Facts,
            Some(("control", _)) => Kind::Control,
            Some(("ledger", _)) => Kind::Ledger,
            Some(("dead", _)) => Kind::Dead,
            Some(("sagas", "state")) => Kind::State,
            Some(("sagas", "journal" | "outcomes" | "unmatched")) => Kind::Record,
            _ if own == Some("definition") => Kind::Definition,
            _ => Kind::Events,
        }
    }

    /// Consumer group of one service.
    pub fn group(&self, service: &str) -> String {
        format!("{}.{service}", self.mesh)
    }

    /// Transactional ID of lane `lane` of an instance of `group`, and its static member ID: stable over restarts of the same
    /// instance, so that a restart ends what a crash left open.
    pub fn lane(group: &str, instance: &str, lane: usize) -> String {
        format!("{group}.{instance}.{lane}")
    }
}
