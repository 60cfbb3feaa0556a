//! Faults on demand: what a network, a disk or a cluster may do to a client, when a test or an operator wants it.
//!
//! A [`Rule`] has an [`Effect`], says which requests it is for, and at which occurrences it strikes: from the n-th on, each
//! n-th, so many times, or by chance from a seed. The first rule that strikes decides. Nothing of it is kept on disk. Each rule
//! [counts](Count) how often its fault *happened*, so that a test can tell a fault that was survived from one that never was.
//!
//! | effect (name in JSON) | what happens | what librdkafka does |
//! | --- | --- | --- |
//! | `drop-response` | carried out, never answered | asks again after `socket.timeout.ms`, on a new connection |
//! | `drop-request` | neither carried out nor answered | the same |
//! | `delay-response` `{ms}` | answered later, as is all behind it on the connection | waits |
//! | `duplicate-response` | answered twice | drops the second: its correlation ID is unknown by then |
//! | `reorder-response` | answered behind the connection's next answer | finds the request by its correlation ID, in any order; the Java client breaks off |
//! | `error` `{code, carried_out}` | answered with the error | as the error says |
//! | `disconnect-before` | the connection is closed, the request is not carried out | connects again, and asks again |
//! | `disconnect-after` | the request is carried out, then the connection is closed | the same |
//! | `coordinator-moved` `{away_ms}` | `NOT_COORDINATOR` until the client has looked for the coordinator again, which is found after `away_ms` | looks again, and asks again |
//! | `late-end-txn` | EndTxn is held up, its connection closed; it arrives behind the first Produce or TxnOffsetCommit of the same transactional ID afterwards | sends it again, and takes the second answer for the truth |
//! | `stop-the-world` `{ms}` | nothing moves; sessions and transactions may be over afterwards | waits, or times out |
//! | `slow-flush` `{ms}` | a device flush takes longer (`Flush::Commit`) | waits |
//! | `full-disk` | a write to the journal fails half-way with `ENOSPC`: the broker serves nobody any more, and says why. [`Config::faults`] outlives it: whoever starts again with it has a full disk still | cannot connect |
//! | `hanging-transaction` | a decided transaction gets no markers as long as the rule is there: `CONCURRENT_TRANSACTIONS` to its owner, an LSO that stays for readers. Within a second of the rule's removal it ends | begins again and again |
//!
//! What no proxy and no broker can do over TCP is not there: to reorder or repeat *requests* of one connection. A request that
//! arrives on a second connection while the first still holds one is `late-end-txn`.
//!
//! [`Config::faults`]: crate::Config::faults
//!
//! ```no_run
//! use quadrille_broker::{Broker, Config, Effect, Rule};
//! let broker = Broker::start(Config::new("127.0.0.1:0".parse()?, "data"))?;
//! broker.faults().add(Rule::new("lost ends", Effect::DropResponse).on(&["EndTxn"]).from(3).times(1))?;
//! // … clients at work …
//! assert_eq!(broker.faults().count("lost ends").happened, 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod book;
mod line;
mod refusal;
mod request;
mod rule;

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use crate::journal::writer::Piece;
pub use book::Count;
use book::{Book, Fired};
pub(crate) use line::{Cut, Line};
use request::Request;
pub use rule::{BadRule, Chance, Effect, Rule, chaos};

/// `ENOSPC`.
const NO_SPACE: i32 = 28;

/// The rules of a broker; clones are the same rules.
#[derive(Debug, Clone, Default)]
pub struct Faults(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    book: Mutex<Book>,
    /// Whether there are rules: without any, nobody takes the lock.
    set: AtomicBool,
    /// Whether a rule may have left a transaction without markers.
    hanging: AtomicBool,
}

impl Faults {
    /// Adds a rule behind those that are there.
    ///
    /// # Errors
    /// The rule cannot be, or its name is taken.
    pub fn add(&self, rule: Rule) -> Result<(), BadRule> {
        let hangs = rule.effect == Effect::HangingTransaction;
        let mut book = self.book();
        book.add(rule)?;
        self.0.set.store(true, Ordering::Release);
        self.0.hanging.fetch_or(hangs, Ordering::AcqRel);
        Ok(())
    }

    /// Adds the rules of [`chaos`], for one client only if it is named (an ending `*` stands for any ending).
    ///
    /// # Errors
    /// They are there already.
    pub fn add_chaos(&self, seed: u64, client_id: Option<&str>) -> Result<(), BadRule> {
        let narrowed = |rule| Rule { client_id: client_id.map(str::to_owned), ..rule };
        chaos(seed).into_iter().try_for_each(|rule| self.add(narrowed(rule)))
    }

    /// Removes a rule; false if there is none of that name. What it has begun is given up: an EndTxn on its way is lost, a hanging
    /// transaction ends.
    pub fn remove(&self, name: &str) -> bool {
        let mut book = self.book();
        let removed = book.remove(name);
        self.0.set.store(!book.is_empty(), Ordering::Release);
        removed
    }

    /// Removes all rules.
    pub fn clear(&self) {
        let mut book = self.book();
        book.clear();
        self.0.set.store(false, Ordering::Release);
    }

    /// All rules with their counts, in the order in which they are asked.
    pub fn list(&self) -> Vec<(Rule, Count)> {
        self.book().list()
    }

    /// The counts of a rule; all zero if there is none of that name.
    pub fn count(&self, name: &str) -> Count {
        let found = self.list().into_iter().find(|(rule, _)| rule.name == name);
        found.map(|(_, count)| count).unwrap_or_default()
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn are_set(&self) -> bool {
        self.0.set.load(Ordering::Acquire)
    }

    fn on_request(&self, request: &Request, now_ms: i64) -> Option<Fired> {
        self.book().on_request(request, now_ms)
    }

    fn keep(&self, rule: &str, transactional_id: &str, frame: Bytes) {
        self.book().keep(rule, transactional_id, frame);
    }

    fn arrives(&self, request: &Request) -> Option<(String, Bytes)> {
        self.book().arrives(request)
    }

    fn has_happened(&self, rule: &str, accepted: bool) {
        self.book().has_happened(rule, accepted);
    }

    /// Writes a piece of the journal, unless a fault is in the way.
    pub(crate) fn write(&self, piece: &Piece, flush: bool) -> io::Result<()> {
        let effect = if self.are_set() { self.book().on_write(flush) } else { None };
        match effect {
            Some(Effect::FullDisk) => {
                piece.write_half()?;
                Err(io::Error::from_raw_os_error(NO_SPACE))
            }
            Some(Effect::SlowFlush { ms }) => {
                std::thread::sleep(Duration::from_millis(ms));
                piece.write(flush)
            }
            _ => piece.write(flush),
        }
    }

    /// Whether the transaction that is decided now gets no markers for the time being.
    pub(crate) fn withhold(&self, transactional_id: &str) -> bool {
        self.are_set() && self.book().withhold(transactional_id)
    }

    /// Whether there may be transactions without markers.
    pub(crate) fn may_hang(&self) -> bool {
        self.0.hanging.load(Ordering::Acquire)
    }

    /// Whether a decided transaction gets no markers still.
    pub(crate) fn withholds(&self, transactional_id: &str) -> bool {
        self.may_hang() && self.book().withholds(transactional_id)
    }
}
