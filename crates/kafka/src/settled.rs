//! Questions that a cluster answers only once it has settled.
//!
//! A topic that was just created has a leader in the metadata before that broker knows it leads, and a group's coordinator
//! that was just elected still loads its positions. Both say so with an error that goes away by itself, and so does a
//! broker that is away for a moment.

use std::thread;
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode as Code};

const ASK_AGAIN_EVERY: Duration = Duration::from_millis(20);

/// Asks until the answer is another than "not yet", for at most `within`.
pub(crate) fn settled<T>(within: Duration, mut ask: impl FnMut() -> KafkaResult<T>) -> KafkaResult<T> {
    let began = Instant::now();
    loop {
        match ask() {
            Err(error) if is_not_yet(&error) && began.elapsed() < within => thread::sleep(ASK_AGAIN_EVERY),
            answer => return answer,
        }
    }
}

fn is_not_yet(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            Code::NotLeaderForPartition
                | Code::LeaderNotAvailable
                | Code::CoordinatorLoadInProgress
                | Code::CoordinatorNotAvailable
                | Code::NotCoordinator
                | Code::BrokerTransportFailure
                | Code::OperationTimedOut
        )
    )
}

/// What the consumer's group has committed for `partitions`. A partition for which the broker gave an error is an error
/// here too: taken for one without a position, it would be read from somewhere else.
pub(crate) fn committed<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    partitions: &TopicPartitionList,
    within: Duration,
) -> KafkaResult<TopicPartitionList> {
    settled(within, || {
        let found = consumer.committed_offsets(partitions.clone(), within)?;
        found.elements().iter().try_for_each(|element| element.error())?;
        Ok(found)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers<const N: usize>(codes: [Code; N]) -> impl FnMut() -> KafkaResult<()> {
        let mut codes = codes.into_iter();
        move || codes.next().map_or(Ok(()), |code| Err(KafkaError::MetadataFetch(code)))
    }

    #[test]
    fn not_yet_is_asked_again_and_another_error_is_final() {
        let long = Duration::from_secs(60);
        settled(long, answers([Code::NotLeaderForPartition, Code::CoordinatorLoadInProgress])).unwrap();
        let error =
            settled(long, answers([Code::NotCoordinator, Code::GroupAuthorizationFailed])).unwrap_err();
        assert_eq!(error.rdkafka_error_code(), Some(Code::GroupAuthorizationFailed));
    }

    #[test]
    fn after_the_limit_not_yet_is_final_too() {
        let error = settled(Duration::ZERO, answers([Code::LeaderNotAvailable])).unwrap_err();
        assert_eq!(error.rdkafka_error_code(), Some(Code::LeaderNotAvailable));
    }
}
