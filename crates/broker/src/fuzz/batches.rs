//! Record batches: header, every compression, records, and what compaction makes of them.

use super::driver::{Target, corpus};
use crate::log::batch::{self, HEADER};
use crate::log::codec;
use crate::log::compact::{Newest, Rules};
use crate::log::record::{self, Contents, Records};

/// Length and checksum are made what they must be.
pub(super) fn seal(input: &mut [u8]) {
    if input.len() < HEADER {
        return;
    }
    let length = u32::try_from(input.len() - 12).unwrap_or(0);
    input[8..12].copy_from_slice(&length.to_be_bytes());
    input[16] = 2;
    let sum = crc32c::crc32c(&input[21..]);
    input[17..21].copy_from_slice(&sum.to_be_bytes());
}

#[test]
fn batches_of_any_bytes_are_read_or_refused() {
    // What a batch unpacks to is bounded, but not by its own size: a window, and output that grows by doubling.
    let target = Target { name: "batches", rounds: 20_000, seal, most_held: |size| (16 << 20) + size * 4000 };
    target.run(|input, _| {
        record::marker_commits(input);
        let Ok(header) = batch::check(input) else { return };
        let contents = Contents::of(input, &header);
        record::first_at(input, &header, header.max_timestamp, header.base_offset);
        batch::stamped(input, 7, Some(1_000));
        let mut newest = Newest::new(0, usize::MAX);
        if newest.note(&header, input, &[]).is_err() {
            assert!(!contents.consistent, "what is taken from producers can be compacted");
            return;
        }
        for now_ms in [0, i64::MAX] {
            let rules = Rules { newest: &newest, aborted: &[], now_ms, delete_retention_ms: 1_000 };
            let _ = rules.apply(&header, input);
        }
    });
}

#[test]
fn whatever_is_packed_is_unpacked_within_the_bound_or_refused() {
    const MOST: usize = 1 << 20;
    let codecs: Vec<i16> = corpus("batches").iter().map(|b| batch::check(b).unwrap().codec()).collect();
    for codec in 1..=4 {
        assert!(codecs.contains(&codec), "the corpus has no batch of compression {codec}");
    }
    let target = Target { name: "batches", rounds: 20_000, seal: |_| {}, most_held: |_| 12 << 20 };
    target.run(|input, rng| {
        let packed = input.get(HEADER..).unwrap_or_default();
        // Mostly the compression that it was packed with.
        let own = input.get(22).map_or(0, |attributes| i16::from(attributes & 7));
        let codec = if rng.u8(..4) > 0 { own } else { rng.i16(0..6) };
        if let Ok(unpacked) = codec::unpack(codec, packed, MOST) {
            assert!(unpacked.len() <= MOST.max(packed.len()));
            assert!(Records::of(&unpacked).count() <= unpacked.len());
        }
    });
}

#[test]
fn a_few_bytes_that_claim_to_be_many_take_no_memory() {
    // As a snappy block: a length of 128 MiB, and nothing behind it.
    let claims = [0x80, 0x80, 0x80, 0x40, 0];
    let (unpacked, held) = super::heap::peak(|| codec::unpack(2, &claims, codec::MOST_BYTES).is_ok());
    assert!(!unpacked && held < 1 << 20, "{held}");
}
