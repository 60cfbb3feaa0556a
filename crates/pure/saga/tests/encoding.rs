//! States as they were first written lie in `golden/`: every later build must read them and write the same bytes.

mod common;

use common::*;
use quadrille_saga::changelog::{self, Key};
use quadrille_saga::definition::Flow;
use quadrille_saga::state::ENDED_BYTES_MAX;
use quadrille_saga::transition::Changed;
use quadrille_saga::{State, next};
use quadrille_types::journal::Input;

fn after(flow: &Flow, inputs: &[Input]) -> State {
    let mut state = None;
    for input in inputs {
        next(flow, &mut state, input, 1_795_000_000_000);
    }
    state.expect("a known run")
}

/// All records of a state, one a line: key, value.
fn hex(flow: &Flow, state: &State) -> String {
    let activations = state.live().map(|live| live.activations.keys().copied().collect()).unwrap_or_default();
    let records = changelog::records(lineage(flow).run, state, &Changed { head: true, activations });
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let line =
        |r: &changelog::Record| format!("{} {}\n", hex(&r.key.to_bytes()), hex(r.value.as_ref().unwrap()));
    records.iter().map(line).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex")).collect()
}

#[track_caller]
fn check(flow: &Flow, inputs: &[Input], golden: &str) {
    let state = after(flow, inputs);
    assert_eq!(hex(flow, &state), golden, "written differently now");
    let records: Vec<_> = golden.lines().filter_map(|line| line.split_once(' ')).collect();
    let key = |text| Key::from_bytes(&unhex(text)).expect("a key");
    let values = |head: bool| {
        let wanted = move |text| matches!(key(text), Key::Head(_)) == head;
        records
            .iter()
            .filter(move |(text, _)| wanted(text))
            .map(|(_, value)| unhex(value))
            .collect::<Vec<_>>()
    };
    let activations = values(false);
    let restored =
        changelog::restore(lineage(flow).run, &values(true)[0], activations.iter().map(Vec::as_slice));
    assert_eq!(restored, Ok(state), "read differently now");
}

macro_rules! golden {
    ($test:ident, $flow:expr, $inputs:expr) => {
        #[test]
        fn $test() {
            let flow = $flow;
            let inputs: fn(&Flow) -> Vec<Input> = $inputs;
            check(&flow, &inputs(&flow), include_str!(concat!("golden/", stringify!($test), ".hex")));
        }
    };
}

golden!(a_gathering_join, order(), |f| vec![started(f, "OrderPlaced", "a"), ok(f, "charge")]);
golden!(a_held_run, order(), |f| vec![started(f, "OrderPlaced", "a"), gone(f, "charge"), ok(f, "reserve")]);
golden!(a_run_that_is_being_undone, trip(), |f| vec![
    started(f, "TripBooked", "a"),
    ok(f, "car"),
    ok(f, "flight"),
    no(f, "hotel"),
    undone(f, "flight"),
    not_undone(f, "car"),
]);
golden!(a_forgotten_run, order(), |f| vec![started(f, "OrderPlaced", "a"), known(f, "charge")]);
golden!(a_completed_run, order(), |f| vec![
    ok(f, "reserve"),
    ok(f, "charge"),
    started(f, "OrderPlaced", "a"),
    ok(f, "ship")
]);
golden!(a_compensated_run, order(), |f| vec![ok(f, "reserve"), no(f, "charge"), undone(f, "reserve")]);

#[test]
fn an_ended_run_leaves_64_bytes_however_large_it_was() {
    let steps: Vec<_> = (0..50)
        .map(|at| step(&format!("step{at}"), seen("Begun"), &[&format!("E{at}")], &[]))
        .chain([step("refuse", seen("Begun"), &[], &["No"])])
        .collect();
    let mut f = flow("a flow with a long name", "Begun", &[], &["No"], steps);
    f.definition.version = u32::MAX;
    let mut inputs = vec![started(&f, "Begun", "a"), no(&f, "refuse")];
    inputs.extend((0..50).map(|at| ok(&f, &format!("step{at}"))));
    let mut state = None;
    for input in &inputs {
        next(&f, &mut state, input, i64::MAX);
    }
    let state = state.expect("a run");
    assert!(state.ended().is_some());
    let changed = Changed { head: true, ..Changed::default() };
    let records = changelog::records(lineage(&f).run, &state, &changed);
    let bytes = records[0].value.as_ref().unwrap().len();
    assert!((50..=ENDED_BYTES_MAX).contains(&bytes), "{bytes} bytes: the test must reach for the bound");
}

#[test]
fn damaged_records_are_refused_and_named() {
    let f = order();
    let run = lineage(&f).run;
    let none = std::iter::empty::<&[u8]>;
    assert_eq!(Key::from_bytes(&[0; 5]), Err(changelog::Error::Key(5)));
    let error = changelog::restore(run, &[9, 1], none()).unwrap_err();
    assert!(error.to_string().starts_with(&format!("head of run {run}: format version 9")), "{error}");
    let state = after(&f, &[started(&f, "OrderPlaced", "a")]);
    let head = &changelog::records(run, &state, &Changed { head: true, ..Changed::default() })[0];
    let error = changelog::restore(run, head.value.as_ref().unwrap(), [&[1u8, 0][..]]).unwrap_err();
    assert!(matches!(error, changelog::Error::Activation { .. }), "{error}");
}
