//! One connection: requests in, answers out, in order.
//!
//! A request is handled as soon as it is there; its answer leaves when the journal has got far enough. So one connection's
//! requests share device flushes. Requests that wait for others (fetch, join, sync) first let the answers before them out.

use std::collections::VecDeque;
use std::io;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::dispatch::{self, Answer};
use super::frame::{self, BadLength};
use crate::faults::{Cut, Line};
use crate::state::Shared;

/// Answers that may wait for the journal before the connection stops reading.
const MAX_WAITING: usize = 64;

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
}

/// Serves a connection until the client closes it or breaks the protocol.
pub(crate) async fn serve(shared: &std::sync::Arc<Shared>, mut stream: TcpStream) -> Result<(), Closed> {
    stream.set_nodelay(true)?;
    let mut line = Line::new(stream.peer_addr()?.ip().to_string());
    let mut received = BytesMut::with_capacity(16 * 1024);
    let mut answers: VecDeque<Answer> = VecDeque::new();
    loop {
        while answers.len() < MAX_WAITING
            && let Some(request) = frame::take(&mut received, shared.config.max_frame_bytes)?
        {
            handle(shared, request, &mut line, &mut stream, &mut answers).await?;
        }
        if let Some(first) = answers.front() {
            tokio::select! {
                reached = shared.wait_for(first.position) => {
                    if !reached {
                        return Err(Closed::Failed);
                    }
                    write_next(&mut stream, &mut answers).await?;
                }
                read = stream.read_buf(&mut received), if answers.len() < MAX_WAITING => {
                    if read? == 0 {
                        return Ok(());
                    }
                }
            }
        } else if stream.read_buf(&mut received).await? == 0 {
            return Ok(());
        }
    }
}

async fn handle(
    shared: &std::sync::Arc<Shared>,
    request: Bytes,
    line: &mut Line,
    stream: &mut TcpStream,
    answers: &mut VecDeque<Answer>,
) -> Result<(), Closed> {
    if dispatch::may_wait(&request) {
        while let Some(first) = answers.front() {
            if !shared.wait_for(first.position).await {
                return Err(Closed::Failed);
            }
            write_next(stream, answers).await?;
        }
    }
    Ok(Box::pin(line.carry_out(shared, request, answers)).await?)
}

async fn write_next(stream: &mut TcpStream, answers: &mut VecDeque<Answer>) -> io::Result<()> {
    if let Some(answer) = answers.pop_front() {
        if let Some(moment) = answer.not_before {
            tokio::time::sleep_until(moment).await;
        }
        stream.write_all(&answer.bytes).await?;
    }
    Ok(())
}
