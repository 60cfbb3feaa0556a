//! JSON Schema of what is written in several ways: a name or a list, a word or a mapping, a duration.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::diagnostic::Spanned;

use super::{
    Entries, ExhaustedSource, FromSource, Group, Millis, MillisRange, Names, RetryRef, RetrySource, Setting,
    TriggerSource,
};

impl<T: JsonSchema> JsonSchema for Spanned<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<T>()
    }
}

impl<T: JsonSchema> JsonSchema for Entries<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        format!("Entries_{}", T::schema_name()).into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let value = generator.subschema_for::<T>();
        json_schema!({ "type": "object", "additionalProperties": value })
    }
}

macro_rules! schema_of {
    ($($type:ty, $name:literal => |$generator:ident| $schema:expr;)*) => {
        $(impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }
            fn json_schema($generator: &mut SchemaGenerator) -> Schema {
                $schema
            }
        })*
    };
}

schema_of! {
    Names, "Names" => |_g| json_schema!({
        "description": "One event, or any one of a list.",
        "anyOf": [
            { "type": "string" },
            { "type": "array", "items": { "type": "string" }, "minItems": 1, "uniqueItems": true },
        ],
    });
    TriggerSource, "Trigger" => |g| {
        let names = g.subschema_for::<Names>();
        json_schema!({
            "description": "One event, or `all` of several.",
            "anyOf": [
                { "type": "string" },
                { "type": "object", "properties": { "all": names }, "required": ["all"], "additionalProperties": false },
            ],
        })
    };
    Group, "Group" => |g| {
        let names = g.subschema_for::<Names>();
        json_schema!({
            "description": "An event, any one of a list, or `all` of several.",
            "anyOf": [
                names,
                { "type": "object", "properties": { "all": names }, "required": ["all"], "additionalProperties": false },
            ],
        })
    };
    RetryRef, "Retry" => |g| {
        let policy = g.subschema_for::<RetrySource>();
        json_schema!({ "description": "A policy of `retries` by name, or written out.", "anyOf": [{ "type": "string" }, policy] })
    };
    ExhaustedSource, "Exhausted" => |_g| json_schema!({
        "description": "`hold`: flagged for a person, the saga's clock runs. `undo`: the saga fails. `emit`: the step has settled, and this event follows, with the trigger's fields and `step`, `reason`, `attempts`.",
        "anyOf": [
            { "enum": ["hold", "undo"] },
            { "type": "object", "properties": { "emit": { "type": "string" } }, "required": ["emit"], "additionalProperties": false },
        ],
    });
    Millis, "Duration" => |_g| json_schema!({
        "description": "A whole number and a unit: 100ms, 5s, 15m, 12h, 60d.",
        "type": "string", "pattern": "^[0-9]+(ms|s|m|h|d)$",
    });
    MillisRange, "DurationRange" => |_g| json_schema!({
        "description": "Two durations, such as 100ms..2s, or one for both.",
        "type": "string", "pattern": "^[0-9]+(ms|s|m|h|d)( *\\.\\. *[0-9]+(ms|s|m|h|d))?$",
    });
    FromSource, "From" => |_g| json_schema!({
        "description": "`earliest`, `now`, or an RFC 3339 time.",
        "anyOf": [{ "enum": ["earliest", "now"] }, { "type": "string", "format": "date-time" }],
    });
    Setting, "Setting" => |_g| json_schema!({ "type": ["string", "number", "boolean"] });
}
