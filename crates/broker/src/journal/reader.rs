//! Reading a journal back, and telling a torn tail from damage in the middle.

use std::path::Path;

use super::frame::{self, FILE_HEADER, Frame, Kind};
use crate::error::{Error, Result};

/// How a journal ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ending {
    /// Position behind the last valid frame.
    pub(crate) position: u64,
    /// Length of the valid part of the file.
    pub(crate) length: u64,
    /// Bytes behind it, of frames that were never acknowledged.
    pub(crate) torn: u64,
}

/// Hands every frame of a journal to `apply`.
///
/// A frame that is incomplete or damaged ends the journal if nothing behind it proves that it was flushed: then it was
/// never acknowledged. Otherwise acknowledged data is lost, and that is [`Error::Corrupt`].
pub(crate) fn read_journal(
    path: &Path,
    bytes: &[u8],
    mut apply: impl FnMut(Frame<'_>) -> Result<()>,
) -> Result<Ending> {
    let first = match frame::read_file_header(bytes) {
        Ok(first) => first,
        Err(reason) => return Err(Error::corrupt(path, 0, reason)),
    };
    let position = |at: usize| first + (at - FILE_HEADER) as u64;
    let mut at = FILE_HEADER;
    while at < bytes.len() {
        let Some(frame) = frame::read(&bytes[at..], position(at)) else { break };
        let size = frame.size;
        apply(frame)?;
        at += size;
    }
    let hole = position(at);
    let witness = (at + 1..bytes.len()).find(|later| {
        frame::read(&bytes[*later..], position(*later)).is_some_and(|frame| frame.durable > hole)
    });
    if let Some(later) = witness {
        let reason =
            format!("a frame is damaged, and the one at byte {later} shows that it had been flushed");
        return Err(Error::corrupt(path, at as u64, reason));
    }
    Ok(Ending { position: hole, length: at as u64, torn: (bytes.len() - at) as u64 })
}

/// Hands every change of a checkpoint to `apply`; a checkpoint is complete or [`Error::Corrupt`].
pub(crate) fn read_checkpoint(
    path: &Path,
    bytes: &[u8],
    mut apply: impl FnMut(Frame<'_>) -> Result<()>,
) -> Result<()> {
    let mut complete = false;
    let ending = read_journal(path, bytes, |frame| {
        complete = frame.kind == Kind::End;
        if complete { Ok(()) } else { apply(frame) }
    })?;
    if complete && ending.torn == 0 {
        return Ok(());
    }
    Err(Error::corrupt(path, ending.length, "the checkpoint is incomplete"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: u64 = 500;

    /// A journal of `payloads`; frame i was written when the first `flushed[i]` frames were durable.
    fn journal(payloads: &[&[u8]], flushed: &[usize]) -> (Vec<u8>, Vec<usize>) {
        let mut bytes = frame::file_header(FIRST).to_vec();
        let mut starts = Vec::new();
        for (payload, flushed) in payloads.iter().zip(flushed) {
            let at = bytes.len();
            starts.push(at);
            let durable = FIRST + (starts[(*flushed).min(starts.len() - 1)] - FILE_HEADER) as u64;
            let position = FIRST + (at - FILE_HEADER) as u64;
            frame::write(&mut bytes, position, durable, Kind::Change, &[payload]);
        }
        (bytes, starts)
    }

    fn read(bytes: &[u8]) -> (Vec<Vec<u8>>, Result<Ending>) {
        let mut found = Vec::new();
        let ending = read_journal(Path::new("j"), bytes, |frame| {
            found.push(frame.payload.to_vec());
            Ok(())
        });
        (found, ending)
    }

    #[test]
    fn a_whole_journal_is_read() {
        let (bytes, _) = journal(&[b"a", b"bb", b"ccc"], &[0, 1, 2]);
        let (found, ending) = read(&bytes);
        assert_eq!(found, [b"a".to_vec(), b"bb".to_vec(), b"ccc".to_vec()]);
        let ending = ending.unwrap();
        assert_eq!((ending.length, ending.torn), (bytes.len() as u64, 0));
    }

    #[test]
    fn a_torn_tail_is_cut_wherever_it_tears() {
        let (bytes, starts) = journal(&[b"a", b"bb", b"ccc"], &[0, 1, 2]);
        for cut in starts[2]..bytes.len() {
            let (found, ending) = read(&bytes[..cut]);
            assert_eq!(found.len(), 2, "cut at {cut}");
            assert_eq!(ending.unwrap().length, starts[2] as u64);
        }
    }

    #[test]
    fn damage_below_a_flush_is_refused_at_every_byte() {
        let (bytes, starts) = journal(&[b"a", b"bb", b"ccc"], &[0, 1, 2]);
        for at in starts[1]..starts[2] {
            let mut bad = bytes.clone();
            bad[at] ^= 1;
            assert!(
                matches!(read(&bad).1, Err(Error::Corrupt { position, .. }) if position == starts[1] as u64)
            );
        }
    }

    #[test]
    fn a_hole_that_was_never_flushed_is_a_torn_tail() {
        let (bytes, starts) = journal(&[b"a", b"bb", b"ccc"], &[0, 1, 1]);
        let mut bad = bytes.clone();
        bad[starts[1] + 9] ^= 1;
        let (found, ending) = read(&bad);
        assert_eq!(found.len(), 1);
        assert_eq!(ending.unwrap().torn, (bytes.len() - starts[1]) as u64);
    }

    #[test]
    fn zeros_behind_the_end_are_a_torn_tail() {
        let (mut bytes, _) = journal(&[b"a"], &[0]);
        let length = bytes.len() as u64;
        bytes.extend([0; 4096]);
        assert_eq!(read(&bytes).1.unwrap().length, length);
    }

    #[test]
    fn an_incomplete_checkpoint_is_refused() {
        let (mut bytes, _) = journal(&[b"a", b"bb"], &[0, 0]);
        assert!(read_checkpoint(Path::new("c"), &bytes, |_| Ok(())).is_err());
        let position = FIRST + (bytes.len() - FILE_HEADER) as u64;
        frame::write(&mut bytes, position, 0, Kind::End, &[]);
        let mut count = 0;
        read_checkpoint(Path::new("c"), &bytes, |_| {
            count += 1;
            Ok(())
        })
        .unwrap();
        assert_eq!(count, 2);
        assert!(read_checkpoint(Path::new("c"), &bytes[..bytes.len() - 1], |_| Ok(())).is_err());
    }
}
