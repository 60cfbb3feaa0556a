//! Files made to hurt.

use std::fmt::Write as _;

use quadrille_topology::{Limits, render};

use crate::support::{ORDER, check, codes, mesh};

#[test]
fn an_alias_bomb_is_refused_before_it_is_expanded() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for n in 1..40 {
        let alias = format!("*a{}", n - 1);
        let _ = writeln!(bomb, "a{n}: &a{n} [{}]", vec![alias; 10].join(", "));
    }
    assert_eq!(codes(bomb), ["Q0004"]);
}

#[test]
fn nesting_is_refused_from_level_33_on() {
    let nested =
        |levels: usize| format!("quadrille: 1\ndeep: {}{}\n", "[".repeat(levels), "]".repeat(levels));
    assert!(!codes(nested(Limits::DEPTH_MAX - 1)).contains(&"Q0005".to_owned()));
    assert_eq!(codes(nested(Limits::DEPTH_MAX)), ["Q0005"]);
    assert_eq!(codes(nested(100_000)), ["Q0005"]);
    let mut block = String::new();
    for level in 0..100 {
        let _ = writeln!(block, "{}k:", " ".repeat(level));
    }
    assert_eq!(codes(block), ["Q0005"]);
}

#[test]
fn a_large_file_is_refused_unread() {
    assert_eq!(codes(vec![b'['; Limits::FILE_BYTES_MAX + 1]), ["Q0001"]);
    assert_ne!(codes(vec![b'#'; Limits::FILE_BYTES_MAX]), ["Q0001"]);
}

#[test]
fn bytes_that_are_no_text_are_refused() {
    assert_eq!(codes(b"\x7fELF\x02\x01\x01\x00"), ["Q0002"]);
    assert_eq!(codes(b"quadrille: \xc3\x28"), ["Q0002"]);
    assert_eq!(codes(b"quadrille: 1\x00"), ["Q0002"]);
    assert_eq!(codes(""), ["Q0006"]);
    assert_eq!(codes("~"), ["Q0006"]);
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_make_no_difference() {
    let plain = mesh(ORDER);
    assert_eq!(mesh(&format!("\u{FEFF}{ORDER}")), plain);
    assert_eq!(mesh(&ORDER.replace('\n', "\r\n")), plain);
    let wrong = ORDER.replace("when: OrderPlaced", "when: OrderPlacd").replace('\n', "\r\n");
    let checked = check(&wrong);
    let shown = render::diagnostic(&checked.diagnostics[0], "order.yaml", &wrong, render::Style::Plain);
    assert!(shown.contains("|     when: OrderPlacd\n"), "{shown}");
    assert!(!shown.contains('\r'), "{shown}");
}

#[test]
fn a_tab_in_the_indentation_is_a_mistake_and_not_a_guess() {
    assert_eq!(codes("quadrille: 1\nevents:\n\tA: { topic: a, schema: json }\n"), ["Q0003"]);
}

#[test]
fn names_that_yaml_could_take_for_truth_values_stay_names() {
    let text = "quadrille: 1\nmesh: no\nevents:\n  on: { topic: yes, schema: json, owner: foreign }\n  off: { topic: n, schema: json, readers: foreign }\nsteps:\n  y:\n    when: on\n    from: now\n    handler: { http: 'http://h' }\n    emits: off\n";
    let mesh = mesh(text);
    assert_eq!((mesh.name.as_str(), mesh.events["on"].topic.as_str()), ("no", "yes"));
}

#[test]
fn a_million_mistakes_are_told_in_part_and_counted() {
    let mut text = String::from("quadrille: 1\nmesh: shop\n");
    for n in 0..60_000 {
        let _ = writeln!(text, "field{n}: 1");
    }
    let checked = check(&text);
    assert_eq!(checked.diagnostics.len(), 100);
    assert_eq!(checked.diagnostics.len() + checked.left_out, 60_001, "and the missing events");
}

#[test]
fn many_unknown_names_cost_little() {
    let list = (0..90_000).map(|n| format!("E{n}")).collect::<Vec<_>>().join(", ");
    let text = format!(
        "quadrille: 1\nmesh: shop\nevents:\n  A: {{ topic: a, schema: json }}\nsagas:\n  s:\n    starts: [{list}]\n    completes: {}\n",
        "B".repeat(300_000)
    );
    assert!(codes(&text).contains(&"Q0114".to_owned()));
}

#[test]
fn the_largest_mesh_is_checked() {
    let mut text = String::from(
        "quadrille: 1\nmesh: long\ndefaults: { from: now }\nevents:\n  E0: { topic: t, schema: json, owner: foreign }\n",
    );
    for n in 1..=Limits::STEPS_MAX {
        let _ = writeln!(text, "  E{n}: {{ topic: t, schema: json }}");
    }
    text.push_str("steps:\n");
    for n in 0..Limits::STEPS_MAX {
        let _ = writeln!(
            text,
            "  s{n}: {{ when: E{n}, handler: {{ http: 'http://h' }}, emits: E{}, effect: none }}",
            n + 1
        );
    }
    let _ = writeln!(
        text,
        "sagas:\n  s: {{ starts: E0, completes: E{}, deadline: {{ after: 1h, then: undo }} }}",
        Limits::STEPS_MAX
    );
    assert_eq!(mesh(&text).steps.len(), Limits::STEPS_MAX);
}

/// `steps` steps beside each other; a join waits for every two neighbours, so that the order of all answers counts.
fn tangled(sagas: usize, steps: usize) -> String {
    let mut text = String::from("quadrille: 1\nmesh: wide\ndefaults: { from: now }\nevents:\n");
    for saga in 0..sagas {
        let _ = writeln!(text, "  Start{saga}: {{ topic: t, schema: json, owner: foreign }}");
        for n in 0..steps {
            for event in ["Yes", "No", "Both"] {
                let _ = writeln!(text, "  {event}{saga}x{n}: {{ topic: t, schema: json }}");
            }
        }
    }
    text.push_str("steps:\n");
    for saga in 0..sagas {
        for n in 0..steps {
            let undo = "undo: { handler: { http: 'http://h' } }";
            let _ = writeln!(
                text,
                "  s{saga}x{n}: {{ when: Start{saga}, handler: {{ http: 'http://h' }}, emits: Yes{saga}x{n}, rejects: No{saga}x{n}, {undo} }}"
            );
            let next = (n + 1) % steps;
            let _ = writeln!(
                text,
                "  j{saga}x{n}: {{ when: {{ all: [Yes{saga}x{n}, Yes{saga}x{next}] }}, handler: {{ http: 'http://h' }}, emits: Both{saga}x{n}, {undo} }}"
            );
        }
    }
    text.push_str("sagas:\n");
    for saga in 0..sagas {
        let list =
            |event: &str| (0..steps).map(|n| format!("{event}{saga}x{n}")).collect::<Vec<_>>().join(", ");
        let _ = writeln!(
            text,
            "  saga{saga}: {{ starts: Start{saga}, completes: {{ all: [{}] }}, fails: [{}], deadline: {{ after: 1h, then: undo }} }}",
            list("Both"),
            list("No")
        );
    }
    text
}

#[test]
fn a_saga_with_more_runs_than_can_be_tried_is_refused_and_not_passed() {
    assert_eq!(codes(tangled(1, 3)), Vec::<String>::new());
    assert_eq!(codes(tangled(1, 100)), ["Q0315"]);
    assert_eq!(codes(tangled(15, 10)), ["Q0315"; 15], "the limit holds for the whole file");
}

#[test]
fn what_a_terminal_would_obey_is_not_printed() {
    let text =
        "quadrille: 1\nmesh: \"a\\e[31m\u{202E}b\"\nevents:\n  \"A\\u0007\": { topic: a, schema: json }\n";
    let checked = check(text);
    assert!(checked.diagnostics.len() > 1);
    for diagnostic in &checked.diagnostics {
        let shown = render::diagnostic(diagnostic, "evil\u{1b}.yaml", text, render::Style::Plain);
        assert!(!shown.chars().any(|c| c != '\n' && c.is_control() || c == '\u{202E}'), "{shown:?}");
    }
}
