//! What is done: operations drawn from a seed.

use fastrand::Rng;

/// How many operations a sequence has.
pub const OPERATIONS: usize = 50;

/// Topics, numbered; there are three names.
pub(crate) type Topic = u8;
/// Groups, numbered; there are two names.
pub(crate) type Group = u8;
/// Producers, numbered: 0 and 1 are idempotent, 2 and 3 share a transactional ID, 4 has its own.
pub(crate) type Producer = usize;

/// How many producers there are.
pub(crate) const PRODUCERS: usize = 5;

/// A partition, there or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Place {
    /// Its topic.
    pub topic: Topic,
    /// Its number.
    pub partition: i32,
}

/// How a batch continues what its producer sent to that partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sequence {
    /// As it should.
    Next,
    /// It is the last one again.
    Repeated,
    /// Something is missing before it.
    Gap,
    /// It begins anew at 0.
    Zero,
}

/// Which epoch a producer claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Epoch {
    /// The one it was given.
    Own,
    /// One before.
    Older,
    /// One that nobody was given.
    Newer,
}

/// As whom a group's offsets are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// Without generation and member.
    Nobody,
    /// The member, in its generation; nobody if there is none.
    Member,
    /// The member, in the generation before.
    Stale,
    /// A member that never was.
    Stranger,
}

/// Where something is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// The earliest offset.
    Start,
    /// The latest.
    End,
    /// The record with the greatest timestamp.
    Newest,
    /// So many minutes after the first record's time.
    Minute(i64),
}

/// One thing that a client does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Operation {
    CreateTopic {
        topic: Topic,
        partitions: i32,
    },
    GrowTopic {
        topic: Topic,
        partitions: i32,
    },
    DeleteTopic {
        topic: Topic,
    },
    Configure {
        topic: Topic,
        setting: &'static str,
        value: Option<&'static str>,
    },
    DescribeTopic {
        topic: Topic,
    },
    InitProducer {
        producer: Producer,
        keep: bool,
    },
    Produce {
        producer: Option<Producer>,
        place: Place,
        records: u8,
        sequence: Sequence,
        epoch: Epoch,
        transactional: bool,
    },
    AddPartition {
        producer: Producer,
        place: Place,
        epoch: Epoch,
    },
    AddOffsets {
        producer: Producer,
        group: Group,
        epoch: Epoch,
    },
    SendOffset {
        producer: Producer,
        group: Group,
        who: Who,
        place: Place,
        offset: i64,
        epoch: Epoch,
    },
    End {
        producer: Producer,
        committed: bool,
        epoch: Epoch,
    },
    Join {
        group: Group,
    },
    Heartbeat {
        group: Group,
        who: Who,
    },
    Leave {
        group: Group,
    },
    CommitOffset {
        group: Group,
        who: Who,
        place: Place,
        offset: i64,
    },
    FetchOffset {
        group: Group,
        place: Place,
        stable: bool,
    },
    DeleteOffset {
        group: Group,
        place: Place,
    },
    DeleteGroup {
        group: Group,
    },
    DescribeGroup {
        group: Group,
    },
    Fetch {
        place: Place,
        from: i64,
        committed: bool,
    },
    FindOffset {
        place: Place,
        at: At,
        committed: bool,
    },
    DeleteRecords {
        place: Place,
        before: i64,
    },
}

/// The operations of a seed: the same for the same seed, always.
pub fn plan(seed: u64) -> Vec<Operation> {
    let mut random = Rng::with_seed(seed);
    // Without a topic and producers most operations would be refused alike.
    let mut plan = vec![
        Operation::CreateTopic { topic: 0, partitions: 2 },
        Operation::InitProducer { producer: random.usize(0..2), keep: false },
        Operation::InitProducer { producer: random.usize(2..PRODUCERS), keep: false },
    ];
    while plan.len() < OPERATIONS {
        draw(&mut random, &mut plan);
    }
    plan.truncate(OPERATIONS);
    without_newest_after_deletion(&mut plan);
    plan
}

/// Apache Kafka 4.3 goes on to name a deleted record as the newest one until its segment is gone.
fn without_newest_after_deletion(plan: &mut [Operation]) {
    let deletes = |operation: &Operation| matches!(operation, Operation::DeleteRecords { .. });
    for operation in plan.iter_mut().skip_while(|operation| !deletes(operation)) {
        if let Operation::FindOffset { at, .. } = operation
            && *at == At::Newest
        {
            *at = At::End;
        }
    }
}

fn draw(random: &mut Rng, plan: &mut Vec<Operation>) {
    match random.u8(0..100) {
        0..8 => plan.push(about_topics(random)),
        8..14 => plan.push(Operation::InitProducer {
            producer: random.usize(0..PRODUCERS),
            keep: random.u8(0..4) == 0,
        }),
        14..34 => plan.push(produce(random)),
        34..52 => plan.push(in_transaction(random)),
        52..66 => transaction(random, plan),
        66..86 => plan.push(about_groups(random)),
        _ => plan.push(look(random)),
    }
}

/// A whole transaction as a well-behaved client does it, so that enough of them come to their end.
fn transaction(random: &mut Rng, plan: &mut Vec<Operation>) {
    let (producer, epoch, transactional) = (random.usize(2..PRODUCERS), Epoch::Own, true);
    let (group, offset) = (random.u8(0..2), random.i64(0..20));
    for place in [place(random), place(random)] {
        let records = random.u8(1..4);
        plan.push(Operation::AddPartition { producer, place, epoch });
        plan.push(Operation::Produce {
            producer: Some(producer),
            place,
            records,
            sequence: Sequence::Next,
            epoch,
            transactional,
        });
    }
    if random.bool() {
        plan.push(Operation::AddOffsets { producer, group, epoch });
        let (who, place) = (who(random), place(random));
        plan.push(Operation::SendOffset { producer, group, who, place, offset, epoch });
    }
    plan.push(Operation::End { producer, committed: random.bool(), epoch });
}

fn about_topics(random: &mut Rng) -> Operation {
    let topic = random.u8(0..3);
    match random.u8(0..10) {
        0..4 => Operation::CreateTopic { topic, partitions: random.i32(0..4) },
        4..6 => Operation::GrowTopic { topic, partitions: random.i32(1..5) },
        6..7 => Operation::DeleteTopic { topic },
        7..9 => configure(random, topic),
        _ => Operation::DescribeTopic { topic },
    }
}

fn configure(random: &mut Rng, topic: Topic) -> Operation {
    let settings = [
        ("max.message.bytes", Some("200000")),
        ("max.message.bytes", Some("many")),
        ("message.timestamp.type", Some("CreateTime")),
        ("retention.ms", Some("-1")),
        ("retention.ms", None),
        ("no.such.setting", Some("1")),
        ("segment.bytes", Some("1")),
        ("segment.bytes", Some("1048576")),
        ("max.message.bytes", Some("-1")),
        ("cleanup.policy", Some("compact,delete")),
        ("cleanup.policy", Some("none")),
        ("retention.ms", Some("-2")),
    ];
    let (setting, value) = settings[random.usize(0..settings.len())];
    Operation::Configure { topic, setting, value }
}

fn produce(random: &mut Rng) -> Operation {
    let producer = (random.u8(0..5) > 0).then(|| random.usize(0..PRODUCERS));
    // A producer with a transactional ID that writes outside of a transaction is refused alike always: seldom.
    let transactional = producer.is_some_and(|producer| (producer >= 2) != (random.u8(0..10) == 0));
    let (place, records, mut epoch) = (place(random), random.u8(1..5), epoch(random));
    if epoch == Epoch::Newer && !transactional {
        // Apache Kafka takes it, and can then never write a marker of that producer's own epoch.
        epoch = Epoch::Own;
    }
    Operation::Produce { producer, place, records, sequence: sequence(random), epoch, transactional }
}

fn in_transaction(random: &mut Rng) -> Operation {
    let (producer, epoch) = (random.usize(2..PRODUCERS), epoch(random));
    let (place, group) = (place(random), random.u8(0..2));
    match random.u8(0..12) {
        0..4 => Operation::AddPartition { producer, place, epoch },
        4..6 => Operation::AddOffsets { producer, group, epoch },
        6..9 => {
            let (who, offset) = (who(random), random.i64(0..20));
            Operation::SendOffset { producer, group, who, place, offset, epoch }
        }
        _ => Operation::End { producer, committed: random.bool(), epoch },
    }
}

fn about_groups(random: &mut Rng) -> Operation {
    let (group, place) = (random.u8(0..2), place(random));
    match random.u8(0..20) {
        0..3 => Operation::Join { group },
        3..5 => Operation::Heartbeat { group, who: who(random) },
        5..7 => Operation::Leave { group },
        7..13 => Operation::CommitOffset { group, who: who(random), place, offset: random.i64(0..20) },
        13..17 => Operation::FetchOffset { group, place, stable: random.bool() },
        17 => Operation::DeleteOffset { group, place },
        18 => Operation::DescribeGroup { group },
        _ => Operation::DeleteGroup { group },
    }
}

fn look(random: &mut Rng) -> Operation {
    let (place, committed) = (place(random), random.bool());
    match random.u8(0..9) {
        0..4 => Operation::Fetch { place, from: random.i64(-1..14), committed },
        4..7 => Operation::FindOffset { place, at: at(random), committed },
        _ => Operation::DeleteRecords { place, before: random.i64(-2..8) },
    }
}

/// Mostly a partition of the topic that is there from the beginning.
fn place(random: &mut Rng) -> Place {
    let topic = if random.u8(0..4) == 0 { random.u8(0..3) } else { 0 };
    let partition = if random.u8(0..12) == 0 { 3 } else { random.i32(0..2) };
    Place { topic, partition }
}

fn sequence(random: &mut Rng) -> Sequence {
    match random.u8(0..12) {
        0..8 => Sequence::Next,
        8..10 => Sequence::Repeated,
        10 => Sequence::Gap,
        _ => Sequence::Zero,
    }
}

fn epoch(random: &mut Rng) -> Epoch {
    match random.u8(0..12) {
        0 => Epoch::Older,
        1 => Epoch::Newer,
        _ => Epoch::Own,
    }
}

fn who(random: &mut Rng) -> Who {
    match random.u8(0..8) {
        0..3 => Who::Member,
        3..6 => Who::Nobody,
        6 => Who::Stale,
        _ => Who::Stranger,
    }
}

fn at(random: &mut Rng) -> At {
    match random.u8(0..6) {
        0 => At::Start,
        1..3 => At::End,
        3 => At::Newest,
        _ => At::Minute(random.i64(-1..12)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_always_gives_the_same_operations_and_another_one_others() {
        assert_eq!(plan(7), plan(7));
        assert_ne!(plan(7), plan(8));
        assert_eq!(plan(7).len(), OPERATIONS);
    }

    #[test]
    fn twenty_seeds_have_operations_of_every_kind() {
        let name =
            |operation: &Operation| format!("{operation:?}").split([' ', '{']).next().map(str::to_owned);
        let kinds: std::collections::BTreeSet<_> =
            (0..20).flat_map(plan).map(|operation| name(&operation)).collect();
        assert_eq!(kinds.len(), 22, "{kinds:?}");
    }
}
