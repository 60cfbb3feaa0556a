//! Whatever is in the file, the compiler answers.

use proptest::prelude::*;
use quadrille_topology::{Graph, render};

use crate::support::{ORDER, TRIP, check};

/// Compiles and renders everything; to return is to pass.
fn survives(bytes: &[u8]) {
    let checked = check(bytes);
    let text = String::from_utf8_lossy(bytes);
    for diagnostic in &checked.diagnostics {
        let shown = render::diagnostic(diagnostic, "file.yaml", &text, render::Style::Colour);
        assert!(shown.contains(diagnostic.code.0));
    }
    assert_eq!(
        checked.mesh.is_none(),
        checked.diagnostics.iter().any(|d| d.severity == quadrille_topology::Severity::Error)
    );
    if let Some(mesh) = &checked.mesh {
        let graph = Graph::of(mesh);
        assert!(render::svg(&graph).ends_with("</svg>\n"));
        assert!(render::mermaid(&graph).starts_with("flowchart"));
        assert!(render::mesh(mesh, render::Style::Plain).starts_with("mesh"));
    }
}

fn spliced(text: &str, at: usize, length: usize, insert: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let at = at % bytes.len();
    let end = (at + length).min(bytes.len());
    [&bytes[..at], insert.as_bytes(), &bytes[end..]].concat()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_spliced_topology_never_panics(
        order in any::<bool>(), at in 0usize..4000, length in 0usize..60, insert in "[ -~\n\t:{}\\[\\]&*!|>é\u{FEFF}]{0,12}",
    ) {
        survives(&spliced(if order { ORDER } else { TRIP }, at, length, &insert));
    }

    #[test]
    fn a_topology_with_lines_swapped_never_panics(order in any::<bool>(), one in 0usize..100, other in 0usize..100) {
        let text = if order { ORDER } else { TRIP };
        let mut lines: Vec<&str> = text.lines().collect();
        let (one, other) = (one % lines.len(), other % lines.len());
        lines.swap(one, other);
        survives(lines.join("\n").as_bytes());
    }

    #[test]
    fn a_topology_with_words_exchanged_never_panics(order in any::<bool>(), one in 0usize..300, other in 0usize..300) {
        let text = if order { ORDER } else { TRIP };
        let words: Vec<&str> = text.split(|c: char| !c.is_alphanumeric() && c != '-').filter(|w| w.len() > 2).collect();
        let (one, other) = (words[one % words.len()], words[other % words.len()]);
        survives(text.replace(one, other).as_bytes());
    }

    #[test]
    fn bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        survives(&bytes);
    }

    #[test]
    fn yaml_like_text_never_panics(text in "([a-z]{1,4}: ?[\\[\\]{}&*!|>'\"#,a-z0-9. -]{0,20}\n? {0,6}){0,20}") {
        survives(text.as_bytes());
    }
}
