//! At least once: records first, acknowledged by every in-sync replica, and the offsets that led to them afterwards.
//!
//! Records of some topics say that others are written: they are written after those are acknowledged, in the order of those
//! topics.
//!
//! A crash between the two repeats the records, with the same IDs. The producer is idempotent, so the client's own
//! retries repeat nothing.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::producer::{BaseProducer, Producer, PurgeConfig};

use quadrille_types::OutRecord;

use crate::group::Membership;
use crate::transaction::{Busy, Cause, Context, Failure, Offsets, drain, refusal, write};
use crate::{Error, Settings, holding};

/// Writes records and then offsets.
pub struct Acknowledger {
    settings: Settings,
    id: String,
    last: Vec<BTreeSet<String>>,
    producer: Option<BaseProducer<Context>>,
    busy: Arc<Busy>,
    /// As in [`crate::transaction`].
    one_by_one: bool,
}

impl Acknowledger {
    /// Builds the producer of the member that `id` names. Topics in `last` are written after all others, in
    /// that order.
    pub fn new(settings: &Settings, id: String, last: Vec<BTreeSet<String>>) -> Result<Self, Error> {
        let mut acknowledger = Self {
            settings: settings.clone(),
            id,
            last,
            producer: None,
            busy: Arc::default(),
            one_by_one: false,
        };
        acknowledger.producer()?;
        Ok(acknowledger)
    }

    pub(crate) fn busy(&self) -> Arc<Busy> {
        Arc::clone(&self.busy)
    }

    pub(crate) fn prepare(&mut self) -> Result<(), Error> {
        self.producer().map(|_| ())
    }

    /// Writes `records`, waits for their acknowledgement, then commits `offsets`. After a failure any part of the records
    /// may be visible, and the offsets are not committed.
    pub(crate) fn burst(
        &mut self,
        records: &[OutRecord],
        offsets: &Offsets,
        membership: &Membership<'_>,
    ) -> Result<(), Failure> {
        let busy = self.busy();
        let _guard = busy.enter();
        let aborted = |doing, cause: String| Failure::Aborted { doing, cause, fenced: false };
        let mut phases = vec![Vec::new(); self.last.len() + 1];
        for record in records {
            let last = self.last.iter().position(|topics| topics.contains(&record.topic));
            phases[last.map_or(0, |at| at + 1)].push(record);
        }
        let producer = self.producer().map_err(|e| aborted("building the producer", e.to_string()))?;
        let mut phases = phases.iter().filter(|phase| !phase.is_empty());
        let written =
            phases.try_for_each(|phase| write(producer, phase).and_then(|()| drain(producer, phase)));
        if let Err((doing, cause)) = written {
            producer.purge(PurgeConfig::default().queue().inflight());
            while producer.in_flight_count() > 0 {
                producer.poll(Duration::from_millis(1));
            }
            // What was sent is in doubt, and with it the sequence of what follows.
            self.producer = None;
            let aborted = aborted(doing, cause.to_string());
            return Err(refusal(cause, &mut self.one_by_one).unwrap_or(aborted));
        }
        self.commit(offsets, &self.mark(), membership)
    }

    /// As in [`crate::transaction`].
    pub(crate) fn mark(&self) -> String {
        holding::mark(&self.id, false)
    }

    /// Commits `offsets` alone, as released.
    pub(crate) fn release(&mut self, offsets: &Offsets, membership: &Membership<'_>) -> Result<(), Failure> {
        let busy = self.busy();
        let _guard = busy.enter();
        self.commit(offsets, &holding::mark(&self.id, true), membership)
    }

    fn commit(&self, offsets: &Offsets, mark: &str, membership: &Membership<'_>) -> Result<(), Failure> {
        membership.commit(offsets, mark).map_err(|error| {
            let cause = Cause::Client(error);
            Failure::Aborted {
                doing: "committing offsets",
                fenced: cause.is_fenced(),
                cause: cause.to_string(),
            }
        })
    }

    fn producer(&mut self) -> Result<&BaseProducer<Context>, Error> {
        if self.producer.is_none() {
            let config = self.settings.idempotent_producer(self.one_by_one);
            let producer =
                config.create_with_context(Context::new()).map_err(|e| Error::Setting(e.to_string()))?;
            self.producer = Some(producer);
        }
        Ok(self.producer.as_ref().expect("just built"))
    }
}
