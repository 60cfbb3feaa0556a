//! Values of a writer's schema as values of a reader's, as the Avro specification's schema resolution has it.
//!
//! The library's own resolution looks at the value alone: it follows no aliases of fields, and of two records in a
//! union it takes the first that has the right fields. Here both schemas lead the way.

use apache_avro::schema::{InnerDecimalSchema, RecordSchema, UnionSchema, UuidSchema};
use apache_avro::types::Value;
use apache_avro::{Decimal, Schema, Uuid};

use crate::error::DataError;
use crate::json::{self, Path};
use crate::names::Names;

pub(crate) struct Resolution<'c> {
    pub(crate) writer: &'c Names<'c>,
    pub(crate) reader: &'c Names<'c>,
}

type Resolved = Result<Value, DataError>;

fn fail(path: &Path<'_>, reason: impl std::fmt::Display) -> DataError {
    DataError::Resolution { reason: format!("{path}: {reason}") }
}

impl Resolution<'_> {
    /// `value`, decoded by schema `w`, as a value of schema `r`.
    pub(crate) fn value(&self, value: Value, w: &Schema, r: &Schema, path: &Path<'_>) -> Resolved {
        let (w, r) = (self.writer.follow(w), self.reader.follow(r));
        match (value, w, r) {
            (Value::Union(index, value), Schema::Union(union), _) => {
                let branch = union.variants().get(index as usize);
                let branch = branch.ok_or_else(|| fail(path, "a branch that the union does not have"))?;
                self.value(*value, branch, r, path)
            }
            (value, _, Schema::Union(union)) => {
                let index = self.branch(w, union);
                let index = index.ok_or_else(|| fail(path, format!("no branch reads {}", name(w))))?;
                let value = self.value(value, w, &union.variants()[index], path)?;
                Ok(Value::Union(index as u32, Box::new(value)))
            }
            (Value::Record(values), Schema::Record(w), Schema::Record(r)) => self.record(values, w, r, path),
            (Value::Array(items), Schema::Array(w), Schema::Array(r)) => {
                let items = items.into_iter().enumerate();
                let items = items.map(|(i, item)| self.value(item, &w.items, &r.items, &path.index(i)));
                items.collect::<Result<_, _>>().map(Value::Array)
            }
            (Value::Map(entries), Schema::Map(w), Schema::Map(r)) => {
                let entries = entries.into_iter().map(|(key, item)| {
                    let item = self.value(item, &w.types, &r.types, &path.key(&key))?;
                    Ok((key, item))
                });
                entries.collect::<Result<_, DataError>>().map(Value::Map)
            }
            (Value::Enum(_, symbol), _, Schema::Enum(r)) => {
                let position = |symbol: &String| r.symbols.iter().position(|known| known == symbol);
                let default = || r.default.as_ref().and_then(position);
                let index = position(&symbol).or_else(default);
                let index = index.ok_or_else(|| fail(path, format!("the reader has no symbol {symbol}")))?;
                Ok(Value::Enum(index as u32, r.symbols[index].clone()))
            }
            (value, w, r) => leaf(value, w, r)
                .unwrap_or_else(|| Err(format!("{} can't be read as {}", name(w), name(r))))
                .map_err(|reason| fail(path, reason)),
        }
    }

    fn record(
        &self,
        values: Vec<(String, Value)>,
        w: &RecordSchema,
        r: &RecordSchema,
        path: &Path<'_>,
    ) -> Resolved {
        let mut values: Vec<Option<Value>> = values.into_iter().map(|(_, value)| Some(value)).collect();
        let mut fields = Vec::with_capacity(r.fields.len());
        for field in &r.fields {
            let here = path.key(&field.name);
            let names = std::iter::once(&field.name).chain(&field.aliases);
            let written = names.into_iter().find_map(|name| w.fields.iter().position(|f| f.name == *name));
            let value = written.and_then(|index| Some((index, values.get_mut(index)?.take()?)));
            let value = match (value, &field.default) {
                (Some((index, value)), _) => {
                    self.value(value, &w.fields[index].schema, &field.schema, &here)?
                }
                (None, Some(default)) => json::default_value(default, &field.schema, self.reader)?,
                (None, None) => return Err(fail(&here, "not written, and the reader has no default")),
            };
            fields.push((field.name.clone(), value));
        }
        Ok(Value::Record(fields))
    }

    /// The branch that reads `w`: of the same name, else of the same kind, else one that widens.
    fn branch(&self, w: &Schema, union: &UnionSchema) -> Option<usize> {
        let position = |fits: &dyn Fn(&Schema) -> bool| {
            union.variants().iter().position(|branch| fits(self.reader.follow(branch)))
        };
        let same_kind = |r: &Schema| Kind::of(r) == Kind::of(w);
        if let Some(name) = w.name() {
            return position(&|r| same_kind(r) && r.name() == Some(name)).or_else(|| {
                let short = |r: &Schema| r.name().is_some_and(|r| r.name() == name.name());
                let alias =
                    |r: &Schema| r.aliases().is_some_and(|a| a.iter().any(|a| a.name() == name.name()));
                position(&|r| same_kind(r) && (short(r) || alias(r)))
            });
        }
        position(&same_kind).or_else(|| position(&|r| Kind::of(w).widens_to(Kind::of(r))))
    }
}

/// Kinds of schema as far as resolution tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    Array,
    Map,
    Record,
    Enum,
    Fixed,
    Other,
}

impl Kind {
    fn of(schema: &Schema) -> Kind {
        match schema {
            Schema::Null => Kind::Null,
            Schema::Boolean => Kind::Boolean,
            Schema::Int | Schema::Date | Schema::TimeMillis => Kind::Int,
            Schema::Float => Kind::Float,
            Schema::Double => Kind::Double,
            Schema::Bytes | Schema::BigDecimal | Schema::Uuid(UuidSchema::Bytes) => Kind::Bytes,
            Schema::Decimal(decimal) => match decimal.inner {
                InnerDecimalSchema::Bytes => Kind::Bytes,
                InnerDecimalSchema::Fixed(_) => Kind::Fixed,
            },
            Schema::String | Schema::Uuid(UuidSchema::String) => Kind::String,
            Schema::Array(_) => Kind::Array,
            Schema::Map(_) => Kind::Map,
            Schema::Record(_) => Kind::Record,
            Schema::Enum(_) => Kind::Enum,
            Schema::Fixed(_) | Schema::Duration(_) | Schema::Uuid(UuidSchema::Fixed(_)) => Kind::Fixed,
            Schema::Union(_) | Schema::Ref { .. } => Kind::Other,
            _ => Kind::Long,
        }
    }

    fn widens_to(self, reader: Kind) -> bool {
        use Kind::{Bytes, Double, Float, Int, Long, String};
        matches!(
            (self, reader),
            (Int, Long | Float | Double)
                | (Long, Float | Double)
                | (Float, Double)
                | (Bytes, String)
                | (String, Bytes)
        )
    }
}

fn name(schema: &Schema) -> String {
    match schema.name() {
        Some(name) => format!("{:?} {name}", Kind::of(schema)).to_lowercase(),
        None => format!("{:?}", Kind::of(schema)).to_lowercase(),
    }
}

/// A value without parts; `None` if the reader's type does not read the writer's.
fn leaf(value: Value, w: &Schema, r: &Schema) -> Option<Result<Value, String>> {
    let kinds = (Kind::of(w), Kind::of(r));
    if kinds.0 != kinds.1 && !kinds.0.widens_to(kinds.1) {
        return None;
    }
    if let Some(n) = whole(&value) {
        return Some(from_whole(n, r));
    }
    Some(Ok(match (value, r) {
        (Value::Decimal(value), Schema::Decimal(r)) => match w {
            Schema::Decimal(w) if w.scale == r.scale => Value::Decimal(value),
            _ => return None,
        },
        (Value::Decimal(value), Schema::Bytes) => Value::Bytes(<Vec<u8>>::try_from(&value).ok()?),
        (Value::Bytes(bytes) | Value::Fixed(_, bytes), Schema::Decimal(_)) => {
            Value::Decimal(Decimal::from(bytes))
        }
        (Value::Bytes(bytes), Schema::String) => match String::from_utf8(bytes) {
            Ok(text) => Value::String(text),
            Err(_) => return Some(Err("bytes that are not UTF-8 can't be read as a string".to_owned())),
        },
        (Value::String(text), Schema::Bytes) => Value::Bytes(text.into_bytes()),
        (Value::Uuid(uuid), Schema::String) => Value::String(uuid.to_string()),
        (Value::String(text), Schema::Uuid(_)) => match Uuid::parse_str(&text) {
            Ok(uuid) => Value::Uuid(uuid),
            Err(error) => return Some(Err(error.to_string())),
        },
        (Value::Fixed(size, bytes), Schema::Fixed(r)) if r.size == size => Value::Fixed(size, bytes),
        (Value::Float(value), Schema::Double) => Value::Double(f64::from(value)),
        (value @ (Value::Null | Value::Boolean(_) | Value::Float(_) | Value::Double(_)), _) => value,
        (value @ Value::Bytes(_), Schema::Bytes) | (value @ Value::String(_), Schema::String) => value,
        (value @ Value::Uuid(_), Schema::Uuid(_)) | (value @ Value::Duration(_), Schema::Duration(_)) => {
            value
        }
        (value @ Value::BigDecimal(_), Schema::BigDecimal) => value,
        _ => return None,
    }))
}

fn whole(value: &Value) -> Option<i64> {
    match value {
        Value::Int(n) | Value::Date(n) | Value::TimeMillis(n) => Some(i64::from(*n)),
        Value::Long(n)
        | Value::TimeMicros(n)
        | Value::TimestampMillis(n)
        | Value::TimestampMicros(n)
        | Value::TimestampNanos(n)
        | Value::LocalTimestampMillis(n)
        | Value::LocalTimestampMicros(n)
        | Value::LocalTimestampNanos(n) => Some(*n),
        _ => None,
    }
}

fn from_whole(n: i64, r: &Schema) -> Result<Value, String> {
    match r {
        Schema::Float => Ok(Value::Float(n as f32)),
        Schema::Double => Ok(Value::Double(n as f64)),
        r => json::whole_value(n, r).ok_or_else(|| format!("{n} does not fit into 32 bits")),
    }
}
