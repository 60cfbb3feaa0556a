//! Sequence numbers: which batch of an idempotent producer is new, which is a repeat, which must be refused.
//! (KIP-98; the last five batches are remembered as in Apache Kafka.)

use std::collections::VecDeque;

use kafka_protocol::error::ResponseError;
use minicbor::{Decode, Encode};

use super::batch::BatchHeader;

const REMEMBERED: usize = 5;

/// What a partition knows of one producer.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct ProducerState {
    #[n(0)]
    pub(crate) epoch: i16,
    #[n(1)]
    batches: VecDeque<Appended>,
    /// Time of the last batch or marker, for expiry.
    #[n(2)]
    pub(crate) last_ms: i64,
}

impl ProducerState {
    /// The last sequence number, -1 for none.
    pub(crate) fn last_sequence(&self) -> i32 {
        self.batches.back().map_or(-1, |b| b.last_sequence)
    }
}

/// One remembered batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Appended {
    #[n(0)]
    first_sequence: i32,
    #[n(1)]
    last_sequence: i32,
    #[n(2)]
    pub(crate) base_offset: i64,
    #[n(3)]
    pub(crate) timestamp: i64,
}

/// What to do with a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Append,
    /// The batch is in the log already, here.
    Repeat(Appended),
}

/// Judges a batch of a producer that the partition knows (`Some`) or has never seen (`None`).
pub(crate) fn judge(known: Option<&ProducerState>, batch: &BatchHeader) -> Result<Verdict, ResponseError> {
    let Some(state) = known else { return Ok(Verdict::Append) };
    if batch.producer_epoch < state.epoch {
        return Err(ResponseError::InvalidProducerEpoch);
    }
    if batch.producer_epoch > state.epoch {
        return if batch.base_sequence == 0 {
            Ok(Verdict::Append)
        } else {
            Err(ResponseError::OutOfOrderSequenceNumber)
        };
    }
    let (first, last) = (batch.base_sequence, batch.last_sequence());
    if let Some(seen) = state.batches.iter().find(|b| b.first_sequence == first && b.last_sequence == last) {
        return Ok(Verdict::Repeat(*seen));
    }
    let expected = state.batches.back().map_or(0, |b| b.last_sequence.checked_add(1).unwrap_or(0));
    if first == expected { Ok(Verdict::Append) } else { Err(ResponseError::OutOfOrderSequenceNumber) }
}

/// The state after `batch` (data or marker) was appended at its base offset.
pub(crate) fn after(known: Option<ProducerState>, batch: &BatchHeader) -> ProducerState {
    let fresh = || ProducerState { epoch: batch.producer_epoch, batches: VecDeque::new(), last_ms: 0 };
    let mut state = known.filter(|s| s.epoch == batch.producer_epoch).unwrap_or_else(fresh);
    state.last_ms = batch.max_timestamp;
    if !batch.is_control() {
        if state.batches.len() == REMEMBERED {
            state.batches.pop_front();
        }
        state.batches.push_back(Appended {
            first_sequence: batch.base_sequence,
            last_sequence: batch.last_sequence(),
            base_offset: batch.base_offset,
            timestamp: batch.max_timestamp,
        });
    }
    state
}

#[cfg(test)]
mod tests {
    use super::super::batch::{check, marker, stamped, tests::batch};
    use super::*;

    fn header(epoch: i16, sequence: i32, count: usize, offset: i64) -> BatchHeader {
        let values = vec![b"v".as_slice(); count];
        check(&stamped(&batch((7, epoch, sequence), 1, &values, false), offset, None)).unwrap()
    }

    fn state_after(batches: &[(i16, i32, usize)]) -> Option<ProducerState> {
        let mut offset = 100;
        batches.iter().fold(None, |state, (epoch, sequence, count)| {
            let header = header(*epoch, *sequence, *count, offset);
            offset += *count as i64;
            Some(after(state, &header))
        })
    }

    #[test]
    fn sequences_are_judged_by_the_table() {
        use ResponseError::{InvalidProducerEpoch, OutOfOrderSequenceNumber};
        let known = state_after(&[(1, 0, 2), (1, 2, 3)]);
        let table = [
            ("next", (1, 5, 1), Ok(None)),
            ("gap", (1, 6, 1), Err(OutOfOrderSequenceNumber)),
            ("repeat of the last", (1, 2, 3), Ok(Some(102))),
            ("repeat of the one before", (1, 0, 2), Ok(Some(100))),
            ("overlap", (1, 4, 2), Err(OutOfOrderSequenceNumber)),
            ("older epoch", (0, 5, 1), Err(InvalidProducerEpoch)),
            ("newer epoch from its start", (2, 0, 1), Ok(None)),
            ("newer epoch from the middle", (2, 5, 1), Err(OutOfOrderSequenceNumber)),
        ];
        for (name, (epoch, sequence, count), expected) in table {
            let verdict = judge(known.as_ref(), &header(epoch, sequence, count, 0)).map(|v| match v {
                Verdict::Append => None,
                Verdict::Repeat(seen) => Some(seen.base_offset),
            });
            assert_eq!(verdict, expected, "{name}");
        }
        assert_eq!(judge(None, &header(3, 17, 1, 0)), Ok(Verdict::Append), "unknown producer");
    }

    #[test]
    fn only_the_last_five_batches_are_remembered() {
        let known = state_after(&[(0, 0, 1), (0, 1, 1), (0, 2, 1), (0, 3, 1), (0, 4, 1), (0, 5, 1)]);
        assert!(judge(known.as_ref(), &header(0, 0, 1, 0)).is_err());
        assert!(matches!(judge(known.as_ref(), &header(0, 1, 1, 0)), Ok(Verdict::Repeat(_))));
    }

    #[test]
    fn the_sequence_after_the_largest_is_zero() {
        let known = state_after(&[(0, i32::MAX, 1)]);
        assert_eq!(judge(known.as_ref(), &header(0, 0, 1, 0)), Ok(Verdict::Append));
    }

    #[test]
    fn a_marker_of_a_newer_epoch_fences_the_older_one() {
        let known = state_after(&[(0, 0, 2)]);
        let fence = check(&marker(7, 1, false, 200, 9)).unwrap();
        let known = Some(after(known, &fence));
        assert_eq!(judge(known.as_ref(), &header(0, 2, 1, 0)), Err(ResponseError::InvalidProducerEpoch));
        assert_eq!(judge(known.as_ref(), &header(1, 0, 1, 0)), Ok(Verdict::Append));
    }
}
