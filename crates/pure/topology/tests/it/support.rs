//! Topologies for tests.

use quadrille_topology::{Checked, Mesh, topology};

pub(crate) const ORDER: &str = include_str!("../../../../../topology/order.yaml");
pub(crate) const TRIP: &str = include_str!("../../../../../topology/trip.yaml");

/// Checks a text; every schema file that it names holds a record of the file's name with an `order_id`.
pub(crate) fn check(text: impl AsRef<[u8]>) -> Checked {
    topology(text.as_ref(), &|path: &str| {
        let name = path.rsplit('/').next().unwrap_or(path).trim_end_matches(".avsc");
        let key = if path.contains("trip_requested") { "trip_id" } else { "order_id" };
        Ok(format!(
            r#"{{ "type": "record", "namespace": "test", "name": "{name}", "doc": "A doc.",
                  "fields": [{{ "name": "{key}", "type": "string" }}] }}"#
        ))
    })
}

/// The mesh of a text without mistakes and warnings.
pub(crate) fn mesh(text: &str) -> Mesh {
    let checked = check(text);
    let found: Vec<String> =
        checked.diagnostics.iter().map(|d| format!("{} {}", d.code, d.message)).collect();
    assert_eq!(found, Vec::<String>::new());
    assert!(checked.flow_checked);
    checked.mesh.expect("a file without mistakes is a mesh")
}

/// The codes that a text gives, in the order of the file.
pub(crate) fn codes(text: impl AsRef<[u8]>) -> Vec<String> {
    check(text).diagnostics.iter().map(|d| d.code.to_string()).collect()
}
