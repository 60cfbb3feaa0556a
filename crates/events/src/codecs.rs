//! How each event of a mesh is written.

use std::collections::BTreeMap;
use std::sync::Arc;

use quadrille_schema::{Codec, Decoder, Encoder, wire};
use quadrille_step::conclude::Emitted;
use quadrille_step::spec::{Fields, Filling, GivesUp};
use quadrille_topology::Mesh;
use quadrille_topology::mesh::Body;
use quadrille_types::fact::{EventRef, Payload};
use serde_json::Value as Json;

use crate::error::{Error, StartError};

/// `content-type` of values in Confluent's wire format.
pub const AVRO: &str = "application/avro";

/// `content-type` of JSON values.
pub const JSON: &str = "application/json";

/// The schema id in what is encoded without a registry.
const NO_ID: u32 = 0;

/// Reads and writes the events of one mesh. Share it in an [`Arc`].
#[derive(Debug)]
pub struct Codecs {
    pub(crate) events: BTreeMap<String, Event>,
    /// One at a time asks for a schema that many wait for.
    pub(crate) asking: tokio::sync::Mutex<()>,
}

/// One event.
#[derive(Debug)]
pub(crate) enum Event {
    Json,
    Avro(Avro),
}

/// An event with a schema.
#[derive(Debug)]
pub(crate) struct Avro {
    /// The schema as the topology has it.
    pub(crate) codec: Arc<Codec>,
    pub(crate) registry: Registry,
}

/// How an event is bound to the registry.
#[derive(Debug)]
pub(crate) enum Registry {
    /// There is none: values carry id 0 and are of the topology's own schema.
    Absent,
    /// Values are of the schemas that their ids say; the encoder is there if the service emits the event.
    Present { decoder: Decoder, encoder: Option<Encoder> },
}

impl Codecs {
    /// Codecs that need no registry, for tests of handlers: what they encode only they can decode.
    ///
    /// # Errors
    /// [`StartError::Schema`].
    pub fn offline(mesh: &Mesh) -> Result<Self, StartError> {
        Self::with(mesh, |_, _, _| Ok(Registry::Absent))
    }

    /// `registry` gets the name, the subject and the schema of each Avro event.
    pub(crate) fn with(
        mesh: &Mesh,
        mut registry: impl FnMut(&str, &str, &Arc<Codec>) -> Result<Registry, StartError>,
    ) -> Result<Self, StartError> {
        let mut events = BTreeMap::new();
        for (name, event) in &mesh.events {
            let kind = match &event.body {
                Body::Json => Event::Json,
                Body::Avro(body) => {
                    let codec = Codec::parse(&body.schema)
                        .map_err(|e| StartError::Schema { event: name.clone(), reason: e.to_string() })?;
                    let codec = Arc::new(codec);
                    let registry = registry(name, &body.subject, &codec)?;
                    Event::Avro(Avro { codec, registry })
                }
            };
            events.insert(name.clone(), kind);
        }
        Ok(Self { events, asking: tokio::sync::Mutex::default() })
    }

    /// The value of `input` as plain JSON. Every schema that it needs has been fetched by [`Codecs::prepare`].
    ///
    /// # Errors
    /// [`Error::UnknownEvent`], [`Error::NoValue`], [`Error::Undecodable`].
    pub fn decode(&self, input: &EventRef) -> Result<Json, Error> {
        let (event, payload) = self.find(input)?;
        let undecodable = |reason: String| Error::Undecodable { event: input.event.clone(), reason };
        if is_plain_json(event, payload) {
            let json = serde_json::from_slice(&payload.value);
            let json = json.map_err(|e| undecodable(format!("not JSON: {e}")))?;
            return match event {
                Event::Json => Ok(json),
                Event::Avro(avro) => by_schema(&avro.codec, &json).map_err(|e| undecodable(e.to_string())),
            };
        }
        let Event::Avro(avro) = event else { unreachable!("what is not JSON has a schema") };
        avro.decode(&payload.value).map_err(|e| undecodable(e.to_string()))
    }

    /// `value` as the value of `event`.
    ///
    /// # Errors
    /// [`Error::UnknownEvent`], [`Error::NotEmitted`], [`Error::Unencodable`].
    pub fn encode(&self, event: &str, value: &Json) -> Result<Emitted, Error> {
        let kind = self.events.get(event).ok_or_else(|| Error::UnknownEvent(event.to_owned()))?;
        let failed = |e: quadrille_schema::DataError| Error::Unencodable {
            event: event.to_owned(),
            reason: e.to_string(),
        };
        let (content_type, value) = match kind {
            Event::Json => (JSON, value.to_string().into_bytes()),
            Event::Avro(Avro { codec, registry: Registry::Absent }) => {
                (AVRO, wire::frame(NO_ID, &codec.encode_json(value).map_err(failed)?))
            }
            Event::Avro(Avro { registry: Registry::Present { encoder: Some(encoder), .. }, .. }) => {
                (AVRO, encoder.encode_json(value).map_err(failed)?)
            }
            Event::Avro(_) => return Err(Error::NotEmitted(event.to_owned())),
        };
        Ok(Emitted { event: event.to_owned(), content_type: Some(content_type.to_owned()), value })
    }

    /// The event that follows exhausted tries of `step`, made of the trigger's `inputs` as `gives_up` says. Every schema
    /// that they need has been fetched by [`Codecs::prepare`].
    ///
    /// # Errors
    /// Those of [`Codecs::decode`] and [`Codecs::encode`].
    pub fn give_up(
        &self,
        gives_up: &GivesUp,
        inputs: &[EventRef],
        (step, reason, attempts): (&str, &str, u32),
    ) -> Result<Emitted, Error> {
        let mut trigger = Vec::with_capacity(inputs.len());
        for input in inputs {
            trigger.push((input.event.as_str(), self.decode(input)?));
        }
        let mut value = serde_json::Map::new();
        match &gives_up.fields {
            Fields::Trigger => {
                let fields = trigger.iter().rev().filter_map(|(_, input)| input.as_object()).flatten();
                value.extend(fields.map(|(name, field)| (name.clone(), field.clone())));
                let ours = [("step", step.into()), ("reason", reason.into()), ("attempts", attempts.into())];
                value.extend(ours.map(|(name, field): (&str, Json)| (name.to_owned(), field)));
            }
            Fields::Named(fields) => {
                let of = |event: &str, field: &str| {
                    trigger
                        .iter()
                        .find(|(name, _)| *name == event)
                        .and_then(|(_, input)| input.get(field).cloned())
                };
                let filled = |(name, filling): &(String, Filling)| {
                    let field = match filling {
                        Filling::Input(event) => of(event, name)?,
                        Filling::Step => step.into(),
                        Filling::Reason => reason.into(),
                        Filling::Attempts => attempts.into(),
                        Filling::Null => Json::Null,
                    };
                    Some((name.clone(), field))
                };
                value.extend(fields.iter().filter_map(filled));
            }
        }
        self.encode(&gives_up.event, &Json::Object(value))
    }

    pub(crate) fn find<'a>(&'a self, input: &'a EventRef) -> Result<(&'a Event, &'a Payload), Error> {
        let event = self.events.get(&input.event).ok_or_else(|| Error::UnknownEvent(input.event.clone()))?;
        let payload = input.payload.as_ref().ok_or_else(|| Error::NoValue(input.event.clone()))?;
        Ok((event, payload))
    }
}

impl Avro {
    fn decode(&self, value: &[u8]) -> Result<Json, quadrille_schema::Error> {
        match &self.registry {
            Registry::Absent => Ok(self.codec.decode_json(wire::unframe(value)?.1)?),
            Registry::Present { decoder, .. } => decoder.decode_json(None, value),
        }
    }
}

/// Whether the payload is JSON, and not Confluent's wire format.
pub(crate) fn is_plain_json(event: &Event, payload: &Payload) -> bool {
    matches!(event, Event::Json) || payload.content_type.as_deref().is_some_and(is_json)
}

/// Whether `content_type` is that of JSON.
pub fn is_json(content_type: &str) -> bool {
    let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    media_type == JSON || media_type == "text/json" || media_type.ends_with("+json")
}

/// JSON as the schema sees it: checked, with defaults filled in.
///
/// # Errors
/// It is not what the schema says.
pub fn by_schema(codec: &Codec, json: &Json) -> Result<Json, quadrille_schema::DataError> {
    codec.decode_json(&codec.encode_json(json)?)
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;

    const FILE: &str = "
quadrille: 1
mesh: m
version: 1
schemas: s
defaults: { from: earliest }
events:
  Asked: { topic: asked, schema: asked.avsc, owner: foreign }
  Noted: { topic: noted, schema: json }
steps:
  note: { service: notes, when: Asked, handler: { rust: note }, emits: Noted, effect: none }
sagas:
  talk: { starts: Asked, completes: Noted, deadline: { after: 1m, then: undo } }
";
    pub(crate) const ASKED: &str = r#"{"type":"record","namespace":"m.talk","name":"Asked","fields":[{"name":"id","type":"string"},
        {"name":"how","type":"string","default":"politely"},{"name":"raw","type":["null","bytes"],"default":null}]}"#;

    pub(crate) fn mesh() -> Mesh {
        let checked = quadrille_topology::topology(FILE.as_bytes(), &|_: &str| Ok(ASKED.to_owned()));
        checked.mesh.unwrap_or_else(|| panic!("{:#?}", checked.diagnostics))
    }

    fn input(event: &str, content_type: Option<&str>, value: &[u8]) -> EventRef {
        let payload = Payload { content_type: content_type.map(str::to_owned), value: value.to_vec() };
        EventRef { event: event.to_owned(), id: "1".to_owned(), payload: Some(payload) }
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        let codecs = Codecs::offline(&mesh()).unwrap();
        for (event, value, content_type) in [
            ("Asked", json!({"id": "1", "how": "loudly", "raw": "AAE="}), AVRO),
            ("Noted", json!({"anything": [1, 2]}), JSON),
        ] {
            let emitted = codecs.encode(event, &value).unwrap();
            assert_eq!(emitted.content_type.as_deref(), Some(content_type));
            let back = codecs.decode(&input(event, Some(content_type), &emitted.value));
            assert_eq!(back, Ok(value));
        }
    }

    #[test]
    fn json_for_an_event_with_a_schema_is_held_against_it() {
        let codecs = Codecs::offline(&mesh()).unwrap();
        let read = |text: &str| {
            codecs.decode(&input("Asked", Some("application/json; charset=utf-8"), text.as_bytes()))
        };
        assert_eq!(read(r#"{"id":"1"}"#), Ok(json!({"id": "1", "how": "politely", "raw": null})));
        for (text, expect) in [("{}", "id"), (r#"{"id":1}"#, "$.id"), ("{", "not JSON")] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.starts_with("Asked can't be read: ") && error.contains(expect), "{error}");
        }
    }

    #[test]
    fn an_event_after_exhausted_tries_is_made_of_the_trigger() {
        let codecs = Codecs::offline(&mesh()).unwrap();
        let gives_up = |event: &str, fields| GivesUp { event: event.into(), fields };
        let said = ("note", "exhausted", 3);
        let written = |gives_up: &GivesUp, inputs: &[EventRef]| {
            let emitted = codecs.give_up(gives_up, inputs, said).unwrap();
            codecs.decode(&input(&gives_up.event, emitted.content_type.as_deref(), &emitted.value)).unwrap()
        };
        let asked = input("Asked", Some(JSON), br#"{"id":"1","how":"loudly"}"#);
        let noted = input("Noted", None, br#"{"id":"2","step":"x","more":[1]}"#);
        let json = written(&gives_up("Noted", Fields::Trigger), &[asked.clone(), noted.clone()]);
        let expected = json!({"id": "1", "how": "loudly", "raw": null, "more": [1],
            "step": "note", "reason": "exhausted", "attempts": 3});
        assert_eq!(json, expected);
        let list = input("Noted", None, b"[1]");
        let json = written(&gives_up("Noted", Fields::Trigger), &[list]);
        assert_eq!(json, json!({"step": "note", "reason": "exhausted", "attempts": 3}));
        let named = vec![("id".into(), Filling::Step), ("raw".into(), Filling::Null)];
        let avro = written(&gives_up("Asked", Fields::Named(named)), std::slice::from_ref(&asked));
        assert_eq!(avro, json!({"id": "note", "how": "politely", "raw": null}));
        let named = vec![("id".into(), Filling::Input("Asked".into())), ("how".into(), Filling::Reason)];
        let avro = written(&gives_up("Asked", Fields::Named(named)), &[noted, asked]);
        assert_eq!(avro, json!({"id": "1", "how": "exhausted", "raw": null}));
        let garbage =
            codecs.give_up(&gives_up("Noted", Fields::Trigger), &[input("Asked", None, b"x")], said);
        assert!(matches!(garbage, Err(Error::Undecodable { .. })), "{garbage:?}");
    }

    #[test]
    fn what_cannot_be_is_an_error_with_the_events_name() {
        let codecs = Codecs::offline(&mesh()).unwrap();
        let empty = EventRef { payload: None, ..input("Asked", None, b"") };
        assert_eq!(codecs.decode(&empty), Err(Error::NoValue("Asked".into())));
        assert_eq!(codecs.decode(&input("Lost", None, b"")), Err(Error::UnknownEvent("Lost".into())));
        let garbage = codecs.decode(&input("Asked", None, b"garbage")).unwrap_err().to_string();
        assert!(garbage.contains("not written with a schema registry"), "{garbage}");
        let error = codecs.encode("Asked", &json!({"id": 7})).unwrap_err().to_string();
        assert!(error.starts_with("Asked can't be written: $.id"), "{error}");
        assert_eq!(codecs.encode("Lost", &json!({})), Err(Error::UnknownEvent("Lost".into())));
    }
}
