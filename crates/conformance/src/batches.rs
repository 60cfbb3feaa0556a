//! Batches by hand: damaged, forged, repeated, with gaps.

use anyhow::{Context as _, Result, ensure};
use kafka_protocol::error::ResponseError as E;

use crate::Context;
use crate::client::{unique, values};
use crate::script::{Done, NOBODY, batch, init, produce};

/// Gives a changed batch the checksum that goes with it.
fn seal(batch: &mut [u8]) {
    let sum = crc32c::crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&sum.to_be_bytes());
}

pub(crate) fn damaged_and_forged_batches_are_refused(context: &Context) -> Result<()> {
    let topic = context.topic_with(1, &[("retention.ms", "-1")])?;
    let mut raw = context.raw()?;
    let good = batch(NOBODY, -1, &["a", "b"], false)?;
    let mut flipped = good.to_vec();
    *flipped.last_mut().context("empty")? ^= 1;
    let mut control = good.to_vec();
    control[22] |= 0x20;
    seal(&mut control);
    let mut miscounted = good.to_vec();
    miscounted[60] = 9;
    seal(&mut miscounted);
    let table = [
        ("a flipped bit", flipped, E::CorruptMessage),
        ("two batches", [&good[..], &good[..]].concat(), E::InvalidRecord),
        ("a control batch", control, E::InvalidRecord),
        ("a wrong count", miscounted, E::InvalidRecord),
    ];
    for (name, records, expected) in table {
        let (code, _) = produce(&mut raw, &topic, -1, None, records.into())?;
        ensure!(code == expected.code(), "{name}: {code}, expected {expected:?}");
    }
    let kept = produce(&mut raw, &topic, -1, None, good)?;
    ensure!(kept == (0, 0), "{kept:?}");
    ensure!(values(&context.read(&topic, 0, "read_committed")?) == ["a", "b"], "what is there");
    Ok(())
}

pub(crate) fn impossible_acknowledgements_are_refused(context: &Context) -> Result<()> {
    let topic = context.topic(1)?;
    let mut raw = context.raw()?;
    for acks in [2, -2] {
        let (code, _) = produce(&mut raw, &topic, acks, None, batch(NOBODY, -1, &["v"], false)?)?;
        ensure!(code == E::InvalidRequiredAcks.code(), "{acks}: {code}");
    }
    let unknown = produce(&mut raw, &unique("topic"), -1, None, batch(NOBODY, -1, &["v"], false)?)?;
    ensure!(unknown.0 == E::UnknownTopicOrPartition.code(), "{unknown:?}");
    Ok(())
}

pub(crate) fn a_repeated_batch_has_its_old_offset_and_a_gap_is_refused(context: &Context) -> Result<()> {
    let topic = context.topic_with(1, &[("retention.ms", "-1")])?;
    let mut raw = context.raw()?;
    let owner = init(&mut raw, None)?;
    let mut send = |owner, sequence, values: &[&str]| {
        produce(&mut raw, &topic, -1, None, batch(owner, sequence, values, false)?)
    };
    let table: [(&str, i32, &[&str], Done); 5] = [
        ("the first", 0, &["a", "b"], (0, 0)),
        ("the second", 2, &["c"], (0, 2)),
        ("a repeat of the first", 0, &["a", "b"], (0, 0)),
        ("a gap", 4, &["e"], (E::OutOfOrderSequenceNumber.code(), -1)),
        ("the third", 3, &["d"], (0, 3)),
    ];
    for (name, sequence, records, expected) in table {
        let done = send(owner, sequence, records)?;
        ensure!(done == expected, "{name}: {done:?}, expected {expected:?}");
    }
    let newer = send((owner.0, owner.1 + 1), 5, &["x"])?;
    ensure!(newer.0 == E::OutOfOrderSequenceNumber.code(), "a newer epoch from its middle: {newer:?}");
    ensure!(send((owner.0, owner.1 + 1), 0, &["e"])? == (0, 4), "a newer epoch from its start");
    let older = send(owner, 4, &["x"])?;
    ensure!(older.0 == E::InvalidProducerEpoch.code(), "an older epoch: {older:?}");
    ensure!(
        values(&context.read(&topic, 0, "read_committed")?) == ["a", "b", "c", "d", "e"],
        "what is there"
    );
    Ok(())
}
