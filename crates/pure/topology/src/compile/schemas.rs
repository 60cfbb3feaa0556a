//! Avro schemas of events.

use std::collections::BTreeMap;

use apache_avro::Schema;
use apache_avro::schema::RecordSchema;
use serde_json::Value;

use crate::codes;
use crate::diagnostic::{Diagnostic, Report, Span, Spanned};
use crate::mesh::AvroBody;
use crate::schemas::Schemas;

/// Code, message and what to do.
type Mistake = (codes::Code, String, &'static str);

/// Reads schema files and remembers which subject has which schema.
pub(super) struct Reader<'f> {
    folder: &'f str,
    files: &'f dyn Schemas,
    /// Subject to schema text and the place that named it first.
    subjects: BTreeMap<String, (String, Span)>,
}

impl<'f> Reader<'f> {
    pub(super) fn new(folder: &'f str, files: &'f dyn Schemas) -> Self {
        Self { folder: folder.trim_end_matches('/'), files, subjects: BTreeMap::new() }
    }

    /// The body of an event on `topic` whose schema file is `file`.
    pub(super) fn read(
        &mut self,
        topic: &str,
        file: &Spanned<String>,
        key: Option<&Spanned<String>>,
        report: &mut Report,
    ) -> Option<AvroBody> {
        match self.parse(&file.value) {
            Ok((record, schema)) => {
                if let Some(key) = key {
                    check_key(key, file, &record, report);
                }
                let full_name = record.name.fullname(None);
                let body = AvroBody { subject: format!("{topic}-{full_name}"), record: full_name, schema };
                self.check_subject(&body, file.span, report);
                Some(body)
            }
            Err(mistake) => {
                let (code, message, help) = *mistake;
                report.add(Diagnostic::new(code, file.span, message).help(help));
                None
            }
        }
    }

    fn parse(&self, file: &str) -> Result<(RecordSchema, String), Box<Mistake>> {
        let path = if self.folder.is_empty() { file.to_owned() } else { format!("{}/{file}", self.folder) };
        let text = self.files.schema(&path).map_err(|why| {
            let help = "the path is relative to the folder `schemas`, which is relative to the topology file";
            Box::new((codes::SCHEMA_UNREADABLE, format!("schema `{path}` can't be read: {why}"), help))
        })?;
        let schema = Schema::parse_str(&text).map_err(|error| {
            let message = format!("schema `{path}` is not valid Avro: {error}");
            Box::new((codes::SCHEMA_INVALID, message, "correct the schema file"))
        })?;
        let Schema::Record(record) = schema else {
            let message = format!("schema `{path}` is not a record");
            let help = "wrap it into a record with a namespace and a name";
            return Err(Box::new((codes::SCHEMA_NOT_RECORD, message, help)));
        };
        if record.name.namespace().is_none() {
            let message = format!("the record of schema `{path}` has no namespace");
            let help = "give the record a `namespace`, such as `\"namespace\": \"shop.orders\"`";
            return Err(Box::new((codes::SCHEMA_NOT_RECORD, message, help)));
        }
        let mut value: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
        drop_docs(&mut value);
        Ok((record, value.to_string()))
    }

    fn check_subject(&mut self, body: &AvroBody, span: Span, report: &mut Report) {
        match self.subjects.get(&body.subject) {
            Some((schema, first)) if *schema != body.schema => report.add(
                Diagnostic::new(
                    codes::RECORD_CLASH,
                    span,
                    format!("subject `{}` gets two schemas", body.subject),
                )
                .label("another schema here")
                .related(*first, "one schema here")
                .help("give the two records different names, or the two events the same schema"),
            ),
            Some(_) => {}
            None => {
                self.subjects.insert(body.subject.clone(), (body.schema.clone(), span));
            }
        }
    }
}

fn check_key(key: &Spanned<String>, file: &Spanned<String>, record: &RecordSchema, report: &mut Report) {
    let field = record.fields.iter().find(|f| f.name == key.value);
    if field
        .is_some_and(|f| matches!(f.schema, Schema::String | Schema::Uuid(_) | Schema::Long | Schema::Int))
    {
        return;
    }
    let keys: Vec<&str> = record.fields.iter().map(|f| f.name.as_str()).collect();
    let (message, help) = match field {
        Some(_) => (
            format!("field `{}` of `{}` can't be a key", key.value, file.value),
            "a key is a string or a whole number that is always there".to_owned(),
        ),
        None => (
            format!("`{}` has no field `{}`", file.value, crate::yaml::shorten(&key.value)),
            crate::suggest::help(&key.value, &keys, "name a field of the schema"),
        ),
    };
    report.add(Diagnostic::new(codes::KEY_NOT_IN_SCHEMA, key.span, message).help(help));
}

/// Removes doc strings, which say nothing to a machine; default values are left as they are.
fn drop_docs(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.remove("doc");
            map.iter_mut().filter(|(key, _)| *key != "default").for_each(|(_, v)| drop_docs(v));
        }
        Value::Array(items) => items.iter_mut().for_each(drop_docs),
        _ => {}
    }
}
