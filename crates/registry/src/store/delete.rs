//! Deleting, softly first: a soft-deleted version is no longer listed, yet its id still decodes old records.

use super::{Answer, Event, State, VersionId};
use crate::error::Error;

type Decision = Result<(Answer, Option<Event>), Error>;

impl State {
    pub(super) fn decide_delete_subject(&self, subject: String, permanent: bool) -> Decision {
        let known = self.subjects.get(&subject).ok_or_else(|| Error::subject_not_found(&subject))?;
        self.check_writable(&subject)?;
        let gone = known.versions.values().all(|version| version.deleted);
        match (permanent, gone) {
            (false, true) => return Err(Error::SubjectSoftDeleted { subject }),
            (true, false) => return Err(Error::SubjectNotSoftDeleted { subject }),
            _ => {}
        }
        let of_interest = known.versions.iter().filter(|(_, version)| version.deleted == permanent);
        let versions: Vec<u32> = of_interest.map(|(number, _)| *number).collect();
        for version in &versions {
            self.check_unreferenced(&subject, *version)?;
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
        self.check_writable(&subject)?;
        let (number, version) = match version {
            VersionId::Latest => self.latest(&subject)?,
            VersionId::Number(number) => (number, self.version(&subject, number, true)?),
        };
        match (permanent, version.deleted) {
            (false, true) => return Err(Error::VersionSoftDeleted { subject, version: number }),
            (true, false) => return Err(Error::VersionNotSoftDeleted { subject, version: number }),
            _ => {}
        }
        self.check_unreferenced(&subject, number)?;
        let event = Event::VersionDeleted { subject, version: number, permanent };
        Ok((Answer::Version(number), Some(event)))
    }

    pub(super) fn evolve_subject_deleted(&mut self, subject: &str, permanent: bool) -> Result<(), String> {
        let Some(known) = self.subjects.get_mut(subject) else {
            return Err(format!("subject '{subject}' is deleted but unknown"));
        };
        if permanent {
            self.subjects.remove(subject);
            self.forget_unused();
        } else {
            known.versions.values_mut().for_each(|version| version.deleted = true);
            self.levels.remove(subject);
            self.modes.remove(subject);
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
        }
        self.forget_unused();
        Ok(())
    }

    /// Schemas that no version has any more can't be asked for by id; their ids stay used.
    fn forget_unused(&mut self) {
        let subjects = &self.subjects;
        let used = |id: &u32| subjects.values().any(|s| s.versions.values().any(|v| v.id == *id));
        self.schemas.retain(|id, _| used(id));
        self.ids.retain(|_, id| used(id));
    }

    fn check_unreferenced(&self, subject: &str, version: u32) -> Result<(), Error> {
        if self.referenced_by(subject, version).is_empty() {
            return Ok(());
        }
        Err(Error::Referenced { subject: subject.to_owned(), version })
    }
}
