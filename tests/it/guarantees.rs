//! `tests/README.md` says what each broker guarantees and which test relies on it. The tests that it names exist.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Result, ensure};
use quadrille_tests::{Promise, promise};

pub(crate) fn promises() -> Vec<Promise> {
    vec![promise!(alone, every_test_that_the_list_names_exists)]
}

fn every_test_that_the_list_names_exists() -> Result<()> {
    let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md"))?;
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("| ")).collect();
    // The last two columns name tests, in code; other code is no path of modules.
    let cells = rows.iter().flat_map(|row| row.trim_matches('|').split(" | ").skip(1));
    let named: BTreeSet<&str> = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    let promises = crate::promises();
    let stands_for = |name: &str, promise: &str| {
        promise.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    };
    let known = |name: &str| promises.iter().any(|promise| stands_for(name, promise.name()));
    let is_path = |name: &str| name.chars().all(|c| c.is_ascii_lowercase() || "_:".contains(c));
    let unknown: Vec<_> = named.iter().filter(|name| is_path(name) && !known(name)).collect();
    ensure!(unknown.is_empty(), "tests/README.md names {unknown:?}, and there are no such tests");
    let areas = promises.iter().filter_map(|promise| promise.name().rsplit_once("::")).map(|(area, _)| area);
    let silent: BTreeSet<_> = areas
        .filter(|area| area.starts_with("conformance"))
        .filter(|area| !named.iter().any(|name| name == area || stands_for(name, area)))
        .collect();
    ensure!(silent.is_empty(), "tests/README.md has no word about {silent:?}");
    ensure!(named.iter().filter(|name| known(name)).count() > 20, "{named:?} is hardly a list");
    Ok(())
}
