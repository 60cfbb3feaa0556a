//! Reads the state topic, the journal and the outcomes of a mesh: read_committed, up to the high watermark at the time of
//! asking, without a group.

use std::collections::BTreeMap;

use quadrille_kafka::definition;
use quadrille_kafka::restore::Restorer;
use quadrille_kafka::{Error, Partition, Settings};
use quadrille_saga::Flow;
use quadrille_saga::state::State;
use quadrille_schema::{Codec, wire};
use quadrille_topology::{Mesh, lower};
use quadrille_types::journal::{Entry, Input};
use quadrille_types::outcome::{SCHEMA, SagaOutcome};
use quadrille_types::topics::Names;
use quadrille_types::{Definition, Record, RunId, format, partition};

use crate::board::Board;
use crate::history::{self, History, Moment};
use crate::standing::Summary;

/// A mesh, as its sagas are read.
#[derive(Clone, Debug)]
pub struct Sagas {
    settings: Settings,
    names: Names,
    flows: BTreeMap<String, Flow>,
    definition: Definition,
    active: Option<Definition>,
    partitions: u32,
}

/// The state topic as it was read.
#[derive(Debug)]
pub struct Read {
    /// Its runs.
    pub board: Board,
    /// The offset behind what was read, per partition.
    pub upto: BTreeMap<Partition, i64>,
    /// What cannot be read, and why.
    pub strange: Vec<String>,
}

/// Everything that is known of one run.
#[derive(Clone, Debug)]
pub struct Told {
    /// The run in one line, with flow, identity and outcome from wherever they are known.
    pub summary: Summary,
    /// Its state; none: only the journal or the outcome is left.
    pub state: Option<State>,
    /// Its history, the oldest first.
    pub history: Vec<Moment>,
    /// Its outcome.
    pub outcome: Option<SagaOutcome>,
    /// What the reader should know about all this.
    pub notes: Vec<String>,
}

impl Sagas {
    /// The sagas of `mesh` on the cluster that `settings` name.
    pub fn new(settings: &Settings, mesh: &Mesh) -> Self {
        Self {
            settings: settings.clone(),
            names: Names::new(&mesh.name),
            flows: mesh.sagas.values().map(|saga| (saga.name.clone(), lower::flow(mesh, saga))).collect(),
            definition: lower::definition(mesh),
            active: None,
            partitions: lower::SAGA_PARTITIONS,
        }
    }

    /// The same, with sagas of another definition than the active one shown as abandoned.
    ///
    /// # Errors
    /// Kafka's; a record of the definition's topic that cannot be read.
    pub fn under_active(mut self) -> Result<Self, Error> {
        self.active = definition::active(&self.settings, &self.names)?;
        Ok(self)
    }

    /// Topics that must be there, with their partitions.
    pub fn topics(&self) -> Vec<(String, u32)> {
        [self.names.state(), self.names.journal(), self.names.outcomes()]
            .into_iter()
            .map(|name| (name, self.partitions))
            .collect()
    }

    /// The state topic.
    pub fn state_topic(&self) -> String {
        self.names.state()
    }

    /// The flow by which `state` is shown.
    pub fn flow_of(&self, state: &State) -> Option<&Flow> {
        self.flows.get(&state.live()?.head.lineage.flow)
    }

    /// A run in one line.
    pub fn summary(&self, run: RunId, state: &State) -> Summary {
        Summary::of(run, state, self.flow_of(state), self.active.as_ref())
    }

    /// Every run.
    ///
    /// # Errors
    /// Kafka's; an open transaction that does not end.
    pub fn board(&self) -> Result<Read, Error> {
        let (mut board, mut read, mut strange) =
            (Board::under(self.active.clone()), BTreeMap::new(), Vec::new());
        let restorer = self.restorer()?;
        for number in 0..self.partitions as i32 {
            let partition = Partition::new(self.names.state(), number);
            let end = restorer.read(&partition, None, |record| {
                let position = record.position.clone();
                strange.extend(board.take(record).err().map(|error| format!("{position}: {error}")));
            })?;
            read.insert(partition, end);
        }
        let (_, unreadable) = board.refresh();
        strange.extend(unreadable.iter().map(ToString::to_string));
        Ok(Read { board, upto: read, strange })
    }

    /// Every outcome, by run.
    ///
    /// # Errors
    /// As [`Sagas::board`].
    pub fn outcomes(&self) -> Result<BTreeMap<RunId, SagaOutcome>, Error> {
        let (restorer, reader) = (self.restorer()?, OutcomeReader::new());
        let mut outcomes = BTreeMap::new();
        for number in 0..self.partitions as i32 {
            let partition = Partition::new(self.names.outcomes(), number);
            restorer.read(&partition, None, |record| {
                if let Some((run, outcome)) = reader.read(&record) {
                    outcomes.insert(run, outcome);
                }
            })?;
        }
        Ok(outcomes)
    }

    /// The runs that `id` can mean: the run of that ID, or the run of each flow with that identity.
    pub fn candidates(&self, id: &str) -> Vec<RunId> {
        let identity = self.flows.keys().map(|flow| RunId::of(self.names.mesh(), flow, id));
        id.parse().ok().into_iter().chain(identity).collect()
    }

    /// All that is known of `run`; none: nothing is.
    ///
    /// # Errors
    /// As [`Sagas::board`].
    pub fn told(&self, run: RunId) -> Result<Option<Told>, Error> {
        let number = partition::of_key(run.to_string().as_bytes(), self.partitions) as i32;
        let state = self.state(number, run)?;
        let (entries, mut notes) = self.journal(number, run)?;
        let outcome = self.outcome(run, state.as_ref(), &entries)?;
        if state.is_none() && entries.is_empty() && outcome.is_none() {
            return Ok(None);
        }
        let History { moments: history, state: replayed, last } = self.history(&entries, &mut notes);
        let is_forgotten = state.is_none() && replayed.is_none() && last.is_some();
        if is_forgotten {
            notes.push("the coordinator has forgotten it: this is what journal and outcome say".to_owned());
        } else if replayed != state {
            notes.push(match &state {
                None => "the state topic has no record of it".to_owned(),
                Some(_) => {
                    "the journal does not lead to this state: its beginning is no longer there, or it was \
                     written by another definition"
                        .to_owned()
                }
            });
        }
        let Some(summary) = self.summed(run, state.as_ref().or(last.as_ref()), &entries, outcome.as_ref())
        else {
            return Ok(None);
        };
        Ok(Some(Told { summary, state, history, outcome, notes }))
    }

    /// One for each topic: a client that is shown a further topic takes a second to learn who leads it.
    fn restorer(&self) -> Result<Restorer, Error> {
        Restorer::new(&self.settings, "quadrille-ops")
    }

    fn state(&self, number: i32, run: RunId) -> Result<Option<State>, Error> {
        let mut board = Board::default();
        self.restorer()?.read(&Partition::new(self.names.state(), number), None, |record| {
            if record.key.as_deref().is_some_and(|key| key.starts_with(run.uuid().as_bytes())) {
                // The key begins with the run, so it is one of a state topic or the record is of no use.
                let _ = board.take(record);
            }
        })?;
        board.refresh();
        Ok(board.state(run).cloned())
    }

    fn journal(&self, number: i32, run: RunId) -> Result<(Vec<Entry>, Vec<String>), Error> {
        let (key, mut entries, mut notes) = (run.to_string(), Vec::new(), Vec::new());
        self.restorer()?.read(&Partition::new(self.names.journal(), number), None, |record| {
            if record.key.as_deref() == Some(key.as_bytes()) {
                match format::decode(record.value.as_deref().unwrap_or_default()) {
                    Ok(entry) => entries.push(entry),
                    Err(error) => notes.push(format!("{}: {error}", record.position)),
                }
            }
        })?;
        Ok((entries, notes))
    }

    /// Only the partition where the run's correlation ID lies is read; without that ID, all are.
    fn outcome(
        &self,
        run: RunId,
        state: Option<&State>,
        entries: &[Entry],
    ) -> Result<Option<SagaOutcome>, Error> {
        if state.is_some_and(|state| state.live().is_some()) {
            return Ok(None);
        }
        let lies = |id: &str| partition::of_key(id.as_bytes(), self.partitions) as i32;
        let numbers: Vec<i32> = match facts(entries).next() {
            Some(fact) => vec![lies(&fact.lineage.correlation_id)],
            None => (0..self.partitions as i32).collect(),
        };
        let (restorer, reader, mut found) = (self.restorer()?, OutcomeReader::new(), None);
        for number in numbers {
            restorer.read(&Partition::new(self.names.outcomes(), number), None, |record| {
                // Of a run that began anew after it was forgotten, the last counts.
                found = reader.read(&record).filter(|(of, _)| *of == run).or_else(|| found.take());
            })?;
        }
        Ok(found.map(|(_, outcome)| outcome))
    }

    fn history(&self, entries: &[Entry], notes: &mut Vec<String>) -> History {
        let Some(lineage) = facts(entries).last().map(|fact| &fact.lineage) else {
            return History::default();
        };
        let Some(flow) = self.flows.get(&lineage.flow) else {
            notes.push(format!("the file has no flow {}: its history is not shown", lineage.flow));
            return History::default();
        };
        if lineage.definition != self.definition {
            notes.push(format!(
                "it follows definition {}, the file is {}: steps are shown as the file has them",
                lineage.definition, self.definition
            ));
        }
        history::of(flow, entries)
    }

    fn summed(
        &self,
        run: RunId,
        state: Option<&State>,
        entries: &[Entry],
        outcome: Option<&SagaOutcome>,
    ) -> Option<Summary> {
        let mut summary = self.summary(run, state?);
        if let Some(fact) = facts(entries).next() {
            summary.flow.get_or_insert_with(|| fact.lineage.flow.clone());
            summary.correlation_id.get_or_insert_with(|| fact.lineage.correlation_id.clone());
        }
        if let Some(outcome) = outcome {
            complete(&mut summary, outcome);
        }
        Some(summary)
    }
}

/// What an ended run no longer says, from its outcome.
pub fn complete(summary: &mut Summary, outcome: &SagaOutcome) {
    summary.flow.get_or_insert_with(|| outcome.flow.clone());
    summary.correlation_id.get_or_insert_with(|| outcome.correlation_id.clone());
    summary.cause.get_or_insert_with(|| outcome.cause.clone());
    summary.started_ms.get_or_insert(outcome.started_at);
    summary.definition = format!("{}/{}", outcome.definition_version, outcome.definition_hash);
}

fn facts(entries: &[Entry]) -> impl Iterator<Item = &quadrille_types::fact::Fact> {
    entries.iter().filter_map(|entry| match &entry.input {
        Input::Fact(fact) => Some(fact),
        Input::Timer(_) | Input::Forgotten(_) => None,
    })
}

/// Reads outcomes without a registry: their schema is known here.
struct OutcomeReader(Codec);

impl OutcomeReader {
    fn new() -> Self {
        Self(Codec::parse(SCHEMA).expect("the schema of outcomes is our own"))
    }

    fn read(&self, record: &Record) -> Option<(RunId, SagaOutcome)> {
        let (_, datum) = wire::unframe(record.value.as_deref()?).ok()?;
        let outcome: SagaOutcome = self.0.decode(datum).ok()?;
        Some((outcome.run.parse().ok()?, outcome))
    }
}
