//! Compatibility levels and modes: one for all subjects, and one for each subject that has its own.

use super::{Answer, Event, Mode, Scope, State};
use crate::compatibility::Level;
use crate::error::Error;

type Decision = Result<(Answer, Option<Event>), Error>;

impl State {
    /// Setting answers with the new level, removing with the level that was in force.
    pub(super) fn decide_level(&self, subject: Option<String>, level: Option<Level>) -> Decision {
        check_setting(subject.as_deref())?;
        self.check_open(subject.as_deref())?;
        if let Some(level) = level {
            return Ok((Answer::Level(level), Some(Event::LevelSet { subject, level: Some(level) })));
        }
        let before = match &subject {
            None => self.level,
            Some(name) => *self.levels.get(name).ok_or_else(|| Error::subject_not_found(name))?,
        };
        Ok((Answer::Level(before), Some(Event::LevelSet { subject, level: None })))
    }

    pub(super) fn decide_mode(&self, subject: Option<String>, mode: Option<Mode>, force: bool) -> Decision {
        check_setting(subject.as_deref())?;
        if mode == Some(Mode::Import) && !force && self.mode_in(subject.as_deref()) != Mode::Import {
            let taken = match &subject {
                Some(name) => self.latest(name, false).is_ok(),
                None => !self.subjects(Scope::Live, "").is_empty(),
            };
            if taken {
                return Err(Error::NotPermitted {
                    reason: "Cannot import since found existing subjects".into(),
                });
            }
        }
        if let Some(mode) = mode {
            return Ok((Answer::Mode(mode), Some(Event::ModeSet { subject, mode: Some(mode) })));
        }
        let before = match &subject {
            None => self.mode,
            Some(name) => *self.modes.get(name).ok_or_else(|| Error::subject_not_found(name))?,
        };
        Ok((Answer::Mode(before), Some(Event::ModeSet { subject, mode: None })))
    }

    pub(super) fn evolve_level(&mut self, subject: Option<String>, level: Option<Level>) {
        match (subject, level) {
            (None, level) => self.level = level.unwrap_or_default(),
            (Some(subject), Some(level)) => drop(self.levels.insert(subject, level)),
            (Some(subject), None) => drop(self.levels.remove(&subject)),
        }
    }

    pub(super) fn evolve_mode(&mut self, subject: Option<String>, mode: Option<Mode>) {
        match (subject, mode) {
            (None, mode) => self.mode = mode.unwrap_or_default(),
            (Some(subject), Some(mode)) => drop(self.modes.insert(subject, mode)),
            (Some(subject), None) => drop(self.modes.remove(&subject)),
        }
    }

    /// The level for all subjects that have none of their own.
    pub(crate) fn level(&self) -> Level {
        self.level
    }

    /// A subject's own level.
    pub(crate) fn own_level(&self, subject: &str) -> Result<Level, Error> {
        let own = self.levels.get(subject).copied();
        own.ok_or_else(|| Error::NoSubjectCompatibility { subject: subject.to_owned() })
    }

    /// The level in force for a subject.
    pub(crate) fn level_of(&self, subject: &str) -> Level {
        self.levels.get(subject).copied().unwrap_or(self.level)
    }

    pub(crate) fn mode(&self) -> Mode {
        self.mode
    }

    pub(crate) fn own_mode(&self, subject: &str) -> Result<Mode, Error> {
        let own = self.modes.get(subject).copied();
        own.ok_or_else(|| Error::NoSubjectMode { subject: subject.to_owned() })
    }

    pub(crate) fn mode_of(&self, subject: &str) -> Mode {
        match self.mode {
            Mode::ReadOnlyOverride => Mode::ReadOnlyOverride,
            global => self.modes.get(subject).copied().unwrap_or(global),
        }
    }

    fn mode_in(&self, subject: Option<&str>) -> Mode {
        subject.map_or(self.mode, |subject| self.mode_of(subject))
    }

    /// Refuses what would change a subject, or the settings of all, while it may only be read.
    pub(super) fn check_open(&self, subject: Option<&str>) -> Result<(), Error> {
        match self.mode_in(subject) {
            Mode::ReadWrite | Mode::Import => Ok(()),
            Mode::ReadOnly | Mode::ReadOnlyOverride => {
                let whose = subject.map_or("The registry".to_owned(), |subject| format!("Subject {subject}"));
                Err(Error::NotPermitted { reason: format!("{whose} is in read-only mode") })
            }
        }
    }
}

fn check_setting(subject: Option<&str>) -> Result<(), Error> {
    subject.map_or(Ok(()), super::register::check_subject)
}
