//! Ends of transactions, request by request: repeats, latecomers, and who may not.

use anyhow::{Result, ensure};
use kafka_protocol::error::ResponseError as E;

use crate::Context;
use crate::by_hand::{Owner, Raw};
use crate::client::unique;
use crate::wait::until;

const OK: i16 = 0;

/// A transaction that is open with one record.
fn opened(context: &Context) -> Result<(Raw, Owner, String)> {
    let topic = context.topic(1)?;
    let mut raw = Raw::connect(context)?;
    let owner = raw.init(&unique("txn"))?;
    raw.add(&owner, &topic)?;
    let code = raw.produce(&owner, &topic, 0, "first")?;
    ensure!(code == OK, "produce: {code}");
    Ok((raw, owner, topic))
}

pub(crate) fn an_end_may_be_repeated_but_not_changed(context: &Context) -> Result<()> {
    let (mut raw, owner, topic) = opened(context)?;
    ensure!(raw.end(&owner, true)? == OK, "the end");
    ensure!(raw.end_settled(&owner, true)? == OK, "the repeat");
    let changed = raw.end_settled(&owner, false)?;
    ensure!(changed == E::InvalidTxnState.code(), "another end: {changed}");
    context.expect_committed(&topic, &["first"])
}

/// Right behind an end, brokers may still be writing its markers.
pub(crate) fn a_transaction_begins_behind_the_markers_of_the_one_before(context: &Context) -> Result<()> {
    let (mut raw, owner, topic) = opened(context)?;
    for (sequence, value) in (1..).zip(["second", "third", "fourth"]) {
        ensure!(raw.end(&owner, true)? == OK, "the end before {value}");
        let busy = E::ConcurrentTransactions.code();
        let code = until("the markers are written", || {
            let code = raw.try_add(&owner, &topic)?;
            Ok((code != busy).then_some(code))
        })?;
        ensure!(code == OK, "{code}, which is neither well nor {busy}");
        ensure!(raw.produce(&owner, &topic, sequence, value)? == OK, "{value}");
    }
    ensure!(raw.end(&owner, true)? == OK, "the last end");
    context.expect_committed(&topic, &["first", "second", "third", "fourth"])
}

/// The hole of EndTxn below version 5: nothing in the request says which transaction it is meant for.
pub(crate) fn a_late_copy_of_an_end_ends_the_next_transaction(context: &Context) -> Result<()> {
    let (mut raw, owner, topic) = opened(context)?;
    ensure!(raw.end(&owner, true)? == OK, "the end");
    raw.add(&owner, &topic)?;
    ensure!(raw.produce(&owner, &topic, 1, "second")? == OK, "the next record");
    ensure!(Raw::connect(context)?.end(&owner, true)? == OK, "the late copy");
    context.expect_committed(&topic, &["first", "second"])?;
    let aborted = raw.end_settled(&owner, false)?;
    ensure!(aborted == E::InvalidTxnState.code(), "the abort that comes too late: {aborted}");
    Ok(())
}

/// What closes the hole: a producer that is built anew has another epoch.
pub(crate) fn a_late_copy_of_a_predecessors_end_is_refused(context: &Context) -> Result<()> {
    let (mut raw, before, topic) = opened(context)?;
    ensure!(raw.end(&before, true)? == OK, "the end");
    let owner = raw.init(&before.id)?;
    ensure!(
        owner.producer.0 == before.producer.0 && owner.producer.1 > before.producer.1,
        "{:?}",
        owner.producer
    );
    raw.add(&owner, &topic)?;
    ensure!(raw.produce(&owner, &topic, 0, "second")? == OK, "the next record");
    let late = Raw::connect(context)?.end(&before, true)?;
    ensure!(late == E::InvalidProducerEpoch.code(), "the late copy: {late}");
    ensure!(raw.end(&owner, false)? == OK, "the abort");
    context.expect_committed(&topic, &["first"])
}

/// KIP-890, first part: a record that comes when its transaction is over would hang for ever.
pub(crate) fn a_record_outside_of_its_transaction_is_refused(context: &Context) -> Result<()> {
    let (mut raw, owner, topic) = opened(context)?;
    let other = context.topic(1)?;
    let strange = raw.produce(&owner, &other, 0, "strange")?;
    ensure!(strange == E::InvalidTxnState.code(), "in a partition that was not added: {strange}");
    ensure!(raw.end(&owner, true)? == OK, "the end");
    context.expect_committed(&topic, &["first"])?;
    let late = raw.produce(&owner, &topic, 1, "late")?;
    ensure!(late == E::InvalidTxnState.code(), "behind the end: {late}");
    context.expect_committed(&topic, &["first"])?;
    context.expect_committed(&other, &[])
}

pub(crate) fn an_end_without_a_beginning_is_refused(context: &Context) -> Result<()> {
    let mut raw = Raw::connect(context)?;
    let owner = raw.init(&unique("txn"))?;
    for committed in [true, false] {
        let code = raw.end_settled(&owner, committed)?;
        ensure!(code == E::InvalidTxnState.code(), "committed={committed}: {code}");
    }
    Ok(())
}

pub(crate) fn an_end_by_somebody_else_is_refused(context: &Context) -> Result<()> {
    let (mut raw, owner, topic) = opened(context)?;
    let stranger = Owner { id: owner.id.clone(), producer: (owner.producer.0 + 1_000_000, owner.producer.1) };
    let code = raw.end(&stranger, true)?;
    ensure!(code == E::InvalidProducerIdMapping.code(), "another producer: {code}");
    let future = Owner { id: owner.id.clone(), producer: (owner.producer.0, owner.producer.1 + 1) };
    let code = raw.end(&future, true)?;
    ensure!(code == E::InvalidProducerEpoch.code(), "another epoch: {code}");
    ensure!(raw.end(&owner, false)? == OK, "the owner's abort");
    context.expect_committed(&topic, &[])
}
