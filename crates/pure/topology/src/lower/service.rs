//! What a step service runs by.

use std::collections::BTreeMap;

use quadrille_step::retry::Policy;
use quadrille_step::spec::{
    Emits, EventSpec, Fields, GivesUp, Guarantee, Limits, Owner, ServiceSpec, StepSpec,
};
use quadrille_types::Definition;
use quadrille_types::topics::Names;

use crate::gives_up;
use crate::mesh::{self, Exhausted, Group, Mesh, Step};

/// Partitions of every topic that is keyed by saga: facts, journal, state, outcomes.
pub const SAGA_PARTITIONS: u32 = 4;

/// Largest event that is written, in bytes: below the 1,048,588 that brokers take by default.
const EVENT_BYTES_MAX: usize = 1_000_000;

/// Largest record of the mesh's own, in bytes: below the 8,388,608 that its topics are created with, and the 8,000,000 of
/// its producers.
pub const OWN_BYTES_MAX: usize = 7_900_000;

/// What is left of that for the values of events, in bytes. The rest is names and IDs, each at most 4 KiB.
const KEPT_BYTES_TOTAL: usize = 7_000_000;

/// Hexadecimal digits of the mesh's hash that travel in every event.
const HASH_DIGITS: usize = 16;

/// The name of what the file means, as events carry it.
pub fn definition(mesh: &Mesh) -> Definition {
    let hash = mesh.hash.chars().take(HASH_DIGITS).collect();
    Definition { version: u32::try_from(mesh.version).unwrap_or(u32::MAX), hash }
}

/// The views of `service`, one for each guarantee that its steps have; none if no step names it.
pub fn service_specs(mesh: &Mesh, service: &str) -> Vec<ServiceSpec> {
    let guarantees = [Guarantee::ExactlyOnce, Guarantee::AtLeastOnce];
    guarantees.into_iter().filter_map(|guarantee| service_spec(mesh, service, guarantee)).collect()
}

/// What a step promises.
pub(crate) fn guarantee(step: &Step) -> Guarantee {
    match step.guarantee {
        mesh::Guarantee::ExactlyOnce => Guarantee::ExactlyOnce,
        mesh::Guarantee::AtLeastOnce => Guarantee::AtLeastOnce,
    }
}

fn service_spec(mesh: &Mesh, service: &str, promised: Guarantee) -> Option<ServiceSpec> {
    let of_this = mesh.steps_of(service).filter(|step| guarantee(step) == promised);
    let steps: Vec<_> = of_this.map(|step| step_spec(mesh, step)).collect();
    (!steps.is_empty()).then(|| ServiceSpec {
        names: Names::new(&mesh.name),
        service: service.to_owned(),
        guarantee: promised,
        definition: definition(mesh),
        saga_partitions: SAGA_PARTITIONS,
        limits: limits(mesh),
        events: mesh
            .events
            .values()
            .map(|event| (event.name.clone(), event_spec(mesh, event)))
            .collect::<BTreeMap<_, _>>(),
        steps,
    })
}

fn limits(mesh: &Mesh) -> Limits {
    Limits { event: EVENT_BYTES_MAX, own: OWN_BYTES_MAX, kept: kept_bytes_max(mesh), found: BTreeMap::new() }
}

/// Largest value of an event that facts and commands carry, in bytes: the inputs of a step and what it emits fit into
/// one record together, be each as large as this.
pub fn kept_bytes_max(mesh: &Mesh) -> usize {
    let of_step = |step: &Step| {
        let gives_up = usize::from(matches!(step.exhausted, Exhausted::Emit(_)));
        step.when.events().len() + step.emits.events().len().max(gives_up)
    };
    let most = mesh.steps.values().map(of_step).max().unwrap_or(1);
    EVENT_BYTES_MAX.min(KEPT_BYTES_TOTAL / most.max(1))
}

fn event_spec(mesh: &Mesh, event: &mesh::Event) -> EventSpec {
    let emitting = mesh.emitters(&event.name).find_map(|step| step.saga.clone());
    let awaiting = mesh.sagas.values().find(|saga| mesh.ingested_for(saga).contains(event.name.as_str()));
    EventSpec {
        topic: event.topic.clone(),
        partitions: mesh.topics.get(&event.topic).map_or(1, |topic| topic.partitions),
        owner: match event.owner {
            mesh::Owner::Foreign => Owner::Foreign,
            mesh::Owner::Service(_) => Owner::Mesh,
        },
        by_key: event.correlation == mesh::Correlation::Key,
        starts: mesh.started_by(&event.name).next().map(|saga| saga.name.clone()),
        flow: emitting.or_else(|| awaiting.map(|saga| saga.name.clone())),
    }
}

fn step_spec(mesh: &Mesh, step: &Step) -> StepSpec {
    let listens_to = step.is_choreographed().then(|| step.when.events().first().cloned()).flatten();
    let repeats = |name: &String| {
        mesh.events.get(name).is_some_and(|event| event.owner == mesh::Owner::Foreign)
            || mesh.emitters(name).any(|step| guarantee(step) == Guarantee::AtLeastOnce)
    };
    StepSpec {
        name: step.name.clone(),
        partitions: step_partitions(mesh, step),
        emits: match &step.emits {
            Group::Any(names) => Emits::one_of(names),
            Group::All(names) => Emits::Each(names.iter().cloned().collect()),
        },
        rejects: Emits::one_of(&step.rejects),
        gives_up: gives_up(mesh, step),
        undo_emits: step.undo.as_ref().map(|undo| Emits::one_of(&undo.emits)),
        retry: Policy {
            tries: step.retry.tries,
            wait_min_ms: step.retry.wait_ms_min,
            wait_max_ms: step.retry.wait_ms_max,
        },
        timeout_ms: step.timeout_ms,
        concurrency: step.concurrency as usize,
        carries: mesh.events_kept().into_iter().map(str::to_owned).collect(),
        keeps_ledger: listens_to.as_ref().is_some_and(repeats),
        listens_to,
    }
}

/// What follows exhausted tries. A file that passed `check` leaves no field without a value.
fn gives_up(mesh: &Mesh, step: &Step) -> Option<GivesUp> {
    let Exhausted::Emit(event) = &step.exhausted else { return None };
    let fields = gives_up::fields(mesh, step, event).unwrap_or_else(|_| Fields::Named(Vec::new()));
    Some(GivesUp { event: event.clone(), fields })
}

/// Partitions of a step's control topic, ledger and dead-letter topic: those of its input, so that one lane owns them
/// together; for a join the most that any of its inputs has.
pub fn step_partitions(mesh: &Mesh, step: &Step) -> u32 {
    let inputs = mesh.inputs(step).filter_map(|event| mesh.topics.get(&event.topic));
    inputs.map(|topic| topic.partitions).max().unwrap_or(1)
}
