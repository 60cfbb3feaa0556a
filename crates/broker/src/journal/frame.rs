//! Frames of a journal or checkpoint file.
//!
//! ```text
//! file    magic "QDRJ", version u32, position of the first frame u64, crc32c u32
//! frame   length of kind and payload u32, crc32c of all behind it u32, position u64, durable u64, kind u8, payload
//! ```
//! A position counts bytes over all journals, so a frame is valid in its own place only. `durable` is the position up to which
//! the journal was flushed when the frame was written: a hole below it was acknowledged, a hole above it was not.

use bytes::{Buf, BufMut};

/// Bytes of the file header.
pub(crate) const FILE_HEADER: usize = 20;
/// Bytes of a frame before its payload.
pub(crate) const FRAME_HEADER: usize = 25;
const MAGIC: &[u8; 4] = b"QDRJ";
const VERSION: u32 = 1;

/// What a frame holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A record batch of a partition: topic number u64, partition u32, batch.
    Batch,
    /// A [`super::change::Change`] as CBOR.
    Change,
    /// The end of a complete checkpoint; no payload.
    End,
}

impl Kind {
    fn code(self) -> u8 {
        match self {
            Kind::Batch => 1,
            Kind::Change => 2,
            Kind::End => 3,
        }
    }

    fn of(code: u8) -> Option<Kind> {
        [Kind::Batch, Kind::Change, Kind::End].into_iter().find(|k| k.code() == code)
    }
}

/// A frame as read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub(crate) kind: Kind,
    pub(crate) payload: &'a [u8],
    pub(crate) durable: u64,
    /// Bytes of the whole frame.
    pub(crate) size: usize,
}

pub(crate) fn file_header(first_position: u64) -> [u8; FILE_HEADER] {
    let mut header = [0; FILE_HEADER];
    let mut out = header.as_mut_slice();
    out.put_slice(MAGIC);
    out.put_u32(VERSION);
    out.put_u64(first_position);
    let sum = crc32c::crc32c(&header[..16]);
    (&mut header[16..]).put_u32(sum);
    header
}

/// The position of the first frame, or what is wrong with the header.
pub(crate) fn read_file_header(mut bytes: &[u8]) -> Result<u64, String> {
    if bytes.len() < FILE_HEADER {
        return Err("file header is incomplete".into());
    }
    let sum = crc32c::crc32c(&bytes[..16]);
    if &bytes[..4] != MAGIC {
        return Err("not a journal of this broker".into());
    }
    bytes.advance(4);
    let version = bytes.get_u32();
    if version != VERSION {
        return Err(format!("journal format {version} is not supported (this broker writes {VERSION})"));
    }
    let position = bytes.get_u64();
    if bytes.get_u32() == sum { Ok(position) } else { Err("file header has a wrong checksum".into()) }
}

/// Appends a frame to `out`; the payload is given in parts.
pub(crate) fn write(out: &mut Vec<u8>, position: u64, durable: u64, kind: Kind, parts: &[&[u8]]) {
    let start = out.len();
    let payload: usize = parts.iter().map(|p| p.len()).sum();
    out.put_u32(u32::try_from(payload + 1).expect("a request frame, and so a payload, is far below 4 GiB"));
    out.put_u32(0);
    out.put_u64(position);
    out.put_u64(durable);
    out.put_u8(kind.code());
    parts.iter().for_each(|part| out.put_slice(part));
    let sum = crc32c::crc32c(&out[start + 8..]);
    (&mut out[start + 4..]).put_u32(sum);
}

/// Reads the frame at the start of `bytes`, which must be the one at `position`. `None` if there is no valid one.
pub(crate) fn read(bytes: &[u8], position: u64) -> Option<Frame<'_>> {
    let mut head = bytes.get(..FRAME_HEADER)?;
    let size = usize::try_from(head.get_u32()).ok()?.checked_add(FRAME_HEADER - 1)?;
    let sum = head.get_u32();
    if head.get_u64() != position || size < FRAME_HEADER || size > bytes.len() {
        return None;
    }
    let durable = head.get_u64();
    let kind = Kind::of(head.get_u8())?;
    (crc32c::crc32c(&bytes[8..size]) == sum).then_some(Frame {
        kind,
        payload: &bytes[FRAME_HEADER..size],
        durable,
        size,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_valid_in_its_own_place_only() {
        let mut out = Vec::new();
        write(&mut out, 100, 40, Kind::Change, &[b"ab", b"c"]);
        let frame = read(&out, 100).unwrap();
        assert_eq!(
            (frame.kind, frame.payload, frame.durable, frame.size),
            (Kind::Change, b"abc".as_slice(), 40, out.len())
        );
        assert_eq!(read(&out, 101), None);
        for at in 0..out.len() {
            let mut bad = out.clone();
            bad[at] ^= 1;
            assert_eq!(read(&bad, 100), None, "byte {at}");
            assert_eq!(read(&out[..at], 100), None, "cut at {at}");
        }
    }

    #[test]
    fn a_file_header_names_its_first_position() {
        assert_eq!(read_file_header(&file_header(77)), Ok(77));
        let mut bad = file_header(77);
        bad[12] ^= 1;
        assert!(read_file_header(&bad).is_err());
        assert!(read_file_header(b"").is_err());
    }
}
