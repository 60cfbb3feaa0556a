//! InitProducerId for a transactional ID: a producer takes over, whoever had the ID before is fenced.

use kafka_protocol::error::ResponseError;

use super::machine::fence;
use super::{Status, Transaction};

/// The request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InitRequest {
    pub(crate) timeout_ms: i32,
    /// Producer ID and epoch of a producer that recovers itself (KIP-360).
    pub(crate) own: Option<(i64, i16)>,
}

/// The answer: states to be stored in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Initialised {
    /// The open transaction of the owner before, decided as aborted; its markers come before `ready`.
    pub(crate) abort: Option<Transaction>,
    /// The state in which the producer starts.
    pub(crate) ready: Transaction,
}

/// Decides; `fresh_id` is used when the ID is new or its epochs are used up.
pub(crate) fn init(
    known: Option<&Transaction>,
    request: InitRequest,
    fresh_id: i64,
) -> Result<Initialised, ResponseError> {
    let Some(known) = known else {
        let ready = empty(fresh_id, 0, -1, request.timeout_ms);
        return Ok(Initialised { abort: None, ready });
    };
    if matches!(known.status, Status::PrepareCommit | Status::PrepareAbort) {
        return Err(ResponseError::ConcurrentTransactions);
    }
    if let Some((id, epoch)) = request.own {
        if id != known.producer_id || (epoch != known.epoch && epoch != known.last_epoch) {
            return Err(ResponseError::ProducerFenced);
        }
        if epoch == known.last_epoch && epoch != known.epoch && known.status != Status::Ongoing {
            let ready = empty(id, known.epoch, known.last_epoch, request.timeout_ms);
            return Ok(Initialised { abort: None, ready });
        }
    }
    let abort = (known.status == Status::Ongoing).then(|| fence(known));
    let last_epoch = if request.own.is_some() { known.epoch } else { -1 };
    let epoch = match (&abort, request.own) {
        // It asks again after the abort, and its epoch is then the one before the fencing one.
        (Some(fenced), Some(_)) => fenced.epoch,
        (Some(fenced), None) => fenced.epoch.saturating_add(1),
        (None, _) => known.epoch.saturating_add(1),
    };
    // The largest epoch stays free for fencing this producer's last transaction.
    let ready = if epoch == i16::MAX {
        empty(fresh_id, 0, -1, request.timeout_ms)
    } else {
        empty(known.producer_id, epoch, last_epoch, request.timeout_ms)
    };
    Ok(Initialised { abort, ready })
}

fn empty(producer_id: i64, epoch: i16, last_epoch: i16, timeout_ms: i32) -> Transaction {
    Transaction {
        producer_id,
        epoch,
        last_epoch,
        timeout_ms,
        status: Status::Empty,
        partitions: Default::default(),
        groups: Default::default(),
        started_ms: -1,
    }
}

#[cfg(test)]
mod tests {
    use super::super::machine::tests::{known, ongoing};
    use super::*;

    const ANY: InitRequest = InitRequest { timeout_ms: 60_000, own: None };

    #[test]
    fn a_new_id_starts_at_epoch_zero() {
        let ready = init(None, ANY, 77).unwrap().ready;
        assert_eq!((ready.producer_id, ready.epoch, ready.status), (77, 0, Status::Empty));
    }

    #[test]
    fn a_second_producer_bumps_the_epoch() {
        for status in [Status::Empty, Status::CompleteCommit, Status::CompleteAbort] {
            let done = init(Some(&known(status)), ANY, 77).unwrap();
            assert_eq!((done.abort, done.ready.producer_id, done.ready.epoch), (None, 5, 4));
        }
    }

    #[test]
    fn an_open_transaction_is_aborted_under_a_fencing_epoch() {
        let done = init(Some(&ongoing()), ANY, 77).unwrap();
        let abort = done.abort.unwrap();
        assert_eq!((abort.status, abort.epoch, abort.partitions.len()), (Status::PrepareAbort, 4, 1));
        assert_eq!((done.ready.epoch, done.ready.status), (5, Status::Empty));
    }

    #[test]
    fn an_undone_decision_makes_the_client_wait() {
        for status in [Status::PrepareCommit, Status::PrepareAbort] {
            assert_eq!(init(Some(&known(status)), ANY, 77), Err(ResponseError::ConcurrentTransactions));
        }
    }

    #[test]
    fn a_producer_that_recovers_itself_is_judged_by_its_epoch() {
        let mut state = known(Status::CompleteAbort);
        state.last_epoch = 2;
        let own = |own| init(Some(&state), InitRequest { own: Some(own), ..ANY }, 77).map(|d| d.ready.epoch);
        assert_eq!(own((5, 3)), Ok(4), "current epoch is bumped");
        assert_eq!(own((5, 2)), Ok(3), "a retry of the bump before gives the same answer");
        assert_eq!(own((5, 1)), Err(ResponseError::ProducerFenced));
        assert_eq!(own((6, 3)), Err(ResponseError::ProducerFenced));
    }

    #[test]
    fn a_producer_that_recovers_itself_from_an_open_transaction_gets_the_epoch_that_fenced_it() {
        let own = |state: &Transaction, own| init(Some(state), InitRequest { own: Some(own), ..ANY }, 77);
        let done = own(&ongoing(), (5, 3)).unwrap();
        assert_eq!((done.abort.map(|abort| abort.epoch), done.ready.epoch), (Some(4), 4));
        assert_eq!(own(&done.ready, (5, 3)).map(|again| again.ready.epoch), Ok(4), "a retry");
    }

    #[test]
    fn used_up_epochs_give_a_new_producer_id() {
        let mut state = known(Status::CompleteCommit);
        state.epoch = i16::MAX - 1;
        let ready = init(Some(&state), ANY, 77).unwrap().ready;
        assert_eq!((ready.producer_id, ready.epoch), (77, 0));
    }
}
