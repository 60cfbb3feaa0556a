//! What the registry knows, and what each command makes of it: no HTTP, no disk, no clock.
//!
//! [`State::decide`] checks a command and answers with at most one [`Event`]; nothing has changed yet.
//! [`State::evolve`] takes that event in, now or when the journal is read again. Ids are given once and never used
//! again, so an id written in front of a record means the same schema for ever.

mod config;
mod delete;
mod read;
mod register;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::compatibility::Level;
use crate::error::Error;
pub(crate) use read::{Found, Scope};

/// A schema that another one uses, by the name it uses and the place where it is registered.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Reference {
    pub(crate) name: String,
    pub(crate) subject: String,
    pub(crate) version: u32,
}

/// Whether schemas may be registered and deleted, and who gives them their ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Mode {
    #[default]
    ReadWrite,
    ReadOnly,
    /// For all subjects, whatever mode they have of their own.
    #[serde(rename = "READONLY_OVERRIDE")]
    ReadOnlyOverride,
    /// Clients bring ids and versions along; nothing is compared.
    Import,
}

impl Mode {
    pub(crate) fn parse(text: &str) -> Result<Mode, Error> {
        match text.to_ascii_uppercase().as_str() {
            "READWRITE" => Ok(Mode::ReadWrite),
            "READONLY" => Ok(Mode::ReadOnly),
            "READONLY_OVERRIDE" => Ok(Mode::ReadOnlyOverride),
            "IMPORT" => Ok(Mode::Import),
            _ => Err(Error::InvalidMode { mode: text.to_owned() }),
        }
    }
}

/// A request to change something. A subject of `None` means the setting for all subjects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Command {
    Register {
        subject: String,
        schema: Submitted,
        chosen: Chosen,
    },
    DeleteSubject {
        subject: String,
        permanent: bool,
    },
    DeleteVersion {
        subject: String,
        version: VersionId,
        permanent: bool,
    },
    SetLevel {
        subject: Option<String>,
        level: Option<Level>,
    },
    /// `force`: to import beside what is there.
    SetMode {
        subject: Option<String>,
        mode: Option<Mode>,
        force: bool,
    },
}

/// The id and the version that a client wants its schema to have, if it says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Chosen {
    pub(crate) id: Option<u32>,
    pub(crate) version: Option<u32>,
}

/// A schema as a client sends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Submitted {
    pub(crate) text: String,
    pub(crate) references: Vec<Reference>,
}

/// A version as a client asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum VersionId {
    Latest,
    Number(u32),
}

impl VersionId {
    pub(crate) fn parse(text: &str) -> Result<VersionId, Error> {
        let invalid = || Error::InvalidVersion { version: text.to_owned() };
        match text {
            "latest" | "-1" => Ok(VersionId::Latest),
            _ => match text.parse::<i32>() {
                Ok(number) if number >= 1 => Ok(VersionId::Number(number.unsigned_abs())),
                _ => Err(invalid()),
            },
        }
    }
}

/// What has happened: one line of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Event {
    /// `schema` is given when the id is new; `replaces` are soft-deleted versions that go for good.
    Registered {
        subject: String,
        version: u32,
        id: u32,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        schema: Option<Schema>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        replaces: Vec<u32>,
    },
    SubjectDeleted {
        subject: String,
        permanent: bool,
    },
    VersionDeleted {
        subject: String,
        version: u32,
        permanent: bool,
    },
    LevelSet {
        subject: Option<String>,
        level: Option<Level>,
    },
    ModeSet {
        subject: Option<String>,
        mode: Option<Mode>,
    },
}

/// What a command is answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    Id(u32),
    Version(u32),
    Versions(Vec<u32>),
    Level(Level),
    Mode(Mode),
}

/// A registered schema: its identifying text and what it refers to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Schema {
    pub(crate) text: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) references: Vec<Reference>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) id: u32,
    pub(crate) deleted: bool,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Subject {
    versions: BTreeMap<u32, Version>,
}

/// All that the registry knows.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    schemas: BTreeMap<u32, Schema>,
    ids: BTreeMap<Schema, u32>,
    last_id: u32,
    subjects: BTreeMap<String, Subject>,
    level: Level,
    levels: BTreeMap<String, Level>,
    mode: Mode,
    modes: BTreeMap<String, Mode>,
}

impl State {
    /// What `command` would change and how it is answered. No event: nothing changes.
    ///
    /// # Errors
    /// Why the command is refused.
    pub(crate) fn decide(&self, command: Command) -> Result<(Answer, Option<Event>), Error> {
        match command {
            Command::Register { subject, schema, chosen } => self.decide_register(subject, schema, chosen),
            Command::DeleteSubject { subject, permanent } => self.decide_delete_subject(subject, permanent),
            Command::DeleteVersion { subject, version, permanent } => {
                self.decide_delete_version(subject, version, permanent)
            }
            Command::SetLevel { subject, level } => self.decide_level(subject, level),
            Command::SetMode { subject, mode, force } => self.decide_mode(subject, mode, force),
        }
    }

    /// Takes in what has been decided.
    ///
    /// # Errors
    /// The event does not fit this state, so it was not decided on it: the journal is damaged.
    pub(crate) fn evolve(&mut self, event: Event) -> Result<(), String> {
        match event {
            Event::Registered { subject, version, id, schema, replaces } => {
                self.evolve_registered(subject, version, (id, schema), &replaces)
            }
            Event::SubjectDeleted { subject, permanent } => self.evolve_subject_deleted(&subject, permanent),
            Event::VersionDeleted { subject, version, permanent } => {
                self.evolve_version_deleted(&subject, version, permanent)
            }
            Event::LevelSet { subject, level } => {
                self.evolve_level(subject, level);
                Ok(())
            }
            Event::ModeSet { subject, mode } => {
                self.evolve_mode(subject, mode);
                Ok(())
            }
        }
    }
}
