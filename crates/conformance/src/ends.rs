//! Ends of transactions, request by request: repeats, latecomers, and who may not.

use anyhow::{Result, ensure};
use kafka_protocol::error::ResponseError as E;

use crate::Context;
use crate::script::Script;

const OK: i16 = 0;

/// A transaction that is open with one record.
fn opened(context: &Context) -> Result<(Script, String)> {
    let topic = context.topic(1)?;
    let mut script = Script::begin(context)?;
    script.enter(&topic)?;
    let written = script.write(&topic, 0, &["first"])?;
    ensure!(written == (OK, 0), "produce: {written:?}");
    Ok((script, topic))
}

pub(crate) fn an_end_may_be_repeated_but_not_changed(context: &Context) -> Result<()> {
    let (mut script, topic) = opened(context)?;
    ensure!(script.end(true, 1)? == OK, "the end");
    ensure!(script.end_settled(true)? == OK, "the repeat");
    let changed = script.end_settled(false)?;
    ensure!(changed == E::InvalidTxnState.code(), "another end: {changed}");
    context.expect_committed(&topic, &["first"])
}

/// Right behind an end, brokers may still be writing its markers.
pub(crate) fn a_transaction_begins_behind_the_markers_of_the_one_before(context: &Context) -> Result<()> {
    let (mut script, topic) = opened(context)?;
    for (sequence, value) in (1..).zip(["second", "third", "fourth"]) {
        ensure!(script.end(true, 1)? == OK, "the end before {value}");
        script.enter(&topic)?;
        ensure!(script.write(&topic, sequence, &[value])?.0 == OK, "{value}");
    }
    ensure!(script.end(true, 1)? == OK, "the last end");
    context.expect_committed(&topic, &["first", "second", "third", "fourth"])
}

/// The hole of EndTxn below version 5: nothing in the request says which transaction it is meant for.
pub(crate) fn a_late_copy_of_an_end_ends_the_next_transaction(context: &Context) -> Result<()> {
    let (mut script, topic) = opened(context)?;
    ensure!(script.end(true, 1)? == OK, "the end");
    script.enter(&topic)?;
    ensure!(script.write(&topic, 1, &["second"])?.0 == OK, "the next record");
    ensure!(script.elsewhere(context)?.end(true, 1)? == OK, "the late copy");
    context.expect_committed(&topic, &["first", "second"])?;
    let aborted = script.end_settled(false)?;
    ensure!(aborted == E::InvalidTxnState.code(), "the abort that comes too late: {aborted}");
    Ok(())
}

/// What closes the hole: a producer that is built anew has another epoch.
pub(crate) fn a_late_copy_of_a_predecessors_end_is_refused(context: &Context) -> Result<()> {
    let (mut before, topic) = opened(context)?;
    ensure!(before.end(true, 1)? == OK, "the end");
    let mut script = before.successor(context)?;
    let (old, new) = (before.owner, script.owner);
    ensure!(new.0 == old.0 && new.1 > old.1, "{new:?} after {old:?}");
    script.enter(&topic)?;
    ensure!(script.write(&topic, 0, &["second"])?.0 == OK, "the next record");
    let late = before.elsewhere(context)?.end(true, 1)?;
    ensure!(late == E::InvalidProducerEpoch.code(), "the late copy: {late}");
    ensure!(script.end(false, 1)? == OK, "the abort");
    context.expect_committed(&topic, &["first"])
}

/// KIP-890, first part: a record that comes when its transaction is over would hang for ever.
pub(crate) fn a_record_outside_of_its_transaction_is_refused(context: &Context) -> Result<()> {
    let (inside, other) = (context.topic(1)?, context.topic(1)?);
    let mut script = Script::begin(context)?;
    let refused = |script: &mut Script, topic: &str, sequence: i32, when: &str| {
        let (code, _) = script.write(topic, sequence, &[when])?;
        ensure!(code == E::InvalidTxnState.code(), "{when}: {code}");
        Ok(())
    };
    refused(&mut script, &inside, 0, "before its partition was added")?;
    script.enter(&inside)?;
    let written = script.write(&inside, 0, &["first"])?;
    ensure!(written == (OK, 0), "{written:?}");
    refused(&mut script, &other, 0, "in a partition that was not added")?;
    ensure!(script.end(true, 1)? == OK, "the end");
    context.expect_committed(&inside, &["first"])?;
    refused(&mut script, &inside, 1, "behind the end")?;
    context.expect_committed(&inside, &["first"])?;
    context.expect_committed(&other, &[])
}

pub(crate) fn an_end_without_a_beginning_is_refused(context: &Context) -> Result<()> {
    let mut script = Script::begin(context)?;
    for committed in [true, false] {
        let code = script.end_settled(committed)?;
        ensure!(code == E::InvalidTxnState.code(), "committed={committed}: {code}");
    }
    Ok(())
}

pub(crate) fn an_end_by_somebody_else_is_refused(context: &Context) -> Result<()> {
    let (mut script, topic) = opened(context)?;
    let (id, epoch) = script.owner;
    let table = [
        ("another producer", (id + 1_000_000, epoch), 1, E::InvalidProducerIdMapping),
        ("a newer epoch", (id, epoch + 1), 1, E::InvalidProducerEpoch),
        ("an older epoch, as version 1 calls it", (id, epoch - 1), 1, E::InvalidProducerEpoch),
        ("an older epoch", (id, epoch - 1), 2, E::ProducerFenced),
    ];
    for (name, owner, version, expected) in table {
        script.owner = owner;
        let code = script.end(true, version)?;
        ensure!(code == expected.code(), "{name}: {code}");
    }
    script.owner = (id, epoch);
    ensure!(script.end(false, 1)? == OK, "the owner's abort");
    context.expect_committed(&topic, &[])
}
