//! Schema resolution as the Avro specification has it, reporting all that is in the way instead of stopping at the
//! first. `apache_avro::schema_compatibility` answers yes or no for one self-contained schema; it follows no
//! references and names no path, so the walk is our own and the tests hold the two together.

use std::collections::{BTreeSet, HashMap, HashSet};

use apache_avro::Schema;
use apache_avro::schema::{EnumSchema, RecordField, RecordSchema};

use super::finding::{Finding, Reader, Rule};
use crate::avro::{Kind, Names, Parsed, fixed_size};

/// Why `reader` can't read all that `writer` wrote.
pub(crate) fn unreadable(reader: &Parsed, writer: &Parsed, who: Reader) -> Vec<Finding> {
    let mut walk = Walk {
        reader: reader.names(),
        writer: writer.names(),
        who,
        under_way: BTreeSet::new(),
        entered: Vec::new(),
        unreadable: BTreeSet::new(),
        depth: 0,
        steps: 0,
        findings: Vec::new(),
    };
    walk.schema(&reader.root, &writer.root, &Place::default());
    if walk.is_exhausted() {
        walk.findings.clear();
        walk.find(Rule::TooComplex, &Place::default());
    }
    walk.findings
}

/// Chains of types longer than this are refused: the walk recurses along them.
const MAX_DEPTH: usize = 128;
/// Comparisons in one walk; unions of thousands of types would take minutes.
const MAX_STEPS: usize = 50_000;
/// What is told of one walk: a message names each, and there may be tens of thousands.
const MAX_FINDINGS: usize = 100;

/// Full names of a reader's and a writer's type.
type Pair<'s> = (&'s str, &'s str);

#[derive(Clone, Default)]
struct Place {
    path: String,
    field: String,
}

impl Place {
    fn at(&self, segment: impl std::fmt::Display) -> Place {
        Place { path: format!("{}/{segment}", self.path), field: self.field.clone() }
    }

    fn field(&self, index: usize, name: &str) -> Place {
        let field = if self.field.is_empty() { name.to_owned() } else { format!("{}.{name}", self.field) };
        Place { path: format!("{}/fields/{index}", self.path), field }
    }
}

struct Walk<'s> {
    reader: Names<'s>,
    writer: Names<'s>,
    who: Reader,
    /// Pairs of named types that were entered: a recursive type is compatible unless something else is found.
    under_way: BTreeSet<Pair<'s>>,
    /// The same pairs in the order in which they were entered, to leave them again.
    entered: Vec<Pair<'s>>,
    /// Pairs known not to fit, so that no pair is tried twice in unions.
    unreadable: BTreeSet<Pair<'s>>,
    depth: usize,
    steps: usize,
    findings: Vec<Finding>,
}

impl<'s> Walk<'s> {
    fn schema(&mut self, reader: &'s Schema, writer: &'s Schema, place: &Place) {
        self.steps += 1;
        if self.is_exhausted() {
            return;
        }
        let reader = follow(reader, &self.reader);
        let writer = follow(writer, &self.writer);
        if let Some(pair) = pair(reader, writer) {
            if !self.under_way.insert(pair) {
                return;
            }
            self.entered.push(pair);
        }
        if self.depth >= MAX_DEPTH {
            return self.find(Rule::TooComplex, place);
        }
        self.depth += 1;
        self.resolved(reader, writer, place);
        self.depth -= 1;
    }

    fn resolved(&mut self, reader: &'s Schema, writer: &'s Schema, place: &Place) {
        match (reader, writer) {
            (_, Schema::Union(union)) => {
                union.variants().iter().for_each(|branch| self.branch(reader, branch, place));
            }
            (Schema::Union(_), _) => self.branch(reader, writer, place),
            (Schema::Array(r), Schema::Array(w)) => self.schema(&r.items, &w.items, &place.at("items")),
            (Schema::Map(r), Schema::Map(w)) => self.schema(&r.types, &w.types, &place.at("values")),
            (Schema::Record(r), Schema::Record(w)) => self.record(reader, writer, (r, w), place),
            (Schema::Enum(r), Schema::Enum(w)) => self.symbols(reader, writer, (r, w), place),
            _ => self.simple(reader, writer, place),
        }
    }

    /// From here on all is taken for readable, to come to an end; that it was too much is what gets told.
    fn is_exhausted(&self) -> bool {
        self.steps > MAX_STEPS
    }

    /// One branch of the writer's union (or its only type) against the reader, a union or not.
    fn branch(&mut self, reader: &'s Schema, writer: &'s Schema, place: &Place) {
        let Schema::Union(union) = reader else {
            return self.schema(reader, writer, place);
        };
        let readable = union.variants().iter().any(|candidate| self.try_schema(candidate, writer));
        if readable {
            return;
        }
        // A branch of the same name was meant: what is wrong inside it says more than "no branch".
        let writer = follow(writer, &self.writer);
        let same_name = union.variants().iter().enumerate().find(|(_, candidate)| {
            let candidate = follow(candidate, &self.reader);
            candidate.name().is_some_and(|r| writer.name().is_some_and(|w| r.name() == w.name()))
                && Kind::of(candidate) == Kind::of(writer)
        });
        match same_name {
            Some((index, candidate)) => self.schema(candidate, writer, &place.at(index)),
            None => self.find(Rule::MissingUnionBranch { writer: name_of(writer) }, place),
        }
    }

    /// True if `reader` reads `writer`; leaves no trace.
    fn try_schema(&mut self, reader: &'s Schema, writer: &'s Schema) -> bool {
        let pair = pair(follow(reader, &self.reader), follow(writer, &self.writer));
        if self.is_exhausted() {
            return true;
        }
        if pair.is_some_and(|pair| self.unreadable.contains(&pair)) {
            return false;
        }
        let (found, entered) = (self.findings.len(), self.entered.len());
        self.schema(reader, writer, &Place::default());
        let readable = self.findings.len() == found;
        self.findings.truncate(found);
        if !readable {
            self.unreadable.extend(pair);
            for left in self.entered.drain(entered..) {
                self.under_way.remove(&left);
            }
        }
        readable
    }

    fn record(
        &mut self,
        reader: &'s Schema,
        writer: &'s Schema,
        (r, w): (&'s RecordSchema, &'s RecordSchema),
        place: &Place,
    ) {
        self.names(reader, writer, place);
        let by_name: HashMap<&str, &RecordField> = w.fields.iter().map(|f| (f.name.as_str(), f)).collect();
        for (index, field) in r.fields.iter().enumerate() {
            let here = place.field(index, &field.name);
            let mut candidates = std::iter::once(&field.name).chain(&field.aliases);
            let written = candidates.find_map(|name| by_name.get(name.as_str()).copied());
            match written {
                Some(written) => self.schema(&field.schema, &written.schema, &here.at("type")),
                None if field.default.is_none() => {
                    self.find(Rule::FieldMissingDefault { field: field.name.clone() }, &here);
                }
                None => {}
            }
        }
    }

    fn symbols(
        &mut self,
        reader: &'s Schema,
        writer: &'s Schema,
        (r, w): (&EnumSchema, &EnumSchema),
        place: &Place,
    ) {
        self.names(reader, writer, place);
        let known: HashSet<&String> = r.symbols.iter().collect();
        let missing = w.symbols.iter().filter(|symbol| !known.contains(symbol));
        let symbols: Vec<String> = missing.take(MAX_FINDINGS).cloned().collect();
        if !symbols.is_empty() && r.default.is_none() {
            self.find(Rule::MissingEnumSymbols { symbols }, &place.at("symbols"));
        }
    }

    fn simple(&mut self, reader: &'s Schema, writer: &'s Schema, place: &Place) {
        let kinds = (Kind::of(reader), Kind::of(writer));
        let (Some(r), Some(w)) = kinds else { return self.mismatch(reader, writer, place) };
        if !promotes(w, r) {
            return self.mismatch(reader, writer, place);
        }
        if r == Kind::Fixed {
            self.names(reader, writer, place);
            if let (Some(r), Some(w)) = (fixed_size(reader), fixed_size(writer))
                && r != w
            {
                self.find(Rule::FixedSizeMismatch { reader: r, writer: w }, &place.at("size"));
            }
        }
        if let (Schema::Decimal(r), Schema::Decimal(w)) = (reader, writer)
            && (r.precision, r.scale) != (w.precision, w.scale)
        {
            let text = |precision, scale| format!("decimal({precision},{scale})");
            let (reader, writer) = (text(r.precision, r.scale), text(w.precision, w.scale));
            self.find(Rule::DecimalMismatch { reader, writer }, place);
        }
    }

    fn names(&mut self, reader: &Schema, writer: &Schema, place: &Place) {
        let (Some(r), Some(w)) = (reader.name(), writer.name()) else { return };
        let alias = reader.aliases().is_some_and(|aliases| {
            aliases.iter().any(|alias| alias.fully_qualified_name(r.namespace()).as_ref() == w)
        });
        if r.name() != w.name() && !alias {
            let (reader, writer) = (r.to_string(), w.to_string());
            self.find(Rule::NameMismatch { reader, writer }, &place.at("name"));
        }
    }

    fn mismatch(&mut self, reader: &Schema, writer: &Schema, place: &Place) {
        let rule = Rule::TypeMismatch { reader: name_of(reader), writer: name_of(writer) };
        self.find(rule, place);
    }

    fn find(&mut self, rule: Rule, place: &Place) {
        if self.findings.len() >= MAX_FINDINGS {
            return;
        }
        let path = if place.path.is_empty() { "/".to_owned() } else { place.path.clone() };
        self.findings.push(Finding { rule, path, field: place.field.clone(), reader: self.who });
    }
}

fn pair<'s>(reader: &'s Schema, writer: &'s Schema) -> Option<Pair<'s>> {
    Some((reader.name()?.as_ref(), writer.name()?.as_ref()))
}

fn follow<'s>(schema: &'s Schema, names: &Names<'s>) -> &'s Schema {
    match schema {
        Schema::Ref { name } => names.get(name.as_ref()).copied().unwrap_or(schema),
        other => other,
    }
}

/// True if what was written as `writer` can be read as `reader`, names and sizes apart.
fn promotes(writer: Kind, reader: Kind) -> bool {
    use Kind::{Bytes, Double, Float, Int, Long, String};
    writer == reader
        || matches!(
            (writer, reader),
            (Int, Long | Float | Double)
                | (Long, Float | Double)
                | (Float, Double)
                | (String, Bytes)
                | (Bytes, String)
        )
}

fn name_of(schema: &Schema) -> String {
    let kind = Kind::of(schema).map_or("UNRESOLVED".to_owned(), |kind| format!("{kind:?}").to_uppercase());
    match schema.name() {
        Some(name) => format!("{kind} {name}"),
        None => kind,
    }
}
