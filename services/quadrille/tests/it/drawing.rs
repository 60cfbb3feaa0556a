//! `quadrille graph`, compared with pictures that were looked at.

use crate::support::{assert_golden, quadrille, root, stderr, stdout};

#[test]
fn the_shipped_topologies_are_drawn_as_expected() {
    for mesh in ["order", "trip"] {
        for (format, extension) in [("text", "txt"), ("mermaid", "mmd"), ("svg", "svg")] {
            let file = format!("topology/{mesh}.yaml");
            let output = quadrille(&["graph", &file, "--format", format]);
            assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
            assert_eq!(stderr(&output), "");
            let golden = format!("services/quadrille/tests/golden/{mesh}.{extension}");
            assert_golden(&root().join(golden), &stdout(&output));
        }
    }
}

#[test]
fn the_graph_goes_to_a_file_when_asked() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let path = folder.path().join("order.svg");
    let path_text = path.to_str().expect("the path is UTF-8");
    let output = quadrille(&["graph", "topology/order.yaml", "--format", "svg", "-o", path_text]);
    assert_eq!((output.status.code(), stdout(&output)), (Some(0), String::new()));
    assert!(std::fs::read_to_string(&path).expect("the file was written").starts_with("<svg "));
}

#[test]
fn a_file_with_mistakes_is_not_drawn() {
    let output = quadrille(&["graph", "topology/invalid/Q0305-loop.yaml"]);
    assert_eq!((output.status.code(), stdout(&output)), (Some(1), String::new()));
    assert!(stderr(&output).contains("error[Q0305]"));
    assert_eq!(quadrille(&["graph", "no/such/file.yaml"]).status.code(), Some(2));
}
