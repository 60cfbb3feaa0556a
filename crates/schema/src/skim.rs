//! Walks over a datum before it is decoded.
//!
//! The decoder trusts what it reads: a truncated union is null to it, a length of 500 MB is allocated, a list that
//! nests a million times takes the stack. A record from Kafka may be anything, and none of that may end the process,
//! so every length is checked against the bytes that are left, nesting is bounded, and nothing may follow the datum.

use std::fmt::Write;

use apache_avro::Schema;
use apache_avro::schema::{DecimalSchema, InnerDecimalSchema, UuidSchema};

use crate::error::DataError;
use crate::names::Names;

/// Deeper data is refused; only recursive types can be this deep at all.
pub(crate) const MAX_DEPTH: usize = 64;
/// Items that take no bytes (nulls, empty records) can't be checked against the bytes left; they are counted.
const MAX_EMPTY_ITEMS: usize = 10_000;

enum Step<'s> {
    Field(&'s str),
    Item(usize),
    Value,
}

struct Skim<'s, 'd> {
    names: &'s Names<'s>,
    datum: &'d [u8],
    at: usize,
    path: Vec<Step<'s>>,
    empty_items: usize,
}

/// Checks that `datum` is exactly one value of `schema`.
///
/// # Errors
/// [`DataError::Datum`] with the byte and the path where it stops making sense.
pub(crate) fn check<'s>(schema: &'s Schema, names: &'s Names<'s>, datum: &[u8]) -> Result<(), DataError> {
    let mut skim = Skim { names, datum, at: 0, path: Vec::new(), empty_items: 0 };
    skim.value(schema)?;
    match datum.len() - skim.at {
        0 => Ok(()),
        left => Err(skim.fail(&format!("{left} bytes follow the datum"))),
    }
}

type Checked = Result<(), DataError>;

impl<'s> Skim<'s, '_> {
    fn fail(&self, reason: &str) -> DataError {
        let mut path = "$".to_owned();
        for step in &self.path {
            // Writing to a string can't fail.
            let _ = match step {
                Step::Field(name) => write!(path, ".{name}"),
                Step::Item(index) => write!(path, "[{index}]"),
                Step::Value => write!(path, ".*"),
            };
        }
        DataError::Datum { offset: self.at, path, reason: reason.to_owned() }
    }

    fn take(&mut self, count: usize) -> Result<&[u8], DataError> {
        match self.datum.get(self.at..).and_then(|rest| rest.get(..count)) {
            Some(bytes) => {
                self.at += count;
                Ok(bytes)
            }
            None => Err(self.fail(&format!("{count} bytes expected, {} left", self.datum.len() - self.at))),
        }
    }

    fn long(&mut self) -> Result<i64, DataError> {
        let (mut value, mut shift) = (0_u64, 0);
        loop {
            let byte = self.take(1)?[0];
            if shift == 63 && byte > 1 {
                return Err(self.fail("a number of more than 64 bits"));
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(((value >> 1) as i64) ^ -((value & 1) as i64));
            }
            shift += 7;
        }
    }

    fn int(&mut self) -> Checked {
        let value = self.long()?;
        i32::try_from(value).map(drop).map_err(|_| self.fail("a number of more than 32 bits"))
    }

    fn length(&mut self) -> Result<usize, DataError> {
        let length = self.long()?;
        usize::try_from(length).map_err(|_| self.fail("a negative length"))
    }

    fn bytes(&mut self) -> Result<&[u8], DataError> {
        let length = self.length()?;
        self.take(length)
    }

    fn text(&mut self) -> Checked {
        let valid = std::str::from_utf8(self.bytes()?).is_ok();
        if valid { Ok(()) } else { Err(self.fail("text that is not UTF-8")) }
    }

    fn nested(&mut self, step: Step<'s>, schema: &'s Schema) -> Checked {
        if self.path.len() >= MAX_DEPTH {
            return Err(self.fail(&format!("nested deeper than {MAX_DEPTH} levels")));
        }
        self.path.push(step);
        self.value(schema)?;
        self.path.pop();
        Ok(())
    }

    /// The blocks of an array or map.
    fn blocks(&mut self, mut item: impl FnMut(&mut Self, usize) -> Checked) -> Checked {
        let mut index = 0;
        loop {
            let mut count = self.long()?;
            if count == 0 {
                return Ok(());
            }
            if count < 0 {
                self.length()?;
                count = count.checked_neg().ok_or_else(|| self.fail("a negative count"))?;
            }
            for _ in 0..count {
                let before = self.at;
                item(self, index)?;
                index += 1;
                self.empty_items += usize::from(self.at == before);
                if self.empty_items > MAX_EMPTY_ITEMS {
                    return Err(self.fail("too many items without content"));
                }
            }
        }
    }

    fn value(&mut self, schema: &'s Schema) -> Checked {
        match self.names.follow(schema) {
            Schema::Null => Ok(()),
            Schema::Boolean => match self.take(1)?[0] {
                0 | 1 => Ok(()),
                _ => Err(self.fail("a boolean that is neither 0 nor 1")),
            },
            Schema::Int | Schema::Date | Schema::TimeMillis => self.int(),
            Schema::Float => self.take(4).map(drop),
            Schema::Double => self.take(8).map(drop),
            Schema::Bytes
            | Schema::BigDecimal
            | Schema::Uuid(UuidSchema::Bytes)
            | Schema::Decimal(DecimalSchema { inner: InnerDecimalSchema::Bytes, .. }) => {
                self.bytes().map(drop)
            }
            Schema::String | Schema::Uuid(UuidSchema::String) => self.text(),
            Schema::Fixed(fixed)
            | Schema::Duration(fixed)
            | Schema::Uuid(UuidSchema::Fixed(fixed))
            | Schema::Decimal(DecimalSchema { inner: InnerDecimalSchema::Fixed(fixed), .. }) => {
                self.take(fixed.size).map(drop)
            }
            Schema::Enum(symbols) => self.index(symbols.symbols.len(), "symbol").map(drop),
            Schema::Union(union) => {
                let index = self.index(union.variants().len(), "branch")?;
                self.value(&union.variants()[index])
            }
            Schema::Array(array) => self.blocks(|skim, index| skim.nested(Step::Item(index), &array.items)),
            Schema::Map(map) => self.blocks(|skim, _| {
                skim.text()?;
                skim.nested(Step::Value, &map.types)
            }),
            Schema::Record(record) => record
                .fields
                .iter()
                .try_for_each(|field| self.nested(Step::Field(&field.name), &field.schema)),
            Schema::Ref { name } => Err(self.fail(&format!("type {name} is not known"))),
            // All other logical types are written as a long.
            _ => self.long().map(drop),
        }
    }

    fn index(&mut self, count: usize, what: &str) -> Result<usize, DataError> {
        let index = self.long()?;
        let found = usize::try_from(index).ok().filter(|index| *index < count);
        found.ok_or_else(|| self.fail(&format!("{what} {index} of {count}")))
    }
}
