//! Reads topics, from a position to the end that they have now, or for ever.

use std::collections::BTreeMap;
use std::num::ParseIntError;
use std::ops::ControlFlow;
use std::str::FromStr;
use std::time::{Duration, Instant};

use quadrille_kafka::inspect::{Ends, Inspector};
use quadrille_kafka::tail::Tail;
use quadrille_kafka::{Error, Partition, Settings};
use quadrille_types::Record;

/// Between two looks at whether somebody wants it to end.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Longest time in which a reader that is not at its end gets no further.
const STALL: Duration = Duration::from_secs(20);

/// The client wants a group's name to read at all; it joins none.
const GROUP: &str = "quadrille-ops";

/// Where reading begins in each partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// With the oldest record.
    Beginning,
    /// With what comes from now on.
    End,
    /// With this offset.
    Offset(i64),
    /// So many offsets before the end.
    Last(i64),
}

impl FromStr for Start {
    type Err = ParseIntError;

    /// `beginning`, `end`, an offset, or with a minus sign so many before the end.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "beginning" => Self::Beginning,
            "end" => Self::End,
            number => match number.parse()? {
                last @ ..0 => Self::Last(i64::saturating_neg(last)),
                offset => Self::Offset(offset),
            },
        })
    }
}

impl Start {
    /// The offset in a partition with these ends; one beyond them is the nearest that exists.
    pub fn offset(self, ends: &Ends) -> i64 {
        let offset = match self {
            Self::Beginning => ends.low,
            Self::End => ends.stable,
            Self::Offset(offset) => offset,
            Self::Last(count) => ends.stable.saturating_sub(count),
        };
        offset.clamp(ends.low, ends.stable)
    }
}

/// Partitions with their ends, as they were when asked.
pub type Known = BTreeMap<Partition, Ends>;

/// The partitions of `topic` with their ends; none: there is no such topic.
///
/// # Errors
/// The cluster does not answer.
pub fn ends_of(inspector: &Inspector, topic: &str) -> Result<Option<Known>, Error> {
    let Some(count) = inspector.partitions(topic)? else { return Ok(None) };
    let partitions: Vec<_> = (0..count as i32).map(|number| Partition::new(topic, number)).collect();
    inspector.ends(&partitions).map(Some)
}

/// Reads what lies between `start` and the end that `known` says; what an open transaction hides is not waited for.
///
/// `each` ends the reading with [`ControlFlow::Break`]; it also gets `None`, about ten times a second while nothing comes.
///
/// # Errors
/// Kafka's; and [`Error::Restore`] when it gets no further.
pub fn to_end(
    settings: &Settings,
    known: &Known,
    start: Start,
    mut each: impl FnMut(Option<Record>) -> ControlFlow<()>,
) -> Result<(), Error> {
    let starts: BTreeMap<_, _> = known
        .iter()
        .map(|(partition, ends)| (partition.clone(), start.offset(ends)))
        .filter(|(partition, from)| *from < known[partition].stable)
        .collect();
    if starts.is_empty() {
        return Ok(());
    }
    let tail = Tail::new(settings, GROUP, &starts)?;
    let (mut at, mut moved) = (starts.clone(), Instant::now());
    loop {
        let record = tail.poll(LOOK_EVERY)?;
        let came = record.is_some();
        let is_before_end = |record: &Record| {
            let position = &record.position;
            let partition = Partition::new(&position.topic, position.partition);
            known.get(&partition).is_some_and(|ends| position.offset < ends.stable)
        };
        if record.as_ref().is_none_or(is_before_end) && each(record).is_break() {
            return Ok(());
        }
        if came && moved.elapsed() < LOOK_EVERY {
            continue;
        }
        let positions = tail.positions();
        let unread = starts.keys().find(|p| positions.get(*p).is_none_or(|at| *at < known[*p].stable));
        let Some(unread) = unread else { return Ok(()) };
        if positions != at {
            (at, moved) = (positions, Instant::now());
        } else if moved.elapsed() > STALL {
            let at = at.get(unread).copied().unwrap_or(starts[unread]);
            return Err(Error::Restore { partition: unread.clone(), at, end: known[unread].stable });
        }
    }
}

/// The last `count` records of the topic, by timestamp; of one time, by partition and offset.
///
/// # Errors
/// As [`to_end`].
pub fn last(settings: &Settings, known: &Known, count: usize) -> Result<Vec<Record>, Error> {
    // Markers take offsets too: at most one for each record, where transactions hold one record each.
    let start = Start::Last(i64::try_from(count).unwrap_or(i64::MAX).saturating_mul(2));
    let mut records = Vec::new();
    to_end(settings, known, start, |record| {
        records.extend(record);
        ControlFlow::Continue(())
    })?;
    records.sort_by(|a, b| (a.time_ms, &a.position).cmp(&(b.time_ms, &b.position)));
    records.drain(..records.len().saturating_sub(count));
    Ok(records)
}

/// Reads from `start` on, until `each` says [`ControlFlow::Break`]. It gets `None` about ten times a second while nothing
/// comes.
///
/// # Errors
/// Kafka's. Brokers that go away and come back are waited for.
pub fn follow(
    settings: &Settings,
    starts: &BTreeMap<Partition, i64>,
    mut each: impl FnMut(Option<Record>) -> ControlFlow<()>,
) -> Result<(), Error> {
    let tail = Tail::new(settings, GROUP, starts)?;
    loop {
        if each(tail.poll(LOOK_EVERY)?).is_break() {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_an_offset_that_exists() {
        let ends = Ends { low: 10, stable: 100, high: 120 };
        let cases = [
            ("beginning", 10),
            ("end", 100),
            ("42", 42),
            ("3", 10),
            ("110", 100),
            ("-5", 95),
            ("-500", 10),
            ("-9223372036854775808", 10),
        ];
        for (text, offset) in cases {
            assert_eq!(text.parse::<Start>().unwrap().offset(&ends), offset, "{text}");
        }
        assert!("yesterday".parse::<Start>().is_err());
    }
}
