//! `quadrille check` and `quadrille explain`.

use std::fs;

use crate::support::{quadrille, stderr, stdout};

const GOOD: &str = "topology/order.yaml";
const BAD: &str = "topology/invalid/Q0205-schema-missing.yaml";

#[test]
fn good_files_give_0_and_say_who_triggers_each_step() {
    let output = quadrille(&["check", GOOD, "topology/trip.yaml"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(stderr(&output), "");
    let text = stdout(&output);
    assert!(text.contains("topology/order.yaml: good: mesh shop, 8 events, 3 steps, 1 saga"), "{text}");
    assert!(text.contains("ship           coordinated    it waits for several events"), "{text}");
    assert!(text.contains("book-flight  choreographed"), "{text}");
}

#[test]
fn mistakes_give_1_also_beside_a_good_file() {
    let output = quadrille(&["check", BAD, GOOD]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains("topology/order.yaml: good"));
    let text = stderr(&output);
    assert!(text.contains("error[Q0205]: schema `no_such_file.avsc` can't be read"), "{text}");
    assert!(text.contains("error[Q0201]: no event is called `Declind`"), "all mistakes in one run: {text}");
    assert!(text.contains("--> topology/invalid/Q0205-schema-missing.yaml:7:36"), "{text}");
    assert!(!text.contains('\u{1b}'), "no colour where no terminal reads");
}

#[test]
fn a_file_that_cannot_be_read_gives_2_and_the_others_are_checked_all_the_same() {
    let output = quadrille(&["check", "no/such/file.yaml", GOOD]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("no/such/file.yaml can't be read"));
    assert!(stdout(&output).contains("topology/order.yaml: good"));
    assert_eq!(quadrille(&["check", "topology"]).status.code(), Some(2), "a folder is no file");
    assert_eq!(quadrille(&["check"]).status.code(), Some(2), "wrong usage");
}

#[test]
fn json_has_one_object_per_file_with_every_diagnostic() {
    let output = quadrille(&["check", "--json", GOOD, BAD]);
    assert_eq!(output.status.code(), Some(1));
    let reports: serde_json::Value = serde_json::from_str(&stdout(&output)).expect("stdout is JSON");
    let (good, bad) = (&reports[0], &reports[1]);
    assert_eq!((&good["file"], &good["good"]), (&GOOD.into(), &true.into()));
    assert_eq!(good["mesh"]["steps"][2]["name"], "ship");
    assert_eq!(good["mesh"]["steps"][2]["triggered"], "coordinated");
    assert_eq!(good["mesh"]["hash"].as_str().map(str::len), Some(64));
    assert_eq!(bad["good"], false);
    let codes: Vec<&str> =
        bad["diagnostics"].as_array().expect("a list").iter().filter_map(|d| d["code"].as_str()).collect();
    assert_eq!(codes, ["Q0205", "Q0205", "Q0201"]);
    let first = &bad["diagnostics"][0];
    assert_eq!(
        (&first["line"], &first["column"], &first["severity"]),
        (&7.into(), &36.into(), &"error".into())
    );
}

#[test]
fn a_file_of_one_mebibyte_and_one_byte_is_refused_and_one_byte_less_is_read() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let path = folder.path().join("large.yaml");
    let path_text = path.to_str().expect("the path is UTF-8");
    let topology = "quadrille: 1\nmesh: shop\nevents:\n  A: { topic: a, schema: json, owner: foreign, readers: foreign }\n";
    for (size, code) in [(1024 * 1024, "Q0303"), (1024 * 1024 + 1, "Q0001")] {
        let padding = "#".repeat(size - topology.len());
        fs::write(&path, format!("{topology}{padding}")).expect("the file can be written");
        let output = quadrille(&["check", path_text]);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains(code), "{size}: {}", stderr(&output));
    }
}

#[test]
fn explain_prints_the_paragraph_of_a_code() {
    let output = quadrille(&["explain", "q0310"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(
        stdout(&output).starts_with("Q0310: an effect that can't be undone\n\nThe step changes something")
    );
    assert!(stdout(&quadrille(&["explain"])).lines().count() > 40, "all codes are listed");
    let unknown = quadrille(&["explain", "Q9999"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(stderr(&unknown).contains("there is no code Q9999"));
}
