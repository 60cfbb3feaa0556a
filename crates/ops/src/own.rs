//! Facts, commands, journal entries and states as JSON.
//!
//! Which of them a record is follows from the name of its topic (see `quadrille_types::topics`), so this needs no
//! topology. IDs and times are text, payloads are decoded as values are.

use quadrille_saga::changelog::{self, Key};
use quadrille_saga::state::{Activation, Ended, Head, State};
use quadrille_types::command::Command;
use quadrille_types::definition::Change;
use quadrille_types::envelope::Lineage;
use quadrille_types::fact::{Body, EventRef, Fact, Known, Outcome, StepResult};
use quadrille_types::format;
use quadrille_types::ids::Trigger;
use quadrille_types::journal::{Entry, Input, TimerKind};
use serde_json::{Map, Value as Json, json};

use crate::standing::{end_word, phase_word, status_word};
use crate::value::{Avro, bytes_of};
use crate::words;

/// What lies in a topic of the mesh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Fact,
    Entry,
    Command,
    State,
    Change,
}

impl Kind {
    fn of(topic: &str) -> Option<Self> {
        if topic.ends_with(".sagas.state") {
            Some(Self::State)
        } else if topic.ends_with(".sagas.journal") {
            Some(Self::Entry)
        } else if topic.ends_with(".sagas.unmatched") || topic.contains(".facts.") {
            Some(Self::Fact)
        } else if topic.contains(".control.") {
            Some(Self::Command)
        } else if topic.ends_with(".definition") {
            Some(Self::Change)
        } else {
            None
        }
    }
}

/// A value of a topic of the mesh; none: the topic is not the mesh's, or the value is of another kind (control topics
/// also carry the step's input).
pub(crate) fn value(topic: &str, key: Option<&[u8]>, bytes: &[u8], avro: &mut dyn Avro) -> Option<Json> {
    match Kind::of(topic)? {
        Kind::Fact => format::decode(bytes).ok().map(|fact| of_fact(&fact, avro)),
        Kind::Entry => format::decode(bytes).ok().map(|entry| of_entry(&entry, avro)),
        Kind::Command => format::decode(bytes).ok().map(|command| of_command(&command, avro)),
        Kind::State => of_state(key?, bytes, avro),
        Kind::Change => format::decode(bytes).ok().map(|change| of_change(&change)),
    }
}

fn of_change(change: &Change) -> Json {
    json!({ "active": change.definition.to_string(), "follows": change.follows.as_ref().map(ToString::to_string) })
}

/// Whatever of ours it is: for records that somebody copied to another topic.
pub(crate) fn any(bytes: &[u8], avro: &mut dyn Avro) -> Option<Json> {
    let entry = format::decode::<Entry>(bytes).ok().map(|entry| of_entry(&entry, avro));
    let fact = || format::decode::<Fact>(bytes).ok();
    let command = || format::decode::<Command>(bytes).ok();
    entry
        .or_else(|| fact().map(|fact| of_fact(&fact, avro)))
        .or_else(|| command().map(|command| of_command(&command, avro)))
}

/// A key that is not text: those of the state topic are IDs.
pub(crate) fn key(topic: &str, bytes: &[u8]) -> Option<String> {
    match (Kind::of(topic)?, Key::from_bytes(bytes)) {
        (Kind::State, Ok(Key::Head(run))) => Some(run.to_string()),
        (Kind::State, Ok(Key::Activation(run, id))) => Some(format!("{run}/{id}")),
        _ => None,
    }
}

/// A fact.
pub fn of_fact(fact: &Fact, avro: &mut dyn Avro) -> Json {
    let mut json = of_lineage(&fact.lineage);
    let (what, body) = match &fact.body {
        Body::Started(event) => ("started", of_event(event, avro)),
        Body::Observed(event) => ("observed", of_event(event, avro)),
        Body::Step(result) => ("step", of_result(result, avro)),
        Body::Known(known) => ("known", of_known(known)),
    };
    json.insert(what.to_owned(), body);
    json.insert("source".to_owned(), json!(fact.source.to_string()));
    json.insert("source_time".to_owned(), json!(words::time(fact.source_time_ms)));
    put(&mut json, "traceparent", fact.traceparent.as_deref());
    put(&mut json, "tracestate", fact.tracestate.as_deref());
    Json::Object(json)
}

/// A journal entry.
pub fn of_entry(entry: &Entry, avro: &mut dyn Avro) -> Json {
    let mut json = Map::from_iter([("applied".to_owned(), json!(words::time(entry.now_ms)))]);
    match &entry.input {
        Input::Fact(fact) => json.insert("fact".to_owned(), of_fact(fact, avro)),
        Input::Timer(timer) => {
            let kind = match timer.kind {
                TimerKind::Deadline => "deadline",
            };
            let timer = json!({"run": timer.run, "kind": kind, "due": words::time(timer.due_ms)});
            json.insert("timer".to_owned(), timer)
        }
        Input::Forgotten(run) => json.insert("forgotten".to_owned(), json!({"run": run})),
    };
    Json::Object(json)
}

/// A command.
pub fn of_command(command: &Command, avro: &mut dyn Avro) -> Json {
    let mut json = of_lineage(&command.lineage);
    json.insert("command".to_owned(), json!(command.action.as_str()));
    json.insert("step".to_owned(), json!(command.step));
    json.insert("activation".to_owned(), json!(command.activation));
    json.insert("trigger".to_owned(), of_trigger(&command.trigger));
    json.insert("inputs".to_owned(), of_events(&command.inputs, avro));
    put(&mut json, "causation_id", command.causation_id.as_deref());
    put(&mut json, "deadline", command.deadline_ms.map(words::time).as_deref());
    put(&mut json, "traceparent", command.traceparent.as_deref());
    put(&mut json, "tracestate", command.tracestate.as_deref());
    Json::Object(json)
}

/// An event, with its payload where it travels along.
pub fn of_event(event: &EventRef, avro: &mut dyn Avro) -> Json {
    let mut json =
        Map::from_iter([("event".to_owned(), json!(event.event)), ("id".to_owned(), json!(event.id))]);
    if let Some(payload) = &event.payload {
        let value = bytes_of(&payload.value, None, payload.content_type.as_deref(), avro);
        json.insert("payload".to_owned(), value.json);
    }
    Json::Object(json)
}

fn of_events(events: &[EventRef], avro: &mut dyn Avro) -> Json {
    events.iter().map(|event| of_event(event, avro)).collect()
}

fn of_known(known: &Known) -> Json {
    json!({ "name": known.step, "activation": known.activation, "trigger": of_trigger(&known.trigger) })
}

fn of_result(result: &StepResult, avro: &mut dyn Avro) -> Json {
    let (word, more) = match &result.result {
        Outcome::Succeeded { events, .. } => ("succeeded", json!({"events": of_events(events, avro)})),
        Outcome::Rejected { events } => ("rejected", json!({"events": of_events(events, avro)})),
        Outcome::Exhausted { reason, message, event, .. } => {
            let events = of_events(event.as_slice(), avro);
            ("exhausted", json!({"reason": reason, "message": message, "events": events}))
        }
        Outcome::Undone { events } => ("undone", json!({"events": of_events(events, avro)})),
        Outcome::UndoExhausted { reason, message } => {
            ("undo_exhausted", json!({"reason": reason, "message": message}))
        }
    };
    let mut json = json!({
        "name": result.step,
        "activation": result.activation,
        "trigger": of_trigger(&result.trigger),
        "result": word,
        "attempts": result.attempts,
    });
    if let (Json::Object(json), Json::Object(more)) = (&mut json, more) {
        json.extend(more);
    }
    json
}

fn of_state(key: &[u8], bytes: &[u8], avro: &mut dyn Avro) -> Option<Json> {
    match Key::from_bytes(key).ok()? {
        Key::Head(run) => match changelog::restore(run, bytes, []).ok()? {
            State::Live(live) => Some(of_head(&live.head)),
            State::Ended(ended) => Some(of_ended(&ended)),
        },
        Key::Activation(..) => format::decode(bytes).ok().map(|activation| of_activation(&activation, avro)),
    }
}

fn of_head(head: &Head) -> Json {
    let mut json = of_lineage(&head.lineage);
    json.insert("status".to_owned(), json!(status_word(head.status)));
    json.insert("since".to_owned(), json!(words::time(head.since_ms)));
    put(&mut json, "started".to_owned(), head.started_at_ms.map(words::time).as_deref());
    put(&mut json, "deadline", head.deadline_ms.map(words::time).as_deref());
    put(&mut json, "failing", head.failing.as_ref().map(ToString::to_string).as_deref());
    let completing: Vec<String> = head.completing.iter().map(ToString::to_string).collect();
    json.insert("completing".to_owned(), json!(completing));
    json.insert("overdue".to_owned(), json!(head.overdue));
    json.insert("stalled".to_owned(), json!(head.stalled));
    Json::Object(json)
}

fn of_ended(ended: &Ended) -> Json {
    json!({
        "ended": end_word(ended.end),
        "at": words::time(ended.at_ms),
        "definition_version": ended.definition_version,
    })
}

fn of_activation(activation: &Activation, avro: &mut dyn Avro) -> Json {
    json!({
        "activation": activation.id,
        "step": activation.step,
        "trigger": of_trigger(&activation.trigger),
        "phase": phase_word(activation.phase),
        "since": words::time(activation.since_ms),
        "inputs": of_events(&activation.inputs, avro),
    })
}

fn of_lineage(lineage: &Lineage) -> Map<String, Json> {
    Map::from_iter([
        ("flow".to_owned(), json!(lineage.flow)),
        ("run".to_owned(), json!(lineage.run)),
        ("correlation_id".to_owned(), json!(lineage.correlation_id)),
        ("definition".to_owned(), json!(lineage.definition.to_string())),
    ])
}

fn of_trigger(trigger: &Trigger) -> Json {
    match trigger {
        Trigger::Start => json!("start"),
        Trigger::Join => json!("join"),
        Trigger::Event(id) => json!({ "event": id }),
        Trigger::Record(position) => json!({ "record": position }),
    }
}

fn put(json: &mut Map<String, Json>, name: impl Into<String>, text: Option<&str>) {
    if let Some(text) = text {
        json.insert(name.into(), Json::from(text));
    }
}

#[cfg(test)]
mod tests {
    use quadrille_types::dead_letter::Reason;
    use quadrille_types::envelope::{Definition, Position};
    use quadrille_types::fact::Payload;
    use quadrille_types::ids::Action;
    use quadrille_types::journal::Timer;
    use quadrille_types::{RunId, record::Record};

    use super::*;
    use crate::value::{Format, NoRegistry, of_value};

    fn lineage() -> Lineage {
        Lineage {
            flow: "order".into(),
            run: RunId::of("shop", "order", "4711"),
            correlation_id: "4711".into(),
            definition: Definition { version: 7, hash: "c0ffee".into() },
        }
    }

    fn placed() -> EventRef {
        let payload = Payload { content_type: None, value: br#"{"total":12}"#.to_vec() };
        EventRef { event: "OrderPlaced".into(), id: "e1".into(), payload: Some(payload) }
    }

    fn fact(body: Body) -> Fact {
        Fact {
            lineage: lineage(),
            source: Position { topic: "orders".into(), partition: 2, offset: 40 },
            source_time_ms: 0,
            body,
            traceparent: None,
            tracestate: None,
        }
    }

    fn step(result: Outcome) -> Fact {
        fact(Body::Step(StepResult {
            step: "charge".into(),
            activation: lineage().run.activation("charge", &Trigger::Start),
            trigger: Trigger::Start,
            result,
            attempts: 3,
        }))
    }

    fn shown(topic: &str, value: Vec<u8>) -> Json {
        let position = Position { topic: topic.into(), partition: 0, offset: 0 };
        let record = Record { position, time_ms: 0, key: None, value: Some(value), headers: Vec::new() };
        let value = of_value(&record, &mut NoRegistry);
        assert_eq!(value.format, Format::Quadrille, "{topic}: {value:?}");
        value.json
    }

    #[test]
    fn facts_are_read_by_their_topics() {
        let started = format::encode(&fact(Body::Started(placed())));
        for topic in ["shop.facts.ingest", "shop.sagas.unmatched"] {
            let json = shown(topic, started.clone());
            assert_eq!(json["started"]["payload"], json!({"total": 12}), "payloads are decoded too");
            assert_eq!((&json["source"], &json["flow"]), (&json!("orders/2/40"), &json!("order")));
        }
        let exhausted = Outcome::Exhausted {
            reason: Reason::NoKey,
            message: "no key".into(),
            inputs: vec![],
            event: None,
        };
        let json = shown("shop.facts.payment", format::encode(&step(exhausted)));
        assert_eq!(json["step"]["result"], "exhausted");
        assert_eq!(json["step"]["reason"], "no-key");
        assert_eq!(json["step"]["attempts"], 3);
    }

    #[test]
    fn journal_entries_and_commands_are_read_by_their_topics() {
        let undone = step(Outcome::Undone { events: vec![] });
        let entry = Entry { now_ms: 1_000, input: Input::Fact(undone) };
        let json = shown("shop.sagas.journal", format::encode(&entry));
        assert_eq!(json["applied"], "1970-01-01T00:00:01.000Z");
        assert_eq!(json["fact"]["step"]["result"], "undone");

        let timer = Timer { run: lineage().run, kind: TimerKind::Deadline, due_ms: 5_000 };
        let entry = Entry { now_ms: 6_000, input: Input::Timer(timer) };
        let json = shown("shop.sagas.journal", format::encode(&entry));
        assert_eq!(json["timer"]["due"], "1970-01-01T00:00:05.000Z");

        let command = Command {
            lineage: lineage(),
            step: "charge".into(),
            activation: lineage().run.activation("charge", &Trigger::Start),
            trigger: Trigger::Event("e1".into()),
            action: Action::Undo,
            inputs: vec![placed()],
            causation_id: None,
            deadline_ms: Some(0),
            traceparent: None,
            tracestate: None,
        };
        let json = shown("shop.control.charge", format::encode(&command));
        assert_eq!((&json["command"], &json["trigger"]["event"]), (&json!("undo"), &json!("e1")));
        assert_eq!(json["deadline"], "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn definitions_are_read_by_their_topic() {
        let definition = lineage().definition;
        let change = Change { follows: Some(Definition { version: 6, hash: "ff".into() }), definition };
        let json = shown("shop.definition", format::encode(&change));
        assert_eq!(json, json!({ "active": "7/c0ffee", "follows": "6/ff" }));
    }

    #[test]
    fn a_control_topic_also_carries_what_is_no_command() {
        assert_eq!(value("shop.control.charge", None, b"{\"order_id\":1}", &mut NoRegistry), None);
        assert_eq!(
            value("orders", None, &format::encode(&fact(Body::Started(placed()))), &mut NoRegistry),
            None
        );
    }
}
