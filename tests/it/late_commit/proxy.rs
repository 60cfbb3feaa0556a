//! Stands between clients and one broker. On demand it breaks the connection on which the next commit comes, and hands that
//! commit to the broker when the next but one is about to follow: behind its copy, within another transaction.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};

/// The API key of EndTxn.
const END_TXN: [u8; 2] = 26_i16.to_be_bytes();

/// A frame without its length.
type Frame = Vec<u8>;

pub(super) struct Proxy {
    address: String,
    shared: Arc<Shared>,
    late_answers: Receiver<i16>,
}

struct Shared {
    upstream: String,
    /// How addresses stand in answers, and how they shall stand there.
    rewrite: (Vec<u8>, Vec<u8>),
    plan: Mutex<Plan>,
    /// From the connection on which the late copy was sent.
    answered: SyncSender<i16>,
    answer: Mutex<Receiver<i16>>,
    /// To the test.
    told: SyncSender<i16>,
}

/// What is to be done with ends of transactions.
enum Plan {
    Nothing,
    BreakOff,
    /// The first copy, and the connection to the broker on which it came. Its repetition is still to come.
    Held(Frame, TcpStream),
    /// The same, and the repetition has come.
    Repeated(Frame, TcpStream),
}

impl Proxy {
    pub(super) fn start(bootstrap: &str) -> Result<Proxy> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let port: u16 = bootstrap.rsplit_once(':').context("a port")?.1.parse()?;
        let as_answered = |port: u16| [b"127.0.0.1".as_slice(), &i32::from(port).to_be_bytes()].concat();
        let ((answered, answer), (told, late_answers)) = (sync_channel(1), sync_channel(1));
        let shared = Arc::new(Shared {
            upstream: bootstrap.to_owned(),
            rewrite: (as_answered(port), as_answered(address.port())),
            plan: Mutex::new(Plan::Nothing),
            answered,
            answer: Mutex::new(answer),
            told,
        });
        let accepting = Arc::clone(&shared);
        // Ends with the process, as what it waits for does.
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let shared = Arc::clone(&accepting);
                thread::spawn(move || shared.serve(client));
            }
        });
        Ok(Proxy { address: address.to_string(), shared, late_answers })
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    pub(super) fn break_off_the_next_commit(&self) {
        *self.shared.plan() = Plan::BreakOff;
    }

    /// The error code with which the broker answered the late copy.
    pub(super) fn late_answer(&self, limit: Duration) -> Result<i16> {
        self.late_answers.recv_timeout(limit).context("there was no late copy")
    }
}

impl Shared {
    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, client: TcpStream) -> std::io::Result<()> {
        let broker = TcpStream::connect(&self.upstream)?;
        client.set_nodelay(true)?;
        broker.set_nodelay(true)?;
        let broken_off = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| self.answers(&broker, &client, &broken_off));
            let ended = self.requests(&client, &broker, &broken_off);
            // A connection that was broken off on one side is still needed on the other.
            if !broken_off.load(Ordering::Acquire) {
                let _ = broker.shutdown(Shutdown::Both);
            }
            ended
        })
    }

    fn requests(
        &self,
        client: &TcpStream,
        broker: &TcpStream,
        broken_off: &AtomicBool,
    ) -> std::io::Result<()> {
        while let Some(frame) = receive(client)? {
            if frame.starts_with(&END_TXN) {
                let mut plan = self.plan();
                *plan = match std::mem::replace(&mut *plan, Plan::Nothing) {
                    Plan::Nothing => Plan::Nothing,
                    Plan::BreakOff => {
                        *plan = Plan::Held(frame, broker.try_clone()?);
                        broken_off.store(true, Ordering::Release);
                        return client.shutdown(Shutdown::Both);
                    }
                    Plan::Held(first, on) => Plan::Repeated(first, on),
                    Plan::Repeated(first, on) => {
                        send(&on, &first)?;
                        let answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner);
                        if let Ok(code) = answer.recv_timeout(Duration::from_secs(60)) {
                            let _ = self.told.send(code);
                        }
                        Plan::Nothing
                    }
                };
            }
            send(broker, &frame)?;
        }
        Ok(())
    }

    /// What comes on a connection that was broken off is the answer to the late copy; the code stands at its end.
    fn answers(
        &self,
        broker: &TcpStream,
        client: &TcpStream,
        broken_off: &AtomicBool,
    ) -> std::io::Result<()> {
        while let Some(mut frame) = receive(broker)? {
            if broken_off.load(Ordering::Acquire) {
                let code = frame.last_chunk().map_or(-1, |code| i16::from_be_bytes(*code));
                let _ = self.answered.send(code);
                continue;
            }
            let (found, wanted) = &self.rewrite;
            for at in 0..frame.len().saturating_sub(found.len() - 1) {
                if frame[at..].starts_with(found) {
                    frame[at..at + found.len()].copy_from_slice(wanted);
                }
            }
            send(client, &frame)?;
        }
        let _ = client.shutdown(Shutdown::Both);
        Ok(())
    }
}

fn send(mut to: &TcpStream, frame: &Frame) -> std::io::Result<()> {
    let length = (frame.len() as i32).to_be_bytes();
    to.write_all(&[&length, frame.as_slice()].concat())
}

/// The next frame, or none where the connection has ended.
fn receive(mut from: &TcpStream) -> std::io::Result<Option<Frame>> {
    let mut length = [0; 4];
    match from.read_exact(&mut length) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let mut frame = vec![0; i32::from_be_bytes(length) as usize];
    from.read_exact(&mut frame)?;
    Ok(Some(frame))
}
