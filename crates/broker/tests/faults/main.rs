//! Each fault on demand does what its name says: to librdkafka clients, and over raw sockets where these show nothing.

#[allow(dead_code)] // shared with the tests of hostile clients, which need more of it
#[path = "../raw/client.rs"]
mod client;
mod clients;
mod journal;

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use kafka_protocol::error::ResponseError as E;
use kafka_protocol::messages::*;
use kafka_protocol::protocol::StrBytes;
use quadrille_broker::{Effect, Rule};

use crate::client::{NOBODY, Scene, batch};

/// Long enough for an answer that comes, on a slow machine too.
const A_WHILE: Duration = Duration::from_millis(300);

fn records(value: &str) -> Result<bytes::Bytes> {
    batch(NOBODY, -1, &[value], false)
}

#[test]
fn a_dropped_response_was_carried_out_and_a_dropped_request_was_not() -> Result<()> {
    for (effect, next) in [(Effect::DropResponse, 1), (Effect::DropRequest, 0)] {
        let scene = Scene::new(|_| {})?;
        let mut client = scene.client()?;
        client.create_topic("t", &[])?;
        scene.broker.faults().add(Rule::new("r", effect.clone()).on(&["Produce"]).times(1))?;
        client.stream.set_read_timeout(Some(A_WHILE))?;
        ensure!(client.produce("t", None, records("a")?).is_err(), "{effect:?}: answered");
        let mut other = scene.client()?;
        let found = other.produce("t", None, records("b")?)?;
        ensure!(found == (0, next), "{effect:?}: {found:?}");
        ensure!(scene.broker.faults().count("r").happened == 1, "{effect:?}");
    }
    Ok(())
}

#[test]
fn a_delayed_response_comes_later() -> Result<()> {
    let scene = Scene::new(|_| {})?;
    let mut client = scene.client()?;
    client.create_topic("t", &[])?;
    scene.broker.faults().add(Rule::new("r", Effect::DelayResponse { ms: 200 }).on(&["Produce"]))?;
    let began = Instant::now();
    ensure!(client.produce("t", None, records("a")?)? == (0, 0), "refused");
    ensure!(began.elapsed() >= Duration::from_millis(200), "{:?}", began.elapsed());
    Ok(())
}

#[test]
fn a_duplicated_response_comes_twice_and_a_reordered_one_behind_the_next() -> Result<()> {
    let scene = Scene::new(|_| {})?;
    let faults = scene.broker.faults();
    let versions = Rule::new("twice", Effect::DuplicateResponse).on(&["ApiVersions"]).times(1);
    faults.add(versions)?;
    let mut client = scene.client()?;
    client.send(ApiKey::ApiVersions, 0, &[])?;
    let (first, second) = (client.receive()?, client.receive()?);
    ensure!(first == second, "not the same");
    faults.add(Rule::new("behind", Effect::ReorderResponse).on(&["ApiVersions"]).times(1))?;
    client.send(ApiKey::ApiVersions, 0, &[])?;
    ensure!(faults.count("behind").happened == 0, "nothing has overtaken it yet");
    client.send(ApiKey::ApiVersions, 0, &[])?;
    let ids = [client.receive()?, client.receive()?].map(|answer| answer[3]);
    ensure!(ids == [3, 2], "correlation IDs {ids:?}");
    ensure!(
        (faults.count("twice").happened, faults.count("behind").happened) == (1, 1),
        "{:?}",
        faults.list()
    );
    Ok(())
}

#[test]
fn a_connection_breaks_before_or_after_the_request_is_carried_out() -> Result<()> {
    for (effect, next) in [(Effect::DisconnectBefore, 0), (Effect::DisconnectAfter, 1)] {
        let scene = Scene::new(|_| {})?;
        let mut client = scene.client()?;
        client.create_topic("t", &[])?;
        scene.broker.faults().add(Rule::new("r", effect.clone()).on(&["Produce"]).client("raw").times(1))?;
        ensure!(
            client.produce("t", None, records("a")?).is_err() && client.is_closed(),
            "{effect:?}: answered"
        );
        let found = scene.client()?.produce("t", None, records("b")?)?;
        ensure!(found == (0, next), "{effect:?}: {found:?}");
        ensure!(scene.broker.faults().count("r").happened == 1, "{effect:?}");
    }
    Ok(())
}

#[test]
fn an_error_is_answered_in_the_shape_of_each_request() -> Result<()> {
    let scene = Scene::new(|_| {})?;
    let mut client = scene.client()?;
    client.create_topic("t", &[])?;
    let faults = scene.broker.faults();
    let code = E::NotLeaderOrFollower.code();
    faults.add(Rule::new("refused", Effect::Error { code, carried_out: false }).on(&["Produce"]).times(1))?;
    faults.add(Rule::new("done", Effect::Error { code, carried_out: true }).on(&["Produce"]).times(1))?;
    for _ in ["refused", "done"] {
        ensure!(client.produce("t", None, records("a")?)?.0 == code, "not refused");
    }
    ensure!(
        client.produce("t", None, records("b")?)? == (0, 1),
        "the second was carried out, the first was not"
    );
    let owner = client.init(Some("txn"))?;
    let errors = Rule::new("all", Effect::Error { code, carried_out: false });
    faults.add(errors)?;
    ensure!(client.add_partition("txn", owner, "t")? == code, "AddPartitionsToTxn");
    ensure!(
        client.end("txn", owner, true, 3)? == code && client.end("txn", owner, true, 1)? == code,
        "EndTxn"
    );
    for version in [0, 4] {
        let beat: HeartbeatResponse = client.ask(ApiKey::Heartbeat, version, &HeartbeatRequest::default())?;
        ensure!(beat.error_code == code, "Heartbeat {version}: {beat:?}");
    }
    for version in [1, 4] {
        let keys = if version == 4 { vec![StrBytes::from_static_str("g")] } else { Vec::new() };
        let request = FindCoordinatorRequest::default().with_coordinator_keys(keys);
        let found: FindCoordinatorResponse = client.ask(ApiKey::FindCoordinator, version, &request)?;
        let named = found.coordinators.first().map_or(found.error_code, |c| c.error_code);
        ensure!(named == code, "FindCoordinator {version}: {found:?}");
    }
    let _: MetadataResponse = client.ask(ApiKey::Metadata, 9, &MetadataRequest::default())?; // has no such answer
    ensure!(faults.count("all").happened == 7, "{:?}", faults.count("all"));
    Ok(())
}

#[test]
fn a_moved_coordinator_refuses_until_it_is_looked_for() -> Result<()> {
    let scene = Scene::new(|_| {})?;
    let mut client = scene.client()?;
    client.create_topic("t", &[])?;
    let owner = client.init(Some("txn"))?;
    let rule = Rule::new("moved", Effect::CoordinatorMoved { away_ms: 200 }).transactional("txn").times(1);
    scene.broker.faults().add(rule)?;
    let moved = E::NotCoordinator.code();
    ensure!(client.add_partition("txn", owner, "t")? == moved, "not moved");
    ensure!(client.add_partition("txn", owner, "t")? == moved, "found though nobody looked");
    let key = StrBytes::from_static_str("txn");
    let request = FindCoordinatorRequest::default().with_key(key).with_key_type(1);
    let began = Instant::now();
    let mut away = 0;
    loop {
        let found: FindCoordinatorResponse = client.ask(ApiKey::FindCoordinator, 2, &request)?;
        if found.error_code == 0 {
            break;
        }
        ensure!(found.error_code == E::CoordinatorNotAvailable.code(), "{found:?}");
        ensure!(began.elapsed() < Duration::from_secs(30), "it never comes back");
        away += 1;
        std::thread::sleep(Duration::from_millis(10));
    }
    ensure!(away > 0 && began.elapsed() >= Duration::from_millis(150), "away {away} times");
    ensure!(client.add_partition("txn", owner, "t")? == 0, "still refused");
    ensure!(scene.broker.faults().count("moved").happened == 2, "{:?}", scene.broker.faults().list());
    Ok(())
}

#[test]
fn sessions_that_end_in_a_pause_have_ended_behind_it() -> Result<()> {
    let scene = Scene::new(|config| config.min_session_timeout_ms = 100)?;
    let mut client = scene.client()?;
    let text = StrBytes::from_static_str;
    let protocol = join_group_request::JoinGroupRequestProtocol::default().with_name(text("range"));
    let mut join = JoinGroupRequest::default()
        .with_group_id(GroupId(text("g")))
        .with_session_timeout_ms(300)
        .with_rebalance_timeout_ms(300)
        .with_protocol_type(text("consumer"))
        .with_protocols(vec![protocol]);
    let named: JoinGroupResponse = client.ask(ApiKey::JoinGroup, 5, &join)?;
    join.member_id = named.member_id;
    let joined: JoinGroupResponse = client.ask(ApiKey::JoinGroup, 5, &join)?;
    ensure!(joined.error_code == 0, "{joined:?}");
    scene
        .broker
        .faults()
        .add(Rule::new("r", Effect::StopTheWorld { ms: 600 }).on(&["Heartbeat"]).times(1))?;
    let beat = HeartbeatRequest::default()
        .with_group_id(GroupId(text("g")))
        .with_generation_id(joined.generation_id)
        .with_member_id(joined.member_id);
    let beaten: HeartbeatResponse = client.ask(ApiKey::Heartbeat, 3, &beat)?;
    ensure!(beaten.error_code == E::UnknownMemberId.code(), "the session went on: {beaten:?}");
    ensure!(scene.broker.faults().count("r").happened == 1, "no pause");
    Ok(())
}

#[test]
fn a_pause_stops_all_connections() -> Result<()> {
    let scene = Scene::new(|_| {})?;
    let mut client = scene.client()?;
    client.create_topic("t", &[])?;
    scene
        .broker
        .faults()
        .add(Rule::new("r", Effect::StopTheWorld { ms: 400 }).on(&["Heartbeat"]).times(1))?;
    let mut stopper = scene.client()?;
    stopper.send(ApiKey::Heartbeat, 0, &[0, 0, 0, 0, 0, 0, 0, 0])?;
    let began = Instant::now();
    while scene.broker.faults().count("r").happened == 0 {
        ensure!(began.elapsed() < Duration::from_secs(30), "it was never asked");
        std::thread::sleep(Duration::from_millis(1));
    }
    let asked = Instant::now();
    ensure!(client.produce("t", None, records("a")?)? == (0, 0), "refused");
    ensure!(
        asked.elapsed() > Duration::from_millis(150),
        "another connection went on: {:?}",
        asked.elapsed()
    );
    stopper.receive()?;
    Ok(())
}

#[test]
fn a_late_end_ends_the_next_transaction_unless_the_epoch_has_moved_on() -> Result<()> {
    for anew in [false, true] {
        let scene = Scene::new(|_| {})?;
        let mut client = scene.client()?;
        client.create_topic("t", &[])?;
        let mut owner = client.init(Some("txn"))?;
        scene.broker.faults().add(Rule::new("late", Effect::LateEndTxn).times(1))?;
        client.add_partition("txn", owner, "t")?;
        client.produce("t", Some("txn"), batch(owner, 0, &["a"], true)?)?;
        ensure!(client.end("txn", owner, true, 1).is_err(), "answered");
        let mut client = scene.client()?;
        ensure!(client.end("txn", owner, true, 1)? == 0, "the repeat");
        if anew {
            owner = client.init(Some("txn"))?;
        }
        let sequence = if anew { 0 } else { 1 };
        ensure!(client.add_partition("txn", owner, "t")? == 0, "the next transaction");
        ensure!(
            client.produce("t", Some("txn"), batch(owner, sequence, &["b"], true)?)?.0 == 0,
            "its record"
        );
        let count = scene.broker.faults().count("late");
        ensure!((count.happened, count.accepted) == (1, u64::from(!anew)), "{count:?}");
        let aborted = client.end("txn", owner, false, 1)?;
        let torn = if anew { 0 } else { E::InvalidTxnState.code() };
        ensure!(aborted == torn, "the abort of the next transaction: {aborted}");
    }
    Ok(())
}

#[test]
fn a_hanging_transaction_is_decided_and_has_no_markers_until_the_rule_goes() -> Result<()> {
    let scene = Scene::new(|config| config.maintenance_interval_ms = 20)?;
    let mut client = scene.client()?;
    client.create_topic("t", &[])?;
    let owner = client.init(Some("txn"))?;
    scene.broker.faults().add(Rule::new("hang", Effect::HangingTransaction).transactional("txn").times(1))?;
    client.add_partition("txn", owner, "t")?;
    client.produce("t", Some("txn"), batch(owner, 0, &["a"], true)?)?;
    ensure!(client.end("txn", owner, true, 3)? == 0, "the decision");
    let busy = E::ConcurrentTransactions.code();
    std::thread::sleep(Duration::from_millis(100)); // several looks of the broker's at what is left to be done
    ensure!(client.end("txn", owner, true, 3)? == busy, "the repeat");
    ensure!(client.end("txn", owner, false, 3)? == E::InvalidTxnState.code(), "another decision");
    ensure!(client.add_partition("txn", owner, "t")? == busy, "the next transaction");
    ensure!(client.init(Some("txn")).is_err(), "a successor");
    ensure!(scene.broker.faults().count("hang").happened == 1, "{:?}", scene.broker.faults().list());
    scene.broker.faults().remove("hang");
    let began = Instant::now();
    while client.add_partition("txn", owner, "t")? == busy {
        ensure!(began.elapsed() < Duration::from_secs(30), "it hangs still");
        std::thread::sleep(Duration::from_millis(5));
    }
    // Behind the record and its marker.
    ensure!(client.produce("t", Some("txn"), batch(owner, 1, &["b"], true)?)? == (0, 2), "the next record");
    Ok(())
}
