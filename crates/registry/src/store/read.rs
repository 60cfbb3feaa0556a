//! Looking things up.

use std::collections::BTreeSet;

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
        self.check_known(subject, scope != Scope::Live)?;
        Ok(self.versions(subject).filter(|(_, v)| scope.has(*v)).map(|(number, _)| number).collect())
    }

    fn check_known(&self, subject: &str, deleted: bool) -> Result<(), Error> {
        match self.versions(subject).any(|(_, version)| deleted || !version.deleted) {
            true => Ok(()),
            false => Err(Error::subject_not_found(subject)),
        }
    }

    /// The latest version that is not deleted. `deleted`: a subject of which all are is known nevertheless.
    pub(super) fn latest(&self, subject: &str, deleted: bool) -> Result<(u32, Version), Error> {
        self.check_known(subject, deleted)?;
        let live = self.versions(subject).rev().find(|(_, version)| !version.deleted);
        live.ok_or_else(|| Error::version_not_found(-1))
    }

    pub(super) fn version(&self, subject: &str, number: u32, deleted: bool) -> Result<Version, Error> {
        self.check_known(subject, deleted)?;
        let found = self.subjects.get(subject).and_then(|s| s.versions.get(&number)).copied();
        found.filter(|version| deleted || !version.deleted).ok_or_else(|| Error::version_not_found(number))
    }

    pub(crate) fn find(&self, subject: &str, version: VersionId, deleted: bool) -> Result<Found<'_>, Error> {
        let (number, version) = match version {
            VersionId::Number(number) => (number, self.version(subject, number, deleted)?),
            VersionId::Latest => self.latest(subject, deleted)?,
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
        self.check_known(subject, deleted)?;
        let (schema, _) = self.parse(schema)?;
        let (number, version) = self.same(subject, &schema, deleted).ok_or(Error::SchemaNotFound)?;
        self.found(subject, number, version)
    }

    /// The latest version of `subject` with this schema.
    pub(super) fn same(&self, subject: &str, schema: &Schema, deleted: bool) -> Option<(u32, Version)> {
        let has_it = |version: &Version| self.schemas.get(&version.id) == Some(schema);
        self.versions(subject).rev().find(|(_, v)| (deleted || !v.deleted) && has_it(v))
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

    /// Ids of the schemas that refer to this version.
    pub(crate) fn referenced_by(&self, subject: &str, version: u32, scope: Scope) -> BTreeSet<u32> {
        self.referrers(subject, version, scope).map(|(_, id)| id).collect()
    }

    /// Subject and id of every version whose schema refers to this one.
    pub(super) fn referrers<'s>(
        &'s self,
        subject: &str,
        version: u32,
        scope: Scope,
    ) -> impl Iterator<Item = (&'s str, u32)> {
        let refers = |s: &Schema| s.references.iter().any(|r| r.subject == subject && r.version == version);
        let ids: BTreeSet<u32> = self.schemas.iter().filter(|(_, s)| refers(s)).map(|(id, _)| *id).collect();
        let all = self.subjects.iter().flat_map(|(name, s)| s.versions.values().map(move |v| (name, v)));
        let of_them = all.filter(move |(_, version)| ids.contains(&version.id) && scope.has(**version));
        of_them.map(|(name, version)| (name.as_str(), version.id))
    }
}
