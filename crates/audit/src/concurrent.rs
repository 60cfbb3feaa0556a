//! The reader that watches a run: an ordinary `read_committed` consumer in a thread of its own.
//!
//! It notes every record that becomes visible while the mesh works. A record that it saw and that the final reading
//! lacks was never truly there: a transaction was torn, or the log lost it.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rdkafka::Message;

use crate::evidence::{Note, Position};
use crate::expect::Expectations;
use crate::kafka::{self, Client, Isolation, Offsets, Settings};
use crate::read::{self, Error};
use crate::wire;

/// Watches the topics of the expectations from the moment it is started. Start it when the topics exist and before the
/// first input is sent; dropping it ends its thread.
///
/// It keeps about 100 bytes for each record that it sees.
#[derive(Debug)]
pub struct ConcurrentReader {
    began: Offsets,
    goal: Arc<Mutex<Goal>>,
    thread: Option<JoinHandle<Result<Vec<Note>, Error>>>,
}

/// How long the thread goes on.
#[derive(Clone, Debug)]
enum Goal {
    Watch,
    UpTo(Offsets, Instant),
    Stop,
}

impl ConcurrentReader {
    /// Starts to watch at the present ends of the topics.
    pub fn start(settings: &Settings, expectations: &Expectations) -> Result<Self, Error> {
        let began = read::present(settings, expectations)?.ends;
        let client = kafka::client(settings, Isolation::Committed)?;
        kafka::assign(&client, &began)?;
        let goal = Arc::new(Mutex::new(Goal::Watch));
        let (theirs, from) = (Arc::clone(&goal), began.clone());
        let thread = thread::Builder::new()
            .name("audit-reader".to_owned())
            .spawn(move || watch(&client, &from, &theirs));
        let thread = thread.map_err(|error| Error::Thread(error.to_string()))?;
        Ok(Self { began, goal, thread: Some(thread) })
    }

    /// Where it began: the offset after the last record that each partition had then.
    pub fn began(&self) -> &Offsets {
        &self.began
    }

    /// Reads on to `ends` and returns all that it saw before them.
    pub fn finish(mut self, ends: &Offsets, deadline: Instant) -> Result<Vec<Note>, Error> {
        set(&self.goal, Goal::UpTo(ends.clone(), deadline));
        match self.thread.take() {
            Some(thread) => thread.join().map_err(|_| Error::Panicked)?,
            None => Err(Error::Panicked),
        }
    }
}

impl Drop for ConcurrentReader {
    fn drop(&mut self) {
        set(&self.goal, Goal::Stop);
        if let Some(thread) = self.thread.take() {
            // Whoever drops it has no use for what it saw, nor for why it failed.
            let _ = thread.join();
        }
    }
}

fn set(goal: &Mutex<Goal>, to: Goal) {
    *goal.lock().unwrap_or_else(PoisonError::into_inner) = to;
}

fn is_before(at: &Position, ends: &Offsets) -> bool {
    ends.get(&(at.topic.clone(), at.partition)).is_some_and(|end| at.offset < *end)
}

/// Records between two looks at the goal.
const CHECK_EVERY: usize = 100;

fn watch(client: &Client, from: &Offsets, goal: &Mutex<Goal>) -> Result<Vec<Note>, Error> {
    let mut seen = Vec::new();
    loop {
        match client.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => {
                let at = Position {
                    topic: message.topic().to_owned(),
                    partition: message.partition(),
                    offset: message.offset(),
                };
                seen.push(Note { at, content: wire::content(message.key(), message.payload()) });
                if seen.len() % CHECK_EVERY != 0 {
                    continue;
                }
            }
            Some(Err(source)) if kafka::is_final(&source) => {
                return Err(kafka::failed(client, &Default::default(), source));
            }
            Some(Err(_)) | None => {}
        }
        let now = goal.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match now {
            Goal::Watch => {}
            Goal::Stop => return Ok(seen),
            Goal::UpTo(ends, deadline) => {
                let open = kafka::unread(client, from, &ends)?;
                if open.is_empty() {
                    seen.retain(|note| is_before(&note.at, &ends));
                    return Ok(seen);
                }
                if Instant::now() > deadline {
                    return Err(kafka::late(client, &open));
                }
            }
        }
    }
}
