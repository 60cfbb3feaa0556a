//! What the event after exhausted tries is made of: fields of the trigger, by name and type, and what is known of the tries.

use apache_avro::Schema;
use apache_avro::schema::{RecordField, RecordSchema};
use quadrille_step::spec::{Fields, Filling};

use crate::mesh::{Body, Mesh, Step};

/// A field of the event that nothing gives a value.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Missing {
    pub(crate) field: String,
    /// The event of the trigger that has a field of that name, with another type.
    pub(crate) unlike: Option<String>,
    /// The events of the trigger whose fields are known.
    pub(crate) known: Vec<String>,
}

/// What the value of `event` is made of when the tries of `step` are exhausted.
///
/// # Errors
/// The fields that cannot be had.
pub(crate) fn fields(mesh: &Mesh, step: &Step, event: &str) -> Result<Fields, Vec<Missing>> {
    let Some(record) = record_of(mesh, event) else { return Ok(Fields::Trigger) };
    let inputs = step.when.events().iter().filter_map(|name| Some((name.as_str(), record_of(mesh, name)?)));
    let inputs: Vec<(&str, RecordSchema)> = inputs.collect();
    let (mut named, mut missing) = (Vec::new(), Vec::new());
    for field in &record.fields {
        match filling(field, &inputs) {
            Some(filling) => named.push((field.name.clone(), filling)),
            None if field.default.is_some() => {}
            None if is_nullable(&field.schema) => named.push((field.name.clone(), Filling::Null)),
            None => {
                let has = |(_, input): &&(&str, RecordSchema)| of_name(input, &field.name).is_some();
                let unlike = inputs.iter().find(has).map(|(name, _)| (*name).to_owned());
                let known = inputs.iter().map(|(name, _)| (*name).to_owned()).collect();
                missing.push(Missing { field: field.name.clone(), unlike, known });
            }
        }
    }
    if missing.is_empty() { Ok(Fields::Named(named)) } else { Err(missing) }
}

fn record_of(mesh: &Mesh, event: &str) -> Option<RecordSchema> {
    let Body::Avro(body) = &mesh.events.get(event)?.body else { return None };
    match Schema::parse_str(&body.schema) {
        Ok(Schema::Record(record)) => Some(record),
        _ => None,
    }
}

fn filling(field: &RecordField, inputs: &[(&str, RecordSchema)]) -> Option<Filling> {
    let ours = match field.name.as_str() {
        "step" => Some((Schema::String, Filling::Step)),
        "reason" => Some((Schema::String, Filling::Reason)),
        "attempts" => Some((Schema::Int, Filling::Attempts)),
        _ => None,
    };
    if let Some((_, filling)) = ours.filter(|(kind, _)| takes(&field.schema, kind)) {
        return Some(filling);
    }
    let alike =
        |input: &RecordSchema| of_name(input, &field.name).is_some_and(|f| takes(&field.schema, &f.schema));
    let input = inputs.iter().find(|(_, input)| alike(input));
    input.map(|(name, _)| Filling::Input((*name).to_owned()))
}

fn of_name<'r>(record: &'r RecordSchema, name: &str) -> Option<&'r RecordField> {
    record.fields.iter().find(|field| field.name == name)
}

/// Whether every value of `from` is one of `to` as it stands.
fn takes(to: &Schema, from: &Schema) -> bool {
    match (to, from) {
        (Schema::Long, Schema::Int) | (Schema::Double, Schema::Float) => true,
        (Schema::Union(union), other) if !matches!(other, Schema::Union(_)) => {
            let variants = union.variants();
            variants.len() == 2 && is_nullable(to) && variants.iter().any(|variant| takes(variant, other))
        }
        _ => is_same(to, from),
    }
}

/// Also names and logical types are the same.
fn is_same(one: &Schema, other: &Schema) -> bool {
    let text = |schema: &Schema| serde_json::to_value(schema).ok();
    text(one).is_some_and(|one| text(other) == Some(one))
}

fn is_nullable(schema: &Schema) -> bool {
    matches!(schema, Schema::Null) || matches!(schema, Schema::Union(union) if union.is_nullable())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(text: &str) -> Schema {
        Schema::parse_str(text).expect("a schema")
    }

    #[test]
    fn a_field_is_taken_where_each_value_fits_as_it_stands() {
        let takes = |to: &str, from: &str| super::takes(&schema(to), &schema(from));
        let time = r#"{"type":"long","logicalType":"timestamp-millis"}"#;
        let currency = r#"{"type":"enum","name":"shop.Currency","symbols":["EUR"]}"#;
        let other = r#"{"type":"enum","name":"shop.Currency","symbols":["USD"]}"#;
        for (to, from, expected) in [
            (r#""string""#, r#""string""#, true),
            (r#""long""#, r#""int""#, true),
            (r#""int""#, r#""long""#, false),
            (r#""double""#, r#""float""#, true),
            (r#""double""#, r#""long""#, false),
            (r#"["null","long"]"#, r#""int""#, true),
            (r#"["null","string"]"#, r#"["null","string"]"#, true),
            (r#""string""#, r#"["null","string"]"#, false),
            (r#"["string","long"]"#, r#""string""#, false),
            (time, time, true),
            (r#""long""#, time, false),
            (currency, currency, true),
            (currency, other, false),
            (r#"{"type":"array","items":"int"}"#, r#"{"type":"array","items":"int"}"#, true),
            (r#"{"type":"array","items":"int"}"#, r#"{"type":"array","items":"long"}"#, false),
        ] {
            assert_eq!(takes(to, from), expected, "{to} from {from}");
        }
    }

    #[test]
    fn what_is_filled_in_comes_before_the_trigger_and_the_trigger_before_defaults() {
        let record = |fields: &str| match schema(&format!(
            r#"{{"type":"record","name":"shop.R","fields":[{fields}]}}"#
        )) {
            Schema::Record(record) => record,
            other => panic!("{other:?}"),
        };
        let one = record(r#"{"name":"step","type":"string"},{"name":"a","type":"string"}"#);
        let two = record(r#"{"name":"a","type":"int"},{"name":"reason","type":"int"}"#);
        let inputs = [("One", one), ("Two", two)];
        let filling = |field: &str| super::filling(&record(field).fields[0], &inputs);
        let input = |event: &str| Some(Filling::Input(event.to_owned()));
        assert_eq!(filling(r#"{"name":"step","type":"string"}"#), Some(Filling::Step));
        assert_eq!(filling(r#"{"name":"reason","type":["null","string"]}"#), Some(Filling::Reason));
        assert_eq!(filling(r#"{"name":"reason","type":"int"}"#), input("Two"));
        assert_eq!(filling(r#"{"name":"attempts","type":"int"}"#), Some(Filling::Attempts));
        assert_eq!(filling(r#"{"name":"attempts","type":"long"}"#), Some(Filling::Attempts));
        assert_eq!(filling(r#"{"name":"attempts","type":"string"}"#), None);
        assert_eq!(filling(r#"{"name":"a","type":"string","default":"x"}"#), input("One"));
        assert_eq!(filling(r#"{"name":"a","type":"long"}"#), input("Two"));
        assert_eq!(filling(r#"{"name":"b","type":"string"}"#), None);
    }
}
