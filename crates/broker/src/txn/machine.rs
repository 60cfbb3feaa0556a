//! The life of one transaction: partitions and groups join it, it ends by its producer or by time.

use kafka_protocol::error::ResponseError;

use super::{Status, Transaction};

/// What an EndTxn request leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum EndDecision {
    /// A repeat of what has happened.
    AlreadyDone,
    /// The decision, to be made durable before any marker.
    Decided(Transaction),
}

fn owned(known: Option<&Transaction>, producer_id: i64, epoch: i16) -> Result<&Transaction, ResponseError> {
    let state =
        known.filter(|s| s.producer_id == producer_id).ok_or(ResponseError::InvalidProducerIdMapping)?;
    if state.epoch == epoch { Ok(state) } else { Err(ResponseError::ProducerFenced) }
}

fn opened(state: &Transaction, now_ms: i64) -> Result<Transaction, ResponseError> {
    let mut next = state.clone();
    match state.status {
        Status::PrepareCommit | Status::PrepareAbort => return Err(ResponseError::ConcurrentTransactions),
        Status::Ongoing => {}
        Status::Empty | Status::CompleteCommit | Status::CompleteAbort => {
            next.status = Status::Ongoing;
            next.started_ms = now_ms;
            next.partitions.clear();
            next.groups.clear();
        }
    }
    Ok(next)
}

/// Partitions join the transaction, which begins with the first. `None`: all were in it already.
pub(crate) fn add_partitions(
    known: Option<&Transaction>,
    (producer_id, epoch): (i64, i16),
    partitions: Vec<(String, i32)>,
    now_ms: i64,
) -> Result<Option<Transaction>, ResponseError> {
    let state = owned(known, producer_id, epoch)?;
    let mut next = opened(state, now_ms)?;
    next.partitions.extend(partitions);
    Ok((next != *state).then_some(next))
}

/// A consumer group's offsets join the transaction.
pub(crate) fn add_groups(
    known: Option<&Transaction>,
    (producer_id, epoch): (i64, i16),
    group: &str,
    now_ms: i64,
) -> Result<Option<Transaction>, ResponseError> {
    let state = owned(known, producer_id, epoch)?;
    let mut next = opened(state, now_ms)?;
    next.groups.insert(group.to_string());
    Ok((next != *state).then_some(next))
}

/// The producer asks for the end.
pub(crate) fn end(
    known: Option<&Transaction>,
    (producer_id, epoch): (i64, i16),
    committed: bool,
) -> Result<EndDecision, ResponseError> {
    let state = owned(known, producer_id, epoch)?;
    match (state.status, committed) {
        (Status::Ongoing, _) => Ok(EndDecision::Decided(decided(state, committed))),
        (Status::CompleteCommit, true) | (Status::CompleteAbort, false) => Ok(EndDecision::AlreadyDone),
        (Status::PrepareCommit, true) | (Status::PrepareAbort, false) => {
            Err(ResponseError::ConcurrentTransactions)
        }
        _ => Err(ResponseError::InvalidTxnState),
    }
}

fn decided(state: &Transaction, committed: bool) -> Transaction {
    let status = if committed { Status::PrepareCommit } else { Status::PrepareAbort };
    Transaction { status, ..state.clone() }
}

/// Aborts an open transaction against its owner: the epoch is bumped, so the owner can do nothing more.
pub(crate) fn fence(state: &Transaction) -> Transaction {
    let epoch = state.epoch.saturating_add(1);
    Transaction { epoch, last_epoch: -1, ..decided(state, false) }
}

/// The transaction has outlived its time-out: abort it and fence its owner.
pub(crate) fn expire(state: &Transaction, now_ms: i64) -> Option<Transaction> {
    state.deadline_ms().filter(|deadline| *deadline <= now_ms).map(|_| fence(state))
}

/// The state once all markers of a decision are written.
pub(crate) fn complete(state: &Transaction) -> Transaction {
    let status = match state.status {
        Status::PrepareCommit => Status::CompleteCommit,
        Status::PrepareAbort => Status::CompleteAbort,
        other => other,
    };
    let (partitions, groups) = Default::default();
    Transaction { status, partitions, groups, ..state.clone() }
}

/// Whether a transactional batch may be written to a partition now.
pub(crate) fn verify(
    known: Option<&Transaction>,
    (producer_id, epoch): (i64, i16),
    partition: &(String, i32),
) -> Result<(), ResponseError> {
    match owned(known, producer_id, epoch) {
        Err(ResponseError::ProducerFenced) => Err(ResponseError::InvalidProducerEpoch),
        Err(other) => Err(other),
        Ok(state) if state.status == Status::Ongoing && state.partitions.contains(partition) => Ok(()),
        Ok(_) => Err(ResponseError::InvalidTxnState),
    }
}

/// Whether offsets of a group may be committed in the transaction now.
pub(crate) fn verify_group(
    known: Option<&Transaction>,
    (producer_id, epoch): (i64, i16),
    group: &str,
) -> Result<(), ResponseError> {
    match owned(known, producer_id, epoch) {
        Err(ResponseError::ProducerFenced) => Err(ResponseError::InvalidProducerEpoch),
        Err(other) => Err(other),
        Ok(state) if state.status == Status::Ongoing && state.groups.contains(group) => Ok(()),
        Ok(_) => Err(ResponseError::InvalidTxnState),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    const OWNER: (i64, i16) = (5, 3);

    pub(crate) fn known(status: Status) -> Transaction {
        Transaction {
            producer_id: 5,
            epoch: 3,
            last_epoch: -1,
            timeout_ms: 1_000,
            status,
            partitions: Default::default(),
            groups: Default::default(),
            started_ms: -1,
        }
    }

    pub(crate) fn ongoing() -> Transaction {
        add_partitions(Some(&known(Status::Empty)), OWNER, vec![("t".into(), 0)], 10_000).unwrap().unwrap()
    }

    #[test]
    fn only_the_current_owner_may_act() {
        use ResponseError::{InvalidProducerIdMapping, ProducerFenced};
        let state = ongoing();
        let table = [
            ("owner", Some(&state), OWNER, None),
            ("unknown id", None, OWNER, Some(InvalidProducerIdMapping)),
            ("other producer", Some(&state), (6, 3), Some(InvalidProducerIdMapping)),
            ("older epoch", Some(&state), (5, 2), Some(ProducerFenced)),
            ("newer epoch", Some(&state), (5, 4), Some(ProducerFenced)),
        ];
        for (name, known, producer, error) in table {
            assert_eq!(end(known, producer, true).err(), error, "{name}");
            assert_eq!(add_groups(known, producer, "g", 0).err(), error, "{name}");
            assert_eq!(add_partitions(known, producer, vec![], 0).err(), error, "{name}");
        }
    }

    #[test]
    fn an_end_is_judged_by_the_state() {
        use ResponseError::{ConcurrentTransactions, InvalidTxnState};
        let table = [
            (Status::Empty, Err(InvalidTxnState), Err(InvalidTxnState)),
            (Status::Ongoing, Ok(true), Ok(true)),
            (Status::PrepareCommit, Err(ConcurrentTransactions), Err(InvalidTxnState)),
            (Status::PrepareAbort, Err(InvalidTxnState), Err(ConcurrentTransactions)),
            (Status::CompleteCommit, Ok(false), Err(InvalidTxnState)),
            (Status::CompleteAbort, Err(InvalidTxnState), Ok(false)),
        ];
        for (status, commit, abort) in table {
            let ask = |committed| {
                end(Some(&known(status)), OWNER, committed).map(|d| matches!(d, EndDecision::Decided(_)))
            };
            assert_eq!((ask(true), ask(false)), (commit, abort), "{status:?}");
        }
    }

    #[test]
    fn a_transaction_begins_with_its_first_partition_and_forgets_the_one_before() {
        let mut before = known(Status::CompleteCommit);
        before.partitions.insert(("old".into(), 0));
        let state = add_groups(Some(&before), OWNER, "g", 7).unwrap().unwrap();
        assert_eq!((state.status, state.started_ms, state.partitions.len()), (Status::Ongoing, 7, 0));
        assert_eq!(add_groups(Some(&state), OWNER, "g", 9), Ok(None), "nothing new, nothing to store");
        let more = add_partitions(Some(&state), OWNER, vec![("t".into(), 1)], 9).unwrap().unwrap();
        assert_eq!((more.started_ms, more.partitions.len(), more.groups.len()), (7, 1, 1));
    }

    #[test]
    fn nothing_joins_while_markers_are_due() {
        for status in [Status::PrepareCommit, Status::PrepareAbort] {
            let state = known(status);
            assert_eq!(add_groups(Some(&state), OWNER, "g", 0), Err(ResponseError::ConcurrentTransactions));
        }
    }

    #[test]
    fn an_expired_transaction_is_aborted_and_its_owner_fenced() {
        let state = ongoing();
        assert_eq!(expire(&state, 10_999), None);
        let fenced = expire(&state, 11_000).unwrap();
        assert_eq!((fenced.status, fenced.epoch), (Status::PrepareAbort, 4));
        assert_eq!(end(Some(&complete(&fenced)), OWNER, true), Err(ResponseError::ProducerFenced));
        assert_eq!(expire(&known(Status::CompleteAbort), i64::MAX), None);
    }

    #[test]
    fn only_partitions_of_the_open_transaction_may_be_written() {
        let state = ongoing();
        let place = |topic: &str, partition| (topic.to_string(), partition);
        assert_eq!(verify(Some(&state), OWNER, &place("t", 0)), Ok(()));
        assert_eq!(verify(Some(&state), OWNER, &place("t", 1)), Err(ResponseError::InvalidTxnState));
        assert_eq!(verify(Some(&state), (5, 2), &place("t", 0)), Err(ResponseError::InvalidProducerEpoch));
        assert_eq!(verify(None, OWNER, &place("t", 0)), Err(ResponseError::InvalidProducerIdMapping));
        let done = complete(&Transaction { status: Status::PrepareCommit, ..state });
        assert_eq!(done.status, Status::CompleteCommit);
        assert_eq!(verify(Some(&done), OWNER, &place("t", 0)), Err(ResponseError::InvalidTxnState));
    }
}
