//! The expectations file: what the inputs of a flow are, and what each outcome demands of each participant.
//!
//! A human writes it beside the topology file and does not derive it from it: it is the second opinion.
//!
//! ```yaml
//! flow: order
//! inputs:
//!   - topic: orders
//!     schema: ../schemas/order_placed.avsc # from this file's folder; without it values are JSON objects
//! outcomes_topic: shop.sagas.outcomes
//! dead_letters: { prefix: shop.dead. } # or { topics: [ … ] }
//! events: [stock, payments, shipments] # watched by the concurrent reader, with the topics above
//! participants: [stock, payment, shipping]
//! publishes: # optional: the events that say what a participant did, in the topics above
//!   stock: { do: StockReserved, undo: StockReleased, rejects: [OutOfStock] }
//! gives_up: # optional: the event that follows when a step gives up, and the dead-letter topic of that step
//!   PaymentUnclear: shop.dead.charge
//! outcomes:
//!   completed:
//!     stock: { do: 1, undo: 0 }
//!     payment: { do: 1, undo: 0 }
//!     shipping: { do: 1, undo: 0 }
//!   compensated:
//!     stock: balanced # whatever was done is undone
//!     payment: balanced
//!     shipping: never # nothing was ever done
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fmt, fs, io};

use serde::Deserialize;

/// A file of expectations that cannot be used. Not retryable.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not of the shape above.
    #[error("{path}: {message}")]
    Shape {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        message: String,
    },
    /// An outcome says nothing about a participant, or something about an unknown one.
    #[error("outcome {outcome} and the participants do not match: {participant} stands in one of them only")]
    Participants {
        /// The outcome.
        outcome: String,
        /// The participant.
        participant: String,
    },
    /// Events of somebody who has no effects.
    #[error("{0} publishes events and is no participant")]
    Publisher(String),
    /// A topic that is none of the dead-letter topics, or may hold a letter twice: events cannot be held against it.
    #[error(
        "{event} follows dead letters of {topic}, which is no dead-letter topic or may hold letters twice"
    )]
    GivesUp {
        /// The event.
        event: String,
        /// The topic.
        topic: String,
    },
    /// Without it there is nothing to compare.
    #[error("{0} is empty")]
    Empty(&'static str),
}

/// The expectations of one flow.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectations {
    /// Name of the flow; outcomes of other flows are none of its business.
    pub flow: String,
    /// Topics whose records start sagas.
    pub inputs: Vec<Input>,
    /// Topic with one record for each saga that ended.
    pub outcomes_topic: String,
    /// Topics with records that were given up.
    pub dead_letters: DeadLetters,
    /// Other topics that the mesh writes to, for the search for phantoms.
    #[serde(default)]
    pub events: Vec<String>,
    /// Dead-letter topics of steps that are at least once: they may hold a letter twice.
    #[serde(default)]
    pub dead_letters_may_repeat: Vec<String>,
    /// Who has effects.
    pub participants: Vec<String>,
    /// Which events in [`events`](Self::events) say what a participant did, one event for each line of its log. Leave out
    /// participants whose step is at least once, or emits another number of events.
    #[serde(default)]
    pub publishes: BTreeMap<String, Publishes>,
    /// Types of events in [`events`](Self::events) that follow when a step gives up, each with the dead-letter topic of that
    /// step: one event for each letter there of a do that was tried in vain. Leave out steps that are at least once.
    #[serde(default)]
    pub gives_up: BTreeMap<String, String>,
    /// What each outcome demands of each participant.
    pub outcomes: BTreeMap<String, BTreeMap<String, Demand>>,
}

/// One input topic.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The topic.
    pub topic: String,
    /// File with the Avro schema that its values, in Confluent's wire format, can be read by. None: JSON objects.
    pub schema: Option<PathBuf>,
    /// Header with the identity; a record without it is identified by its key.
    #[serde(default = "correlation_header")]
    pub identity_header: String,
}

fn correlation_header() -> String {
    "ce_correlationid".to_owned()
}

/// Which topics hold dead letters.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeadLetters {
    /// All topics whose name begins so; there may be none.
    Prefix(String),
    /// Exactly these.
    Topics(Vec<String>),
}

/// Types of the events that say what one participant did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Publishes {
    /// One for each effect that was applied.
    #[serde(rename = "do")]
    pub does: Option<String>,
    /// One for each `undo` that was recorded, whether it found something or not.
    pub undo: Option<String>,
    /// Together one for each `do` that was rejected.
    #[serde(default)]
    pub rejects: Vec<String>,
}

impl Publishes {
    /// All of them.
    pub fn types(&self) -> impl Iterator<Item = &str> {
        self.does.iter().chain(&self.undo).chain(&self.rejects).map(String::as_str)
    }
}

/// What an outcome demands of one participant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Demand {
    /// A word for the usual cases.
    Word(Word),
    /// Exact numbers of applied effects.
    Counts(Counts),
}

/// The usual demands when nothing shall be left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Word {
    /// Each activation is undone as often as it was done, be it never.
    Balanced,
    /// Nothing was ever done.
    Never,
}

/// Exact numbers of applied effects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// How many effects.
    #[serde(rename = "do")]
    pub dos: u32,
    /// How many compensations.
    #[serde(rename = "undo", default)]
    pub undos: u32,
}

impl Demand {
    /// Whether the demand is that no effect stands at the end.
    pub fn leaves_nothing(self) -> bool {
        match self {
            Self::Word(_) => true,
            Self::Counts(counts) => counts.dos == counts.undos,
        }
    }
}

impl fmt::Display for Demand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(Word::Balanced) => f.write_str("balanced"),
            Self::Word(Word::Never) => f.write_str("never"),
            Self::Counts(Counts { dos, undos }) => write!(f, "do {dos}, undo {undos}"),
        }
    }
}

impl Expectations {
    /// Reads a file. Paths in it count from its folder.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let text = fs::read_to_string(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
        let shape = |message| Error::Shape { path: path.to_owned(), message };
        let mut expectations = Self::parse(&text).map_err(|error| match error {
            Error::Shape { message, .. } => shape(message),
            other => shape(other.to_string()),
        })?;
        let folder = path.parent().unwrap_or(Path::new(""));
        for schema in expectations.inputs.iter_mut().filter_map(|input| input.schema.as_mut()) {
            *schema = folder.join(&schema);
        }
        Ok(expectations)
    }

    /// Reads YAML, of which JSON is a part. Paths are left as they are.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let options = serde_saphyr::options! { strict_booleans: true };
        let expectations: Self = serde_saphyr::from_str_with_options(text, options)
            .map_err(|error| Error::Shape { path: PathBuf::new(), message: error.to_string() })?;
        expectations.check()?;
        Ok(expectations)
    }

    /// The same of topics whose names begin with `prefix` and a dot beyond what the file says.
    #[must_use]
    pub fn prefixed(mut self, prefix: &str) -> Self {
        let put = |topic: &mut String| *topic = format!("{prefix}.{topic}");
        self.inputs.iter_mut().for_each(|input| put(&mut input.topic));
        put(&mut self.outcomes_topic);
        match &mut self.dead_letters {
            DeadLetters::Prefix(prefix) => put(prefix),
            DeadLetters::Topics(topics) => topics.iter_mut().for_each(put),
        }
        self.events.iter_mut().for_each(put);
        self.dead_letters_may_repeat.iter_mut().for_each(put);
        self.gives_up.values_mut().for_each(put);
        self
    }

    /// The most effects that any outcome demands of `participant`, and at least 1: more of them for one identity are
    /// too many whatever the outcome.
    pub fn most(&self, participant: &str) -> u32 {
        let counts = |demand: &Demand| match demand {
            Demand::Word(_) => 1,
            Demand::Counts(counts) => counts.dos,
        };
        self.outcomes
            .values()
            .filter_map(|demands| demands.get(participant))
            .map(counts)
            .max()
            .unwrap_or(1)
            .max(1)
    }

    fn check(&self) -> Result<(), Error> {
        let empty = [
            ("inputs", self.inputs.is_empty()),
            ("participants", self.participants.is_empty()),
            ("outcomes", self.outcomes.is_empty()),
        ];
        if let Some((what, _)) = empty.into_iter().find(|(_, empty)| *empty) {
            return Err(Error::Empty(what));
        }
        if let Some(name) = self.publishes.keys().find(|name| !self.participants.contains(name)) {
            return Err(Error::Publisher(name.clone()));
        }
        let useless =
            |topic: &String| !self.dead_letters.holds(topic) || self.dead_letters_may_repeat.contains(topic);
        if let Some((event, topic)) = self.gives_up.iter().find(|(_, topic)| useless(topic)) {
            return Err(Error::GivesUp { event: event.clone(), topic: topic.clone() });
        }
        for (outcome, demands) in &self.outcomes {
            let unsaid = self.participants.iter().find(|name| !demands.contains_key(*name));
            let unknown = demands.keys().find(|name| !self.participants.contains(name));
            if let Some(participant) = unsaid.or(unknown) {
                return Err(Error::Participants {
                    outcome: outcome.clone(),
                    participant: participant.clone(),
                });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINIMAL: &str = "
        flow: f
        inputs: [{ topic: in }]
        outcomes_topic: out
        dead_letters: { prefix: dead. }
        participants: [a, b]
        publishes: { a: { do: Done, rejects: [Full] } }
        outcomes:
          completed: { a: { do: 1, undo: 0 }, b: { do: 3 } }
          compensated: { a: balanced, b: never }";

    #[test]
    fn demands_are_words_or_numbers() {
        let read = Expectations::parse(MINIMAL).unwrap();
        assert_eq!(read.outcomes["completed"]["b"].to_string(), "do 3, undo 0");
        assert_eq!(read.outcomes["compensated"]["a"], Demand::Word(Word::Balanced));
        assert_eq!(read.outcomes["compensated"]["b"], Demand::Word(Word::Never));
        assert_eq!((read.most("a"), read.most("b")), (1, 3));
        assert_eq!(read.inputs[0].identity_header, "ce_correlationid");
        assert_eq!(read.publishes["a"].types().collect::<Vec<_>>(), ["Done", "Full"]);
    }

    #[test]
    fn a_prefix_stands_before_every_topic() {
        let more =
            "events: [e]\n        gives_up: { Unclear: dead.a }\n        dead_letters_may_repeat: [dead.b]";
        let file = MINIMAL.replace("inputs:", &format!("{more}\n        inputs:"));
        let read = Expectations::parse(&file).unwrap().prefixed("p");
        assert_eq!((read.inputs[0].topic.as_str(), read.outcomes_topic.as_str()), ("p.in", "p.out"));
        assert!(matches!(read.dead_letters, DeadLetters::Prefix(prefix) if prefix == "p.dead."));
        assert_eq!(read.events, ["p.e"]);
        assert_eq!((&*read.gives_up["Unclear"], &*read.dead_letters_may_repeat[0]), ("p.dead.a", "p.dead.b"));
    }

    #[test]
    fn a_file_that_leaves_something_open_is_refused() {
        let cases = [
            ("b: never", "c: never", "b stands in one of them only"),
            ("b: never", "b: never, c: never", "c stands in one of them only"),
            ("{ a: { do: Done", "{ z: { do: Done", "z publishes events and is no participant"),
            ("outcomes:", "gives_up: { X: alive.a }\n        outcomes:", "X follows dead letters of alive.a"),
            ("[{ topic: in }]", "[]", "inputs is empty"),
            ("flow: f", "flow: f\n        flo: g", "flo"),
            ("b: never", "b: sometimes", "did not match"),
            ("do: 3", "do: 3, dont: 1", "did not match"),
        ];
        for (old, new, message) in cases {
            let error = Expectations::parse(&MINIMAL.replace(old, new)).unwrap_err().to_string();
            assert!(error.contains(message), "{new}: {error}");
        }
    }
}
