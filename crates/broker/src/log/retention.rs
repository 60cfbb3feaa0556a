//! Which segments a partition's retention lets go (`retention.ms`, `retention.bytes`).

/// What retention looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Piece {
    /// Offset behind the last record.
    pub(crate) end_offset: i64,
    pub(crate) bytes: u64,
    /// Largest timestamp.
    pub(crate) max_ms: i64,
}

/// The limits; -1 is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) ms: i64,
    pub(crate) bytes: i64,
}

/// The offset below which records go. `pieces` are the segments in order, the active one last; nothing at or above `readable`
/// goes. As in Apache Kafka a piece goes by time when its newest record is too old, and by size when the log is still as large
/// as allowed without it.
pub(crate) fn delete_before(pieces: &[Piece], limits: Limits, readable: i64, now_ms: i64) -> Option<i64> {
    let mut total: u64 = pieces.iter().map(|p| p.bytes).sum();
    let mut before = None;
    for (i, piece) in pieces.iter().enumerate() {
        let is_active = i + 1 == pieces.len();
        let too_old = limits.ms >= 0 && now_ms.saturating_sub(piece.max_ms) > limits.ms;
        let left = total - piece.bytes;
        let too_much = !is_active && u64::try_from(limits.bytes).is_ok_and(|most| left >= most);
        if piece.end_offset > readable || !(too_old || too_much) {
            break;
        }
        total = left;
        before = Some(piece.end_offset);
    }
    before
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIECES: [Piece; 3] = [
        Piece { end_offset: 10, bytes: 100, max_ms: 1_000 },
        Piece { end_offset: 20, bytes: 100, max_ms: 2_000 },
        Piece { end_offset: 30, bytes: 50, max_ms: 3_000 },
    ];

    #[test]
    fn what_goes_follows_from_time_size_and_what_is_readable() {
        let cases = [
            // ms, bytes, readable, now -> below
            (-1, -1, 30, 1_000_000, None),
            (1_000, -1, 30, 2_000, None),
            (1_000, -1, 30, 2_001, Some(10)),
            (1_000, -1, 30, 3_001, Some(20)),
            (1_000, -1, 30, 4_001, Some(30)),
            (1_000, -1, 19, 4_001, Some(10)),
            (-1, 251, 30, 0, None),
            (-1, 151, 30, 0, None),
            (-1, 150, 30, 0, Some(10)),
            (-1, 50, 30, 0, Some(20)),
            (-1, 0, 30, 0, Some(20)),
            (-1, 0, 9, 0, None),
        ];
        for (ms, bytes, readable, now_ms, expected) in cases {
            let found = delete_before(&PIECES, Limits { ms, bytes }, readable, now_ms);
            assert_eq!(found, expected, "{ms} {bytes} {readable} {now_ms}");
        }
    }

    #[test]
    fn a_young_piece_keeps_the_older_ones_behind_it_whatever_their_times() {
        let pieces = [Piece { max_ms: 9_000, ..PIECES[0] }, PIECES[1]];
        assert_eq!(delete_before(&pieces, Limits { ms: 1_000, bytes: -1 }, 20, 9_500), None);
    }
}
