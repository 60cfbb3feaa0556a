//! The expectations that ship beside the topologies.

use std::path::Path;

use quadrille_audit::Expectations;
use quadrille_audit::expect::Demand;

fn load(name: &str) -> Expectations {
    Expectations::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../topology").join(name)).unwrap()
}

#[test]
fn a_completed_order_demands_one_effect_of_each_participant_and_a_compensated_one_leaves_nothing() {
    let order = load("order.expect.yaml");
    let demands = |outcome: &str| order.outcomes[outcome].values().copied().collect::<Vec<Demand>>();
    assert!(demands("completed").iter().all(|demand| demand.to_string() == "do 1, undo 0"));
    assert!(demands("compensated").iter().all(|demand| demand.leaves_nothing()));
    assert_eq!(order.outcomes["compensated"]["shipping"].to_string(), "never");
}

#[test]
fn a_compensated_trip_leaves_nothing_booked() {
    let trip = load("trip.expect.yaml");
    assert!(trip.outcomes["compensated"].values().all(|demand| demand.leaves_nothing()));
    assert_eq!(trip.participants, ["flight", "hotel", "car"]);
}

#[test]
fn paths_count_from_the_files_folder() {
    let schema = load("order.expect.yaml").inputs[0].schema.clone().unwrap();
    assert!(schema.ends_with("topology/../schemas/order_placed.avsc"), "{}", schema.display());
}
