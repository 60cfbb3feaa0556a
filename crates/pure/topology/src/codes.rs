//! Every code that the compiler can report, in one table. Codes are stable: a code keeps its meaning for ever, and
//! one that is no longer produced is not given to another mistake.
//!
//! `Q00..` the file itself, `Q01..` its shape, `Q02..` names and what they stand for, `Q03..` the flow.

use serde::Serialize;

use crate::diagnostic::Severity;

/// The code of a mistake, such as `Q0103`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Code(pub &'static str);

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

/// What a code means: a title and one paragraph.
#[derive(Debug, Clone, Copy)]
pub struct Explanation {
    /// The code.
    pub code: Code,
    /// Error or warning.
    pub severity: Severity,
    /// A few words.
    pub title: &'static str,
    /// One paragraph: why it is a mistake and how to get out of it.
    pub text: &'static str,
}

macro_rules! codes {
    ($($(#[$severity:ident])? $name:ident = $code:literal, $title:literal, $text:literal;)*) => {
        $(pub(crate) const $name: Code = Code($code);)*
        /// All codes, in order.
        pub const TABLE: &[Explanation] = &[
            $(Explanation { code: Code($code), severity: codes!(@ $($severity)?), title: $title, text: $text },)*
        ];
    };
    (@) => { Severity::Error };
    (@ warning) => { Severity::Warning };
}

codes! {
    TOO_LARGE = "Q0001", "file too large",
        "A topology file may have at most 1 MiB. Larger files are refused unread, so that a wrong path or a hostile \
         file can't exhaust memory. Put independent flows into files of their own.";
    NOT_TEXT = "Q0002", "not text",
        "The file is not UTF-8 text, or it contains control characters. Nothing in it was interpreted. Check that \
         the path names the topology file, and save it as UTF-8 (with or without a byte order mark).";
    SYNTAX = "Q0003", "not YAML",
        "The file breaks the rules of YAML at this place, so what follows could not be read. The usual causes are a \
         tab in the indentation, an unclosed quote or bracket, a `:` without a space behind it, or a list or \
         mapping used as a key.";
    ALIAS = "Q0004", "anchor, alias, tag or merge key",
        "Anchors (`&name`), aliases (`*name`), tags (`!tag`) and merge keys (`<<`) are refused before they are \
         expanded: a few nested aliases can stand for gigabytes. Use `retries:` and `defaults:` to share settings.";
    TOO_DEEP = "Q0005", "nested too deep",
        "Lists and mappings may be nested at most 32 levels deep. The language needs fewer than ten.";
    NOT_A_TOPOLOGY = "Q0006", "no topology in the file",
        "The file is empty, holds more than one YAML document, or is not a mapping. A topology is one mapping that \
         begins with `quadrille: 1` and `mesh: NAME`.";
    DUPLICATE = "Q0007", "written twice",
        "The same name or field is written twice in one mapping. YAML leaves open which of the two counts, so \
         neither is silently dropped: keep one, or rename one.";

    UNKNOWN_FIELD = "Q0101", "unknown field",
        "The language has no such field here. It is refused rather than ignored, because a misspelt `undo` or \
         `deadline` that is silently ignored costs money. `quadrille schema` prints the JSON Schema of the file, \
         which gives editors completion.";
    MISSING_FIELD = "Q0102", "missing field",
        "A field that has no default is missing.";
    WRONG_SHAPE = "Q0103", "wrong kind of value",
        "The field wants another kind of value: a name, a number, a list, a mapping, or one of a few words.";
    NOT_YET = "Q0104", "reserved, not available yet",
        "The word belongs to the language, but this version does not run it yet. It is refused rather than \
         accepted without effect. The message says what is available instead.";
    EMPTY = "Q0105", "empty list",
        "An empty list or name says nothing. Leave the field out, or name at least one.";
    LISTED_TWICE = "Q0106", "listed twice",
        "The same name stands twice in one list. It counts once, so the second is probably meant to be another.";
    BAD_DURATION = "Q0107", "impossible duration",
        "Durations are written as a whole number and a unit: `100ms`, `5s`, `15m`, `12h`, `60d`, and ranges as \
         `100ms..2s`. Zero, negative and absurd durations are refused, as are ranges that run backwards.";
    BAD_COUNT = "Q0108", "impossible number",
        "The number is not a whole number within the bounds of the field.";
    BAD_NAME = "Q0109", "impossible name",
        "The name can't be used. Names end up in topic names, consumer groups, headers and metrics: letters, digits, \
         `-`, `_` and (for topics) `.`, beginning with a letter, at most 100 characters. Topic names that begin with \
         two underscores belong to Kafka.";
    BAD_VERSION = "Q0110", "unknown format version",
        "`quadrille: 1` says which version of the language the file is written in. This program knows version 1.";
    BAD_TIME = "Q0111", "impossible time",
        "`from` takes `earliest`, `now` or an RFC 3339 time with its offset, such as `2027-01-31T08:00:00Z`. Where \
         a step starts to read is never guessed.";
    UNKNOWN_WORD = "Q0112", "unknown word",
        "The field takes one of a few words, and this is none of them.";
    BAD_URL = "Q0113", "impossible URL",
        "An HTTP handler is called at an absolute URL that begins with `http://` or `https://` and names a host.";
    TOO_MANY = "Q0114", "too many",
        "A file may declare 1000 events, 300 steps and 100 sagas, and a list may name 100 events. The checks look \
         at all of them together. Put independent flows into files of their own.";

    UNKNOWN_EVENT = "Q0201", "unknown event",
        "A step or a saga names an event that is not declared under `events`. Every event is declared once, with \
         its topic and its schema, so that a misspelt name can't become a trigger that never fires.";
    UNKNOWN_SERVICE = "Q0202", "unknown service",
        "`owner` names the service that may emit the event, but no step runs in a service of that name. Write \
         `owner: foreign` for an event that others publish, or leave it out to let the emitting step decide.";
    UNKNOWN_POLICY = "Q0203", "unknown retry policy",
        "`retry` names a policy that is not declared under `retries`.";
    UNUSED_TOPIC = "Q0204", "settings for a topic that no event uses",
        "`topics` gives settings for a topic, but no event is on that topic. Such settings would have no effect.";
    SCHEMA_UNREADABLE = "Q0205", "schema can't be read",
        "The schema file that an event names can't be read. The path is relative to the folder given by `schemas`, \
         which is relative to the topology file.";
    SCHEMA_INVALID = "Q0206", "schema is not valid Avro",
        "The schema file is not a valid Avro schema.";
    SCHEMA_NOT_RECORD = "Q0207", "schema is not a named record",
        "An event's schema must be an Avro record with a namespace: the registry subject is made of the topic and \
         the record's full name, and two records named alike in one topic could not be told apart.";
    KEY_NOT_IN_SCHEMA = "Q0208", "key is not a field of the schema",
        "`key` names the field of the event's body that is the record's key. The schema has no such field, or the \
         field is neither a string nor a whole number.";
    RECORD_CLASH = "Q0209", "two schemas under one subject",
        "Two events of one topic have different schemas for records of the same full name. They would overwrite \
         each other in the registry. Give the records different names, or the events the same schema.";
    FROM_MISSING = "Q0210", "where to start reading is not said",
        "The topic exists before the mesh does, because others publish to it. Whether a new reader begins with the \
         oldest record (and charges last year's orders) or with the next one is never guessed: say \
         `from: earliest`, `from: now` or `from: <time>` there, or once under `defaults`.";
    FOREIGN_EMITTED = "Q0211", "a foreign event is emitted by a step",
        "`owner: foreign` says that others publish the event, yet a step emits it. An event has one owner, so that \
         one service alone may write it and duplicates can be recognised.";
    OWNER_UNCLEAR = "Q0212", "owner of an event is unclear",
        "An event has one owning service, which alone may emit it. Here steps of different services emit it, or its \
         `owner` is another service than the one that emits it. Move the steps into one service, or use two events.";
    UNUSED_POLICY = "Q0213", "retry policy that nobody uses",
        "A policy under `retries` is used by no step. It has no effect.";
    TWO_SAGAS = "Q0214", "a step in two sagas",
        "A step can be reached from the starts of two sagas. Then it would not be clear which of them undoes it. \
         Give each saga a step of its own, or make the two sagas one.";
    TWO_ROLES = "Q0215", "an event with two contradicting roles",
        "The same event both completes and fails a saga, is both emitted and rejected by one step, or both starts \
         and ends a saga. What happens when it occurs would depend on chance.";
    NO_EFFECT_OUTSIDE_SAGA = "Q0216", "only a saga could act on this",
        "`undo`, `pivot`, `effect` and `exhausted: undo` are about undoing a saga, but the step belongs to no saga: no saga's \
         start leads to it. Start a saga with its trigger, or remove the field.";
    RUST_NEEDS_SERVICE = "Q0217", "a Rust handler without a service",
        "Steps without `service` run in the generic service `steps`, which calls handlers over HTTP. A Rust handler \
         is compiled into its author's own service: name it with `service`.";
    MANY_FROM = "Q0218", "`from` where nothing is read",
        "A step that the coordinator triggers reads no topic of its own, so that `from` would have no effect. Where \
         the coordinator starts to read foreign events is said by the saga's `from`.";
    GIVEN_UP_WITHOUT = "Q0219", "a field of an event after exhausted tries has no value",
        "The event of `exhausted: { emit: EVENT }` is written without a handler. Its fields are taken from the trigger, by \
         name and type; `step` and `reason` (strings) and `attempts` (int or long) are filled in. Every other field needs a \
         default or must be nullable. Of a trigger that is JSON nothing is known, so that it fills no schema.";

    UNREACHABLE = "Q0301", "unreachable step",
        "The step can never run: its trigger is emitted only by steps that can't run either, or only after itself.";
    NOBODY_EMITS = "Q0302", "an event that nobody emits",
        "No step emits the event, and it is not declared as published by others. If it comes from outside the mesh, \
         say `owner: foreign`.";
    NOBODY_USES = "Q0303", "an event that nobody uses",
        "The event is declared, but nothing emits it or waits for it.";
    DEAD_END = "Q0304", "an event that leads nowhere",
        "A step emits or rejects with an event that triggers no step and neither completes nor fails a saga. The \
         saga would simply stop there. Name the event in `completes` or `fails`, let a step listen to it, or say \
         `readers: foreign` on the event if somebody outside the mesh acts on it.";
    LOOP = "Q0305", "a loop without bound",
        "The steps trigger each other in a circle, and nothing bounds how often. Each round would be a new \
         activation with new effects.";
    NEVER_JOINS = "Q0306", "a join that can never be complete",
        "The events of the join exclude each other: in every possible run at least one of them is missing.";
    WAITS_FOR_EVER = "Q0307", "a join that can wait for ever",
        "There is a run in which some events of the join occur, another one never does, and nothing fails or times \
         out: the saga waits for ever. Let the missing event's alternative fail the saga, or give the saga a \
         deadline; if it may really wait, say why with `deadline: { never: \"...\" }`.";
    NO_OUTCOME = "Q0308", "a run without an outcome",
        "There is a run of the saga that reaches neither `completes` nor `fails`, and no deadline ends it; or a \
         step is held after its last try, and only a person could end the saga. Give the saga a deadline, or say \
         why it may wait with `deadline: { never: \"...\" }`.";
    NEVER_COMPLETES = "Q0309", "a saga that can never complete",
        "In no possible run do the events that complete the saga occur without one that fails it.";
    NO_UNDO = "Q0310", "an effect that can't be undone",
        "The step changes something, has no `undo`, and the saga can still fail after it ran, be it by another \
         step, by its own unknown outcome or by the deadline. Give it an `undo`; say `effect: none` if it changes \
         nothing; or make it the `pivot`, from which on the saga only goes forward.";
    FAILS_AFTER_PIVOT = "Q0311", "a failure after the pivot",
        "From the pivot on a saga only goes forward: nothing behind it may fail the saga, since what stands before \
         it is not undone any more. Move the step before the pivot, or do not let it fail the saga.";
    TWO_PIVOTS = "Q0312", "two pivots",
        "A saga has one point of no return. With two, it would be unclear from which of them on it only goes forward.";
    JOIN_OUTSIDE_SAGA = "Q0313", "a join outside a saga",
        "Which events belong together is known only inside a saga. Start a saga with one of the events, or let the \
         step wait for one event.";
    UNEQUAL_PARTITIONS = "Q0314", "topics of one service with unequal partition counts",
        "The steps of one service share one owner per partition number across the topics they read, so these topics \
         must have equal partition counts. Make them equal, or put the steps into different services.";
    NOT_PROVED = "Q0315", "too many runs to prove that the saga ends",
        "The saga has more possible runs than are tried. What is not proved is not accepted: split the saga, or let \
         fewer steps of it run beside each other, have alternatives, or wait for events from outside.";
    #[warning]
    UNDO_AFTER_PIVOT = "Q0316", "an undo that never runs",
        "The step runs only after the pivot, from which on nothing is undone. Its `undo` has no effect.";
    RACE = "Q0317", "an end that a failure can overtake",
        "The saga can complete although a step that can fail it has not ended. Whether the run counts as completed \
         or as failed would depend on which comes first. Let completion wait for the step's success: with \
         `completes: { all: [...] }`, or with a step that waits for both.";
    PIVOT_UNDONE = "Q0318", "a pivot that is given up",
        "From the pivot on a saga only goes forward. When all its tries fail, nobody knows whether it had its effect, so \
         that the saga can't be undone then: a pivot is held and tried again until it succeeds or refuses. Leave \
         `exhausted` out, or let a step before the pivot do what may be given up.";
    PIVOT_TWICE = "Q0319", "a pivot that can run twice",
        "Two events of one run can trigger the pivot, each for itself, so that two activations of it run side by side. \
         What cannot be taken back would be done twice, and one could succeed while the other refuses. Let one event \
         trigger it that occurs once, or join the two with `all: [...]`.";
}

/// The explanation of a code such as `Q0103`; letters may be lower case.
#[must_use]
pub fn explain(code: &str) -> Option<&'static Explanation> {
    TABLE.iter().find(|e| e.code.0.eq_ignore_ascii_case(code))
}

pub(crate) fn severity(code: Code) -> Severity {
    TABLE.iter().find(|e| e.code == code).map_or(Severity::Error, |e| e.severity)
}
