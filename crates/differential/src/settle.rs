//! Waiting until what a broker has acknowledged is done.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use kafka_protocol::error::ResponseError as E;

const LIMIT: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(5);

/// Asks again while the answer says that the broker is not ready for the question.
pub(crate) fn settled<T>(mut ask: impl FnMut() -> Result<(i16, T)>) -> Result<(i16, T)> {
    let passing = [
        E::CoordinatorLoadInProgress,
        E::CoordinatorNotAvailable,
        E::NotCoordinator,
        E::ConcurrentTransactions,
        E::NotEnoughReplicas,
        E::NotLeaderOrFollower,
    ];
    let until = Instant::now() + LIMIT;
    loop {
        let (code, answer) = ask()?;
        if !passing.iter().any(|error| error.code() == code) {
            return Ok((code, answer));
        }
        ensure!(Instant::now() < until, "still {} after {LIMIT:?}", error(code));
        thread::sleep(PAUSE);
    }
}

/// Looks again until it is so.
pub(crate) fn until(what: &str, mut look: impl FnMut() -> Result<bool>) -> Result<()> {
    let limit = Instant::now() + LIMIT;
    while !look()? {
        ensure!(Instant::now() < limit, "not within {LIMIT:?}: {what}");
        thread::sleep(PAUSE);
    }
    Ok(())
}

/// An error code by its name.
pub(crate) fn error(code: i16) -> String {
    match E::try_from_code(code) {
        None if code == 0 => "ok".to_owned(),
        None => format!("error {code}"),
        Some(error) => format!("{error:?}"),
    }
}
