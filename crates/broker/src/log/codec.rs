//! The records of a compressed batch, unpacked within a bound.

use std::borrow::Cow;
use std::io::{self, Read};

use super::batch::{BatchHeader, HEADER};

/// Most bytes that a batch may unpack to: a bomb is refused, not inflated.
pub(crate) const MOST_BYTES: usize = 128 * 1024 * 1024;

const XERIAL_MAGIC: &[u8] = b"\x82SNAPPY\0";
const XERIAL_HEADER: usize = 16;

/// Why a compressed batch has no records.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CodecError {
    #[error("compression {0} is not known")]
    Unknown(i16),
    #[error("unpacking records: {0}")]
    Damaged(String),
    #[error("records unpack to more than {MOST_BYTES} bytes")]
    TooLong,
}

/// The bytes of a batch's records; `batch` must be whole.
pub(crate) fn records<'a>(batch: &'a [u8], header: &BatchHeader) -> Result<Cow<'a, [u8]>, CodecError> {
    unpack(header.codec(), &batch[HEADER..header.size], MOST_BYTES)
}

/// As [`records`], with another bound.
pub(crate) fn unpack(codec: i16, packed: &[u8], most: usize) -> Result<Cow<'_, [u8]>, CodecError> {
    let unpacked = match codec {
        0 => return Ok(Cow::Borrowed(packed)),
        1 => drain(flate2::read::MultiGzDecoder::new(packed), most),
        2 => snappy(packed, most),
        3 => drain(lz4_flex::frame::FrameDecoder::new(packed), most),
        4 => drain(ruzstd::decoding::StreamingDecoder::new(packed).map_err(damaged)?, most),
        other => Err(CodecError::Unknown(other)),
    };
    unpacked.map(Cow::Owned)
}

fn damaged(error: impl std::fmt::Display) -> CodecError {
    CodecError::Damaged(error.to_string())
}

fn drain(reader: impl Read, most: usize) -> Result<Vec<u8>, CodecError> {
    let mut out = Vec::new();
    let read: io::Result<usize> = reader.take(most as u64 + 1).read_to_end(&mut out);
    read.map_err(damaged)?;
    if out.len() > most { Err(CodecError::TooLong) } else { Ok(out) }
}

/// One raw block as librdkafka writes it, or the framed blocks of Java clients (xerial).
fn snappy(packed: &[u8], most: usize) -> Result<Vec<u8>, CodecError> {
    if !packed.starts_with(XERIAL_MAGIC) {
        return snappy_block(packed, most);
    }
    let short = || CodecError::Damaged("a snappy block is cut short".into());
    let mut rest = packed.get(XERIAL_HEADER..).ok_or_else(short)?;
    let mut out = Vec::new();
    while !rest.is_empty() {
        let (length, behind) = rest.split_first_chunk::<4>().ok_or_else(short)?;
        let length = u32::from_be_bytes(*length) as usize;
        let (block, behind) = behind.split_at_checked(length).ok_or_else(short)?;
        out.extend(snappy_block(block, most - out.len())?);
        rest = behind;
    }
    Ok(out)
}

fn snappy_block(block: &[u8], most: usize) -> Result<Vec<u8>, CodecError> {
    let length = snap::raw::decompress_len(block).map_err(damaged)?;
    if length > most {
        return Err(CodecError::TooLong);
    }
    // The decoder takes the memory first. Three bytes unpack to 64 at most.
    if length > block.len().saturating_mul(64) {
        return Err(CodecError::Damaged("a snappy block claims more than it can hold".into()));
    }
    snap::raw::Decoder::new().decompress_vec(block).map_err(damaged)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const TEXT: &[u8] = b"one order, one order, one order, one order, one order";

    fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        out.write_all(plain).unwrap();
        out.finish().unwrap()
    }

    fn lz4(plain: &[u8]) -> Vec<u8> {
        let mut out = lz4_flex::frame::FrameEncoder::new(Vec::new());
        out.write_all(plain).unwrap();
        out.finish().unwrap()
    }

    fn xerial(plain: &[u8]) -> Vec<u8> {
        let mut out = [XERIAL_MAGIC, &[0, 0, 0, 1, 0, 0, 0, 1]].concat();
        for block in plain.chunks(20) {
            let packed = snap::raw::Encoder::new().compress_vec(block).unwrap();
            out.extend((packed.len() as u32).to_be_bytes());
            out.extend(packed);
        }
        out
    }

    fn all() -> Vec<(i16, Vec<u8>)> {
        let zstd = ruzstd::encoding::compress_to_vec(TEXT, ruzstd::encoding::CompressionLevel::Fastest);
        let raw = snap::raw::Encoder::new().compress_vec(TEXT).unwrap();
        vec![(0, TEXT.to_vec()), (1, gzip(TEXT)), (2, raw), (2, xerial(TEXT)), (3, lz4(TEXT)), (4, zstd)]
    }

    #[test]
    fn every_compression_is_unpacked() {
        for (codec, packed) in all() {
            assert_eq!(unpack(codec, &packed, 1_000).unwrap(), TEXT, "codec {codec}");
        }
        assert!(matches!(unpack(5, TEXT, 1_000), Err(CodecError::Unknown(5))));
    }

    #[test]
    fn what_unpacks_to_too_much_is_refused() {
        for (codec, packed) in all().into_iter().skip(1) {
            assert!(unpack(codec, &packed, TEXT.len()).is_ok(), "codec {codec}");
            let refused = unpack(codec, &packed, TEXT.len() - 1);
            assert!(matches!(refused, Err(CodecError::TooLong)), "codec {codec}");
        }
    }

    #[test]
    fn garbage_is_an_error_and_no_panic() {
        for (codec, packed) in all().into_iter().skip(1) {
            for cut in 0..packed.len() {
                let _ = unpack(codec, &packed[..cut], 1_000);
                let mut bad = packed.clone();
                bad[cut] ^= 0x55;
                let _ = unpack(codec, &bad, 1_000);
            }
            assert!(unpack(codec, b"garbage", 1_000).is_err(), "codec {codec}");
        }
    }
}
