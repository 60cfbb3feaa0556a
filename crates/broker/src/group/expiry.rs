//! When committed offsets go (KIP-211).

use super::offsets::{Committed, Offsets, Place};
use super::{Group, Status};

/// Offsets whose time is over at `now_ms`. One that waits for a transaction's end holds its partition's.
///
/// An offset goes when its commit said so. Else it goes some time after the last member left; where there never was a member,
/// after its commit; and of a stable group of consumers, after its commit if no member reads its topic.
pub(crate) fn expired(group: &Group, offsets: &Offsets, now_ms: i64, retention_ms: i64) -> Vec<Place> {
    let is_over = |place: &Place, value: &Committed| {
        let since = |since_ms: i64| match value.expires_ms {
            Some(expires_ms) => now_ms >= expires_ms,
            None => now_ms.saturating_sub(since_ms) >= retention_ms,
        };
        match group.status {
            _ if group.protocol_type.is_none() => since(value.committed_ms),
            Status::Empty => since(group.empty_since_ms.unwrap_or(value.committed_ms)),
            Status::Stable if group.is_of_consumers() => since(value.committed_ms) && !group.reads(&place.0),
            _ => false,
        }
    };
    let over =
        offsets.committed().filter(|(place, value)| is_over(place, value) && !offsets.is_unstable(place));
    over.map(|(place, _)| place.clone()).collect()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::{JoinRequest, Reply};
    use super::*;
    use crate::journal::change::OffsetEntry;

    const RETENTION_MS: i64 = 1_000;

    fn offsets(expires_ms: Option<i64>) -> Offsets {
        let mut offsets = Offsets::default();
        offsets.put(None, entry(expires_ms));
        offsets
    }

    fn entry(expires_ms: Option<i64>) -> OffsetEntry {
        let value = Committed {
            offset: 1,
            leader_epoch: -1,
            metadata: String::new(),
            committed_ms: 100,
            order: 1,
            expires_ms,
        };
        OffsetEntry { topic: "t".into(), partition: 0, value }
    }

    /// A stable group of one member that reads this topic, and the member's ID.
    fn stable(topic: &str) -> (Group, &'static str) {
        let mut metadata = vec![0, 0, 0, 0, 0, 1, 0, topic.len() as u8];
        metadata.extend(topic.as_bytes());
        let request = JoinRequest {
            member_id: String::new(),
            instance_id: None,
            client_id: "c".into(),
            client_host: "/h".into(),
            session_timeout_ms: 60_000,
            rebalance_timeout_ms: 60_000,
            protocol_type: "consumer".into(),
            protocols: vec![("range".into(), Bytes::from(metadata))],
            needs_member_id: false,
            fresh_id: "a".into(),
        };
        let (mut group, mut out) = (Group::new(0), Vec::<Reply>::new());
        group.join(0, request, 1, &mut out);
        let caller = super::super::Caller { member_id: "a".into(), instance_id: None, generation: 1 };
        group.sync(0, &caller, (None, None), Default::default(), (2, &mut out));
        assert_eq!(group.status, Status::Stable);
        (group, "a")
    }

    fn goes_at(group: &Group, offsets: &Offsets) -> Option<i64> {
        let over = |now_ms: &i64| !expired(group, offsets, *now_ms, RETENTION_MS).is_empty();
        (0..10_000).step_by(50).find(over)
    }

    #[test]
    fn offsets_go_by_the_table() {
        let simple = Group::new(0);
        let (reading, _) = stable("t");
        let (elsewhere, _) = stable("other");
        let (mut empty, member) = stable("t");
        empty.leave(2_000, member, None, &mut Vec::new()).unwrap();
        let table = [
            ("no member ever", &simple, None, Some(1_100)),
            ("no member ever, with a time of its own", &simple, Some(300), Some(300)),
            ("a member reads it", &reading, None, None),
            ("a member reads it, with a time of its own", &reading, Some(300), None),
            ("members read other topics", &elsewhere, None, Some(1_100)),
            ("the last member has left", &empty, None, Some(3_000)),
            ("the last member has left, with a time of its own", &empty, Some(300), Some(300)),
        ];
        for (name, group, expires_ms, expected) in table {
            assert_eq!(goes_at(group, &offsets(expires_ms)), expected, "{name}");
        }
    }

    #[test]
    fn an_offset_that_waits_for_a_transaction_holds_the_one_before() {
        let mut offsets = offsets(None);
        offsets.put(Some(9), entry(None));
        assert_eq!(goes_at(&Group::new(0), &offsets), None);
        offsets.end(9, false);
        assert_eq!(goes_at(&Group::new(0), &offsets), Some(1_100));
    }

    #[test]
    fn the_time_counts_on_over_a_restart() {
        let (mut group, member) = stable("t");
        group.leave(2_000, member, None, &mut Vec::new()).unwrap();
        let again = Group::restore(&group.image(), 2_500, 0);
        assert_eq!(goes_at(&again, &offsets(None)), Some(3_000));
    }
}
