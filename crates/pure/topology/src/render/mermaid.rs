//! A graph as a Mermaid flowchart.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::graph::{EdgeKind, Graph, Node, NodeKind};

/// Renders the graph; GitHub and many editors draw it.
#[must_use]
pub fn mermaid(graph: &Graph) -> String {
    let ids: BTreeMap<&str, String> =
        graph.nodes.iter().enumerate().map(|(i, node)| (node.id.as_str(), format!("n{i}"))).collect();
    let mut out = String::from("flowchart TD\n");
    for node in &graph.nodes {
        let _ = writeln!(out, "  {}{}", ids[node.id.as_str()], shape(node));
    }
    for edge in &graph.edges {
        let (Some(from), Some(to)) = (ids.get(edge.from.as_str()), ids.get(edge.to.as_str())) else {
            continue;
        };
        let _ = writeln!(out, "  {from} {} {to}", arrow(edge.kind));
    }
    out.push_str(
        "  classDef event fill:#eef4ff,stroke:#4a6fa5,color:#1b2a41\n  \
         classDef foreign fill:#fff6e0,stroke:#b7791f,color:#1b2a41\n  \
         classDef step fill:#ffffff,stroke:#1b2a41,color:#1b2a41\n  \
         classDef coordinated fill:#f3ebff,stroke:#6b46c1,color:#1b2a41\n  \
         classDef good fill:#e6f6ec,stroke:#2f855a,color:#1b2a41\n  \
         classDef bad fill:#fdecec,stroke:#c53030,color:#1b2a41\n",
    );
    out
}

fn shape(node: &Node) -> String {
    match &node.kind {
        NodeKind::Event { topic, foreign } => {
            let class = if *foreign { "foreign" } else { "event" };
            format!("([\"{}<br/><small>{topic}</small>\"]):::{class}", node.name)
        }
        NodeKind::Step { service, triggered, pivot, .. } => {
            let class = if *triggered == "coordinated" { "coordinated" } else { "step" };
            let pivot = if *pivot { ", pivot" } else { "" };
            format!("[\"{}<br/><small>{service}, {triggered}{pivot}</small>\"]:::{class}", node.name)
        }
        NodeKind::Outcome { saga, good } => {
            let class = if *good { "good" } else { "bad" };
            format!("{{{{\"{saga}: {}\"}}}}:::{class}", node.name)
        }
    }
}

fn arrow(kind: EdgeKind) -> &'static str {
    match kind {
        EdgeKind::Triggers | EdgeKind::Emits => "-->",
        EdgeKind::Coordinates => "-->|via coordinator|",
        EdgeKind::Rejects => "-->|rejects|",
        EdgeKind::Undoes => "-.->|undo|",
        EdgeKind::Completes => "==>|completes|",
        EdgeKind::Fails => "==>|fails|",
    }
}
