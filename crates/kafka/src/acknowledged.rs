//! At least once: records first, acknowledged by every in-sync replica, and the offsets that led to them afterwards.
//!
//! A crash between the two repeats the records, with the same IDs. The producer is idempotent, so the client's own
//! retries repeat nothing.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rdkafka::producer::{BaseProducer, Producer, PurgeConfig};

use quadrille_types::OutRecord;

use crate::group::Membership;
use crate::transaction::{Busy, Cause, Context, Failure, Offsets, drain, write};
use crate::{ClientErrors, Error, Settings};

/// Writes records and then offsets.
pub struct Acknowledger {
    settings: Settings,
    producer: Option<BaseProducer<Context>>,
    busy: Arc<Busy>,
}

impl Acknowledger {
    /// Builds the producer.
    pub fn new(settings: &Settings) -> Result<Self, Error> {
        let mut acknowledger = Self { settings: settings.clone(), producer: None, busy: Arc::default() };
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
        let producer = self.producer().map_err(|e| aborted("building the producer", e.to_string()))?;
        if let Err((doing, cause)) = write(producer, records).and_then(|()| drain(producer)) {
            producer.purge(PurgeConfig::default().queue().inflight());
            while producer.in_flight_count() > 0 {
                producer.poll(Duration::from_millis(1));
            }
            // What was sent is in doubt, and with it the sequence of what follows.
            self.producer = None;
            return Err(aborted(doing, cause.to_string()));
        }
        membership.commit(offsets).map_err(|error| {
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
            let context = Context { errors: ClientErrors::default(), undelivered: Mutex::new(None) };
            let config = self.settings.idempotent_producer();
            let producer = config.create_with_context(context).map_err(|e| Error::Setting(e.to_string()))?;
            self.producer = Some(producer);
        }
        Ok(self.producer.as_ref().expect("just built"))
    }
}
