//! Facts in; journal, state, commands and outcomes out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use quadrille_kafka::restore::{Reading, Restorer};
use quadrille_kafka::{Error, Partition};
use quadrille_runtime::processor::{Output, Processor};
use quadrille_saga::changelog::{self, Key};
use quadrille_saga::transition::{Flag, Outcome};
use quadrille_saga::{Action, State, next};
use quadrille_schema::Encoder;
use quadrille_topology::lower;
use quadrille_types::command::Command;
use quadrille_types::envelope::{Envelope, Headers, Lineage};
use quadrille_types::fact::Fact;
use quadrille_types::journal::{Entry, Input};
use quadrille_types::outcome::{EVENT, SagaOutcome};
use quadrille_types::{OutRecord, Record, RunId, format, partition};

use crate::sagas::{Restoring, Sagas};
use crate::spec::CoordinatorSpec;

/// Header of an unmatched fact with the reason.
pub const UNMATCHED_REASON: &str = "quadrille-unmatched-reason";

/// Most timers that fire in one transaction.
const TIMERS: usize = 500;

/// Reason of the record that is kept when a saga is forgotten whose start event never came.
pub const NEVER_STARTED: &str = "never-started";

/// Most sagas of a partition that are forgotten in one transaction.
const FORGOTTEN: usize = 500;

/// Bytes of records after which no more timers fire in one transaction.
const TIMER_BYTES: usize = 8 << 20;

/// Folds the facts of the partitions that this instance owns.
pub struct Fold {
    spec: Arc<CoordinatorSpec>,
    restorer: Restorer,
    outcomes: Encoder,
    partitions: BTreeMap<i32, Sagas>,
    /// Partitions that are not in `partitions` yet; the first of them is being read.
    to_restore: BTreeSet<i32>,
    restoring: Option<(Reading, Restoring)>,
    out: Vec<OutRecord>,
    /// What `out` takes.
    bytes: usize,
    /// Changed state, the last value of each key: a saga that moved ten times in a transaction is written once.
    state: BTreeMap<(i32, Key), Option<Vec<u8>>>,
    touched: BTreeSet<i32>,
}

impl Fold {
    /// A fold that owns nothing yet. `outcomes` encodes [`SagaOutcome`].
    pub fn new(spec: Arc<CoordinatorSpec>, restorer: Restorer, outcomes: Encoder) -> Self {
        Self {
            spec,
            restorer,
            outcomes,
            partitions: BTreeMap::new(),
            to_restore: BTreeSet::new(),
            restoring: None,
            out: Vec::new(),
            bytes: 0,
            state: BTreeMap::new(),
            touched: BTreeSet::new(),
        }
    }

    fn fact(&mut self, number: i32, fact: Fact, now_ms: i64) {
        let run = fact.lineage.run;
        let unreadable = self.partitions.get(&number).is_some_and(|sagas| sagas.is_unreadable(run));
        match self.spec.flows.contains_key(&fact.lineage.flow) {
            // Taken for a run that is not known, it would begin anew.
            _ if unreadable => self.unmatched(number, &fact, "unreadable-state"),
            true => self.apply(number, run, Input::Fact(fact), now_ms),
            false => self.unmatched(number, &fact, "flow"),
        }
    }

    fn apply(&mut self, number: i32, run: RunId, input: Input, now_ms: i64) {
        let spec = Arc::clone(&self.spec);
        let Some(sagas) = self.partitions.get_mut(&number) else { return };
        let mut state = sagas.take(run);
        let Some((name, lineage)) = lineage(&input, state.as_ref()) else {
            return put_back(sagas, run, state);
        };
        let Some(flow) = spec.flows.get(&name) else {
            return put_back(sagas, run, state);
        };
        let transition = next(flow, &mut state, &input, now_ms);
        if let Some(state) = &state {
            for record in changelog::records(run, state, &transition.changed) {
                self.state.insert((number, record.key), record.value);
            }
        }
        put_back(sagas, run, state);
        if !transition.changed.is_empty() {
            let entry = Entry { now_ms, input: input.clone() };
            self.write(self.spec.names.journal(), number, run, format::encode(&entry), Vec::new());
        }
        for action in transition.actions {
            self.act(number, &action, &input, lineage.as_ref(), now_ms);
        }
    }

    fn act(&mut self, number: i32, action: &Action, input: &Input, lineage: Option<&Lineage>, now_ms: i64) {
        match action {
            Action::Do(command) | Action::Undo(command) => self.command(command),
            // A timer follows from the state, which is put back already.
            Action::SetTimer(_) => {}
            Action::ClearTimer(timer) => {
                if let Some(sagas) = self.partitions.get_mut(&number) {
                    sagas.clear(timer);
                }
            }
            Action::End(outcome) => {
                if let Some(lineage) = lineage {
                    self.outcome(lineage, outcome, now_ms);
                }
            }
            Action::Flag(flag) => report(flag, lineage),
            Action::Unmatched(reason) => {
                metrics::counter!("quadrille_facts_unmatched_total", "reason" => reason.as_str())
                    .increment(1);
                if let (Input::Fact(fact), true) = (input, reason.is_kept()) {
                    self.unmatched(number, fact, reason.as_str());
                }
            }
        }
    }

    fn command(&mut self, command: &Command) {
        let key = command.lineage.correlation_id.as_bytes();
        let count = self.spec.step_partitions.get(&command.step).copied().unwrap_or(1);
        self.push(OutRecord {
            topic: self.spec.names.control(&command.step),
            partition: partition::of_key(key, count) as i32,
            key: Some(key.to_vec()),
            value: Some(format::encode(command)),
            headers: content_type(),
        });
        metrics::counter!("quadrille_commands_total", "action" => command.action.as_str()).increment(1);
    }

    fn outcome(&mut self, lineage: &Lineage, outcome: &Outcome, now_ms: i64) {
        let event = SagaOutcome {
            mesh: self.spec.names.mesh().to_owned(),
            flow: lineage.flow.clone(),
            run: lineage.run.to_string(),
            correlation_id: lineage.correlation_id.clone(),
            outcome: outcome.outcome.clone(),
            cause: outcome.cause.to_string(),
            definition_version: i32::try_from(lineage.definition.version).unwrap_or(i32::MAX),
            definition_hash: lineage.definition.hash.clone(),
            started_at: outcome.started_at_ms,
            ended_at: now_ms,
        };
        let envelope = Envelope {
            id: lineage.run.outcome_event().to_string(),
            source: format!("/{}/coordinator", self.spec.names.mesh()),
            event: Some(EVENT.to_owned()),
            time_ms: Some(now_ms),
            subject: Some(lineage.run.to_string()),
            correlation_id: Some(lineage.correlation_id.clone()),
            causation_id: match &outcome.cause {
                quadrille_saga::state::Cause::Event { id, .. } => Some(id.clone()),
                _ => None,
            },
            content_type: Some("application/avro".to_owned()),
            traceparent: outcome.traceparent.clone(),
            tracestate: outcome.tracestate.clone(),
        };
        let key = lineage.correlation_id.as_bytes();
        let value = self.outcomes.encode(&event).expect("the schema of the outcome is our own");
        self.push(OutRecord {
            topic: self.spec.names.outcomes(),
            partition: partition::of_key(key, self.spec.saga_partitions) as i32,
            key: Some(key.to_vec()),
            value: Some(value),
            headers: envelope.write(Some(lineage)),
        });
        metrics::counter!("quadrille_sagas_ended_total", "outcome" => outcome.outcome.clone()).increment(1);
    }

    fn unmatched(&mut self, number: i32, fact: &Fact, reason: &str) {
        let header = (UNMATCHED_REASON.to_owned(), Some(reason.as_bytes().to_vec()));
        self.write(self.spec.names.unmatched(), number, fact.lineage.run, format::encode(fact), vec![header]);
    }

    /// Deletes what sagas have left, once they have been remembered for their time.
    fn forget_spent(&mut self, now_ms: i64) {
        let (numbers, keep_ms) =
            (self.partitions.keys().copied().collect::<Vec<_>>(), self.spec.keep_ended_ms);
        for number in numbers {
            for _ in 0..FORGOTTEN {
                let sagas = self.partitions.get_mut(&number);
                let Some((run, state)) = sagas.and_then(|sagas| sagas.forget(keep_ms, now_ms)) else { break };
                self.forget_one(number, run, &state, now_ms);
            }
        }
    }

    fn forget_one(&mut self, number: i32, run: RunId, state: &State, now_ms: i64) {
        for key in changelog::keys(run, state) {
            self.state.insert((number, key), None);
        }
        self.touched.insert(number);
        metrics::counter!("quadrille_sagas_forgotten_total").increment(1);
        let entry = format::encode(&Entry { now_ms, input: Input::Forgotten(run) });
        if state.live().is_some() {
            metrics::counter!("quadrille_facts_unmatched_total", "reason" => NEVER_STARTED).increment(1);
            let header = (UNMATCHED_REASON.to_owned(), Some(NEVER_STARTED.as_bytes().to_vec()));
            self.write(self.spec.names.unmatched(), number, run, entry.clone(), vec![header]);
        }
        self.write(self.spec.names.journal(), number, run, entry, Vec::new());
    }

    /// A record of a facts topic that is no fact.
    fn strange(&mut self, record: Record, reason: &'static str) {
        metrics::counter!("quadrille_facts_unmatched_total", "reason" => reason).increment(1);
        let mut headers = record.headers;
        headers.push((UNMATCHED_REASON.to_owned(), Some(reason.as_bytes().to_vec())));
        self.push(OutRecord {
            topic: self.spec.names.unmatched(),
            partition: record.position.partition,
            key: record.key,
            value: record.value,
            headers,
        });
    }

    fn push(&mut self, record: OutRecord) {
        self.bytes += record.size();
        self.out.push(record);
    }

    fn write(&mut self, topic: String, number: i32, run: RunId, value: Vec<u8>, mut headers: Headers) {
        headers.extend(content_type());
        self.push(OutRecord {
            topic,
            partition: number,
            key: Some(run.to_string().into_bytes()),
            value: Some(value),
            headers,
        });
    }

    /// Everything of partition `number` is read.
    fn restored(&mut self, number: i32, restoring: Restoring) {
        let topic = self.spec.names.state();
        let (sagas, unreadable) = restoring.done(self.spec.definition.clone());
        for error in &unreadable {
            tracing::error!(target: "quadrille::saga", topic, partition = number, %error, "left as it lies");
        }
        let (live, known, abandoned) = (sagas.live(), sagas.known(), sagas.abandoned());
        tracing::info!(target: "quadrille::saga", partition = number, live, known, abandoned, "restored");
        self.partitions.insert(number, sagas);
    }
}

impl Processor for Fold {
    fn assigned(&mut self, partitions: &BTreeSet<Partition>) {
        self.to_restore = partitions.iter().map(|partition| partition.partition).collect();
    }

    fn restore(&mut self, within: Duration) -> Result<bool, Error> {
        let began = Instant::now();
        let left = metrics::gauge!("quadrille_restore_offsets_left");
        while let Some(number) = self.to_restore.first().copied() {
            let topic = self.spec.names.state();
            let (mut reading, mut restoring) = match self.restoring.take() {
                Some(begun) => begun,
                None => (self.restorer.start(&Partition::new(&topic, number), None)?, Restoring::default()),
            };
            let records = metrics::counter!("quadrille_restored_records_total");
            let done = self.restorer.advance(&mut reading, within.saturating_sub(began.elapsed()), |record| {
                records.increment(1);
                if let Err(error) = restoring.take(record) {
                    tracing::error!(target: "quadrille::saga", topic, partition = number, %error, "left as it lies");
                }
            })?;
            left.set(reading.left() as f64);
            if !done {
                self.restoring = Some((reading, restoring));
                return Ok(false);
            }
            self.to_restore.pop_first();
            self.restored(number, restoring);
            if began.elapsed() >= within && !self.to_restore.is_empty() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn forget(&mut self) {
        if self.restoring.take().is_some() {
            self.restorer.stop();
        }
        self.to_restore.clear();
        self.partitions.clear();
        self.out.clear();
        self.bytes = 0;
        self.state.clear();
        self.touched.clear();
    }

    fn process(&mut self, record: Record, now_ms: i64) -> Result<(), Error> {
        metrics::counter!("quadrille_facts_total").increment(1);
        // What no step and no ingest writes would not fit into the journal either.
        if record.size() > lower::OWN_BYTES_MAX {
            let position = &record.position;
            tracing::error!(target: "quadrille::saga", %position, bytes = record.size(), "too large for a fact");
            self.strange(Record { key: None, value: None, headers: Vec::new(), ..record }, "oversized");
            return Ok(());
        }
        match format::decode::<Fact>(record.value.as_deref().unwrap_or_default()) {
            Ok(fact) => self.fact(record.position.partition, fact, now_ms),
            Err(error) => {
                tracing::error!(target: "quadrille::saga", position = %record.position, %error, "not a fact");
                self.strange(record, "damaged");
            }
        }
        Ok(())
    }

    fn tick(&mut self, now_ms: i64) {
        let numbers: Vec<i32> = self.partitions.keys().copied().collect();
        for number in numbers {
            for _ in 0..TIMERS {
                if self.bytes > TIMER_BYTES {
                    return;
                }
                let Some(timer) = self.partitions.get_mut(&number).and_then(|sagas| sagas.due(now_ms)) else {
                    break;
                };
                self.touched.insert(number);
                self.apply(number, timer.run, Input::Timer(timer), now_ms);
            }
        }
        self.forget_spent(now_ms);
    }

    fn collect(&mut self) -> Output {
        let mut records = std::mem::take(&mut self.out);
        self.bytes = 0;
        let topic = self.spec.names.state();
        for ((number, key), value) in std::mem::take(&mut self.state) {
            let key = Some(key.to_bytes());
            records.push(OutRecord {
                topic: topic.clone(),
                partition: number,
                key,
                value,
                headers: Vec::new(),
            });
        }
        Output { records, touched: std::mem::take(&mut self.touched) }
    }
}

/// The flow of an input, and the run's lineage, which outlives its state.
fn lineage(input: &Input, state: Option<&State>) -> Option<(String, Option<Lineage>)> {
    let known = state.and_then(State::live).map(|live| live.head.lineage.clone());
    match (input, known) {
        (_, Some(lineage)) => Some((lineage.flow.clone(), Some(lineage))),
        (Input::Fact(fact), None) => Some((fact.lineage.flow.clone(), Some(fact.lineage.clone()))),
        (Input::Timer(_) | Input::Forgotten(_), None) => None,
    }
}

fn put_back(sagas: &mut Sagas, run: RunId, state: Option<State>) {
    if let Some(state) = state {
        sagas.put(run, state);
    }
}

fn report(flag: &Flag, lineage: Option<&Lineage>) {
    let run = lineage.map(|lineage| lineage.run.to_string());
    let correlation_id = lineage.map(|lineage| lineage.correlation_id.as_str());
    let kind = match flag {
        Flag::Held { .. } => "held",
        Flag::Stuck { .. } => "stuck",
        Flag::Overdue => "overdue",
        Flag::Stalled => "stalled",
    };
    metrics::counter!("quadrille_sagas_flagged_total", "flag" => kind).increment(1);
    tracing::warn!(target: "quadrille::saga", run, correlation_id, ?flag, "a saga needs attention");
}

fn content_type() -> Headers {
    vec![("content-type".to_owned(), Some(format::CONTENT_TYPE.as_bytes().to_vec()))]
}

#[cfg(test)]
mod tests;
