//! A graph as an SVG picture, laid out in ranks from top to bottom.

mod layout;

use std::fmt::Write as _;

use crate::graph::{EdgeKind, Graph, Node, NodeKind};

use layout::{Layout, PlacedEdge, PlacedNode};

/// Renders the graph as a picture of its own, with a legend; no scripts and no fonts from elsewhere.
#[must_use]
pub fn svg(graph: &Graph) -> String {
    let layout = Layout::of(graph);
    let (width, height) =
        (layout.width.max(LEGEND_WIDTH) + 2.0 * MARGIN, layout.height + TITLE + LEGEND + 2.0 * MARGIN);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
         viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\" aria-label=\"mesh {0}\">\n<title>mesh {0}</title>\n{STYLE}",
        escaped(&graph.mesh)
    );
    let _ = writeln!(out, "<rect class=\"paper\" width=\"{width:.0}\" height=\"{height:.0}\"/>");
    let _ = writeln!(
        out,
        "<text class=\"title\" x=\"{MARGIN}\" y=\"{}\">mesh {}</text>",
        MARGIN + 14.0,
        escaped(&graph.mesh)
    );
    let left = MARGIN + (width - 2.0 * MARGIN - layout.width).max(0.0) / 2.0;
    let _ = writeln!(out, "<g transform=\"translate({left:.1} {:.1})\">", MARGIN + TITLE);
    for edge in &layout.edges {
        edge_svg(edge, &mut out);
    }
    for placed in &layout.nodes {
        node_svg(placed, &mut out);
    }
    out.push_str("</g>\n");
    legend(MARGIN, height - MARGIN - LEGEND + 30.0, &mut out);
    out.push_str("</svg>\n");
    out
}

const MARGIN: f64 = 24.0;
const TITLE: f64 = 40.0;
const LEGEND: f64 = 48.0;
const LEGEND_WIDTH: f64 = 700.0;

const STYLE: &str = "<style>
  .paper { fill: #ffffff }
  text { font-family: system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif; fill: #1b2a41 }
  .title { font-size: 16px; font-weight: 600 }
  .name { font-size: 13px; font-weight: 600; text-anchor: middle }
  .small { font-size: 11px; fill: #52606d; text-anchor: middle }
  .legend { font-size: 11px; fill: #52606d }
  .label { font-size: 11px; text-anchor: middle; paint-order: stroke; stroke: #ffffff; stroke-width: 4px }
  .box { stroke-width: 1.4 }
  .event { fill: #eef4ff; stroke: #4a6fa5 }
  .foreign { fill: #fff6e0; stroke: #b7791f }
  .step { fill: #ffffff; stroke: #1b2a41 }
  .coordinated { fill: #f3ebff; stroke: #6b46c1; stroke-width: 2 }
  .good { fill: #e6f6ec; stroke: #2f855a }
  .bad { fill: #fdecec; stroke: #c53030 }
  .edge { fill: none; stroke: #52606d; stroke-width: 1.4 }
  .edge.rejects, .edge.fails { stroke: #c53030 }
  .edge.completes { stroke: #2f855a }
  .edge.coordinates { stroke: #6b46c1 }
  .edge.undoes { stroke-dasharray: 5 4 }
  .edge.completes, .edge.fails { stroke-width: 2 }
</style>
<defs>
  <marker id=\"arrow\" viewBox=\"0 0 10 10\" refX=\"9\" refY=\"5\" markerWidth=\"8\" markerHeight=\"8\" orient=\"auto\" markerUnits=\"userSpaceOnUse\"><path d=\"M0 0 L10 5 L0 10 z\" fill=\"#52606d\"/></marker>
</defs>
";

fn node_svg(placed: &PlacedNode<'_>, out: &mut String) {
    let PlacedNode { node, x, y, width, height } = placed;
    let (left, top) = (x - width / 2.0, y - height / 2.0);
    let (class, radius, small, hint) = appearance(node, *height);
    let _ = writeln!(out, "<g><title>{}</title>", escaped(&hint));
    let _ = writeln!(
        out,
        "<rect class=\"box {class}\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"{radius:.1}\"/>"
    );
    let _ = writeln!(
        out,
        "<text class=\"name\" x=\"{x:.1}\" y=\"{:.1}\">{}</text>",
        y - 3.0,
        escaped(&node.name)
    );
    let _ = writeln!(
        out,
        "<text class=\"small\" x=\"{x:.1}\" y=\"{:.1}\">{}</text></g>",
        y + 13.0,
        escaped(&small)
    );
}

/// Class, corner radius, second line and hover text of a node.
fn appearance(node: &Node, height: f64) -> (&'static str, f64, String, String) {
    let small = second_line(node);
    match &node.kind {
        NodeKind::Event { foreign, .. } => {
            let class = if *foreign { "foreign" } else { "event" };
            (class, height / 2.0, small, format!("event {}", node.name))
        }
        NodeKind::Step { triggered, reason, .. } => {
            let class = if *triggered == "coordinated" { "coordinated" } else { "step" };
            (class, 3.0, small, format!("step {}: {triggered}, {reason}", node.name))
        }
        NodeKind::Outcome { saga, good } => {
            let class = if *good { "good" } else { "bad" };
            (class, 10.0, small, format!("outcome {} of saga {saga}", node.name))
        }
    }
}

/// What stands below the name of a node.
pub(super) fn second_line(node: &Node) -> String {
    match &node.kind {
        NodeKind::Event { topic, foreign: true } => format!("topic {topic}, from outside"),
        NodeKind::Event { topic, foreign: false } => format!("topic {topic}"),
        NodeKind::Step { service, triggered, pivot, undo, .. } => {
            let extra = match (pivot, undo) {
                (true, _) => ", pivot",
                (false, true) => ", can be undone",
                (false, false) => "",
            };
            format!("{service}, {triggered}{extra}")
        }
        NodeKind::Outcome { saga, .. } => format!("outcome of {saga}"),
    }
}

fn edge_svg(edge: &PlacedEdge, out: &mut String) {
    let class = class_of(edge.kind);
    let _ = writeln!(
        out,
        "<path class=\"edge {class}\" d=\"{}\" marker-end=\"url(#arrow)\"/>",
        path(&edge.points)
    );
    if let (Some(text), Some((x, y))) = (label(edge.kind), edge.label_at) {
        let _ = writeln!(out, "<text class=\"label\" x=\"{x:.1}\" y=\"{:.1}\">{text}</text>", y + 4.0);
    }
}

fn class_of(kind: EdgeKind) -> &'static str {
    match kind {
        EdgeKind::Triggers => "triggers",
        EdgeKind::Coordinates => "coordinates",
        EdgeKind::Emits => "emits",
        EdgeKind::Rejects => "rejects",
        EdgeKind::Undoes => "undoes",
        EdgeKind::Completes => "completes",
        EdgeKind::Fails => "fails",
    }
}

/// The word on an edge; those that go without saying have none.
pub(super) fn label(kind: EdgeKind) -> Option<&'static str> {
    match kind {
        EdgeKind::Triggers | EdgeKind::Emits => None,
        EdgeKind::Coordinates => Some("joined"),
        EdgeKind::Rejects => Some("rejects"),
        EdgeKind::Undoes => Some("undo"),
        EdgeKind::Completes => Some("completes"),
        EdgeKind::Fails => Some("fails"),
    }
}

/// A smooth line that leaves and enters every point straight down, so that it runs sideways between the ranks only.
fn path(points: &[(f64, f64)]) -> String {
    let Some(((x, y), _)) = points.split_first() else { return String::new() };
    let mut d = format!("M{x:.1} {y:.1}");
    for pair in points.windows(2) {
        let ((x1, y1), (x2, y2)) = (pair[0], pair[1]);
        let middle = f64::midpoint(y1, y2);
        let _ = write!(d, " C{x1:.1} {middle:.1} {x2:.1} {middle:.1} {x2:.1} {y2:.1}");
    }
    d
}

fn legend(left: f64, y: f64, out: &mut String) {
    let entries = [
        ("foreign", 9.0, "event from outside"),
        ("event", 9.0, "event"),
        ("step", 2.0, "choreographed step"),
        ("coordinated", 2.0, "step triggered by the coordinator"),
        ("good", 5.0, "completed"),
        ("bad", 5.0, "undone"),
    ];
    let mut x = left;
    for (class, radius, text) in entries {
        let _ = writeln!(
            out,
            "<rect class=\"box {class}\" x=\"{x:.1}\" y=\"{:.1}\" width=\"26\" height=\"18\" rx=\"{radius}\"/>\
             <text class=\"legend\" x=\"{:.1}\" y=\"{:.1}\">{text}</text>",
            y - 13.0,
            x + 33.0,
            y
        );
        x += 52.0 + layout::text_width(text, 11.0);
    }
}

fn escaped(text: &str) -> String {
    super::printable(text)
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
