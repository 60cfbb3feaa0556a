//! One short transaction: records, and the offsets of the records that led to them.
//!
//! Everything that is to be written is known before the transaction begins, so it is open only for the burst: begin,
//! produce, drain, send offsets, commit. Draining first matters: `send_offsets_to_transaction` with records in flight waits
//! in steps of 100 ms.
//!
//! A producer is dropped and built anew, with the same transactional ID, whenever its state is in doubt: an error that
//! is neither retriable nor abortable, any abort, or a commit that the client may have sent twice (a late copy of that request
//! would end the *next* transaction; a new epoch makes the broker refuse it). Source: KIP-98, KIP-447, and KIP-890, whose
//! second part librdkafka 2.12 does not speak.
//!
//! The client sends a request again where its connection breaks, or where there is no answer within `socket.timeout.ms`
//! (librdkafka, `rd_kafka_txn_handle_EndTxn`; other repetitions follow an answer, so no copy of theirs is late). The first
//! was seen to be done within 32 ms: it connects again at once, and sends after `retry.backoff.ms`. So time does not tell, but the
//! client's log does: the line of category `FAIL` for a connection that was up is queued before the request is sent again,
//! and so is there when the commit has returned. It is not suppressed as one of many, since each costs the producer.
//! The second takes as long as the time-out. What is merely slow costs the producer too: nobody knows all reasons.
//!
//! The client's statistics, which count requests by type, retries included, come once a second at most: too late.

use std::borrow::Borrow;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext, PurgeConfig};
use rdkafka::util::Timeout;

use quadrille_types::OutRecord;

use crate::group::{Membership, marked};
use crate::{ClientErrors, Error, Partition, Settings, failpoint, holding};

/// A commit with its offsets that is slower than this, and than ten times the median, may have been sent twice; so may one
/// that took as long as the client waits for an answer.
const SLOW_COMMIT: Duration = Duration::from_millis(75);

/// How long building a producer is tried before its caller is told.
const INIT_WAIT: Duration = Duration::from_secs(20);

/// Offsets to commit: for each partition the offset behind the last finished record.
pub type Offsets = BTreeMap<Partition, i64>;

/// Writes transactions, one after the other, under one transactional ID.
pub struct Transactor {
    settings: Settings,
    transactional_id: String,
    producer: Option<BaseProducer<Context>>,
    commits: Median,
    /// How long the client waits for an answer before it sends a request again.
    answer_timeout: Duration,
    busy: Arc<Busy>,
    /// A topic has refused a batch for its size: batches hold one record each from now on, so that the next refusal says
    /// which one it is.
    one_by_one: bool,
}

/// Since when a call to the client blocks, for a watchdog.
#[derive(Debug, Default)]
pub struct Busy {
    since: Mutex<Option<Instant>>,
}

/// How a burst ended that did not commit for certain.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Nothing of it is visible, and nothing will be: the transaction was aborted, or never began.
    #[error("aborted while {doing}: {cause}")]
    Aborted {
        /// What was being done.
        doing: &'static str,
        /// Why.
        cause: String,
        /// The broker refused the group membership: another member owns the partitions now.
        fenced: bool,
    },
    /// Nothing of it is visible: its topic refuses one record by itself, and always will.
    #[error("topic {topic} refuses a record of {bytes} bytes: see its max.message.bytes")]
    TooLarge {
        /// The topic.
        topic: String,
        /// [`OutRecord::size`] of the record.
        bytes: usize,
    },
    /// It may be committed or not: read the committed offsets before doing anything again.
    #[error("in doubt after {doing}: {cause}")]
    InDoubt {
        /// What was being done.
        doing: &'static str,
        /// Why.
        cause: String,
        /// The broker refused a producer that it had given up: another owner has begun, or the transaction took too long.
        fenced: bool,
    },
}

impl Failure {
    /// Whether it was refused for a stale generation, member or epoch.
    pub fn is_fenced(&self) -> bool {
        match self {
            Self::Aborted { fenced, .. } | Self::InDoubt { fenced, .. } => *fenced,
            Self::TooLarge { .. } => false,
        }
    }
}

pub(crate) struct Context {
    pub(crate) errors: ClientErrors,
    /// A connection broke, or an answer did not come: what was in flight may have been sent twice.
    broken: AtomicBool,
    /// The first record that was not delivered, by its place in the burst; one that was too large before all others.
    undelivered: Mutex<Option<(KafkaError, usize)>>,
}

impl Context {
    pub(crate) fn new() -> Self {
        Self {
            errors: ClientErrors::default(),
            broken: AtomicBool::new(false),
            undelivered: Mutex::new(None),
        }
    }
}

impl ClientContext for Context {
    fn error(&self, error: KafkaError, reason: &str) {
        self.errors.report(&error, reason);
    }

    fn log(&self, level: RDKafkaLogLevel, category: &str, message: &str) {
        if is_given_up(category, message) {
            self.broken.store(true, Ordering::Release);
        }
        if level as i32 <= RDKafkaLogLevel::Warning as i32 {
            tracing::warn!(target: "librdkafka", "{category} {message}");
        } else {
            tracing::debug!(target: "librdkafka", "{category} {message}");
        }
    }
}

/// Whether the client says that an answer did not come, or that a connection broke on which requests may have been sent: one
/// that could not be made has lost none, and a broker that is down is no reason to build producers anew for ever.
fn is_given_up(category: &str, message: &str) -> bool {
    category == "REQTMOUT" || category == "FAIL" && message.contains(" in state UP")
}

/// Whether a connection of the producer's has broken since it was built. Takes in all that its client has said.
fn is_in_doubt(producer: &BaseProducer<Context>) -> bool {
    while producer.in_flight_count() > 0 {
        producer.poll(Duration::ZERO);
    }
    producer.context().broken.load(Ordering::Acquire)
}

impl ProducerContext for Context {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, index: usize) {
        if let Err((error, _)) = result {
            let mut first = self.undelivered.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            if first.as_ref().is_none_or(|(known, _)| is_too_large(error) && !is_too_large(known)) {
                *first = Some((error.clone(), index));
            }
        }
    }
}

impl Transactor {
    /// Builds the producer: what an earlier owner of `transactional_id` left open is aborted, and that owner is fenced.
    pub fn new(settings: &Settings, transactional_id: String) -> Result<Self, Error> {
        let busy = Arc::new(Busy::default());
        let mut transactor = Self {
            settings: settings.clone(),
            transactional_id,
            producer: None,
            commits: Median::default(),
            answer_timeout: settings.answer_timeout(),
            busy,
            one_by_one: false,
        };
        transactor.producer()?;
        Ok(transactor)
    }

    /// Builds the producer anew if the last burst cost it, which ends whatever that burst left open. Only then do the
    /// committed offsets say what became of it.
    pub fn prepare(&mut self) -> Result<(), Error> {
        let busy = Arc::clone(&self.busy);
        let _guard = busy.enter();
        self.producer().map(|_| ())
    }

    /// Since when a call blocks.
    pub fn busy(&self) -> Arc<Busy> {
        Arc::clone(&self.busy)
    }

    /// The metadata of its offset commits: see [`crate::holding`].
    pub(crate) fn mark(&self) -> String {
        holding::mark(&self.transactional_id, false)
    }

    /// Commits `offsets` alone, as released.
    pub(crate) fn release(&mut self, offsets: &Offsets, membership: &Membership<'_>) -> Result<(), Failure> {
        let mark = holding::mark(&self.transactional_id, true);
        self.counted(&[], offsets, &mark, membership)
    }

    /// Writes `records` and `offsets`, all or nothing. Ok means committed; readers see it once the broker has written its
    /// markers, a moment later.
    pub fn burst(
        &mut self,
        records: &[OutRecord],
        offsets: &Offsets,
        membership: &Membership<'_>,
    ) -> Result<(), Failure> {
        self.counted(records, offsets, &self.mark(), membership)
    }

    fn counted(
        &mut self,
        records: &[OutRecord],
        offsets: &Offsets,
        mark: &str,
        membership: &Membership<'_>,
    ) -> Result<(), Failure> {
        let busy = Arc::clone(&self.busy);
        let _guard = busy.enter();
        let result = self.attempt(records, offsets, mark, membership);
        metrics::counter!("quadrille_transactions_total").increment(1);
        if let Err(failure) = &result {
            metrics::counter!("quadrille_transactions_aborted_total").increment(1);
            if failure.is_fenced() {
                metrics::counter!("quadrille_transactions_fenced_total").increment(1);
            }
        }
        result
    }

    fn attempt(
        &mut self,
        records: &[OutRecord],
        offsets: &Offsets,
        mark: &str,
        membership: &Membership<'_>,
    ) -> Result<(), Failure> {
        let not_begun = |doing, cause: String| Failure::Aborted { doing, cause, fenced: false };
        let producer = self.producer().map_err(|e| not_begun("building the producer", e.to_string()))?;
        if let Err(error) = producer.begin_transaction() {
            self.producer = None;
            return Err(not_begun("beginning", error.to_string()));
        }
        let written = write(producer, records).and_then(|()| drain(producer, records));
        // Offsets, too, may be sent twice: a late copy would set the next transaction's back.
        let began = Instant::now();
        let sent = match written.and_then(|()| send_offsets(producer, offsets, mark, membership)) {
            Ok(Repeated(repeated)) => Sent { repeated, took: began.elapsed() },
            Err((doing, cause)) => {
                let aborted = self.abort(doing, &cause);
                return Err(refusal(cause, &mut self.one_by_one).unwrap_or(aborted));
            }
        };
        if !records.is_empty() {
            failpoint::reached("transaction-open"); // claims and releases, which are offsets alone, are not meant
        }
        self.commit(sent)
    }

    /// Commits, after its offsets.
    fn commit(&mut self, mut sent: Sent) -> Result<(), Failure> {
        let Some(producer) = &self.producer else { unreachable!("a burst has a producer") };
        let began = Instant::now();
        loop {
            match producer.commit_transaction(Timeout::Never) {
                Ok(()) => break,
                Err(error) if is(&error, |e| e.is_retriable()) => sent.repeated = true,
                Err(error) if is(&error, |e| e.txn_requires_abort()) => {
                    return Err(self.abort("committing", &Cause::Client(error)));
                }
                Err(error) => {
                    self.producer = None;
                    let cause = Cause::Client(error);
                    let fenced = cause.is_fenced();
                    return Err(Failure::InDoubt { doing: "committing", cause: cause.to_string(), fenced });
                }
            }
        }
        let committed = began.elapsed();
        metrics::histogram!("quadrille_commit_seconds").record(committed.as_secs_f64());
        let took = sent.took + committed;
        let broken = is_in_doubt(producer);
        let slow = SLOW_COMMIT.max(self.commits.get() * 10).min(self.answer_timeout);
        if sent.repeated || broken || took > slow {
            tracing::info!(
                target: "quadrille::kafka",
                transactional_id = self.transactional_id,
                took_ms = took.as_millis() as u64,
                sent.repeated,
                broken,
                "a commit that was slow or repeated, or lost a connection: the producer is built anew"
            );
            self.discard();
        }
        self.commits.add(took);
        Ok(())
    }

    /// Aborts, so that nothing of the burst is ever visible. Where the abort itself fails, building the producer anew
    /// aborts.
    fn abort(&mut self, doing: &'static str, cause: &Cause) -> Failure {
        let failure = Failure::Aborted { doing, cause: cause.to_string(), fenced: cause.is_fenced() };
        let Some(producer) = &self.producer else { return failure };
        producer.purge(PurgeConfig::default().queue().inflight());
        while producer.in_flight_count() > 0 {
            producer.poll(Duration::from_millis(1));
        }
        *undelivered(producer) = None;
        if let Err(error) = producer.abort_transaction(Timeout::After(self.settings.transaction_timeout)) {
            tracing::info!(target: "quadrille::kafka", %error, "the abort failed: building the producer anew aborts");
        }
        // The abort may have been sent twice, as a commit may: a late copy would end the next transaction.
        self.discard();
        failure
    }

    /// The producer may have sent something twice: it is built anew.
    fn discard(&mut self) {
        metrics::counter!("quadrille_producers_rebuilt_total").increment(1);
        self.producer = None;
    }

    fn producer(&mut self) -> Result<&BaseProducer<Context>, Error> {
        // The client says it once for a while: it would not say it of the connection that breaks next.
        if self.producer.as_ref().is_some_and(is_in_doubt) {
            tracing::info!(
                target: "quadrille::kafka",
                transactional_id = self.transactional_id,
                "a connection broke between transactions: the producer is built anew"
            );
            self.discard();
        }
        if self.producer.is_none() {
            let producer: BaseProducer<Context> = self
                .settings
                .producer(&self.transactional_id, self.one_by_one)
                .create_with_context(Context::new())
                .map_err(|e| Error::Setting(e.to_string()))?;
            self.init(&producer)?;
            self.producer = Some(producer);
        }
        Ok(self.producer.as_ref().expect("just built"))
    }

    fn init(&self, producer: &BaseProducer<Context>) -> Result<(), Error> {
        let began = Instant::now();
        loop {
            let result = producer.init_transactions(Duration::from_secs(2));
            producer.poll(Duration::ZERO);
            let Err(error) = result else { return Ok(()) };
            let refused = producer.context().errors.refused();
            if refused.is_none() && is(&error, |e| e.is_retriable()) && began.elapsed() < INIT_WAIT {
                continue;
            }
            let cause = refused.unwrap_or_else(|| {
                format!("transactional ID {} cannot be used: {error}", self.transactional_id)
            });
            return Err(Error::Connection { bootstrap: self.settings.bootstrap_servers.clone(), cause });
        }
    }
}

/// Why a burst cannot go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Cause {
    #[error("{0}")]
    Client(KafkaError),
    #[error("this member has no valid generation")]
    NoMember,
    /// Refused for its size, `alone` or in a batch.
    #[error("topic {topic} refuses a record of {bytes} bytes, or its batch")]
    TooLarge { topic: String, bytes: usize, alone: bool },
}

impl Cause {
    pub(crate) fn is_fenced(&self) -> bool {
        use RDKafkaErrorCode::{
            Fenced, FencedInstanceId, IllegalGeneration, InvalidProducerEpoch, ProducerFenced,
            UnknownMemberId,
        };
        let error = match self {
            Self::Client(error) => error,
            Self::NoMember => return true,
            Self::TooLarge { .. } => return false,
        };
        matches!(
            error.rdkafka_error_code(),
            Some(
                IllegalGeneration
                    | UnknownMemberId
                    | FencedInstanceId
                    | Fenced
                    | ProducerFenced
                    | InvalidProducerEpoch
            )
        )
    }
}

/// Whether a request was made more than once.
struct Repeated(bool);

/// The offsets of a transaction that is to be committed.
struct Sent {
    repeated: bool,
    took: Duration,
}

pub(crate) type Step = Result<(), (&'static str, Cause)>;

pub(crate) fn write<R: Borrow<OutRecord>>(producer: &BaseProducer<Context>, records: &[R]) -> Step {
    for (index, record) in records.iter().map(Borrow::borrow).enumerate() {
        let mut headers = OwnedHeaders::new_with_capacity(record.headers.len());
        for (key, value) in &record.headers {
            headers = headers.insert(Header { key, value: value.as_ref() });
        }
        loop {
            let mut out: BaseRecord<'_, [u8], [u8], usize> =
                BaseRecord::with_opaque_to(&record.topic, index).partition(record.partition);
            out.headers = Some(headers.clone());
            out.key = record.key.as_deref();
            out.payload = record.value.as_deref();
            match producer.send(out) {
                Ok(()) => break,
                // Not lost: the record comes back, and there is room once others are delivered.
                Err((error, _)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) => {
                    producer.poll(Duration::from_millis(1));
                }
                Err((error, _)) if is_too_large(&error) => {
                    return Err(("producing", too_large(record, true)));
                }
                // A record that the client refuses does not fail the transaction by itself: it would be missing.
                Err((error, _)) => return Err(("producing", Cause::Client(error))),
            }
        }
    }
    Ok(())
}

pub(crate) fn drain<R: Borrow<OutRecord>>(producer: &BaseProducer<Context>, records: &[R]) -> Step {
    while producer.in_flight_count() > 0 {
        producer.poll(Duration::from_millis(1));
    }
    match undelivered(producer).take() {
        Some((error, index)) if is_too_large(&error) => {
            Err(("producing", too_large(records[index].borrow(), false)))
        }
        Some((error, _)) => Err(("producing", Cause::Client(error))),
        None => Ok(()),
    }
}

fn is_too_large(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(RDKafkaErrorCode::MessageSizeTooLarge)
}

fn too_large(record: &OutRecord, alone: bool) -> Cause {
    Cause::TooLarge { topic: record.topic.clone(), bytes: record.size(), alone }
}

/// The failure if `cause` is one record's size for certain. A batch that was refused may only have been too many records
/// for a topic that takes little: then `one_by_one` is set, and the next refusal tells.
pub(crate) fn refusal(cause: Cause, one_by_one: &mut bool) -> Option<Failure> {
    let Cause::TooLarge { topic, bytes, alone } = cause else { return None };
    if alone || *one_by_one {
        return Some(Failure::TooLarge { topic, bytes });
    }
    tracing::warn!(
        target: "quadrille::kafka",
        topic,
        "the topic refuses a batch for its size: records are sent one by one from now on, which is slower"
    );
    *one_by_one = true;
    None
}

fn send_offsets(
    producer: &BaseProducer<Context>,
    offsets: &Offsets,
    mark: &str,
    membership: &Membership<'_>,
) -> Result<Repeated, (&'static str, Cause)> {
    const DOING: &str = "sending offsets";
    let list = marked(offsets, mark).map_err(|e| (DOING, Cause::Client(e)))?;
    let metadata = membership.metadata().ok_or((DOING, Cause::NoMember))?;
    let mut repeated = false;
    loop {
        match producer.send_offsets_to_transaction(&list, &metadata, Timeout::Never) {
            Ok(()) => return Ok(Repeated(repeated)),
            Err(error) if is(&error, |e| e.is_retriable()) => repeated = true,
            Err(error) => return Err((DOING, Cause::Client(error))),
        }
    }
}

fn undelivered(producer: &BaseProducer<Context>) -> std::sync::MutexGuard<'_, Option<(KafkaError, usize)>> {
    producer.context().undelivered.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn is(error: &KafkaError, flag: impl Fn(&rdkafka::error::RDKafkaError) -> bool) -> bool {
    matches!(error, KafkaError::Transaction(inner) if flag(inner))
}

impl Busy {
    pub(crate) fn enter(&self) -> BusyGuard<'_> {
        *self.since() = Some(Instant::now());
        BusyGuard(self)
    }

    /// How long the current call blocks.
    pub fn for_how_long(&self) -> Option<Duration> {
        self.since().map(|since| since.elapsed())
    }

    fn since(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.since.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

pub(crate) struct BusyGuard<'a>(&'a Busy);

impl Drop for BusyGuard<'_> {
    fn drop(&mut self) {
        *self.0.since() = None;
    }
}

/// The median of the last commits.
#[derive(Debug, Default)]
struct Median(VecDeque<Duration>);

impl Median {
    const KEPT: usize = 31;

    fn add(&mut self, took: Duration) {
        if self.0.len() == Self::KEPT {
            self.0.pop_front();
        }
        self.0.push_back(took);
    }

    fn get(&self) -> Duration {
        let mut sorted: Vec<_> = self.0.iter().copied().collect();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_that_broke_is_known_from_what_the_client_logs() {
        let context = Context::new();
        context.log(RDKafkaLogLevel::Info, "GETPID", "something else");
        assert!(!context.broken.load(Ordering::Relaxed));
        context.log(RDKafkaLogLevel::Info, "FAIL", "[thrd:b]: b: Disconnected (after 5ms in state UP)");
        assert!(context.broken.load(Ordering::Relaxed));
    }
}
