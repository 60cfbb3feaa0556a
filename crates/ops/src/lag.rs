//! What groups have not read yet, and how old the oldest of it is.
//!
//! Behind the last record of a partition there may be transaction markers, which no group ever commits: an offset below
//! the end does not prove that something is unread. So whatever looks unread is looked at: the first record behind the
//! position says where the lag begins, and since when it lies there.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use quadrille_kafka::inspect::{Ends, Inspector};
use quadrille_kafka::tail::Tail;
use quadrille_kafka::{Error, Partition, Settings};
use serde::Serialize;

/// Longest time in which the first unread records of one group are looked for.
const GLANCE: Duration = Duration::from_secs(5);

/// One partition of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Lag {
    /// The group.
    pub group: String,
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The committed position; none: the group has none here.
    pub committed: Option<i64>,
    /// Last stable offset.
    pub end: i64,
    /// High watermark: above `end` while a transaction is open.
    pub high_watermark: i64,
    /// Offsets from the first unread record to `end`: so many records at most, since markers take offsets too.
    pub lag: Option<i64>,
    /// Timestamp of the first unread record, in ms since 1970.
    pub oldest_ms: Option<i64>,
    /// The position is older than the oldest record that is left: what lay between is lost to the group.
    pub lost: bool,
}

/// The lag of `group` on `partitions`, those without a position included.
///
/// # Errors
/// The cluster does not answer.
pub fn of_group(
    settings: &Settings,
    inspector: &Inspector,
    group: &str,
    partitions: &[Partition],
) -> Result<Vec<Lag>, Error> {
    let committed = inspector.committed(group, partitions)?;
    let ends = inspector.ends(partitions)?;
    let starts = behind(&committed, &ends);
    let first = if starts.is_empty() { Firsts::new() } else { first_unread(settings, &starts, &ends)? };
    let lag = |(partition, ends): (&Partition, &Ends)| {
        judge(group, partition, committed.get(partition).copied(), ends, first.get(partition).copied())
    };
    Ok(ends.iter().map(lag).collect())
}

/// What lies first behind a position: a record's offset and timestamp, or nothing but markers.
type Firsts = BTreeMap<Partition, Option<(i64, i64)>>;

/// Where something may be unread, and from where.
fn behind(
    committed: &BTreeMap<Partition, i64>,
    ends: &BTreeMap<Partition, Ends>,
) -> BTreeMap<Partition, i64> {
    let start = |(partition, at): (&Partition, &i64)| {
        let ends = ends.get(partition)?;
        (*at < ends.stable).then(|| (partition.clone(), (*at).max(ends.low)))
    };
    committed.iter().filter_map(start).collect()
}

fn judge(
    group: &str,
    partition: &Partition,
    committed: Option<i64>,
    ends: &Ends,
    first: Option<Option<(i64, i64)>>,
) -> Lag {
    let (lag, oldest_ms) = match (committed, first) {
        (None, _) => (None, None),
        (Some(_), Some(Some((offset, time_ms)))) => (Some(ends.stable - offset), Some(time_ms)),
        (Some(_), Some(None)) => (Some(0), None),
        // Nobody looked, or not for long enough: the offsets are all that is known.
        (Some(at), None) => (Some((ends.stable - at.max(ends.low)).max(0)), None),
    };
    Lag {
        group: group.to_owned(),
        topic: partition.topic.clone(),
        partition: partition.partition,
        committed,
        end: ends.stable,
        high_watermark: ends.high,
        lag,
        oldest_ms,
        lost: committed.is_some_and(|at| at < ends.low),
    }
}

fn first_unread(
    settings: &Settings,
    starts: &BTreeMap<Partition, i64>,
    ends: &BTreeMap<Partition, Ends>,
) -> Result<Firsts, Error> {
    let tail = Tail::glance(settings, "quadrille-ops", starts)?;
    let (began, mut found) = (Instant::now(), Firsts::new());
    while found.len() < starts.len() && began.elapsed() < GLANCE {
        match tail.poll(Duration::from_millis(50))? {
            Some(record) => {
                let position = &record.position;
                let partition = Partition::new(&position.topic, position.partition);
                found.entry(partition).or_insert(Some((position.offset, record.time_ms)));
            }
            None => {
                for (partition, at) in tail.positions() {
                    if ends.get(&partition).is_some_and(|ends| at >= ends.stable) {
                        found.entry(partition).or_insert(None);
                    }
                }
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_alone_are_no_lag() {
        let ends = Ends { low: 10, stable: 100, high: 120 };
        type Case = (Option<i64>, Option<Option<(i64, i64)>>, Option<i64>, Option<i64>, bool);
        let cases: [Case; 6] = [
            (None, None, None, None, false),
            (Some(100), None, Some(0), None, false),
            (Some(99), Some(None), Some(0), None, false),
            (Some(50), Some(Some((52, 7))), Some(48), Some(7), false),
            (Some(50), None, Some(50), None, false),
            (Some(3), Some(Some((10, 7))), Some(90), Some(7), true),
        ];
        for (committed, first, lag, oldest_ms, lost) in cases {
            let judged = judge("g", &Partition::new("t", 0), committed, &ends, first);
            assert_eq!((judged.lag, judged.oldest_ms, judged.lost), (lag, oldest_ms, lost), "{committed:?}");
        }
    }

    #[test]
    fn only_what_may_be_unread_is_looked_at() {
        let partition = |number| Partition::new("t", number);
        let ends = (0..4).map(|n| (partition(n), Ends { low: 10, stable: 100, high: 100 })).collect();
        let committed = BTreeMap::from([(partition(0), 100), (partition(1), 99), (partition(2), 3)]);
        let starts = BTreeMap::from([(partition(1), 99), (partition(2), 10)]);
        assert_eq!(behind(&committed, &ends), starts);
    }
}
