//! Length-prefixed frames.

use bytes::{Buf, Bytes, BytesMut};

/// A frame that cannot be; its connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("frame of {0} bytes is refused{hint}", hint = hint(*.0))]
pub(crate) struct BadLength(pub(crate) i32);

/// Memory for a frame of which little has arrived; it doubles with what has.
const LEAST_RESERVE: usize = 64 * 1024;

/// What the first four bytes look like, if they are no length.
fn hint(length: i32) -> &'static str {
    match &length.to_be_bytes() {
        [0x16, 3, ..] => {
            ": it looks like TLS, which this broker does not speak (security.protocol=plaintext)"
        }
        b"GET " | b"POST" | b"PUT " | b"HEAD" | b"DELE" | b"OPTI" | b"PATC" | b"PRI " => {
            ": it looks like HTTP, but this is the port of a Kafka broker"
        }
        _ => "",
    }
}

/// Takes the next whole frame out of what has been received. Memory is taken as bytes arrive, not as a length promises.
pub(crate) fn take(received: &mut BytesMut, max_bytes: usize) -> Result<Option<Bytes>, BadLength> {
    let Some(mut prefix) = received.get(..4) else { return Ok(None) };
    let length = prefix.get_i32();
    let size = usize::try_from(length).ok().filter(|s| *s <= max_bytes && *s > 0).ok_or(BadLength(length))?;
    if received.len() < 4 + size {
        let missing = 4 + size - received.len();
        received.reserve(missing.min(received.len().max(LEAST_RESERVE)));
        return Ok(None);
    }
    received.advance(4);
    Ok(Some(received.split_to(size).freeze()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_out_whole_however_the_bytes_arrive() {
        let bytes = [0, 0, 0, 2, 7, 8, 0, 0, 0, 1, 9];
        let (mut received, mut frames) = (BytesMut::new(), Vec::new());
        for byte in bytes {
            received.extend_from_slice(&[byte]);
            frames.extend(take(&mut received, 100).unwrap());
        }
        assert_eq!(frames, [Bytes::from_static(&[7, 8]), Bytes::from_static(&[9])]);
    }

    #[test]
    fn what_is_no_length_is_named() {
        let said = |bytes: &[u8]| match take(&mut BytesMut::from(bytes), 100 << 20) {
            Err(error) => error.to_string(),
            Ok(_) => String::new(),
        };
        assert!(said(&[0x16, 3, 1, 2, 0, 1]).contains("looks like TLS"));
        assert!(said(b"GET / HTTP/1.1\r\n").contains("looks like HTTP"));
        assert_eq!(said(&[0x7f, 0, 0, 0]), "frame of 2130706432 bytes is refused");
    }

    #[test]
    fn lengths_that_cannot_be_are_refused_before_memory_is_taken() {
        for length in [-1, 0, i32::MIN, 101, i32::MAX] {
            let mut received = BytesMut::from(length.to_be_bytes().as_slice());
            assert_eq!(take(&mut received, 100), Err(BadLength(length)));
        }
    }
}
