//! Requests, from the bytes of a connection to the decoded message.

use bytes::{Bytes, BytesMut};
use fastrand::Rng;
use kafka_protocol::messages::*;
use kafka_protocol::protocol::Decodable;

use super::driver::Target;
use crate::server::{dispatch, frame, shapes};

const MAX_FRAME: usize = 1 << 20;

/// Frames as they come out of a connection whose bytes arrive in pieces.
fn received(input: &[u8], rng: &mut Rng) -> Vec<Bytes> {
    let (mut rest, mut received, mut frames) = (input, BytesMut::new(), Vec::new());
    loop {
        match frame::take(&mut received, MAX_FRAME) {
            Err(_) => return frames,
            Ok(Some(frame)) => frames.push(frame),
            Ok(None) if rest.is_empty() => return frames,
            Ok(None) => {
                let (now, later) = rest.split_at(rng.usize(1..=rest.len()));
                received.extend_from_slice(now);
                rest = later;
            }
        }
    }
}

/// What happens to a frame before its handler: header, version, shape, body.
fn decode(frame: Bytes) -> Option<()> {
    dispatch::may_wait(&frame);
    let (asked, mut rest) = dispatch::read(frame).ok()?;
    body(asked.key, asked.version, &mut rest)
}

fn body(key: ApiKey, version: i16, frame: &mut Bytes) -> Option<()> {
    macro_rules! one_of {
        ($($key:ident $request:ident,)*) => {
            match key {
                $(ApiKey::$key => $request::decode(frame, version).ok().map(drop),)*
                other => unreachable!("{other:?} has a shape and no decoder here"),
            }
        };
    }
    shapes::every_request!(one_of)
}

/// The first frame's length is made what is there.
fn seal(input: &mut [u8]) {
    if let (Some(size), true) = (input.len().checked_sub(4), input.len() > 4) {
        input[..4].copy_from_slice(&u32::try_from(size).unwrap_or(0).to_be_bytes());
    }
}

#[test]
fn frames_of_any_bytes_are_decoded_or_refused_within_their_means() {
    let target = Target { name: "frames", rounds: 30_000, seal, most_held: |size| 256 * 1024 + size * 256 };
    target.run(|input, rng| {
        for frame in received(input, rng) {
            decode(frame);
        }
    });
}

#[test]
fn every_stored_frame_is_one_that_a_client_sent() {
    for frame in super::driver::corpus("frames") {
        let [frame] = received(&frame, &mut Rng::with_seed(1)).try_into().unwrap();
        assert_eq!(decode(frame.clone()), Some(()), "{frame:?}");
    }
}

#[test]
fn a_length_of_2_gib_takes_no_memory() {
    let work = || received(&[0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0], &mut Rng::with_seed(1));
    let (frames, held) = super::heap::peak(work);
    assert!(frames.is_empty() && held < 1000, "{held}");
}
