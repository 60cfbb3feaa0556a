//! One reason why one schema can't read what another wrote, in words that name the field.

use std::fmt;

/// Which of the two schemas reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reader {
    New,
    Old,
}

/// The rule of schema resolution that is broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Rule {
    NameMismatch { reader: String, writer: String },
    FixedSizeMismatch { reader: usize, writer: usize },
    MissingEnumSymbols { symbols: Vec<String> },
    FieldMissingDefault { field: String },
    TypeMismatch { reader: String, writer: String },
    MissingUnionBranch { writer: String },
    DecimalMismatch { reader: String, writer: String },
    TooComplex,
}

/// A broken rule and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) rule: Rule,
    /// JSON pointer into the reader's schema.
    pub(crate) path: String,
    /// Names of the fields that lead there, joined by dots; empty for the schema itself.
    pub(crate) field: String,
    pub(crate) reader: Reader,
}

impl Finding {
    fn rule_name(&self) -> &'static str {
        match self.rule {
            Rule::NameMismatch { .. } => "NAME_MISMATCH",
            Rule::FixedSizeMismatch { .. } => "FIXED_SIZE_MISMATCH",
            Rule::MissingEnumSymbols { .. } => "MISSING_ENUM_SYMBOLS",
            Rule::FieldMissingDefault { .. } => "READER_FIELD_MISSING_DEFAULT_VALUE",
            Rule::TypeMismatch { .. } => "TYPE_MISMATCH",
            Rule::MissingUnionBranch { .. } => "MISSING_UNION_BRANCH",
            Rule::DecimalMismatch { .. } => "DECIMAL_MISMATCH",
            Rule::TooComplex => "TOO_COMPLEX",
        }
    }

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (reader, writer) = match self.reader {
            Reader::New => ("new", "old"),
            Reader::Old => ("old", "new"),
        };
        let path = &self.path;
        let place = match self.field.as_str() {
            "" => format!("at path '{path}'"),
            field => format!("of field '{field}' at path '{path}'"),
        };
        match &self.rule {
            Rule::FieldMissingDefault { .. } => write!(
                f,
                "The field '{}' at path '{path}' in the {reader} schema has no default value and is missing in the {writer} schema",
                self.field
            ),
            Rule::NameMismatch { reader: r, writer: w } => write!(
                f,
                "The name '{r}' {place} in the {reader} schema is not the name '{w}' in the {writer} schema, nor is that an alias of it"
            ),
            Rule::FixedSizeMismatch { reader: r, writer: w } => write!(
                f,
                "The size {r} of the fixed type {place} in the {reader} schema is not the size {w} in the {writer} schema"
            ),
            Rule::MissingEnumSymbols { symbols } => write!(
                f,
                "The enum {place} in the {reader} schema has no default and lacks the symbols {symbols:?} of the {writer} schema"
            ),
            Rule::TypeMismatch { reader: r, writer: w } => write!(
                f,
                "The type {place} in the {reader} schema does not match the {writer} schema: {r} can't read {w}"
            ),
            Rule::MissingUnionBranch { writer: w } => write!(
                f,
                "The union {place} in the {reader} schema has no branch that reads {w} of the {writer} schema"
            ),
            Rule::DecimalMismatch { reader: r, writer: w } => {
                write!(f, "The decimal {place} in the {reader} schema is {r}, but {w} in the {writer} schema")
            }
            Rule::TooComplex => write!(
                f,
                "The types from {place} in the {reader} schema on are too deep or too many to be compared with the {writer} schema"
            ),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{errorType:'{}', description:'", self.rule_name())?;
        self.describe(f)?;
        match &self.rule {
            Rule::FieldMissingDefault { field } => write!(f, "', additionalInfo:'{field}'}}"),
            Rule::TypeMismatch { reader, writer } => {
                write!(
                    f,
                    "', additionalInfo:'reader type: {reader} not compatible with writer type: {writer}'}}"
                )
            }
            _ => write!(f, "'}}"),
        }
    }
}
