//! Topics and events.

use std::collections::BTreeMap;

use crate::codes;
use crate::diagnostic::{Diagnostic, Report};
use crate::mesh::{Body, Event, Owner, Topic};
use crate::schemas::{Limits, Schemas};
use crate::source::{TopicSource, TopologySource};

use super::schemas::Reader;

/// The topics of all events, with the settings that the file gives.
pub(super) fn topics(source: &TopologySource, report: &mut Report) -> BTreeMap<String, Topic> {
    let used = source.events.0.iter().filter_map(|(_, event)| event.topic.as_ref());
    let mut topics: BTreeMap<String, Topic> =
        used.map(|name| (name.value.clone(), topic(&name.value, &TopicSource::default()))).collect();
    for (name, settings) in &source.topics.0 {
        match topics.get_mut(&name.value) {
            Some(slot) => *slot = topic(&name.value, settings),
            None => {
                let known: Vec<&str> = topics.keys().map(String::as_str).collect();
                let message = format!("no event is on the topic `{}`", crate::yaml::shorten(&name.value));
                let help = crate::suggest::help(&name.value, &known, "remove it");
                report.add(Diagnostic::new(codes::UNUSED_TOPIC, name.span, message).help(help));
            }
        }
    }
    topics
}

fn topic(name: &str, source: &TopicSource) -> Topic {
    let settings = source.settings.0.iter().map(|(key, value)| (key.value.clone(), value.value.0.clone()));
    Topic {
        name: name.to_owned(),
        partitions: source.partitions.as_ref().map_or(Limits::PARTITIONS_DEFAULT, |p| p.value as u32),
        partitioner: source.partitioner.as_ref().map_or_else(Default::default, |p| p.value),
        settings: settings.collect(),
    }
}

/// The events with their schemas. The owner is what is written; who emits them is settled later.
pub(super) fn events(
    source: &TopologySource,
    files: &dyn Schemas,
    report: &mut Report,
) -> BTreeMap<String, Event> {
    let folder = source.schemas.as_ref().map_or("", |folder| folder.value.as_str());
    let mut reader = Reader::new(folder, files);
    let mut events = BTreeMap::new();
    for (name, written) in &source.events.0 {
        let topic = written.topic.as_ref().map_or("", |t| t.value.as_str());
        let body = match &written.schema {
            Some(schema) if schema.value != "json" => {
                reader.read(topic, schema, written.key.as_ref(), report)
            }
            _ => None,
        };
        let event = Event {
            name: name.value.clone(),
            topic: topic.to_owned(),
            body: body.map_or(Body::Json, Body::Avro),
            key: written.key.as_ref().map(|k| k.value.clone()),
            correlation: written.correlation.as_ref().map_or_else(Default::default, |c| c.value),
            owner: match &written.owner {
                Some(owner) if owner.value != "foreign" => Owner::Service(owner.value.clone()),
                _ => Owner::Foreign,
            },
            foreign_readers: written.readers.is_some(),
        };
        events.insert(name.value.clone(), event);
    }
    events
}
