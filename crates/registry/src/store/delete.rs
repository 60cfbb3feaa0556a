//! Deleting, softly first: a soft-deleted version is no longer listed, yet its id still decodes old records.

use std::collections::BTreeSet;

use super::{Answer, Event, Scope, State, VersionId};
use crate::error::Error;

type Decision = Result<(Answer, Option<Event>), Error>;

impl State {
    pub(super) fn decide_delete_subject(&self, subject: String, permanent: bool) -> Decision {
        let known = self.subjects.get(&subject).ok_or_else(|| Error::subject_not_found(&subject))?;
        let gone = known.versions.values().all(|version| version.deleted);
        if gone && !permanent {
            return Err(Error::SubjectSoftDeleted { subject });
        }
        self.check_open(Some(&subject))?;
        let of_interest = known.versions.iter().filter(|(_, version)| permanent || !version.deleted);
        let versions: Vec<u32> = of_interest.map(|(number, _)| *number).collect();
        for version in &versions {
            // What goes along does not hold it back.
            self.check_unreferenced(&subject, *version, permanent, |referrer| referrer != subject)?;
        }
        if permanent && !gone {
            return Err(Error::SubjectNotSoftDeleted { subject });
        }
        Ok((Answer::Versions(versions), Some(Event::SubjectDeleted { subject, permanent })))
    }

    pub(super) fn decide_delete_version(
        &self,
        subject: String,
        version: VersionId,
        permanent: bool,
    ) -> Decision {
        if !self.subjects.contains_key(&subject) {
            return Err(Error::subject_not_found(&subject));
        }
        let (number, version) = match version {
            VersionId::Latest => self.latest(&subject, true)?,
            VersionId::Number(number) => (number, self.version(&subject, number, true)?),
        };
        if version.deleted && !permanent {
            return Err(Error::VersionSoftDeleted { subject, version: number });
        }
        self.check_open(Some(&subject))?;
        self.check_unreferenced(&subject, number, permanent, |_| true)?;
        if permanent && !version.deleted {
            return Err(Error::VersionNotSoftDeleted { subject, version: number });
        }
        let event = Event::VersionDeleted { subject, version: number, permanent };
        Ok((Answer::Version(number), Some(event)))
    }

    pub(super) fn evolve_subject_deleted(&mut self, subject: &str, permanent: bool) -> Result<(), String> {
        let Some(known) = self.subjects.get_mut(subject) else {
            return Err(format!("subject '{subject}' is deleted but unknown"));
        };
        self.levels.remove(subject);
        self.modes.remove(subject);
        if permanent {
            self.subjects.remove(subject);
            self.forget_unused();
        } else {
            known.versions.values_mut().for_each(|version| version.deleted = true);
        }
        Ok(())
    }

    pub(super) fn evolve_version_deleted(
        &mut self,
        subject: &str,
        number: u32,
        permanent: bool,
    ) -> Result<(), String> {
        let known = self.subjects.get_mut(subject);
        let Some((known, version)) = known.and_then(|s| s.versions.get(&number).copied().map(|v| (s, v)))
        else {
            return Err(format!("version {number} of subject '{subject}' is deleted but unknown"));
        };
        if !permanent {
            known.versions.insert(number, super::Version { deleted: true, ..version });
            return Ok(());
        }
        known.versions.remove(&number);
        if known.versions.is_empty() {
            self.subjects.remove(subject);
            self.levels.remove(subject);
            self.modes.remove(subject);
        }
        self.forget_unused();
        Ok(())
    }

    /// Schemas that no version has any more can't be asked for by id; their ids stay used.
    pub(super) fn forget_unused(&mut self) {
        let versions = self.subjects.values().flat_map(|subject| subject.versions.values());
        let used: BTreeSet<u32> = versions.map(|version| version.id).collect();
        self.schemas.retain(|id, _| used.contains(id));
        self.ids.retain(|_, id| used.contains(id));
        // An imported schema may have several ids.
        for (id, schema) in &self.schemas {
            if !self.ids.contains_key(schema) {
                self.ids.insert(schema.clone(), *id);
            }
        }
    }

    /// For good, soft-deleted schemas that refer to it count too: they may be asked for by id.
    fn check_unreferenced(
        &self,
        subject: &str,
        version: u32,
        permanent: bool,
        counts: impl Fn(&str) -> bool,
    ) -> Result<(), Error> {
        let scope = if permanent { Scope::All } else { Scope::Live };
        match self.referrers(subject, version, scope).any(|(referrer, _)| counts(referrer)) {
            true => Err(Error::Referenced { subject: subject.to_owned(), version }),
            false => Ok(()),
        }
    }
}
