//! Connections: not more than can be served, and none that is silent for ever.

use std::future::Future;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};

/// What clients may take of the registry.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Connections at the same time; further ones wait to be accepted.
    pub(crate) connections: usize,
    /// How long a client may neither send nor take a byte: longer than clients keep connections they do not use.
    pub(crate) silence: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { connections: 512, silence: Duration::from_secs(120) }
    }
}

/// A listener that keeps to the limits.
#[derive(Debug)]
pub(crate) struct Bounded {
    listener: TcpListener,
    free: Arc<Semaphore>,
    silence: Duration,
}

impl Bounded {
    pub(crate) fn new(listener: TcpListener, limits: Limits) -> Bounded {
        Bounded { listener, free: Arc::new(Semaphore::new(limits.connections)), silence: limits.silence }
    }
}

impl Listener for Bounded {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        let place = self.free.clone().acquire_owned().await.expect("the semaphore is never closed");
        let (stream, address) = Listener::accept(&mut self.listener).await;
        let patience =
            || Patience { silence: self.silence, until: Box::pin(sleep(self.silence)), runs: false };
        (Connection { stream, reading: patience(), writing: patience(), _place: place }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// Runs while a client is waited for.
#[derive(Debug)]
struct Patience {
    silence: Duration,
    until: Pin<Box<Sleep>>,
    runs: bool,
}

impl Patience {
    fn watch<T>(&mut self, cx: &mut Context<'_>, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.runs = false;
            return outcome;
        }
        if !self.runs {
            self.runs = true;
            self.until.as_mut().reset(Instant::now() + self.silence);
        }
        match self.until.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

/// A client's connection; its place is free again when it is dropped.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    reading: Patience,
    writing: Patience,
    _place: OwnedSemaphorePermit,
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_read(cx, into);
        self.reading.watch(cx, outcome)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(cx, from);
        self.writing.watch(cx, outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(cx, from);
        self.writing.watch(cx, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn bounded(connections: usize, silence: Duration) -> (Bounded, SocketAddr) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        (Bounded::new(listener, Limits { connections, silence }), address)
    }

    #[tokio::test]
    async fn a_silent_client_is_given_up_and_one_that_speaks_is_not() {
        let silence = Duration::from_millis(1_000);
        let (mut listener, address) = bounded(2, silence).await;
        let mut speaks = TcpStream::connect(address).await.unwrap();
        let (mut connection, _) = listener.accept().await;
        let speaking = async {
            // Twice as long as the silence that is allowed, in all.
            for _ in 0..20 {
                tokio::time::sleep(silence / 10).await;
                speaks.write_all(b"x").await.unwrap();
            }
        };
        let hearing = async {
            for _ in 0..20 {
                assert_eq!(connection.read_u8().await.unwrap(), b'x');
            }
        };
        tokio::join!(speaking, hearing);
        assert_eq!(connection.read_u8().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_client_that_takes_nothing_is_given_up() {
        let (mut listener, address) = bounded(2, Duration::from_millis(50)).await;
        let _takes_nothing = TcpStream::connect(address).await.unwrap();
        let (mut connection, _) = listener.accept().await;
        let more_than_sockets_hold = vec![0; 64 * 1024 * 1024];
        let written = connection.write_all(&more_than_sockets_hold).await;
        assert_eq!(written.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn who_comes_too_many_waits_for_a_place() {
        let (mut listener, address) = bounded(1, Duration::from_secs(60)).await;
        let _clients =
            [TcpStream::connect(address).await.unwrap(), TcpStream::connect(address).await.unwrap()];
        let (first, _) = listener.accept().await;
        assert!(tokio::time::timeout(Duration::from_millis(20), listener.accept()).await.is_err());
        drop(first);
        listener.accept().await;
    }
}
