//! May this schema follow those? The levels, and which earlier versions each of them looks at.
//!
//! * `BACKWARD` (the default): who uses the new schema can read what the latest earlier one wrote.
//! * `FORWARD`: who uses the latest earlier schema can read what the new one writes.
//! * `FULL`: both. The `_TRANSITIVE` forms look at all earlier versions instead of the latest. `NONE` allows all.
//!
//! The Avro specification's rules of schema resolution decide, field by field ([`rules`]), so that an answer can
//! name each field that is in the way; a schema that can be read only sometimes (some branches of a union, some
//! symbols of an enum) is not compatible.

mod finding;
mod rules;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::avro::Parsed;
use crate::error::Error;
pub(crate) use finding::Finding;

/// How a new version of a subject must fit the earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[allow(missing_docs, reason = "the module says what each level means")]
pub enum Level {
    #[default]
    Backward,
    BackwardTransitive,
    Forward,
    ForwardTransitive,
    Full,
    FullTransitive,
    None,
}

impl Level {
    /// All levels, by the names that the REST API uses.
    pub const ALL: [(&'static str, Level); 7] = [
        ("BACKWARD", Level::Backward),
        ("BACKWARD_TRANSITIVE", Level::BackwardTransitive),
        ("FORWARD", Level::Forward),
        ("FORWARD_TRANSITIVE", Level::ForwardTransitive),
        ("FULL", Level::Full),
        ("FULL_TRANSITIVE", Level::FullTransitive),
        ("NONE", Level::None),
    ];

    /// True if every earlier version counts, false if only the latest does.
    pub fn is_transitive(self) -> bool {
        matches!(self, Level::BackwardTransitive | Level::ForwardTransitive | Level::FullTransitive)
    }

    fn looks_back(self) -> bool {
        matches!(self, Level::Backward | Level::BackwardTransitive | Level::Full | Level::FullTransitive)
    }

    fn looks_forward(self) -> bool {
        matches!(self, Level::Forward | Level::ForwardTransitive | Level::Full | Level::FullTransitive)
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Level::ALL.iter().find(|(_, level)| level == self).map_or("", |(name, _)| name);
        f.write_str(name)
    }
}

impl FromStr for Level {
    type Err = Error;

    fn from_str(text: &str) -> Result<Level, Error> {
        let found = Level::ALL.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
        found.map(|(_, level)| *level).ok_or(Error::InvalidCompatibility)
    }
}

/// What keeps `new` from following `old` at `level`; empty if nothing does.
pub(crate) fn findings(level: Level, new: &Parsed, old: &Parsed) -> Vec<Finding> {
    let mut findings = Vec::new();
    if level.looks_back() {
        findings.extend(rules::unreadable(new, old, finding::Reader::New));
    }
    if level.looks_forward() {
        findings.extend(rules::unreadable(old, new, finding::Reader::Old));
    }
    findings
}

#[cfg(test)]
mod tests;
