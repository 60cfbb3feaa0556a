//! Registering: the same schema is the same id everywhere, another one must fit its subject's earlier versions.

use super::{Answer, Event, Found, Reference, Schema, State, Submitted, Version};
use crate::avro::{self, Parsed};
use crate::compatibility::{self, Level};
use crate::error::Error;

/// More references than this, direct or not, are refused: each is parsed with the schema.
const MAX_REFERENCES: usize = 256;
/// Longer subjects are refused, as topic names above 249 characters are.
const MAX_SUBJECT: usize = 512;

impl State {
    pub(super) fn decide_register(
        &self,
        subject: String,
        submitted: Submitted,
    ) -> Result<(Answer, Option<Event>), Error> {
        check_subject(&subject)?;
        let (schema, parsed) = self.parse(submitted)?;
        let known = self.ids.get(&schema).copied();
        if let Some(id) = known
            && self.versions(&subject).any(|(_, v)| v.id == id && !v.deleted)
        {
            return Ok((Answer::Id(id), None));
        }
        self.check_writable(&subject)?;
        self.check_compatible(&subject, &parsed)?;
        let version = self.versions(&subject).map(|(number, _)| number).max().unwrap_or(0) + 1;
        let (id, schema) = match known {
            Some(id) => (id, None),
            None => (self.last_id + 1, Some(schema)),
        };
        Ok((Answer::Id(id), Some(Event::Registered { subject, version, id, schema })))
    }

    pub(super) fn evolve_registered(
        &mut self,
        subject: String,
        version: u32,
        id: u32,
        schema: Option<Schema>,
    ) -> Result<(), String> {
        if let Some(schema) = schema {
            if id <= self.last_id {
                return Err(format!("id {id} is given twice"));
            }
            self.last_id = id;
            self.ids.insert(schema.clone(), id);
            self.schemas.insert(id, schema);
        } else if !self.schemas.contains_key(&id) {
            return Err(format!("id {id} has no schema"));
        }
        let versions = &mut self.subjects.entry(subject).or_default().versions;
        match versions.insert(version, Version { id, deleted: false }) {
            None => Ok(()),
            Some(_) => Err(format!("version {version} is given twice")),
        }
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
                0 => self.latest(&reference.subject).map(|(number, _)| number),
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

    /// Why `new` may not follow the versions of `subject` that `level` looks at; empty if it may.
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
        let mut messages = Vec::new();
        for (number, version) in earlier.into_iter().take(count) {
            let found = self.found(subject, number, version)?;
            messages.extend(self.incompatibilities_with(found, new, level)?);
        }
        Ok(messages)
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

fn check_subject(subject: &str) -> Result<(), Error> {
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
    Ok(())
}
