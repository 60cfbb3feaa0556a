//! Looking things up.

use super::{Schema, State, Submitted, Version, VersionId};
use crate::error::Error;

/// One version of a subject with its schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found<'s> {
    pub(crate) subject: &'s str,
    pub(crate) version: u32,
    pub(crate) id: u32,
    pub(crate) deleted: bool,
    pub(crate) schema: &'s Schema,
}

/// Which versions count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Scope {
    #[default]
    Live,
    All,
    OnlyDeleted,
}

impl Scope {
    fn has(self, version: Version) -> bool {
        match self {
            Scope::Live => !version.deleted,
            Scope::All => true,
            Scope::OnlyDeleted => version.deleted,
        }
    }
}

impl State {
    pub(crate) fn schema(&self, id: u32) -> Result<&Schema, Error> {
        self.schemas.get(&id).ok_or(Error::SchemaIdNotFound { id })
    }

    /// The highest id that has been given.
    pub(crate) fn last_id(&self) -> u32 {
        self.last_id
    }

    pub(crate) fn subjects(&self, scope: Scope, prefix: &str) -> Vec<&str> {
        let matching = self.subjects.iter().filter(|(name, subject)| {
            let mut versions = subject.versions.values();
            let in_scope = match scope {
                Scope::OnlyDeleted => versions.all(|v| v.deleted),
                scope => versions.any(|v| scope.has(*v)),
            };
            name.starts_with(prefix) && in_scope
        });
        matching.map(|(name, _)| name.as_str()).collect()
    }

    /// The versions of a subject in order, deleted ones too; none for an unknown subject.
    pub(super) fn versions(&self, subject: &str) -> impl DoubleEndedIterator<Item = (u32, Version)> {
        let versions = self.subjects.get(subject).map(|subject| &subject.versions);
        versions.into_iter().flatten().map(|(number, version)| (*number, *version))
    }

    pub(crate) fn version_numbers(&self, subject: &str, scope: Scope) -> Result<Vec<u32>, Error> {
        let numbers: Vec<u32> =
            self.versions(subject).filter(|(_, v)| scope.has(*v)).map(|(number, _)| number).collect();
        if numbers.is_empty() { Err(Error::subject_not_found(subject)) } else { Ok(numbers) }
    }

    pub(super) fn latest(&self, subject: &str) -> Result<(u32, Version), Error> {
        let live = self.versions(subject).rev().find(|(_, version)| !version.deleted);
        live.ok_or_else(|| Error::subject_not_found(subject))
    }

    pub(super) fn version(&self, subject: &str, number: u32, deleted: bool) -> Result<Version, Error> {
        if !self.versions(subject).any(|(_, version)| deleted || !version.deleted) {
            return Err(Error::subject_not_found(subject));
        }
        let found = self.subjects.get(subject).and_then(|s| s.versions.get(&number)).copied();
        found.filter(|version| deleted || !version.deleted).ok_or_else(|| Error::version_not_found(number))
    }

    pub(crate) fn find(&self, subject: &str, version: VersionId, deleted: bool) -> Result<Found<'_>, Error> {
        let (number, version) = match version {
            VersionId::Number(number) => (number, self.version(subject, number, deleted)?),
            VersionId::Latest if deleted => {
                self.versions(subject).next_back().ok_or_else(|| Error::subject_not_found(subject))?
            }
            VersionId::Latest => self.latest(subject)?,
        };
        self.found(subject, number, version)
    }

    pub(super) fn found(&self, subject: &str, number: u32, version: Version) -> Result<Found<'_>, Error> {
        let known = self.subjects.get_key_value(subject);
        let (subject, _) = known.ok_or_else(|| Error::subject_not_found(subject))?;
        let schema = self.schema(version.id)?;
        Ok(Found { subject, version: number, id: version.id, deleted: version.deleted, schema })
    }

    /// The latest version of `subject` that has exactly this schema.
    pub(crate) fn look_up(
        &self,
        subject: &str,
        schema: Submitted,
        deleted: bool,
    ) -> Result<Found<'_>, Error> {
        if !self.versions(subject).any(|(_, version)| deleted || !version.deleted) {
            return Err(Error::subject_not_found(subject));
        }
        let (schema, _) = self.parse(schema)?;
        let id = self.ids.get(&schema).ok_or(Error::SchemaNotFound)?;
        let same = |version: &Version| version.id == *id && (deleted || !version.deleted);
        let found = self.versions(subject).rev().find(|(_, version)| same(version));
        let (number, version) = found.ok_or(Error::SchemaNotFound)?;
        self.found(subject, number, version)
    }

    /// Every version with this id.
    pub(crate) fn uses(&self, id: u32, scope: Scope) -> Result<Vec<(&str, u32)>, Error> {
        self.schema(id)?;
        let all =
            self.subjects.iter().flat_map(|(name, s)| s.versions.iter().map(move |(n, v)| (name, n, v)));
        let with_id = all.filter(|(_, _, version)| version.id == id && scope.has(**version));
        Ok(with_id.map(|(name, number, _)| (name.as_str(), *number)).collect())
    }

    /// All versions of all subjects, for listing.
    pub(crate) fn all(&self, scope: Scope, prefix: &str, latest_only: bool) -> Vec<Found<'_>> {
        let mut all = Vec::new();
        for name in self.subjects(Scope::All, prefix) {
            let in_scope = self.versions(name).filter(|(_, version)| scope.has(*version));
            let mut found = in_scope.filter_map(|(number, version)| self.found(name, number, version).ok());
            if latest_only { all.extend(found.next_back()) } else { all.extend(found) }
        }
        all
    }

    /// Ids of the schemas in use that refer to this version.
    pub(crate) fn referenced_by(&self, subject: &str, version: u32) -> Vec<u32> {
        let refers =
            |schema: &Schema| schema.references.iter().any(|r| r.subject == subject && r.version == version);
        let live =
            |id: u32| self.subjects.values().any(|s| s.versions.values().any(|v| v.id == id && !v.deleted));
        let ids = self.schemas.iter().filter(|(id, schema)| refers(schema) && live(**id));
        ids.map(|(id, _)| *id).collect()
    }
}
