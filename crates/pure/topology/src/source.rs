//! What is written: the file as spanned structs, before names are resolved and defaults filled in. The JSON Schema
//! of the file is derived from these structs, so their doc comments are what an editor shows.

mod shapes;

use schemars::JsonSchema;

use crate::diagnostic::{Span, Spanned};
use crate::mesh::{Again, Correlation, Guarantee, Identity, Partitioner, StartAt, Then};

/// A Quadrille mesh: events, the steps that react to them, and the sagas that watch over them.
#[derive(Debug, Default, JsonSchema)]
#[schemars(deny_unknown_fields, title = "Quadrille topology")]
pub(crate) struct TopologySource {
    /// Version of the language: 1.
    #[schemars(required, range(min = 1, max = 1))]
    pub(crate) quadrille: Option<Spanned<u64>>,
    /// Name of the mesh: prefix of its consumer groups, transactional IDs and internal topics.
    #[schemars(required)]
    pub(crate) mesh: Option<Spanned<String>>,
    /// Version of this definition; running sagas stay on theirs. Default: 1.
    #[schemars(range(min = 1))]
    pub(crate) version: Option<Spanned<u64>>,
    /// Folder of the schema files, relative to this file. Default: the folder of this file.
    pub(crate) schemas: Option<Spanned<String>>,
    /// Settings for all steps and sagas that don't have their own.
    #[schemars(default)]
    pub(crate) defaults: DefaultsSource,
    /// Settings of topics; a topic that isn't listed has the defaults.
    #[schemars(default)]
    pub(crate) topics: Entries<TopicSource>,
    /// The events of the mesh by name; the name is the event's CloudEvents type.
    #[schemars(required)]
    pub(crate) events: Entries<EventSource>,
    /// Named retry policies.
    #[schemars(default)]
    pub(crate) retries: Entries<RetrySource>,
    /// The steps by name.
    #[schemars(default)]
    pub(crate) steps: Entries<StepSource>,
    /// The sagas by name.
    #[schemars(default)]
    pub(crate) sagas: Entries<SagaSource>,
}

/// Settings for all steps and sagas that don't have their own.
#[derive(Debug, Default, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct DefaultsSource {
    /// Where a new reader of a topic starts.
    pub(crate) from: Option<Spanned<FromSource>>,
    /// Retry policy.
    pub(crate) retry: Option<RetryRef>,
    /// Time for one try of a handler. Default: 30s.
    pub(crate) timeout: Option<Spanned<Millis>>,
}

/// Settings of one topic.
#[derive(Debug, Default, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct TopicSource {
    /// Partition count. Default: 4.
    #[schemars(range(min = 1, max = 1000))]
    pub(crate) partitions: Option<Spanned<u64>>,
    /// How those who write to the topic choose the partition of a key. `murmur2` (default) is what Java clients do;
    /// `unknown` makes the mesh re-key what it reads, so that order and recognition of duplicates hold.
    pub(crate) partitioner: Option<Spanned<Partitioner>>,
    /// Further settings of the topic as Kafka names them.
    #[schemars(default)]
    pub(crate) settings: Entries<Spanned<Setting>>,
}

/// One event.
#[derive(Debug, Default, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct EventSource {
    /// The topic that carries it; one topic may carry many events.
    #[schemars(required)]
    pub(crate) topic: Option<Spanned<String>>,
    /// Avro schema file, or `json`.
    #[schemars(required)]
    pub(crate) schema: Option<Spanned<String>>,
    /// Field of the body that is the record's key. Default: the key is the correlation ID.
    pub(crate) key: Option<Spanned<String>>,
    /// Where the correlation ID is read: `header` (default: the header, else the key) or `key` (the key alone).
    pub(crate) correlation: Option<Spanned<Correlation>>,
    /// `foreign`: others publish it. Else the service that emits it. Default: the service whose step emits it.
    pub(crate) owner: Option<Spanned<String>>,
    /// `foreign`: somebody outside the mesh reads it, so that it may lead to no step.
    pub(crate) readers: Option<Spanned<ReadersSource>>,
}

/// Who else reads an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "lowercase")]
pub(crate) enum ReadersSource {
    /// Somebody outside the mesh.
    Foreign,
}

/// How a failing handler is tried again.
#[derive(Debug, Default, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct RetrySource {
    /// Tries while the record stays where it is.
    #[schemars(required)]
    pub(crate) in_place: Option<InPlaceSource>,
}

/// Tries in place.
#[derive(Debug, Default, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct InPlaceSource {
    /// How often in all, the first try included.
    #[schemars(required, range(min = 1, max = 20))]
    pub(crate) tries: Option<Spanned<u64>>,
    /// Wait between tries, such as `100ms..2s`: doubling from the lower to the upper bound, with full jitter.
    #[schemars(required)]
    pub(crate) wait: Option<Spanned<MillisRange>>,
}

/// A policy by name, or written out.
#[derive(Debug)]
pub(crate) enum RetryRef {
    Named(Spanned<String>),
    Inline(RetrySource),
}

/// One step: what triggers it, who does the work, what comes of it.
#[derive(Debug, Default, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct StepSource {
    /// The service that runs it. Default: `steps`, the generic one, which calls handlers over HTTP.
    pub(crate) service: Option<Spanned<String>>,
    /// The trigger: one event, or `all` of several.
    #[schemars(required)]
    pub(crate) when: Option<TriggerSource>,
    /// Who does the work.
    #[schemars(required)]
    pub(crate) handler: Option<HandlerSource>,
    /// What a success emits: an event, any one of a list, or `all` of several.
    pub(crate) emits: Option<Group>,
    /// What a refusal for business reasons emits: one of these. Never retried.
    pub(crate) rejects: Option<Names>,
    /// How the step's effect is undone when the saga fails.
    pub(crate) undo: Option<UndoSource>,
    /// Retry policy: a name, or written out. Default: 3 tries, wait 100ms..2s.
    pub(crate) retry: Option<RetryRef>,
    /// What follows when all tries failed, or one says that more are useless. Default: hold.
    pub(crate) exhausted: Option<Spanned<ExhaustedSource>>,
    /// Time for one try of the handler. Default: 30s.
    pub(crate) timeout: Option<Spanned<Millis>>,
    /// Records handled at the same time per instance; those of one key stay in order. Default: 16.
    #[schemars(range(min = 1, max = 1000))]
    pub(crate) concurrency: Option<Spanned<u64>>,
    /// Where the step starts reading its topic when it is new. Must be said, here or under `defaults`, if others
    /// publish to the topic too; a topic of the mesh alone is read from its beginning.
    pub(crate) from: Option<Spanned<FromSource>>,
    /// From here on the saga only goes forward.
    pub(crate) pivot: Option<Spanned<bool>>,
    /// `none`: the step changes nothing, so that it needs no undo.
    pub(crate) effect: Option<Spanned<EffectSource>>,
    /// Default: exactly_once.
    pub(crate) guarantee: Option<Spanned<Guarantee>>,
}

/// What a step changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "lowercase")]
pub(crate) enum EffectSource {
    /// Nothing.
    None,
}

/// The trigger of a step.
#[derive(Debug)]
pub(crate) enum TriggerSource {
    Event(Spanned<String>),
    All(Names),
}

/// Several events: `all: false` is one or any one of a list, `all: true` is written `{ all: [...] }`.
#[derive(Debug, Default, Clone)]
pub(crate) struct Group {
    pub(crate) all: bool,
    pub(crate) names: Names,
}

/// Who does the work: an HTTP endpoint, or a Rust function registered under a name.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "lowercase")]
pub(crate) enum HandlerSource {
    /// URL that is called with a POST.
    Http(Spanned<String>),
    /// Name under which the service registered the function.
    Rust(Spanned<String>),
}

/// How the effect of a step is undone.
#[derive(Debug, Default, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct UndoSource {
    /// Who undoes it.
    #[schemars(required)]
    pub(crate) handler: Option<HandlerSource>,
    /// Events that say that it was undone.
    pub(crate) emits: Option<Names>,
    /// Undo also when it is not known whether the step took effect, as after a time-out. Default: false.
    pub(crate) also_when_unknown: Option<Spanned<bool>>,
}

/// What follows when all tries failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ExhaustedSource {
    Hold,
    Undo,
    Emit(Spanned<String>),
}

/// One saga: a flow with a beginning, an end and a way back.
#[derive(Debug, Default, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct SagaSource {
    /// Event that starts a run; a list means any of them.
    #[schemars(required)]
    pub(crate) starts: Option<Names>,
    /// What tells runs apart: `correlation` (default), the correlation ID.
    pub(crate) identity: Option<Spanned<Identity>>,
    /// What a second start of the same identity does: `ignore` (default).
    pub(crate) again: Option<Spanned<Again>>,
    /// Event that completes it: one, any of a list, or `all` of several.
    #[schemars(required)]
    pub(crate) completes: Option<Group>,
    /// Events that fail it: what was done is undone.
    pub(crate) fails: Option<Names>,
    /// Names of the outcomes.
    #[schemars(default)]
    pub(crate) outcomes: OutcomesSource,
    /// When the saga is given up.
    pub(crate) deadline: Option<DeadlineSource>,
    /// Where the coordinator starts reading the topics of foreign events when the saga is new. Must be said, here or
    /// under `defaults`, if the saga knows foreign events.
    pub(crate) from: Option<Spanned<FromSource>>,
}

/// Names of a saga's outcomes.
#[derive(Debug, Default, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct OutcomesSource {
    /// Default: `completed`.
    pub(crate) completed: Option<Spanned<String>>,
    /// Default: `compensated`.
    pub(crate) compensated: Option<Spanned<String>>,
}

/// When a saga is given up: after a time, or never, with the reason.
#[derive(Debug, JsonSchema)]
#[schemars(untagged)]
pub(crate) enum DeadlineSource {
    After(AfterSource),
    Never(NeverSource),
}

/// Give up after a time.
#[derive(Debug, Default, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct AfterSource {
    /// Counted from the start event, `1s` to ten years.
    #[schemars(required)]
    pub(crate) after: Option<Spanned<Millis>>,
    /// `undo`: what was done is undone.
    #[schemars(required)]
    pub(crate) then: Option<Spanned<Then>>,
}

/// The saga may wait as long as it takes.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct NeverSource {
    /// Why it may.
    pub(crate) never: Spanned<String>,
}

/// One name, or any one of a list.
#[derive(Debug, Default, Clone)]
pub(crate) struct Names {
    pub(crate) names: Vec<Spanned<String>>,
}

/// The entries of a mapping, in the order of the file.
#[derive(Debug)]
pub(crate) struct Entries<T>(pub(crate) Vec<(Spanned<String>, T)>);

impl<T> Default for Entries<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

/// A duration in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Millis(pub(crate) u64);

/// Two durations, the first not longer than the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MillisRange(pub(crate) u64, pub(crate) u64);

/// Where a new reader starts, as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FromSource(pub(crate) StartAt);

/// The value of a topic setting, as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Setting(pub(crate) String);

impl Names {
    pub(crate) fn spans(&self) -> impl Iterator<Item = (&str, Span)> {
        self.names.iter().map(|n| (n.value.as_str(), n.span))
    }
}
