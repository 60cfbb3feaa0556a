//! What the shipped topologies compile to.

use quadrille_topology::mesh::{
    Body, Exhausted, Group, Handler, Owner, Partitioner, Retry, StartAt, Then, Trigger,
};
use quadrille_topology::{Mesh, lower};

use crate::support::{ORDER, TRIP, mesh};

fn names<'m>(steps: impl Iterator<Item = &'m quadrille_topology::mesh::Step>) -> Vec<&'m str> {
    steps.map(|s| s.name.as_str()).collect()
}

#[test]
fn the_order_mesh_is_what_its_file_says() {
    let mesh = mesh(ORDER);
    assert_eq!((mesh.name.as_str(), mesh.version), ("shop", 1));
    assert_eq!(mesh.services().into_iter().collect::<Vec<_>>(), ["payment", "shipping", "steps"]);
    let charge = &mesh.steps["charge"];
    assert_eq!(charge.handler, Handler::Rust("charge".into()));
    assert_eq!(charge.retry, Retry { tries: 4, wait_ms_min: 100, wait_ms_max: 2000 });
    assert_eq!((charge.timeout_ms, charge.concurrency, &charge.exhausted), (30_000, 16, &Exhausted::Hold));
    assert_eq!(charge.from, Some(StartAt::Earliest));
    assert!(charge.undo.as_ref().is_some_and(|u| u.also_when_unknown && u.emits == ["PaymentRefunded"]));
    let ship = &mesh.steps["ship"];
    assert_eq!(ship.when, Trigger::All(vec!["StockReserved".into(), "PaymentTaken".into()]));
    assert_eq!((ship.pivot, ship.from, ship.saga.as_deref()), (true, None, Some("order")));
    assert_eq!(mesh.topics["orders"].partitioner, Partitioner::Unknown);
    assert_eq!(mesh.topics["stock"].partitions, 4);
    let saga = &mesh.sagas["order"];
    let deadline = saga.deadline.as_ref().expect("the order has a deadline");
    assert_eq!((deadline.after_ms, deadline.then), (900_000, Then::Undo));
    assert_eq!(saga.completes, Group::Any(vec!["OrderShipped".into()]));
}

#[test]
fn the_runtime_finds_what_it_asks_for() {
    let mesh = mesh(ORDER);
    assert_eq!(names(mesh.steps_of("steps")), ["reserve-stock"]);
    assert_eq!(names(mesh.listeners("OrderPlaced")), ["charge", "reserve-stock"]);
    assert_eq!(names(mesh.listeners("PaymentTaken")), Vec::<&str>::new(), "a join is no listener");
    assert_eq!(names(mesh.triggered("PaymentTaken")), ["ship"]);
    assert_eq!(names(mesh.emitters("PaymentRefunded")), ["charge"], "the undo counts");
    assert_eq!(mesh.topic_read(&mesh.steps["charge"]).map(|t| t.name.as_str()), Some("orders"));
    assert_eq!(mesh.topic_read(&mesh.steps["ship"]), None);
    assert_eq!(mesh.started_by("OrderPlaced").count(), 1);
    assert_eq!(mesh.completed_by("OrderShipped").count(), 1);
    assert_eq!(mesh.failed_by("CardDeclined").count(), 1);
    assert_eq!(mesh.saga_of(&mesh.steps["charge"]).map(|s| s.name.as_str()), Some("order"));
    assert!(mesh.is_foreign_topic("orders") && !mesh.is_foreign_topic("stock"));
    let saga = &mesh.sagas["order"];
    assert_eq!(mesh.ingested_for(saga).into_iter().collect::<Vec<_>>(), ["OrderPlaced"]);
    let kept: Vec<&str> = mesh.events_kept().into_iter().collect();
    assert_eq!(kept, ["OrderPlaced", "PaymentTaken", "StockReserved"], "what the join and the undos need");
}

#[test]
fn events_have_an_owner_and_a_subject_of_their_own() {
    let mesh = mesh(ORDER);
    assert_eq!(mesh.events["OrderPlaced"].owner, Owner::Foreign);
    assert_eq!(mesh.events["PaymentRefunded"].owner, Owner::Service("payment".into()));
    let Body::Avro(body) = &mesh.events["CardDeclined"].body else { panic!("CardDeclined has a schema") };
    assert_eq!(
        (body.subject.as_str(), body.record.as_str()),
        ("payments-test.card_declined", "test.card_declined")
    );
    assert!(!body.schema.contains("doc"), "{}", body.schema);
}

#[test]
fn the_trip_completes_when_all_three_are_booked() {
    let mesh = mesh(TRIP);
    let all = ["FlightBooked", "HotelBooked", "CarBooked"].map(str::to_owned).to_vec();
    assert_eq!(mesh.sagas["trip"].completes, Group::All(all));
    assert!(mesh.steps.values().all(|s| s.is_choreographed() && s.undo.is_some()));
    assert!(mesh.steps.values().all(|s| s.timeout_ms == 10_000), "as `defaults` says");
}

#[test]
fn comments_layout_and_order_do_not_change_the_hash() {
    let hash = mesh(ORDER).hash;
    assert_eq!(hash.len(), 64);
    let bare: String = ORDER
        .lines()
        .map(|line| line.split(" #").next().unwrap_or(line))
        .fold(String::new(), |text, line| text + line + "\n");
    assert_eq!(mesh(&bare).hash, hash);
    let flow = ORDER
        .replace("fails: [OutOfStock, CardDeclined]", "fails:\n      - OutOfStock\n      - \"CardDeclined\"");
    assert_eq!(mesh(&flow).hash, hash);
    let (head, sagas) = ORDER.split_once("sagas:\n").expect("the file ends with its sagas");
    assert_eq!(mesh(&format!("sagas:\n{sagas}{head}")).hash, hash);
    let spelled_out = ORDER.replace("    pivot: true", "    concurrency: 16\n    pivot: true");
    assert_eq!(mesh(&spelled_out).hash, hash, "a default that is written out");
}

#[test]
fn a_copy_has_every_name_on_the_cluster_for_itself() {
    let (plain, prefix) = (mesh(ORDER), "second".parse().unwrap());
    let copy = plain.clone().prefixed(Some(&prefix));
    assert_ne!(copy.hash, plain.hash);
    assert_eq!(plain.clone().prefixed(None), plain);
    let (topics, positions) = (lower::topics(&copy), lower::first_positions(&copy));
    assert_eq!(
        (topics.len(), positions.len()),
        (lower::topics(&plain).len(), lower::first_positions(&plain).len())
    );
    let mut names: Vec<&String> = topics.iter().map(|topic| &topic.name).collect();
    names.extend(positions.iter().flat_map(|position| [&position.topic, &position.group]));
    let bodies = copy.events.values().filter_map(|event| match &event.body {
        Body::Avro(avro) => Some(&avro.subject),
        Body::Json => None,
    });
    names.extend(bodies);
    assert!(names.iter().all(|name| name.starts_with("second.")), "{names:?}");
    let event = &copy.events["OrderPlaced"];
    assert!(copy.topics.contains_key(&event.topic) && copy.events_on("second.orders").any(|e| e == event));
    assert_eq!(copy.steps, plain.steps);
}

#[test]
fn every_change_of_meaning_changes_the_hash() {
    let hash = mesh(ORDER).hash;
    let changes = [
        ("version: 1", "version: 2"),
        ("mesh: shop", "mesh: market"),
        ("tries: 4", "tries: 5"),
        ("after: 15m", "after: 16m"),
        ("7001/release", "7001/let-go"),
        ("    partitioner: unknown", "    partitions: 8"),
        ("      also_when_unknown: true", "      also_when_unknown: false"),
        ("from: earliest", "from: 2027-01-31T08:00:00Z"),
        ("[OutOfStock, CardDeclined]", "[CardDeclined, OutOfStock]"),
        ("    rejects: CardDeclined", "    exhausted: { emit: CardDeclined }\n    rejects: CardDeclined"),
    ];
    for (from, to) in changes {
        assert!(ORDER.contains(from), "{from}");
        assert_ne!(mesh(&ORDER.replacen(from, to, 1)).hash, hash, "{from} -> {to}");
    }
}

#[test]
fn a_mesh_survives_being_written_and_read() {
    let mesh = mesh(ORDER);
    let text = serde_json::to_string(&mesh).expect("a mesh can be written");
    assert_eq!(serde_json::from_str::<Mesh>(&text).expect("and read"), mesh);
}

#[test]
fn two_events_of_one_topic_may_have_the_same_record_if_it_is_the_same_schema() {
    let text = ORDER.replace("schema: payment_refunded.avsc", "schema: payment_taken.avsc");
    assert_eq!(mesh(&text).events.len(), 8);
}
