//! Named types by full name, to follow references.

use std::collections::BTreeMap;

use apache_avro::Schema;

/// The named types that a schema and its references define.
#[derive(Debug, Default, Clone)]
pub(crate) struct Names<'s>(BTreeMap<&'s str, &'s Schema>);

impl<'s> Names<'s> {
    pub(crate) fn of(schemas: impl IntoIterator<Item = &'s Schema>) -> Names<'s> {
        let mut names = Names::default();
        schemas.into_iter().for_each(|schema| names.collect(schema));
        names
    }

    fn collect(&mut self, schema: &'s Schema) {
        if let (Some(name), false) = (schema.name(), matches!(schema, Schema::Ref { .. })) {
            self.0.insert(name.as_ref(), schema);
        }
        match schema {
            Schema::Record(record) => record.fields.iter().for_each(|field| self.collect(&field.schema)),
            Schema::Array(array) => self.collect(&array.items),
            Schema::Map(map) => self.collect(&map.types),
            Schema::Union(union) => union.variants().iter().for_each(|branch| self.collect(branch)),
            _ => {}
        }
    }

    /// The schema itself, or the one that it refers to.
    pub(crate) fn follow<'a>(&self, schema: &'a Schema) -> &'a Schema
    where
        's: 'a,
    {
        match schema {
            Schema::Ref { name } => self.0.get(name.as_ref()).copied().unwrap_or(schema),
            other => other,
        }
    }
}
