//! What a step gets.

use quadrille_events::Codecs;
use quadrille_types::fact::EventRef;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json};

/// An input that is not what the step expects. It goes to the dead-letter topic: as undecodable where it is not what its
/// schema says, else as terminal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// The value of an event cannot be read.
    #[error(transparent)]
    Value(#[from] quadrille_events::Error),
    /// It does not fit the Rust type.
    #[error("{event} does not fit the handler's type: {reason}")]
    Type {
        /// The event, or the events of a join.
        event: String,
        /// What is wrong.
        reason: String,
    },
    /// The step did not get this event.
    #[error("there is no {event} among the inputs: {inputs}")]
    Missing {
        /// The event that was asked for.
        event: String,
        /// Those that are there.
        inputs: String,
    },
}

/// The events that a step got, in the order of the file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Events(Vec<(String, Json)>);

impl Events {
    pub(crate) fn of(events: Vec<(String, Json)>) -> Self {
        Self(events)
    }

    pub(crate) fn read(codecs: &Codecs, inputs: &[EventRef]) -> Result<Self, InputError> {
        let read = |input: &EventRef| Ok((input.event.clone(), codecs.decode(input)?));
        inputs.iter().map(read).collect::<Result<_, _>>().map(Self)
    }

    /// The event of this name.
    ///
    /// # Errors
    /// [`InputError::Missing`], [`InputError::Type`]. With `?` they become retryable errors of the step; map them to
    /// [`StepError::terminal`](crate::StepError::terminal) where that matters.
    pub fn get<T: DeserializeOwned>(&self, event: &str) -> Result<T, InputError> {
        let found = self.0.iter().find(|(name, _)| name == event);
        let (name, value) = found.ok_or_else(|| InputError::Missing {
            event: event.to_owned(),
            inputs: self.names().join(", "),
        })?;
        typed(name, value.clone())
    }

    /// Names of the events.
    pub fn names(&self) -> Vec<&str> {
        self.0.iter().map(|(name, _)| name.as_str()).collect()
    }
}

/// What can be the second parameter of a step: [`Events`], and whatever serde can make of plain JSON.
pub trait Input: Sized + Send + 'static {
    /// The input from the events; `join`: the step waits for several, so that the input has a field for each.
    ///
    /// # Errors
    /// [`InputError::Type`].
    fn from_events(events: Events, join: bool) -> Result<Self, InputError>;
}

impl<T: DeserializeOwned + Send + 'static> Input for T {
    fn from_events(events: Events, join: bool) -> Result<Self, InputError> {
        let mut events = events.0;
        if let (1, false) = (events.len(), join)
            && let Some((name, value)) = events.pop()
        {
            return typed(&name, value);
        }
        let names: Vec<_> = events.iter().map(|(name, _)| name.clone()).collect();
        typed(&names.join(" + "), Json::Object(events.into_iter().collect::<Map<_, _>>()))
    }
}

impl Input for Events {
    fn from_events(events: Events, _: bool) -> Result<Self, InputError> {
        Ok(events)
    }
}

fn typed<T: DeserializeOwned>(event: &str, value: Json) -> Result<T, InputError> {
    serde_json::from_value(value)
        .map_err(|e| InputError::Type { event: event.to_owned(), reason: e.to_string() })
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Both {
        #[serde(rename = "Left")]
        left: u8,
        #[serde(rename = "Right")]
        right: String,
    }

    fn both() -> Events {
        Events(vec![("Left".into(), json!(1)), ("Right".into(), json!("r"))])
    }

    #[test]
    fn one_event_is_the_input_itself_and_several_are_its_fields() {
        let one = Events(vec![("Left".into(), json!(1))]);
        assert_eq!(u8::from_events(one.clone(), false), Ok(1));
        assert_eq!(Both::from_events(both(), true), Ok(Both { left: 1, right: "r".into() }));
        let error = Both::from_events(one, true).unwrap_err().to_string();
        assert_eq!(error, "Left does not fit the handler's type: missing field `Right`");
    }

    #[test]
    fn events_are_had_by_name() {
        let events = Events::from_events(both(), true).unwrap();
        assert_eq!(events.get::<u8>("Left"), Ok(1));
        let missing = events.get::<u8>("Middle").unwrap_err().to_string();
        assert_eq!(missing, "there is no Middle among the inputs: Left, Right");
        assert!(matches!(events.get::<u8>("Right"), Err(InputError::Type { .. })));
    }
}
