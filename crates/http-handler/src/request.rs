//! A call as a request: see the table at the crate's root.

use jiff::Timestamp;
use quadrille_events::{Codecs, Error, JSON};
use quadrille_runtime::Call;
use quadrille_types::ids::Action;
use serde_json::{Map, Value as Json};

use crate::percent;

/// `ce-type` of a call with the events of a join.
const INPUTS: &str = "quadrille.inputs";

/// What is sent.
#[derive(Debug, PartialEq)]
pub(crate) struct Request {
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Json,
}

/// The request for `call`; `join`: the step waits for several events.
pub(crate) fn request(codecs: &Codecs, mesh: &str, join: bool, call: &Call) -> Result<Request, Error> {
    let (event, id, body) = match call.inputs.as_slice() {
        [input] if !join => (input.event.as_str(), input.id.clone(), codecs.decode(input)?),
        inputs => {
            let values = inputs.iter().map(|input| Ok((input.event.clone(), codecs.decode(input)?)));
            let values = values.collect::<Result<Map<_, _>, Error>>()?;
            (INPUTS, call.activation.to_string(), Json::Object(values))
        }
    };
    let own = || format!("/{mesh}");
    let source = call.source.clone().filter(|_| !join).unwrap_or_else(own);
    let mut headers = vec![
        ("content-type", JSON.to_owned()),
        ("ce-specversion", "1.0".to_owned()),
        ("ce-type", percent::encode(event)),
        ("ce-id", percent::encode(&id)),
        ("ce-source", percent::encode(&source)),
        ("ce-correlationid", percent::encode(&call.correlation_id)),
        ("idempotency-key", call.idempotency_key()),
        ("quadrille-step", percent::encode(&call.step)),
        ("quadrille-activation", call.activation.to_string()),
        ("quadrille-action", call.action.to_string()),
        ("quadrille-attempt", call.attempt.to_string()),
    ];
    if call.action == Action::Undo {
        headers.push(("quadrille-do-key", call.do_key()));
    }
    if let Some(traceparent) = &call.traceparent {
        headers.push(("traceparent", percent::encode(traceparent)));
    }
    if let Some(tracestate) = &call.tracestate {
        headers.push(("tracestate", percent::encode(tracestate)));
    }
    if let Some(causation_id) = &call.causation_id {
        headers.push(("ce-causationid", percent::encode(causation_id)));
    }
    if let Some(deadline) = call.deadline_ms.and_then(|ms| Timestamp::from_millisecond(ms).ok()) {
        headers.push(("quadrille-deadline", deadline.to_string()));
    }
    Ok(Request { headers, body })
}
