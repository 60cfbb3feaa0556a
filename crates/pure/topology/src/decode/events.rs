//! `events` and `topics`.

use crate::diagnostic::{Report, Span};
use crate::mesh::{Correlation, Partitioner};
use crate::schemas::Limits;
use crate::source::{EventSource, ReadersSource, TopicSource};
use crate::yaml::Node;

use super::{Fields, values};

pub(super) fn event(node: &Node, key: Span, report: &mut Report) -> Option<EventSource> {
    let mut fields = Fields::open(node, "an event", report)?.named_at(key);
    let correlations = [("header", Correlation::Header), ("key", Correlation::Key)];
    let source = EventSource {
        topic: fields.required("topic", values::topic),
        schema: fields.required("schema", values::text),
        key: fields.optional("key", values::text),
        correlation: fields.optional("correlation", |n, r| values::word(n, &correlations, &["payload"], r)),
        owner: fields.optional("owner", values::text),
        readers: fields
            .optional("readers", |n, r| values::word(n, &[("foreign", ReadersSource::Foreign)], &[], r)),
    };
    fields.close(&["data_class"]);
    Some(source)
}

pub(super) fn topic(node: &Node, key: Span, report: &mut Report) -> Option<TopicSource> {
    let mut fields = Fields::open(node, "a topic", report)?.named_at(key);
    let partitioners = [("murmur2", Partitioner::Murmur2), ("unknown", Partitioner::Unknown)];
    let source = TopicSource {
        partitions: fields.optional("partitions", |n, r| values::count(n, 1, Limits::PARTITIONS_MAX, r)),
        partitioner: fields.optional("partitioner", |n, r| values::word(n, &partitioners, &[], r)),
        settings: fields.entries("settings", |_, _| (), values::setting),
    };
    fields.close(&[]);
    Some(source)
}
