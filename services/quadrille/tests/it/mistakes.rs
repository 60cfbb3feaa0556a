//! The exact message for every mistake: `topology/invalid/CODE-what.yaml` and the expected text beside it.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use quadrille_topology::{Checked, codes, render, topology};

use crate::support::{assert_golden, root};

fn cases() -> Vec<PathBuf> {
    let folder = root().join("topology/invalid");
    let entries = std::fs::read_dir(folder).expect("topology/invalid exists");
    let paths = entries.map(|entry| entry.expect("the folder can be listed").path());
    let mut cases: Vec<PathBuf> = paths.filter(|p| p.extension().is_some_and(|e| e == "yaml")).collect();
    cases.sort();
    cases
}

fn check(bytes: &[u8]) -> Checked {
    let folder = root().join("topology/invalid");
    topology(bytes, &move |path: &str| {
        std::fs::read_to_string(folder.join(path)).map_err(|_| "no such file".to_owned())
    })
}

fn rendered(name: &str, bytes: &[u8], checked: &Checked) -> String {
    let text = String::from_utf8_lossy(bytes);
    checked.diagnostics.iter().fold(String::new(), |mut all, diagnostic| {
        let _ = writeln!(all, "{}", render::diagnostic(diagnostic, name, &text, render::Style::Plain));
        all
    })
}

fn codes_of(checked: &Checked) -> BTreeSet<String> {
    checked.diagnostics.iter().map(|d| d.code.to_string()).collect()
}

/// Files that are too large or too long to be checked in.
fn generated() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("Q0001-too-large", vec![b'#'; 1024 * 1024 + 1]),
        ("Q0114-too-many", many_choices(101).into_bytes()),
        ("Q0315-not-proved", many_approvals(20).into_bytes()),
    ]
}

/// A saga of `steps` steps beside each other, each with two results that fail nothing, and no deadline.
fn many_choices(steps: usize) -> String {
    let mut events = String::from("  Placed: { topic: orders, schema: json, owner: foreign }\n");
    let mut texts = String::new();
    let mut ends = Vec::new();
    for n in 0..steps {
        let _ = writeln!(events, "  Good{n}: {{ topic: results, schema: json }}");
        let _ = writeln!(events, "  Fair{n}: {{ topic: results, schema: json }}");
        let _ = writeln!(events, "  End{n}: {{ topic: results, schema: json }}");
        let _ = writeln!(
            texts,
            "  s{n}:\n    when: Placed\n    handler: {{ http: 'http://h/s' }}\n    emits: [Good{n}, Fair{n}]\n    exhausted: undo\n    effect: none"
        );
        for (word, name) in [("Good", "g"), ("Fair", "f")] {
            let _ = writeln!(
                texts,
                "  {name}{n}:\n    when: {word}{n}\n    handler: {{ http: 'http://h/e' }}\n    emits: End{n}\n    exhausted: undo\n    effect: none"
            );
        }
        ends.push(format!("End{n}"));
    }
    format!(
        "quadrille: 1\nmesh: wide\ndefaults: {{ from: now }}\nevents:\n{events}steps:\n{texts}sagas:\n  wide:\n    starts: Placed\n    completes: {{ all: [{}] }}\n",
        ends.join(", ")
    )
}

/// A join of events from outside, which may come in any order or not at all.
fn many_approvals(events: usize) -> String {
    let names: Vec<String> = (0..events).map(|n| format!("Approved{n}")).collect();
    let mut text = String::from(
        "quadrille: 1\nmesh: wide\ndefaults: { from: now }\nevents:\n  Placed: { topic: orders, schema: json, owner: foreign }\n  Done: { topic: results, schema: json }\n",
    );
    for name in &names {
        let _ = writeln!(text, "  {name}: {{ topic: approvals, schema: json, owner: foreign }}");
    }
    let _ = writeln!(
        text,
        "steps:\n  close:\n    when: {{ all: [Placed, {}] }}\n    handler: {{ http: 'http://h/s' }}\n    emits: Done\n    effect: none",
        names.join(", ")
    );
    text + "sagas:\n  wide:\n    starts: Placed\n    completes: Done\n    deadline: { after: 1h, then: undo }\n"
}

#[test]
fn every_mistake_has_its_exact_message() {
    for path in cases() {
        let bytes = std::fs::read(&path).expect("the case can be read");
        let checked = check(&bytes);
        let name = path.file_name().expect("a case has a name").to_string_lossy().into_owned();
        let code = &name[..5];
        assert!(codes_of(&checked).contains(code), "{name} does not report {code}");
        assert_golden(&path.with_extension("txt"), &rendered(&name, &bytes, &checked));
    }
}

#[test]
fn every_code_is_produced_by_a_case() {
    let files = cases().into_iter().map(|path| std::fs::read(path).expect("the case can be read"));
    let texts = files.chain(generated().into_iter().map(|(_, bytes)| bytes));
    let produced: BTreeSet<String> = texts.flat_map(|bytes| codes_of(&check(&bytes))).collect();
    let known: BTreeSet<String> = codes::TABLE.iter().map(|entry| entry.code.to_string()).collect();
    assert_eq!(known, produced);
}

#[test]
fn generated_files_report_only_what_they_are_made_for() {
    for (name, bytes) in generated() {
        let checked = check(&bytes);
        assert_eq!(codes_of(&checked), BTreeSet::from([name[..5].to_owned()]), "{name}");
    }
}

#[test]
fn steps_beside_each_other_do_not_multiply_the_runs() {
    let checked = check(many_choices(30).as_bytes());
    assert!(checked.mesh.is_some(), "{:?}", checked.diagnostics);
}

#[test]
fn every_case_names_its_code_and_has_an_expected_text_and_no_text_is_left_over() {
    let folder = root().join("topology/invalid");
    let entries = std::fs::read_dir(&folder).expect("topology/invalid exists");
    for path in entries.map(|entry| entry.expect("the folder can be listed").path()) {
        if path.extension().is_some_and(|e| e == "txt") {
            assert!(path.with_extension("yaml").exists(), "{} has no case", path.display());
        }
    }
    for path in cases() {
        let name = path.file_name().expect("a case has a name").to_string_lossy().into_owned();
        assert!(codes::explain(&name[..5]).is_some(), "{name} does not begin with a code");
    }
}

#[test]
fn a_diagnostic_points_at_its_line_and_says_what_to_do() {
    for path in cases() {
        let bytes = std::fs::read(&path).expect("the case can be read");
        for diagnostic in check(&bytes).diagnostics {
            let at = diagnostic.primary.span;
            assert!(at.line >= 1 && at.column >= 1, "{}: {diagnostic:?}", display(&path));
            assert!(!diagnostic.help.is_empty(), "{}: {} has no help", display(&path), diagnostic.code);
            assert!(!diagnostic.message.ends_with('.'), "{}: {}", display(&path), diagnostic.message);
        }
    }
}

fn display(path: &Path) -> String {
    path.display().to_string()
}
