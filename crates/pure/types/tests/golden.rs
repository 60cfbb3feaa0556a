//! Records as they were first written lie in `golden/`: every later build must read them and write the same bytes.

use minicbor::{Decode, Encode};
use quadrille_types::command::Command;
use quadrille_types::dead_letter::Reason;
use quadrille_types::definition::Change;
use quadrille_types::envelope::{Definition, Lineage, Position};
use quadrille_types::fact::{Body, EventRef, Fact, Known, Outcome, Payload, StepResult};
use quadrille_types::format;
use quadrille_types::ids::{Action, RunId, Trigger};
use quadrille_types::journal::{Entry, Input, Timer, TimerKind};

fn lineage() -> Lineage {
    Lineage {
        flow: "order".into(),
        run: RunId::of("shop", "order", "4711"),
        correlation_id: "4711".into(),
        definition: Definition { version: 7, hash: "c0ffee".into() },
    }
}

fn event(name: &str, payload: bool) -> EventRef {
    let payload = payload
        .then(|| Payload { content_type: Some("application/avro".into()), value: vec![0, 0, 0, 0, 1] });
    EventRef { event: name.into(), id: "e1".into(), payload }
}

fn fact(body: Body) -> Fact {
    Fact {
        lineage: lineage(),
        source: Position { topic: "orders".into(), partition: 2, offset: 40 },
        source_time_ms: 1_795_000_000_123,
        body,
        traceparent: None,
        tracestate: None,
    }
}

fn traceparent() -> Option<String> {
    Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into())
}

fn tracestate() -> Option<String> {
    Some("vendor=1".into())
}

fn step(trigger: Trigger, result: Outcome) -> Fact {
    let activation = lineage().run.activation("charge", &trigger);
    fact(Body::Step(StepResult { step: "charge".into(), activation, trigger, result, attempts: 2 }))
}

#[track_caller]
fn check<T>(name: &str, record: T, golden: &str)
where
    T: Encode<()> + for<'b> Decode<'b, ()> + PartialEq + std::fmt::Debug,
{
    let hex: String = format::encode(&record).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, golden.trim(), "{name} is written differently now");
    let bytes: Vec<u8> = (0..golden.trim().len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&golden[at..at + 2], 16).expect("hexadecimal"))
        .collect();
    assert_eq!(format::decode::<T>(&bytes).as_ref(), Ok(&record), "{name} is read differently now");
}

macro_rules! golden {
    ($test:ident, $record:expr) => {
        #[test]
        fn $test() {
            check(stringify!($test), $record, include_str!(concat!("golden/", stringify!($test), ".hex")));
        }
    };
}

golden!(fact_started, fact(Body::Started(event("OrderPlaced", true))));
golden!(fact_observed, fact(Body::Observed(event("OrderCancelled", false))));
golden!(
    fact_succeeded,
    step(
        Trigger::Start,
        Outcome::Succeeded {
            events: vec![event("PaymentTaken", true)],
            inputs: vec![event("OrderPlaced", true)]
        }
    )
);
golden!(
    fact_rejected,
    step(Trigger::Event("e0".into()), Outcome::Rejected { events: vec![event("CardDeclined", false)] })
);
golden!(
    fact_exhausted,
    step(
        Trigger::Record("orders/2/40".into()),
        Outcome::Exhausted {
            reason: Reason::Undecodable,
            message: "why".into(),
            inputs: vec![],
            event: None
        }
    )
);
golden!(
    fact_gave_up,
    step(
        Trigger::Event("e0".into()),
        Outcome::Exhausted {
            reason: Reason::Terminal,
            message: "why".into(),
            inputs: vec![event("OrderPlaced", true)],
            event: Some(event("PaymentUnclear", false)),
        }
    )
);
golden!(fact_undone, step(Trigger::Join, Outcome::Undone { events: vec![] }));
golden!(
    fact_undo_exhausted,
    step(Trigger::Start, Outcome::UndoExhausted { reason: Reason::Exhausted, message: "why".into() })
);
golden!(
    fact_known,
    fact(Body::Known(Known {
        step: "charge".into(),
        activation: lineage().run.activation("charge", &Trigger::Start),
        trigger: Trigger::Start,
    }))
);
golden!(
    command_undo,
    Command {
        lineage: lineage(),
        step: "charge".into(),
        activation: lineage().run.activation("charge", &Trigger::Start),
        trigger: Trigger::Start,
        action: Action::Undo,
        inputs: vec![event("OrderPlaced", true)],
        causation_id: Some("e9".into()),
        deadline_ms: Some(1_795_000_900_123),
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()),
        tracestate: None,
    }
);
golden!(
    fact_traced,
    Fact {
        traceparent: traceparent(),
        tracestate: tracestate(),
        ..fact(Body::Started(event("OrderPlaced", false)))
    }
);
golden!(
    command_traced,
    Command {
        lineage: lineage(),
        step: "ship".into(),
        activation: lineage().run.activation("ship", &Trigger::Join),
        trigger: Trigger::Join,
        action: Action::Do,
        inputs: vec![],
        causation_id: None,
        deadline_ms: None,
        traceparent: traceparent(),
        tracestate: tracestate(),
    }
);
golden!(
    journal_fact,
    Entry { now_ms: 1_795_000_000_200, input: Input::Fact(fact(Body::Started(event("OrderPlaced", false)))) }
);
golden!(
    journal_timer,
    Entry {
        now_ms: 1_795_000_900_200,
        input: Input::Timer(Timer {
            run: lineage().run,
            kind: TimerKind::Deadline,
            due_ms: 1_795_000_900_123
        })
    }
);
golden!(journal_forgotten, Entry { now_ms: 1_795_000_900_200, input: Input::Forgotten(lineage().run) });
golden!(
    definition_change,
    Change {
        definition: Definition { version: 8, hash: "facade".into() },
        follows: Some(Definition { version: 7, hash: "c0ffee".into() })
    }
);
