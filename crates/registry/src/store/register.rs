//! Registering: the same schema is the same id everywhere, another one must fit its subject's earlier versions.

use super::{Answer, Chosen, Event, Found, Mode, Reference, Schema, Scope, State, Submitted, Version};
use crate::avro::{self, Parsed};
use crate::compatibility::{self, Level};
use crate::error::Error;

/// More references than this, direct or not, are refused: each is parsed with the schema.
const MAX_REFERENCES: usize = 256;
/// What Confluent's registry calls the setting of all subjects, and the empty subject.
const RESERVED: [&str; 2] = ["__GLOBAL", "__EMPTY"];
/// Ids are written in front of records as signed numbers of four bytes.
const MAX_ID: u32 = i32::MAX.unsigned_abs();
/// Longer subjects are refused, as topic names above 249 characters are.
const MAX_SUBJECT: usize = 512;

impl State {
    pub(super) fn decide_register(
        &self,
        subject: String,
        submitted: Submitted,
        chosen: Chosen,
    ) -> Result<(Answer, Option<Event>), Error> {
        check_subject(&subject)?;
        let (schema, parsed) = self.parse(submitted)?;
        if let Some((number, same)) = self.same(&subject, &schema, false)
            && chosen.id.is_none_or(|id| id == same.id)
            && chosen.version.is_none_or(|version| version == number)
        {
            return Ok((Answer::Id(same.id), None));
        }
        let importing = self.check_registering(&subject, chosen.id)?;
        if !importing {
            self.check_compatible(&subject, &parsed)?;
        }
        let version = self.number(&subject, chosen.version, importing)?;
        let id = match chosen.id.or_else(|| self.ids.get(&schema).copied()) {
            Some(id) => id,
            None if self.last_id < MAX_ID => self.last_id + 1,
            None => return Err(Error::NotPermitted { reason: "No id is left".to_owned() }),
        };
        let schema = match self.schemas.get(&id) {
            None => Some(schema),
            Some(known) if *known == schema => None,
            Some(_) => {
                let reason = format!("Overwrite new schema with id {id} is not permitted.");
                return Err(Error::NotPermitted { reason });
            }
        };
        let replaces = self.replaced(&subject, version, id);
        Ok((Answer::Id(id), Some(Event::Registered { subject, version, id, schema, replaces })))
    }

    /// True if ids and versions are brought along.
    fn check_registering(&self, subject: &str, id: Option<u32>) -> Result<bool, Error> {
        self.check_open(Some(subject))?;
        let reason = match (self.mode_of(subject), id) {
            (Mode::Import, Some(_)) => return Ok(true),
            (Mode::Import, None) => format!("Subject {subject} is not in read-write mode"),
            (_, None) => return Ok(false),
            (_, Some(_)) => format!("Subject {subject} is not in import mode"),
        };
        Err(Error::NotPermitted { reason })
    }

    fn number(&self, subject: &str, chosen: Option<u32>, importing: bool) -> Result<u32, Error> {
        let next = self.versions(subject).map(|(number, _)| number).max().unwrap_or(0).saturating_add(1);
        let Some(chosen) = chosen else { return Ok(next) };
        if !importing && chosen != next {
            return Err(Error::invalid_schema("Version is not one more than previous version"));
        }
        match self.version(subject, chosen, false) {
            Ok(_) => Err(Error::NotPermitted {
                reason: format!("Subject {subject} has another schema as version {chosen}"),
            }),
            Err(_) => Ok(chosen),
        }
    }

    /// Soft-deleted versions that a new one takes the place of: those with its schema that nobody refers to, and its own number.
    fn replaced(&self, subject: &str, version: u32, id: u32) -> Vec<u32> {
        let gone = |number: u32, old: Version| {
            number == version
                || (old.id == id && self.referrers(subject, number, Scope::All).next().is_none())
        };
        let deleted = self.versions(subject).filter(|(_, old)| old.deleted);
        deleted.filter(|(number, old)| gone(*number, *old)).map(|(number, _)| number).collect()
    }

    pub(super) fn evolve_registered(
        &mut self,
        subject: String,
        version: u32,
        (id, schema): (u32, Option<Schema>),
        replaces: &[u32],
    ) -> Result<(), String> {
        if let Some(schema) = schema {
            if self.schemas.contains_key(&id) {
                return Err(format!("id {id} is given twice"));
            }
            self.last_id = self.last_id.max(id);
            self.ids.entry(schema.clone()).or_insert(id);
            self.schemas.insert(id, schema);
        } else if !self.schemas.contains_key(&id) {
            return Err(format!("id {id} has no schema"));
        }
        let versions = &mut self.subjects.entry(subject).or_default().versions;
        if replaces.iter().any(|number| versions.remove(number).is_none_or(|old| !old.deleted)) {
            return Err(format!("version {version} replaces what is not there"));
        }
        if versions.insert(version, Version { id, deleted: false }).is_some() {
            return Err(format!("version {version} is given twice"));
        }
        if !replaces.is_empty() {
            self.forget_unused();
        }
        Ok(())
    }

    /// The identity of a submitted schema and its parsed form, references resolved.
    pub(crate) fn parse(&self, submitted: Submitted) -> Result<(Schema, Parsed), Error> {
        let references = self.resolve(submitted.references)?;
        let parsed = self.parse_text(&submitted.text, &references)?;
        Ok((Schema { text: parsed.canonical.clone(), references }, parsed))
    }

    fn parse_registered(&self, schema: &Schema) -> Result<Parsed, Error> {
        self.parse_text(&schema.text, &schema.references)
    }

    fn parse_text(&self, text: &str, references: &[Reference]) -> Result<Parsed, Error> {
        let mut ids = Vec::new();
        self.collect_references(references, &mut ids)?;
        avro::parse(text, ids.iter().filter_map(|id| self.schemas.get(id)).map(|schema| schema.text.as_str()))
    }

    /// Replaces version 0 (a client's -1) by the latest version, so that a reference never moves.
    fn resolve(&self, references: Vec<Reference>) -> Result<Vec<Reference>, Error> {
        let resolve = |reference: Reference| {
            let version = match reference.version {
                0 => self.latest(&reference.subject, false).map(|(number, _)| number),
                number => self.version(&reference.subject, number, false).map(|_| number),
            };
            match version {
                Ok(version) => Ok(Reference { version, ..reference }),
                Err(_) => Err(Error::invalid_schema(format!(
                    "no schema reference found for subject \"{}\" and version {} (name \"{}\")",
                    reference.subject, reference.version, reference.name
                ))),
            }
        };
        references.into_iter().map(resolve).collect()
    }

    /// The ids of all schemas that are needed, each once.
    fn collect_references(&self, references: &[Reference], ids: &mut Vec<u32>) -> Result<(), Error> {
        for reference in references {
            let id = self.version(&reference.subject, reference.version, true)?.id;
            if ids.contains(&id) {
                continue;
            }
            if ids.len() == MAX_REFERENCES {
                return Err(Error::invalid_schema(format!("more than {MAX_REFERENCES} references")));
            }
            ids.push(id);
            if let Some(schema) = self.schemas.get(&id) {
                self.collect_references(&schema.references, ids)?;
            }
        }
        Ok(())
    }

    fn check_compatible(&self, subject: &str, new: &Parsed) -> Result<(), Error> {
        let level = self.level_of(subject);
        let messages = self.incompatibilities(subject, new, level)?;
        if messages.is_empty() {
            return Ok(());
        }
        Err(Error::Incompatible { subject: subject.to_owned(), details: messages.join(", ") })
    }

    /// Why `new` may not follow the versions of `subject` that `level` looks at, or the latest of those that are in the
    /// way; empty if it may.
    pub(crate) fn incompatibilities(
        &self,
        subject: &str,
        new: &Parsed,
        level: Level,
    ) -> Result<Vec<String>, Error> {
        if level == Level::None {
            return Ok(Vec::new());
        }
        let mut earlier: Vec<_> = self.versions(subject).filter(|(_, v)| !v.deleted).collect();
        earlier.reverse();
        let count = if level.is_transitive() { earlier.len() } else { 1 };
        for (number, version) in earlier.into_iter().take(count) {
            let messages = self.incompatibilities_with(self.found(subject, number, version)?, new, level)?;
            if !messages.is_empty() {
                return Ok(messages);
            }
        }
        Ok(Vec::new())
    }

    pub(crate) fn incompatibilities_with(
        &self,
        old: Found<'_>,
        new: &Parsed,
        level: Level,
    ) -> Result<Vec<String>, Error> {
        let schema = old.schema;
        let findings = compatibility::findings(level, new, &self.parse_registered(schema)?);
        let mut messages: Vec<String> = findings.iter().map(ToString::to_string).collect();
        if !messages.is_empty() {
            messages.push(format!("{{oldSchemaVersion: {}}}", old.version));
            messages.push(format!("{{oldSchema: '{}'}}", schema.text));
            messages.push(format!("{{compatibility: '{level}'}}"));
        }
        Ok(messages)
    }
}

pub(super) fn check_subject(subject: &str) -> Result<(), Error> {
    let refuse = |reason| Err(Error::InvalidSubject { subject: subject.to_owned(), reason });
    if subject.trim().is_empty() {
        return refuse("it is empty");
    }
    if subject.len() > MAX_SUBJECT {
        return refuse("it is longer than 512 bytes");
    }
    if subject.chars().any(char::is_control) {
        return refuse("it has control characters");
    }
    if RESERVED.contains(&subject) {
        return refuse("it is reserved");
    }
    if subject.starts_with(":.") {
        return refuse("the embedded registry has no contexts");
    }
    Ok(())
}
