//! The mesh as a graph: events and steps as nodes, who triggers what and what comes of it as edges.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::mesh::{Exhausted, Group, Handler, Mesh, Owner, Saga, Step};

/// A graph to draw or to print.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Graph {
    /// Name of the mesh.
    pub mesh: String,
    /// Nodes in the order of a walk from the events that come from outside.
    pub nodes: Vec<Node>,
    /// Edges in the order of their first node.
    pub edges: Vec<Edge>,
}

/// A node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Node {
    /// Unique in the graph: `event:NAME`, `step:NAME` or `outcome:SAGA:NAME`.
    pub id: String,
    /// What is shown.
    pub name: String,
    /// What it is.
    #[serde(flatten)]
    pub kind: NodeKind,
}

/// What a node stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum NodeKind {
    /// An event.
    Event {
        /// Its topic.
        topic: String,
        /// Whether others publish it.
        foreign: bool,
    },
    /// A step.
    Step {
        /// The service that runs it.
        service: String,
        /// `choreographed` or `coordinated`.
        triggered: &'static str,
        /// Why.
        reason: String,
        /// `HTTP` or `Rust`.
        handler: &'static str,
        /// Whether it can be undone.
        undo: bool,
        /// Whether it is the pivot.
        pivot: bool,
    },
    /// An outcome of a saga.
    Outcome {
        /// The saga.
        saga: String,
        /// Whether all went well.
        good: bool,
    },
}

/// A directed edge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Edge {
    /// ID of the first node.
    pub from: String,
    /// ID of the second node.
    pub to: String,
    /// What it means.
    pub kind: EdgeKind,
}

/// What an edge means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EdgeKind {
    /// The event triggers the step, which listens itself.
    Triggers,
    /// The event is part of what the coordinator waits for before it triggers the step.
    Coordinates,
    /// The step emits the event when it succeeds.
    Emits,
    /// The step emits the event when it refuses, or when its tries are exhausted.
    Rejects,
    /// The undo of the step emits the event.
    Undoes,
    /// The event completes the saga, alone or with others.
    Completes,
    /// The event fails the saga.
    Fails,
}

impl Graph {
    /// The graph of a mesh.
    #[must_use]
    pub fn of(mesh: &Mesh) -> Self {
        let mut builder = Builder { mesh, nodes: Vec::new(), edges: Vec::new(), seen: BTreeSet::new() };
        let foreign = mesh.events.values().filter(|e| e.owner == Owner::Foreign);
        let all = mesh.events.values();
        for event in foreign.chain(all) {
            builder.event(&event.name);
        }
        for saga in mesh.sagas.values() {
            builder.outcomes(saga);
        }
        Self { mesh: mesh.name.clone(), nodes: builder.nodes, edges: builder.edges }
    }
}

struct Builder<'m> {
    mesh: &'m Mesh,
    nodes: Vec<Node>,
    edges: Vec<Edge>,
    seen: BTreeSet<String>,
}

impl Builder<'_> {
    /// Adds an event, the steps that it triggers, and what they emit. Depth first; each node once.
    fn event(&mut self, name: &str) {
        let Some(event) = self.mesh.events.get(name) else { return };
        let kind = NodeKind::Event { topic: event.topic.clone(), foreign: event.owner == Owner::Foreign };
        if !self.node(event_id(name), name, kind) {
            return;
        }
        for step in self.mesh.triggered(name) {
            let kind = if step.is_choreographed() { EdgeKind::Triggers } else { EdgeKind::Coordinates };
            self.edge(event_id(name), step_id(step), kind);
            self.step(step);
        }
    }

    fn step(&mut self, step: &Step) {
        let kind = NodeKind::Step {
            service: step.service.clone(),
            triggered: step.triggered_by.word(),
            reason: step.triggered_by.reason(),
            handler: if matches!(step.handler, Handler::Http(_)) { "HTTP" } else { "Rust" },
            undo: step.undo.is_some(),
            pivot: step.pivot,
        };
        if !self.node(step_id(step), &step.name, kind) {
            return;
        }
        let exhausted = match &step.exhausted {
            Exhausted::Emit(event) => Some(event),
            Exhausted::Hold | Exhausted::Undo => None,
        };
        let undone = step.undo.iter().flat_map(|u| &u.emits);
        let outputs = step.emits.events().iter().map(|e| (e, EdgeKind::Emits));
        let refusals = step.rejects.iter().chain(exhausted).map(|e| (e, EdgeKind::Rejects));
        let outputs: Vec<_> = outputs.chain(refusals).chain(undone.map(|e| (e, EdgeKind::Undoes))).collect();
        for (event, kind) in outputs {
            self.edge(step_id(step), event_id(event), kind);
            self.event(event);
        }
    }

    fn outcomes(&mut self, saga: &Saga) {
        let id = |name: &str| format!("outcome:{}:{name}", saga.name);
        let outcome = |good| NodeKind::Outcome { saga: saga.name.clone(), good };
        self.node(id(&saga.outcomes.completed), &saga.outcomes.completed, outcome(true));
        for event in saga.completes.events() {
            self.edge(event_id(event), id(&saga.outcomes.completed), EdgeKind::Completes);
        }
        if !saga.fails.is_empty() {
            self.node(id(&saga.outcomes.compensated), &saga.outcomes.compensated, outcome(false));
        }
        for event in &saga.fails {
            self.edge(event_id(event), id(&saga.outcomes.compensated), EdgeKind::Fails);
        }
    }

    fn node(&mut self, id: String, name: &str, kind: NodeKind) -> bool {
        let new = self.seen.insert(id.clone());
        if new {
            self.nodes.push(Node { id, name: name.to_owned(), kind });
        }
        new
    }

    fn edge(&mut self, from: String, to: String, kind: EdgeKind) {
        self.edges.push(Edge { from, to, kind });
    }
}

fn event_id(name: &str) -> String {
    format!("event:{name}")
}

fn step_id(step: &Step) -> String {
    format!("step:{}", step.name)
}

/// The events of a group as the language writes them.
pub(crate) fn group_text(group: &Group) -> String {
    match group {
        Group::Any(events) => events.join(" or "),
        Group::All(events) => events.join(" and "),
    }
}
