//! Where nodes and edges go.

use dagre::graph::{Graph as Dag, GraphOptions};
use dagre::layout::types::LabelPos;
use dagre::{EdgeLabel, GraphLabel, LayoutOptions, NodeLabel, RankDir};

use crate::graph::{EdgeKind, Graph, Node};

/// A graph with coordinates; the origin is the top left corner.
pub(super) struct Layout<'g> {
    pub(super) nodes: Vec<PlacedNode<'g>>,
    pub(super) edges: Vec<PlacedEdge>,
    pub(super) width: f64,
    pub(super) height: f64,
}

/// A node with its centre and size.
pub(super) struct PlacedNode<'g> {
    pub(super) node: &'g Node,
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

/// An edge with the points that it goes through.
pub(super) struct PlacedEdge {
    pub(super) kind: EdgeKind,
    pub(super) points: Vec<(f64, f64)>,
    pub(super) label_at: Option<(f64, f64)>,
}

const NODE_HEIGHT: f64 = 44.0;
/// The straight end of an edge, so that its arrow head points down.
const STUB: f64 = 11.0;

impl<'g> Layout<'g> {
    pub(super) fn of(graph: &'g Graph) -> Self {
        let mut dag = Dag::with_options(GraphOptions { directed: true, multigraph: true, compound: false });
        for node in &graph.nodes {
            let label = NodeLabel { width: width_of(node), height: NODE_HEIGHT, ..NodeLabel::default() };
            dag.set_node(node.id.clone(), Some(label));
        }
        for (index, edge) in graph.edges.iter().enumerate() {
            let text = super::label(edge.kind).unwrap_or_default();
            let (width, height) =
                if text.is_empty() { (0.0, 0.0) } else { (text_width(text, 11.0) + 8.0, 14.0) };
            let label = EdgeLabel { width, height, labelpos: LabelPos::Center, ..EdgeLabel::default() };
            dag.set_edge(edge.from.clone(), edge.to.clone(), Some(label), Some(&index.to_string()));
        }
        let options = LayoutOptions {
            rankdir: RankDir::TB,
            nodesep: 36.0,
            ranksep: 60.0,
            edgesep: 24.0,
            ..LayoutOptions::default()
        };
        dagre::layout(&mut dag, Some(options));
        let size = dag.graph_label::<GraphLabel>().map_or((0.0, 0.0), |label| (label.width, label.height));
        let nodes: Vec<PlacedNode<'_>> =
            graph.nodes.iter().filter_map(|node| placed_node(&dag, node)).collect();
        let edges = graph.edges.iter().enumerate().filter_map(|(index, edge)| {
            let label = dag.edge(&edge.from, &edge.to, Some(&index.to_string()))?;
            let inner = label.points.iter().map(|p| (p.x, p.y)).collect();
            let from = nodes.iter().find(|n| n.node.id == edge.from)?;
            let to = nodes.iter().find(|n| n.node.id == edge.to)?;
            Some(PlacedEdge {
                kind: edge.kind,
                points: docked(inner, from, to),
                label_at: label.x.zip(label.y),
            })
        });
        let edges = edges.collect();
        Self { nodes, edges, width: size.0, height: size.1 }
    }
}

/// The points of an edge with its ends on the bottom of the one node and the top of the other.
fn docked(mut points: Vec<(f64, f64)>, from: &PlacedNode<'_>, to: &PlacedNode<'_>) -> Vec<(f64, f64)> {
    if points.len() < 3 || from.y >= to.y {
        return points;
    }
    let towards = |node: &PlacedNode<'_>, x: f64| {
        let free = (node.width / 2.0 - 18.0).max(0.0);
        node.x + ((x - node.x) * 0.25).clamp(-free, free)
    };
    let last = points.len() - 1;
    points[0] = (towards(from, points[1].0), from.y + from.height / 2.0);
    let (x, top) = (towards(to, points[last - 1].0), to.y - to.height / 2.0);
    points[last] = (x, top - STUB);
    points.push((x, top));
    points
}

fn placed_node<'g>(dag: &Dag<NodeLabel, EdgeLabel>, node: &'g Node) -> Option<PlacedNode<'g>> {
    let label = dag.node(&node.id)?;
    Some(PlacedNode { node, x: label.x?, y: label.y?, width: label.width, height: label.height })
}

fn width_of(node: &Node) -> f64 {
    let widest = text_width(&node.name, 13.5).max(text_width(&super::second_line(node), 11.0));
    (widest + 32.0).max(90.0)
}

/// About the width of a text in a sans-serif font; generous, since fonts differ.
pub(super) fn text_width(text: &str, size: f64) -> f64 {
    let narrow = |c: char| matches!(c, 'i' | 'l' | 'j' | 't' | 'f' | 'r' | ' ' | ',' | '.' | '-' | 'I');
    text.chars()
        .map(|c| {
            if narrow(c) {
                0.42
            } else if c.is_ascii_uppercase() {
                0.75
            } else {
                0.62
            }
        })
        .sum::<f64>()
        * size
}
