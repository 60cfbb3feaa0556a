//! The faults.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use rusqlite::Connection;

use super::job::{BROKEN, DECLINED, GOOD, ORDERS, OUTCOMES, Record, SOLD_OUT, STRANGER};

/// One fault, and what the audit has to say of it.
pub(super) struct Fault {
    pub(super) name: &'static str,
    pub(super) plant: fn(&mut Evidence) -> Result<()>,
    /// By how much numbers of the summary line differ from those of the honest one. All others are the same.
    pub(super) changes: &'static [(&'static str, i64)],
    /// Kinds of offences that are listed, each with an ID.
    pub(super) names: &'static [(&'static str, &'static str)],
}

/// What a fault is planted in.
pub(super) struct Evidence {
    /// What is going to be written to the copied topics.
    pub(super) records: Vec<Record>,
    /// The copied stores.
    pub(super) stores: PathBuf,
}

const LOST: (&str, i64) = ("lost", 1);
const ONE_LESS: (&str, i64) = ("effect_once", -1);

/// Faults in topics.
pub(super) const IN_TOPICS: &[Fault] = &[
    Fault {
        name: "an outcome is dropped",
        plant: |e| e.drop_records(OUTCOMES, "SagaOutcome", GOOD),
        changes: &[LOST, ONE_LESS, ("unsettled", 1), ("completed", -1)],
        names: &[("lost", GOOD), ("unsettled", GOOD)],
    },
    Fault {
        name: "an outcome is there twice",
        plant: |e| e.again(OUTCOMES, "SagaOutcome", GOOD, |_| Ok(())),
        changes: &[("completed", 1), ("dual_outcome", 1)],
        names: &[("dual_outcome", GOOD)],
    },
    Fault {
        name: "a completed order has the other outcome too",
        plant: |e| e.again(OUTCOMES, "SagaOutcome", GOOD, |r| rename(r, "completed", "compensated")),
        changes: &[LOST, ONE_LESS, ("leaked", 3), ("compensated", 1), ("dual_outcome", 1)],
        names: &[("dual_outcome", GOOD), ("leaked", GOOD)],
    },
    Fault {
        name: "a compensated order has the other outcome too",
        plant: |e| e.again(OUTCOMES, "SagaOutcome", DECLINED, |r| rename(r, "compensated", "completed")),
        changes: &[LOST, ONE_LESS, ("completed", 1), ("dual_outcome", 1)],
        names: &[("dual_outcome", DECLINED), ("lost", DECLINED)],
    },
    Fault {
        name: "an outcome is the wrong one",
        plant: |e| e.each(OUTCOMES, "SagaOutcome", DECLINED, |r| rename(r, "compensated", "completed")),
        changes: &[LOST, ONE_LESS, ("completed", 1), ("compensated", -1)],
        names: &[("lost", DECLINED)],
    },
    Fault {
        name: "an outcome is one that nobody declared",
        plant: |e| e.each(OUTCOMES, "SagaOutcome", GOOD, |r| rename(r, "completed", "forgotten")),
        changes: &[LOST, ONE_LESS, ("completed", -1), ("forgotten", 1)],
        names: &[("lost", GOOD)],
    },
    Fault {
        name: "an outcome cannot be read",
        plant: |e| {
            e.each(OUTCOMES, "SagaOutcome", GOOD, |r| {
                r.value = Some(b"none".to_vec());
                Ok(())
            })
        },
        changes: &[LOST, ONE_LESS, ("unsettled", 1), ("completed", -1)],
        names: &[("unexplained", OUTCOMES), ("lost", GOOD)],
    },
    Fault {
        name: "an outcome is of an order that nobody sent",
        plant: |e| e.again(OUTCOMES, "SagaOutcome", GOOD, |r| rename(r, GOOD, STRANGER)),
        changes: &[("sagas", 1), ("completed", 1)],
        names: &[("unexplained", STRANGER)],
    },
    Fault {
        name: "an undo is given up and there is no outcome",
        plant: |e| {
            e.drop_records(OUTCOMES, "SagaOutcome", DECLINED)?;
            e.again("stock", "StockReleased", DECLINED, |r| {
                r.topic = "shop.dead.reserve-stock".to_owned();
                r.set_header("quadrille-dead-action", b"undo");
                Ok(())
            })
        },
        changes: &[ONE_LESS, ("dlt", 1), ("unsettled", 1), ("stuck", 1), ("compensated", -1)],
        names: &[("unsettled", DECLINED)],
    },
    Fault {
        name: "an event is there twice, with an ID of its own",
        plant: |e| e.again("payments", "PaymentTaken", GOOD, new_id),
        changes: &[],
        names: &[("unexplained", GOOD)],
    },
    Fault {
        name: "the last event is there twice, with an ID of its own",
        plant: |e| e.again("shipments", "OrderShipped", GOOD, new_id),
        changes: &[],
        names: &[("unexplained", GOOD)],
    },
    Fault {
        name: "an event of a compensation is dropped",
        plant: |e| e.drop_records("stock", "StockReleased", DECLINED),
        changes: &[],
        names: &[("unexplained", DECLINED)],
    },
    Fault {
        name: "an event is of an order that nobody sent",
        plant: |e| e.again("payments", "PaymentTaken", GOOD, |r| rename(r, GOOD, STRANGER)),
        changes: &[],
        names: &[("unexplained", STRANGER)],
    },
    Fault {
        name: "an order comes when no service runs any more",
        plant: |e| e.again(ORDERS, "OrderPlaced", GOOD, |r| rename(r, GOOD, STRANGER)),
        changes: &[("accepted", 1), LOST, ("unsettled", 1), ("sagas", 1)],
        names: &[("lost", STRANGER), ("unsettled", STRANGER)],
    },
    Fault {
        name: "a record that is no order comes when no service runs any more",
        plant: |e| e.again(ORDERS, "OrderPlaced", BROKEN, new_id),
        changes: &[("accepted", 1), LOST],
        names: &[("lost", ORDERS)],
    },
    Fault {
        name: "an order is gone and all that came of it is there",
        plant: |e| e.drop_records(ORDERS, "OrderPlaced", GOOD),
        changes: &[("accepted", -1), ONE_LESS],
        names: &[("unexplained", GOOD)],
    },
    Fault {
        name: "an order is gone with all that came of it",
        plant: |e| {
            e.records.retain(|record| !record.is_of(GOOD));
            ["stock", "payment", "shipping"].iter().try_for_each(|participant| {
                e.sql(participant, "DELETE FROM effects WHERE correlation_id = ?1", GOOD)
            })
        },
        changes: &[("accepted", -1), ONE_LESS, ("sagas", -1), ("completed", -1)],
        names: &[("unexplained", "inputs")],
    },
    Fault {
        name: "the dead letters of a record are dropped",
        plant: |e| e.retain(|record| !(record.topic.starts_with("shop.dead.") && record.is_of(BROKEN))),
        changes: &[LOST, ("dlt", -1)],
        names: &[("lost", ORDERS)],
    },
    Fault {
        name: "a dead letter is there twice",
        plant: |e| e.again("shop.dead.charge", "OrderPlaced", BROKEN, |_| Ok(())),
        changes: &[],
        names: &[("unexplained", BROKEN)],
    },
    Fault {
        name: "a dead letter has other bytes than its record",
        plant: |e| {
            e.each("shop.dead.charge", "OrderPlaced", BROKEN, |r| {
                r.value = Some(b"mended".to_vec());
                Ok(())
            })
        },
        changes: &[],
        names: &[("unexplained", BROKEN)],
    },
    Fault {
        name: "a dead letter is of a record that is not there",
        plant: |e| {
            e.again("shop.dead.charge", "OrderPlaced", BROKEN, |r| {
                r.set_header("kafka_dlt-original-offset", &9_999_i64.to_be_bytes());
                Ok(())
            })
        },
        changes: &[],
        names: &[("unexplained", BROKEN)],
    },
];

/// A line like the one that was found, with other values in some columns.
macro_rules! again {
    ($columns:literal, $where:literal) => {
        concat!(
            "INSERT INTO effects (participant, activation, correlation_id, action, applied, at_ms, pid) SELECT ",
            $columns,
            ", at_ms, pid FROM effects WHERE correlation_id = ?1 AND ",
            $where
        )
    };
}

/// Faults in participants' stores.
pub(super) const IN_STORES: &[Fault] = &[
    Fault {
        name: "an effect is there twice",
        plant: |e| {
            e.sql(
                "payment",
                again!("participant, activation, correlation_id, action, 1", "action = 'do'"),
                GOOD,
            )
        },
        changes: &[LOST, ONE_LESS, ("dup_effect", 1)],
        names: &[("dup_effect", GOOD)],
    },
    Fault {
        name: "an effect is there twice, for two activations",
        plant: |e| {
            e.sql(
                "payment",
                again!("participant, 'another', correlation_id, action, 1", "action = 'do'"),
                GOOD,
            )
        },
        changes: &[LOST, ONE_LESS, ("dup_effect", 1)],
        names: &[("dup_effect", GOOD)],
    },
    Fault {
        name: "an effect is missing",
        plant: |e| e.sql("shipping", "DELETE FROM effects WHERE correlation_id = ?1", GOOD),
        changes: &[LOST, ONE_LESS],
        names: &[("lost", GOOD)],
    },
    Fault {
        name: "a compensation is missing",
        plant: |e| {
            e.sql("stock", "DELETE FROM effects WHERE correlation_id = ?1 AND action = 'undo'", DECLINED)
        },
        changes: &[LOST, ONE_LESS, ("leaked", 1)],
        names: &[("leaked", DECLINED)],
    },
    Fault {
        name: "a compensation found nothing although there was something",
        plant: |e| {
            let sql = "UPDATE effects SET applied = 0 WHERE correlation_id = ?1 AND action = 'undo'";
            e.sql("payment", sql, SOLD_OUT)
        },
        changes: &[LOST, ONE_LESS, ("leaked", 1)],
        names: &[("leaked", SOLD_OUT)],
    },
    Fault {
        name: "a compensation is there twice",
        plant: |e| {
            let sql = again!("participant, activation, correlation_id, action, 1", "action = 'undo'");
            e.sql("stock", sql, DECLINED)
        },
        changes: &[LOST, ONE_LESS, ("dup_effect", 1), ("leaked", 1)],
        names: &[("dup_effect", DECLINED), ("leaked", DECLINED)],
    },
    Fault {
        name: "an effect came after its compensation",
        plant: |e| {
            let sql = "UPDATE effects SET seq = seq + 1000000 WHERE correlation_id = ?1 AND action = 'do'";
            e.sql("stock", sql, DECLINED)
        },
        changes: &[("after_undo", 1)],
        names: &[("after_undo", DECLINED)],
    },
    Fault {
        name: "an effect came again after its compensation",
        plant: |e| {
            let sql = again!("participant, activation, correlation_id, action, 1", "action = 'do'");
            e.sql("stock", sql, DECLINED)
        },
        changes: &[LOST, ONE_LESS, ("dup_effect", 1), ("leaked", 1), ("after_undo", 1)],
        names: &[("after_undo", DECLINED), ("leaked", DECLINED)],
    },
    Fault {
        name: "what never was is compensated",
        plant: |e| {
            let sql = again!("participant, activation, correlation_id, 'undo', 1", "action = 'do'");
            e.sql("payment", sql, DECLINED)
        },
        changes: &[LOST, ONE_LESS, ("leaked", 1)],
        names: &[("leaked", DECLINED)],
    },
    Fault {
        name: "an order is completed and its payment given back",
        plant: |e| {
            let sql = again!("participant, activation, correlation_id, 'undo', 1", "action = 'do'");
            e.sql("payment", sql, GOOD)
        },
        changes: &[LOST, ONE_LESS],
        names: &[("lost", GOOD)],
    },
    Fault {
        name: "a compensated order is shipped",
        plant: |e| {
            let sql =
                "INSERT INTO effects (participant, activation, correlation_id, action, applied, at_ms, pid)
                SELECT participant, 'another', ?1, action, 1, 0, pid FROM effects LIMIT 1";
            e.sql("shipping", sql, SOLD_OUT)
        },
        changes: &[LOST, ONE_LESS, ("leaked", 1)],
        names: &[("leaked", SOLD_OUT)],
    },
    Fault {
        name: "an effect came after the outcome",
        plant: |e| {
            let sql = "UPDATE effects SET at_ms = at_ms + 3600000 WHERE correlation_id = ?1";
            e.sql("shipping", sql, GOOD)
        },
        changes: &[("unsettled", 1)],
        names: &[("unsettled", GOOD)],
    },
    Fault {
        name: "an effect is of an order that nobody sent",
        plant: |e| {
            let sql =
                "INSERT INTO effects (participant, activation, correlation_id, action, applied, at_ms, pid)
                SELECT participant, 'another', ?1, action, 1, 0, pid FROM effects LIMIT 1";
            e.sql("payment", sql, STRANGER)
        },
        changes: &[],
        names: &[("unexplained", STRANGER)],
    },
    Fault {
        name: "an effect is of somebody whom nobody knows",
        plant: |e| {
            e.sql("payment", again!("'bank', activation, correlation_id, action, 1", "action = 'do'"), GOOD)
        },
        changes: &[],
        names: &[("unexplained", GOOD)],
    },
];

impl Evidence {
    /// Appends what `change` makes of each such record.
    fn again(
        &mut self,
        topic: &str,
        kind: &str,
        identity: &str,
        change: impl Fn(&mut Record) -> Result<()>,
    ) -> Result<()> {
        let found: Vec<Record> =
            self.records.iter().filter(|r| is(r, topic, kind, identity)).cloned().collect();
        ensure!(!found.is_empty(), "no {kind} of {identity} in {topic}");
        for mut record in found {
            change(&mut record)?;
            // The place of the record that it is a copy of stays that record's.
            record.offset = i64::MAX;
            self.records.push(record);
        }
        Ok(())
    }

    fn each(
        &mut self,
        topic: &str,
        kind: &str,
        identity: &str,
        change: impl Fn(&mut Record) -> Result<()>,
    ) -> Result<()> {
        let mut found = self.records.iter_mut().filter(|r| is(r, topic, kind, identity)).peekable();
        ensure!(found.peek().is_some(), "no {kind} of {identity} in {topic}");
        found.try_for_each(change)
    }

    fn drop_records(&mut self, topic: &str, kind: &str, identity: &str) -> Result<()> {
        self.retain(|record| !is(record, topic, kind, identity))
    }

    fn retain(&mut self, keep: impl Fn(&Record) -> bool) -> Result<()> {
        let before = self.records.len();
        self.records.retain(keep);
        ensure!(self.records.len() < before, "nothing was dropped");
        Ok(())
    }

    fn sql(&self, participant: &str, sql: &str, identity: &str) -> Result<()> {
        let store = Connection::open(self.stores.join(format!("{participant}.db")))?;
        let changed = store.execute(sql, [identity]).with_context(|| sql.to_owned())?;
        ensure!(changed == 1, "{changed} lines of {participant} changed: {sql}");
        Ok(())
    }
}

fn is(record: &Record, topic: &str, kind: &str, identity: &str) -> bool {
    record.topic == topic && record.is_of(identity) && record.header("ce_type") == Some(kind.as_bytes())
}

fn new_id(record: &mut Record) -> Result<()> {
    record.set_header("ce_id", b"an ID of its own");
    Ok(())
}

/// Puts another text in the place of one: in the Avro value, where a byte with the length stands before it, in the key and
/// in the headers.
fn rename(record: &mut Record, old: &str, new: &str) -> Result<()> {
    let value = record.value.take().context("no value")?;
    let (from, to) = (avro(old)?, avro(new)?);
    let at = value.windows(from.len()).position(|bytes| bytes == from);
    let at = at.with_context(|| format!("{old} is not in the value"))?;
    record.value = Some([&value[..at], &to[..], &value[at + from.len()..]].concat());
    for text in record.headers.iter_mut().map(|(_, value)| value).chain([&mut record.key]) {
        if text.as_deref() == Some(old.as_bytes()) {
            *text = Some(new.as_bytes().to_vec());
        }
    }
    Ok(())
}

/// A short text as Avro has it.
fn avro(text: &str) -> Result<Vec<u8>> {
    let length = u8::try_from(text.len() * 2).ok().filter(|length| *length < 128).context("too long")?;
    Ok([&[length], text.as_bytes()].concat())
}
