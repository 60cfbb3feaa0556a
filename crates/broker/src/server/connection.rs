//! One connection: requests in, answers out, in order.
//!
//! A request is handled as soon as it is there; its answer leaves when the journal has got far enough. So one connection's
//! requests share device flushes. Requests that wait for others (fetch, join, sync) first let the answers before them out.
//!
//! A client that does not go on, in the middle of a request or of an answer, is closed after [`Config::slow_client_ms`].
//! Until then it holds little: see [`super::room`].
//!
//! [`Config::slow_client_ms`]: crate::Config::slow_client_ms

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

use super::dispatch::{self, Answer};
use super::frame::{self, BadLength};
use super::room::{Held, Load, SMALL};
use crate::faults::{Cut, Line};
use crate::state::Shared;

/// Answers that may wait for the journal before the connection stops reading.
const MAX_WAITING: usize = 64;
/// Bytes that are read while a request waits.
const PIPELINED: usize = 64 * 1024;

/// Why a connection was closed by us.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Closed {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Length(#[from] BadLength),
    #[error(transparent)]
    Request(#[from] Cut),
    #[error("the broker can't write any more")]
    Failed,
    #[error("the client took too long to {0}")]
    Slow(&'static str),
    #[error("the client went while its request waited")]
    Gone,
}

impl Closed {
    /// Whether a developer should hear of it.
    pub(crate) fn is_worth_a_word(&self) -> bool {
        matches!(self, Closed::Length(_) | Closed::Slow(_))
    }
}

/// Serves a connection until the client closes it, breaks the protocol or does not go on.
pub(crate) async fn serve(shared: &std::sync::Arc<Shared>, mut stream: TcpStream) -> Result<(), Closed> {
    stream.set_nodelay(true)?;
    let mut line = Line::new(stream.peer_addr()?.ip().to_string());
    let mut incoming = Incoming::new(shared);
    let mut answers = Answers::new(shared);
    loop {
        while !answers.are_many()
            && let Some(request) = frame::take(&mut incoming.received, shared.config.max_frame_bytes)?
        {
            incoming.whole();
            handle(shared, request, &mut line, (&mut stream, &mut incoming), &mut answers).await?;
        }
        if let Some(first) = answers.queue.front() {
            tokio::select! {
                reached = shared.wait_for(first.position) => {
                    if !reached {
                        return Err(Closed::Failed);
                    }
                    answers.write_next(&mut stream).await?;
                    incoming.patience(); // whoever was busy reading could not send
                }
                read = incoming.read(&mut stream), if !answers.are_many() => {
                    if read? == 0 {
                        return Ok(());
                    }
                }
            }
        } else if incoming.read(&mut stream).await? == 0 {
            return Ok(());
        }
    }
}

async fn handle(
    shared: &std::sync::Arc<Shared>,
    request: Bytes,
    line: &mut Line,
    (stream, incoming): (&mut TcpStream, &mut Incoming<'_>),
    answers: &mut Answers<'_>,
) -> Result<(), Closed> {
    let may_wait = dispatch::may_wait(&request);
    while let Some(first) = answers.queue.front().filter(|_| may_wait) {
        if !shared.wait_for(first.position).await {
            return Err(Closed::Failed);
        }
        answers.write_next(stream).await?;
    }
    let mut handled = Box::pin(line.carry_out(shared, request, &mut answers.queue));
    loop {
        tokio::select! {
            biased;
            done = &mut handled => break done?,
            // A client that goes meanwhile is not waited for.
            read = incoming.read(stream), if may_wait && incoming.received.len() < PIPELINED => {
                if read? == 0 {
                    return Err(Closed::Gone);
                }
            }
        }
    }
    drop(handled);
    incoming.patience();
    answers.count();
    Ok(())
}

/// What has arrived and is no whole frame yet.
struct Incoming<'a> {
    shared: &'a Shared,
    received: BytesMut,
    /// When the frame that has begun must be whole.
    due: Option<Instant>,
    room: Option<Held>,
    load: Load<'a>,
}

impl<'a> Incoming<'a> {
    fn new(shared: &'a Shared) -> Self {
        let load = Load::new(&shared.room);
        Incoming { shared, received: BytesMut::with_capacity(16 * 1024), due: None, room: None, load }
    }

    /// Reads more, once there is room for it; 0 at the end. Nothing is lost when it is cancelled.
    async fn read(&mut self, stream: &mut TcpStream) -> Result<usize, Closed> {
        if self.received.is_empty() {
            // Between frames a client may be silent for as long as it likes.
            return Ok(stream.read_buf(&mut self.received).await?);
        }
        let slow = Duration::from_millis(self.shared.config.slow_client_ms);
        let due = *self.due.get_or_insert_with(|| Instant::now() + slow);
        let held = self.received.capacity();
        let more = async {
            if held > SMALL {
                self.shared.room.grow(&mut self.room, held - SMALL).await;
            }
            stream.read_buf(&mut self.received).await
        };
        let read =
            timeout_at(due, more).await.map_err(|_| Closed::Slow("finish a request that it began"))??;
        self.load.set(self.received.len());
        Ok(read)
    }

    /// A frame was taken out.
    fn whole(&mut self) {
        self.due = None;
        if self.received.len() <= SMALL {
            self.room = None;
        }
        self.load.set(self.received.len());
    }

    /// The time in which the client was not read from does not count.
    fn patience(&mut self) {
        self.due = None;
    }
}

/// Answers that have not left yet.
struct Answers<'a> {
    shared: &'a Shared,
    queue: VecDeque<Answer>,
    bytes: usize,
    load: Load<'a>,
}

impl<'a> Answers<'a> {
    fn new(shared: &'a Shared) -> Self {
        Answers { shared, queue: VecDeque::new(), bytes: 0, load: Load::new(&shared.room) }
    }

    fn are_many(&self) -> bool {
        self.queue.len() >= MAX_WAITING || self.bytes >= SMALL
    }

    fn count(&mut self) {
        self.bytes = self.queue.iter().map(|answer| answer.bytes.len()).sum();
        self.load.set(self.bytes);
    }

    async fn write_next(&mut self, stream: &mut TcpStream) -> Result<(), Closed> {
        if let Some(answer) = self.queue.front() {
            if let Some(moment) = answer.not_before {
                tokio::time::sleep_until(moment).await;
            }
            let slow = Duration::from_millis(self.shared.config.slow_client_ms);
            let written = timeout(slow, stream.write_all(&answer.bytes)).await;
            written.map_err(|_| Closed::Slow("read an answer"))??;
            self.queue.pop_front();
            self.count();
        }
        Ok(())
    }
}
