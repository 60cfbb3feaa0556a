//! What is to be done with a record: which steps it sets off, as which activations of which saga run.

use quadrille_types::command::Command;
use quadrille_types::dead_letter::Reason;
use quadrille_types::envelope::{Envelope, Lineage, Position, VALUE_BYTES_MAX};
use quadrille_types::fact::{EventRef, Payload};
use quadrille_types::ids::{Action, ActivationId, RunId, Trigger};
use quadrille_types::{format, partition, structured};

use crate::conclude::too_large_to_keep;
use crate::hop;
use crate::spec::{EventSpec, Owner, ServiceSpec, StepSpec};
use quadrille_types::{OutRecord, Record};

/// One call of a handler, with all its attempts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Work {
    /// Index of the step in its service.
    pub step: usize,
    /// The saga; none for an event that belongs to none.
    pub lineage: Option<Lineage>,
    /// Key of what is emitted, and of the lane.
    pub correlation_id: String,
    /// The activation.
    pub activation: ActivationId,
    /// What set it off.
    pub trigger: Trigger,
    /// What to do.
    pub action: Action,
    /// The events that the handler gets.
    pub inputs: Vec<EventRef>,
    /// ID of the event that caused this.
    pub causation_id: Option<String>,
    /// `ce_source` of the event, where the step read the event itself.
    pub source: Option<String>,
    /// ID of the event that caused the event, where the step read it itself; else that of the one behind the command.
    pub caused_by: Option<String>,
    /// The saga's deadline, in ms since 1970.
    pub deadline_ms: Option<i64>,
    /// Where the event lay first.
    pub origin: Position,
    /// Its timestamp there, in ms since 1970.
    pub origin_time_ms: i64,
    /// W3C trace context, carried through.
    pub traceparent: Option<String>,
    /// W3C trace state, carried through.
    pub tracestate: Option<String>,
}

/// What is to be done about one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Planned {
    /// Call its handler.
    Run(Box<Work>),
    /// Move the record to the lane that owns its saga.
    Hop(OutRecord),
    /// No handler can be called: the record is dead for this step.
    Dead {
        /// As far as the record could be read.
        work: Box<Work>,
        /// Why.
        reason: Reason,
        /// What is wrong.
        message: String,
    },
}

/// What is to be done with `record`: an entry for each step that it concerns, in the order of the steps. A record that
/// concerns none leaves nothing to do but to commit its offset.
pub fn plan(spec: &ServiceSpec, record: &Record) -> Vec<Planned> {
    if let Some(step) = spec.controlled_by(&record.position.topic) {
        return match hop::origin(record) {
            Some((origin, time_ms)) => {
                Reading { spec, record, origin, time_ms, moved: true }.event(|candidate| candidate == step)
            }
            None => vec![command(spec, record, step)],
        };
    }
    let origin = record.position.clone();
    Reading { spec, record, origin, time_ms: record.time_ms, moved: false }.event(|_| true)
}

struct Reading<'a> {
    spec: &'a ServiceSpec,
    record: &'a Record,
    origin: Position,
    time_ms: i64,
    moved: bool,
}

impl Reading<'_> {
    fn event(&self, concerned: impl Fn(usize) -> bool) -> Vec<Planned> {
        let listeners = |name: &str| -> Vec<usize> {
            let listens = |(_, step): &(usize, &StepSpec)| step.listens_to.as_deref() == Some(name);
            let indices = self.spec.steps.iter().enumerate().filter(listens).map(|(index, _)| index);
            indices.filter(|index| concerned(*index)).collect()
        };
        let (envelope, value) = match read_envelope(self.record, &self.origin) {
            Ok(read) => read,
            Err(message) => {
                let all = self.spec.events_in(&self.origin.topic).flat_map(|(name, _)| listeners(name));
                return all.map(|step| self.unreadable(step, Reason::Undecodable, message.clone())).collect();
            }
        };
        let Some((name, event)) = self.named(&envelope) else { return Vec::new() };
        listeners(name)
            .into_iter()
            .map(|step| self.step(step, name, event, &envelope, value.clone()))
            .collect()
    }

    /// The event of the file that the record is: by its type, or as the only one of its topic.
    fn named(&self, envelope: &Envelope) -> Option<(&String, &EventSpec)> {
        let mut here = self.spec.events_in(&self.origin.topic);
        match &envelope.event {
            Some(name) => here.find(|(candidate, _)| *candidate == name),
            None => here.next().filter(|_| here.next().is_none()),
        }
    }

    fn step(
        &self,
        step: usize,
        name: &str,
        event: &EventSpec,
        envelope: &Envelope,
        value: Option<Vec<u8>>,
    ) -> Planned {
        let lineage = match self.lineage(event, envelope) {
            Ok(lineage) => lineage,
            Err((reason, message)) => return self.unreadable(step, reason, message),
        };
        let spec = &self.spec.steps[step];
        let bytes = value.as_ref().map_or(0, Vec::len);
        if event.owner == Owner::Foreign && spec.carries.contains(name) && bytes > self.spec.limits.kept {
            let message = too_large_to_keep(name, bytes, self.spec.limits.kept);
            return self.unreadable(step, Reason::Oversized, message);
        }
        let home = partition::of_key(lineage.correlation_id.as_bytes(), spec.partitions);
        let hop = (!self.moved && home as i32 != self.record.position.partition)
            .then(|| hop::moved(self.record, self.spec.names.control(&spec.name), home));
        let (hop, immovable) = match hop {
            Some(hop) if hop.size() > self.spec.limits.own(&hop.topic) => (None, Some(hop)),
            hop => (hop, None),
        };
        if let Some(hop) = hop {
            return Planned::Hop(hop);
        }
        let trigger = match event.starts {
            Some(_) => Trigger::Start,
            None => Trigger::Event(envelope.id.clone()),
        };
        let Some(value) = value else {
            return self.unreadable(step, Reason::NoValue, "the record has no value".to_owned());
        };
        let payload = Payload { content_type: envelope.content_type.clone(), value };
        let belongs = event.starts.is_some() || event.flow.is_some() || event.owner == Owner::Mesh;
        let work = Work {
            step,
            correlation_id: lineage.correlation_id.clone(),
            activation: lineage.run.activation(&spec.name, &trigger),
            trigger,
            action: Action::Do,
            inputs: vec![EventRef {
                event: name.to_owned(),
                id: envelope.id.clone(),
                payload: Some(payload),
            }],
            causation_id: Some(envelope.id.clone()),
            source: Some(envelope.source.clone()),
            caused_by: envelope.causation_id.clone(),
            deadline_ms: None,
            origin: self.origin.clone(),
            origin_time_ms: self.time_ms,
            traceparent: envelope.traceparent.clone(),
            tracestate: envelope.tracestate.clone(),
            lineage: belongs.then_some(lineage),
        };
        if let Some(hop) = immovable {
            let message = format!(
                "the record lies on another partition than its saga, and {} does not take its {} bytes",
                hop.topic,
                hop.size()
            );
            return Planned::Dead { work: Box::new(work), reason: Reason::Oversized, message };
        }
        match &work.lineage {
            Some(lineage) if lineage.definition != self.spec.definition => Planned::Dead {
                reason: Reason::UnknownDefinition,
                message: format!(
                    "the event follows definition {}, this service runs {}",
                    lineage.definition, self.spec.definition
                ),
                work: Box::new(work),
            },
            _ => Planned::Run(Box::new(work)),
        }
    }

    /// The run: inherited from an event of the mesh, computed for anybody else's.
    fn lineage(&self, event: &EventSpec, envelope: &Envelope) -> Result<Lineage, (Reason, String)> {
        let flow = event.starts.as_ref().or(event.flow.as_ref());
        if event.owner == Owner::Mesh && flow.is_some() {
            return Lineage::read(self.record.headers()).map_err(|e| (Reason::Undecodable, e.to_string()));
        }
        let key = self.record.key.as_deref().map(std::str::from_utf8);
        let correlation_id = match (&envelope.correlation_id, key) {
            (Some(id), _) if !id.is_empty() && !event.by_key => id.clone(),
            (_, Some(Ok(key))) if key.len() > VALUE_BYTES_MAX => {
                let message = format!(
                    "the key is the correlation ID and has {} bytes, more than the {VALUE_BYTES_MAX} allowed",
                    key.len()
                );
                return Err((Reason::Oversized, message));
            }
            (_, Some(Ok(key))) if !key.is_empty() => key.to_owned(),
            (_, Some(Err(_))) => {
                return Err((Reason::Undecodable, "the key is the correlation ID and not UTF-8".to_owned()));
            }
            _ => {
                let message = "there is neither a ce_correlationid header nor a key: which saga is it?";
                return Err((Reason::NoKey, message.to_owned()));
            }
        };
        let flow = flow.cloned().unwrap_or_default();
        Ok(Lineage {
            run: RunId::of(self.spec.names.mesh(), &flow, &correlation_id),
            flow,
            correlation_id,
            definition: self.spec.definition.clone(),
        })
    }

    /// A record that cannot be read far enough to be an activation of its saga. If its key names one, the fact about
    /// it goes there, under an ID of its own: garbage must not settle what a good copy set off.
    fn unreadable(&self, step: usize, reason: Reason, message: String) -> Planned {
        unreadable(self.spec, self.record, (self.origin.clone(), self.time_ms), step, (reason, message))
    }
}

/// The envelope of a record, moved or not, with its value where that holds the event (structured mode).
fn read_envelope(record: &Record, origin: &Position) -> Result<(Envelope, Option<Vec<u8>>), String> {
    let content_type = record.header_text("content-type").unwrap_or_default();
    if structured::announced_by(content_type) {
        let value = record.value.as_deref().unwrap_or_default();
        return structured::read(content_type, value, origin)
            .map(|(envelope, data)| (envelope, Some(data)))
            .map_err(|e| e.to_string());
    }
    let envelope = Envelope::read(record.headers(), origin).map_err(|e| e.to_string())?;
    Ok((envelope, record.value.clone()))
}

fn command(spec: &ServiceSpec, record: &Record, step: usize) -> Planned {
    let here = (record.position.clone(), record.time_ms);
    let Some(value) = record.value.as_deref() else {
        return unreadable(
            spec,
            record,
            here,
            step,
            (Reason::NoValue, "the command has no value".to_owned()),
        );
    };
    let command: Command = match format::decode(value) {
        Ok(command) => command,
        Err(e) => return unreadable(spec, record, here, step, (Reason::Undecodable, e.to_string())),
    };
    let known = command.lineage.definition == spec.definition;
    let message = format!(
        "the command follows definition {}, this service runs {}",
        command.lineage.definition, spec.definition
    );
    let work = Box::new(Work {
        step,
        correlation_id: command.lineage.correlation_id.clone(),
        lineage: Some(command.lineage),
        activation: command.activation,
        trigger: command.trigger,
        action: command.action,
        inputs: command.inputs,
        caused_by: command.causation_id.clone(),
        causation_id: command.causation_id,
        source: None,
        deadline_ms: command.deadline_ms,
        origin: here.0,
        origin_time_ms: here.1,
        traceparent: command.traceparent,
        tracestate: command.tracestate,
    });
    match known {
        true => Planned::Run(work),
        false => Planned::Dead { work, reason: Reason::UnknownDefinition, message },
    }
}

fn unreadable(
    spec: &ServiceSpec,
    record: &Record,
    (origin, origin_time_ms): (Position, i64),
    step: usize,
    (reason, message): (Reason, String),
) -> Planned {
    let flow = spec.steps[step]
        .listens_to
        .as_ref()
        .and_then(|name| spec.events.get(name))
        .and_then(|event| event.starts.clone().or_else(|| event.flow.clone()));
    let key = record.key.as_deref().and_then(|key| std::str::from_utf8(key).ok());
    let key = key.filter(|key| key.len() <= VALUE_BYTES_MAX).unwrap_or_default();
    let trigger = Trigger::Record(origin.to_string());
    let run = RunId::of(spec.names.mesh(), flow.as_deref().unwrap_or_default(), key);
    let lineage = flow.filter(|_| !key.is_empty()).map(|flow| Lineage {
        flow,
        run,
        correlation_id: key.to_owned(),
        definition: spec.definition.clone(),
    });
    let work = Work {
        step,
        lineage,
        correlation_id: key.to_owned(),
        activation: run.activation(&spec.steps[step].name, &trigger),
        trigger,
        action: Action::Do,
        inputs: Vec::new(),
        causation_id: None,
        source: None,
        caused_by: None,
        deadline_ms: None,
        origin,
        origin_time_ms,
        traceparent: None,
        tracestate: None,
    };
    Planned::Dead { work: Box::new(work), reason, message }
}
