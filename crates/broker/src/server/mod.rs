//! Sockets: connections, frames, and which request goes where.

mod connection;
pub(crate) mod dispatch;
mod frame;
mod shape;
pub(crate) mod shapes;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

use crate::state::Shared;

/// Accepts connections until the broker stops. One connection's trouble is never another's.
pub(crate) async fn run(shared: Arc<Shared>, listener: TcpListener) {
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => admit(&shared, stream),
                Err(error) => {
                    // Out of descriptors, most likely: others must close theirs first.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
            () = shared.stopped() => return,
        }
    }
}

fn admit(shared: &Arc<Shared>, stream: TcpStream) {
    let open = shared.connections.fetch_add(1, Ordering::Relaxed);
    let slot = Slot(Arc::clone(shared));
    if open >= shared.config.max_connections {
        tracing::warn!(open, "too many connections, closing the newest");
        return;
    }
    tokio::spawn(async move {
        let shared = Arc::clone(&slot.0);
        tokio::select! {
            result = connection::serve(&shared, stream) => {
                if let Err(error) = result {
                    tracing::debug!(%error, "connection closed");
                }
            }
            () = shared.stopped() => {}
        }
        drop(slot);
    });
}

/// Counts a connection for as long as it lives, however it ends.
struct Slot(Arc<Shared>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}
