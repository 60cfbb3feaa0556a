//! Free ports on loopback, below the range from which the kernel takes ports for outgoing connections.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::ops::Range;
use std::sync::Mutex;

use anyhow::{Result, bail};

/// Linux hands out 32768 and up to outgoing connections: a server there can lose its port while it restarts.
const RANGE: Range<u16> = 20_000..32_768;

static HANDED_OUT: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// A port of 127.0.0.1 that is free now and that this process has not handed out before.
///
/// Another process may still take it before it is bound: whoever starts a server tries again with another port.
pub fn free_port() -> Result<u16> {
    let mut handed_out = HANDED_OUT.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    for _ in 0..10_000 {
        let port = fastrand::u16(RANGE);
        if !handed_out.contains(&port) && TcpListener::bind(("127.0.0.1", port)).is_ok() {
            handed_out.insert(port);
            return Ok(port);
        }
    }
    bail!("no free port on 127.0.0.1 in {RANGE:?}")
}
